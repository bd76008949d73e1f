"""Frozen weights brought one layer ahead. There is no card here: lanes stand in for its stream of copies, the one that
copies as late as it may, and the one that copies at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from buke.config import Settings
from buke.model import Model, ahead, load
from buke.model.ahead import Ahead, InOrder, Lane, ahead_of
from buke.model.fast import fast_of
from buke.model.stream import stream
from buke.records import Example, Row
from tiny import tiny_folder

LAYERS = 5
CPU = torch.device("cpu")


class Late:
    """Stands in for a slow stream: from when a copy is asked for until it is waited for, its place holds NaN."""

    def copy(self, into: Tensor, block: Tensor) -> Any:
        into.fill_(float("nan"))
        return [into, block]

    def wait(self, copied: Any) -> None:
        if copied:
            into, block = copied
            into.copy_(block)
            copied.clear()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny") / "base", "qwen2", num_hidden_layers=LAYERS)


def model_of(folder: Path, lane: Lane | None, early: bool = True, **given: Any) -> Model:
    """A model with an adapter that does something; with a lane, its layers' weights are brought from elsewhere."""
    settings = Settings(device="cpu", precision="fp32", rank=4, weights="resident", **given)
    model = load(folder, settings)
    if lane is not None:
        model.ahead = ahead_of(model.base, CPU, lane)
        assert model.ahead is not None
        model.ahead.early = early
    model.add_adapter(settings)
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.trained().items():
            if "lora_B" in name:
                parameter.copy_(0.2 * torch.randn_like(parameter))
    return model


def row(*lengths: int) -> Row:
    def example(n: int) -> Example:
        return Example("", "", tuple(range(1, n + 1)), (False, *(True,) * (n - 1)), (1, 1, 0, n))

    return Row(tuple(example(n) for n in lengths))


def computed(model: Model, rows: Sequence[Row]) -> list[Tensor]:
    """Losses and gradients of rows one after the other, and a scoring between them."""
    found = []
    for each in rows:
        loss, _ = model.loss_sum(each)
        loss.backward()
        with model.evaluating(), model.adapter(on=False):
            scored = [value for value, _ in model.loss_sums(each)]
        found += [loss.detach(), torch.tensor(scored)]
    return found + [p.grad for p in model.trained().values() if p.grad is not None]


@pytest.mark.parametrize("given", [{}, {"layers": "2-3"}], ids=str)
@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("lane", [Late(), InOrder()], ids=lambda lane: type(lane).__name__)
@pytest.mark.parametrize("again", [True, False])
def test_brought_ahead_or_there_all_the_time(
    folder: Path, lane: Lane, early: bool, again: bool, given: dict[str, Any]
) -> None:
    found = []
    for own in (None, lane):
        model = model_of(folder, own, early, **given)
        model.keep_activations("full", again)
        found.append(computed(model, [row(40, 7), row(30)]))
    assert len(found[0]) > 10
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


@pytest.mark.parametrize("again", [True, False])
def test_a_layer_is_copied_once_on_the_way_out_and_once_on_the_way_back(folder: Path, again: bool) -> None:
    model = model_of(folder, Late())
    model.keep_activations("full", again)
    copies = []
    for _ in range(3):
        model.loss_sum(row(20))[0].backward()
        assert model.ahead is not None
        copies.append(model.ahead.copies)
    # the last two layers of a way are there when the next way begins with them
    assert copies == [LAYERS + (LAYERS - 2), *(LAYERS + (LAYERS - 2) * n for n in (3, 5))]


def test_only_two_layers_are_where_they_are_used(folder: Path) -> None:
    model = model_of(folder, InOrder())
    model.loss_sum(row(20))[0].backward()
    assert model.ahead is not None
    layer = sum(weight.numel() for name, weight in model.base.named_parameters() if ".0." in name and "proj" in name)
    assert [0.5 < slot.numel() / layer < 1.5 for slot in model.ahead.slots] == [True, True]
    assert {weight.data_ptr() for weight in model.ahead.slots}.isdisjoint(
        block.data_ptr() for block in model.ahead.blocks
    )


def test_a_token_at_a_time(folder: Path) -> None:
    class Store:
        def __init__(self) -> None:
            self.kept: dict[int, list[Tensor]] = {}

        def put(self, number: int, first: int, starts: Sequence[int], k: Tensor, v: Tensor) -> None:
            self.kept[number] = [x.transpose(0, 1)[None].clone() for x in (k, v)]

        def update(self, k: Tensor, v: Tensor, number: int) -> tuple[Tensor, Tensor]:
            self.kept[number] = [torch.cat([old, new], 2) for old, new in zip(self.kept[number], (k, v), strict=True)]
            return self.kept[number][0], self.kept[number][1]

    found = []
    for lane in (None, Late()):
        model, store = model_of(folder, lane), Store()
        with model.evaluating():
            states = [model.begin([[1, 2, 3, 4]], store)]
            for place in (4, 5):
                seen = torch.ones(1, place + 1, dtype=torch.bool)
                states.append(model.go_on(torch.tensor([7]), torch.tensor([place]), seen, store))
        found.append(torch.cat(states))
    assert torch.equal(*found)


def test_the_head_stays_where_it_is_used_and_the_rest_is_brought(folder: Path) -> None:
    model = load(folder, Settings(device="cpu", precision="fp32", weights="resident"))
    wanted = model.logits(model.hidden([1, 2, 3], (0, 3)))
    base = load(folder, Settings(device="cpu", precision="fp32", weights="resident")).base.to(torch.bfloat16)
    brought = stream(base, torch.float32, CPU, ahead=True)
    assert isinstance(brought, Ahead)
    own = Model(base, folder, CPU, "fp32", fast=fast_of(base, brought), ahead=brought)
    assert own.head.dtype == torch.float32
    assert base.get_input_embeddings().weight.dtype == brought.blocks[0].dtype == torch.bfloat16
    far = (own.logits(own.hidden([1, 2, 3], (0, 3))) - wanted).norm() / wanted.norm()
    assert far < 2e-2
    assert len(brought.blocks) == LAYERS


def test_layers_in_several_formats_are_not_laid_together(folder: Path) -> None:
    model = load(folder, Settings(device="cpu", precision="fp32", weights="resident"))
    weight = model.base.get_decoder().layers[1].mlp.up_proj.weight
    weight.data = weight.data.half()
    assert ahead_of(model.base, CPU) is None


@pytest.mark.parametrize("refused", [0, 2])
def test_memory_that_a_card_reads(monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    """Stands in for CUDA's runtime: what is registered is given back before its pages go."""
    held: dict[int, int] = {}

    class Runtime:
        def cudaHostRegister(self, place: int, size: int, flags: int) -> int:
            held.update({place: size} if not refused else {})
            return refused

        def cudaHostUnregister(self, place: int) -> int:
            del held[place]
            return 0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "cudart", Runtime)
    for count in (1000, 2**20):
        block = ahead.readable(count, torch.ones(1, dtype=torch.bfloat16)).fill_(3)
        assert (block.dtype, block.numel()) == (torch.bfloat16, count)
        assert held == ({} if refused else {block.data_ptr(): 2 * count})
        part = block[10:20]
        del block
        assert len(held) == (not refused)
        assert part.tolist() == [3.0] * 10
        del part
        assert not held
