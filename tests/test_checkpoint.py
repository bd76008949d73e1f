"""Checkpoints: everything comes back bit for bit, a damaged one is passed over, old ones go."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import nn

from buke import checkpoint
from buke.checkpoint import BEST, OPTIMIZER, STATE, WEIGHTS, Progress
from buke.words import Refusal


def made(width: int = 5) -> tuple[dict[str, nn.Parameter], torch.optim.AdamW]:
    """Parameters with random values, and an optimizer that has not stepped yet."""
    parameters = {"a": nn.Parameter(torch.randn(3, width)), "b": nn.Parameter(torch.randn(4))}
    return parameters, torch.optim.AdamW(parameters.values(), lr=0.1)


def step(parameters: dict[str, nn.Parameter], optimizer: torch.optim.AdamW) -> None:
    """One optimizer step with a random gradient, so that the random state matters."""
    for parameter in parameters.values():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()


def saved(run: Path, steps: int, keep: int = 2) -> tuple[dict[str, nn.Parameter], torch.optim.AdamW]:
    parameters, optimizer = made()
    for number in range(1, steps + 1):
        step(parameters, optimizer)
        checkpoint.save(run, Progress(step=number), parameters, optimizer, {}, keep)
    return parameters, optimizer


def test_going_on_from_a_checkpoint_is_going_on(tmp_path: Path) -> None:
    parameters, optimizer = made()
    for _ in range(3):
        step(parameters, optimizer)
    progress = Progress(3, 1.25, 2, 2, 1, 0, 0.5)
    best = {"a": torch.arange(4.0)}
    folder = checkpoint.save(tmp_path, progress, parameters, optimizer, best, 2)
    assert (folder.parent.name, folder.name) == ("checkpoints", "000003")
    for _ in range(4):
        step(parameters, optimizer)

    again, other = made()
    step(again, other)  # state of its own, to be replaced
    back, kept = checkpoint.restore(tmp_path, again, other)
    assert back == progress
    assert torch.equal(kept["a"], best["a"])
    for _ in range(4):
        step(again, other)
    for name, parameter in parameters.items():
        assert torch.equal(again[name], parameter)


def test_a_checkpoint_holds_safetensors_and_json_and_names_their_hashes(tmp_path: Path) -> None:
    parameters, optimizer = made()
    step(parameters, optimizer)
    folder = checkpoint.save(tmp_path, Progress(1), parameters, optimizer, {"a": torch.ones(1)}, 2)
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, OPTIMIZER, BEST, STATE}
    state = json.loads((folder / STATE).read_text())
    assert set(state["sha256"]) == {WEIGHTS, OPTIMIZER, BEST}
    assert state["progress"] == asdict(Progress(1))


def test_the_newest_few_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 5, keep=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["000004", "000005"]
    parameters, optimizer = made()
    assert checkpoint.restore(tmp_path, parameters, optimizer)[0].step == 5


def test_saving_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    parameters, optimizer = saved(tmp_path, 2)
    with torch.no_grad():
        parameters["b"].fill_(7)
    checkpoint.save(tmp_path, Progress(2), parameters, optimizer, {}, 2)
    again, other = made()
    checkpoint.restore(tmp_path, again, other)
    assert again["b"].tolist() == [7, 7, 7, 7]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit of the weights": lambda folder: flip(folder / WEIGHTS),
    "weights cut off": lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9]),
    "optimizer gone": lambda folder: (folder / OPTIMIZER).unlink(),
    "state gone": lambda folder: (folder / STATE).unlink(),
    "state empty": lambda folder: (folder / STATE).write_text(""),
    "state cut off": lambda folder: (folder / STATE).write_text((folder / STATE).read_text()[:50]),
    "state of another kind": lambda folder: (folder / STATE).write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(damage: str, tmp_path: Path) -> None:
    saved(tmp_path, 3)
    DAMAGES[damage](tmp_path / "checkpoints" / "000003")
    parameters, optimizer = made()
    assert checkpoint.restore(tmp_path, parameters, optimizer)[0].step == 2


def test_without_a_whole_checkpoint_restoring_is_refused_and_touches_nothing(tmp_path: Path) -> None:
    parameters, optimizer = made()
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    assert not checkpoint.any_in(tmp_path)
    with pytest.raises(Refusal, match="no whole checkpoint"):
        checkpoint.restore(tmp_path, parameters, optimizer)
    saved(tmp_path, 2)
    assert checkpoint.any_in(tmp_path)
    for folder in (tmp_path / "checkpoints").iterdir():
        flip(folder / OPTIMIZER)
    with pytest.raises(Refusal, match="no whole checkpoint") as caught:
        checkpoint.restore(tmp_path, parameters, optimizer)
    assert caught.value.hint
    assert all(torch.equal(parameters[name], before[name]) for name in before)
    assert not optimizer.state


def test_a_checkpoint_of_another_adapter_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    parameters, optimizer = made(width=6)
    with pytest.raises(Refusal, match="does not fit"):
        checkpoint.restore(tmp_path, parameters, optimizer)


def test_a_checkpoint_left_half_written_does_not_count(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    part = tmp_path / "checkpoints" / ".000002.part"
    part.mkdir()
    (part / STATE).write_text("{}")
    parameters, optimizer = made()
    assert checkpoint.restore(tmp_path, parameters, optimizer)[0].step == 1
    step(parameters, optimizer)
    checkpoint.save(tmp_path, Progress(2), parameters, optimizer, {}, 2)  # the remains are in nobody's way
    assert checkpoint.restore(tmp_path, *made())[0].step == 2
