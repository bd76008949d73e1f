"""Model: packed rows compute what transformers and PEFT compute record by record; what is saved is what was trained."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from buke import prompt as room
from buke.config import Settings
from buke.generate import KeyValues
from buke.kernels import linear, linear_cross_entropy
from buke.kernels import loss as loss_room
from buke.model import Model, choose_device, choose_precision, load
from buke.pack import rows
from buke.records import Example, Record, Row
from buke.train.step import Ranks, find_fault, optimizer_for, take_step
from buke.words import Refusal
from tiny import lessons, tiny_folder

# PEFT itself asks transformers by a name that transformers is giving up
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "mistral": {"sliding_window": 16},  # shorter than the records
}
each_kind = pytest.mark.parametrize("kind", list(KINDS))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights wide enough that every part of the network matters, and biases that are not zero."""
    root = tmp_path_factory.mktemp("models")
    made = {}
    for kind, config in KINDS.items():
        made[kind] = tiny_folder(root / kind, kind=kind, initializer_range=0.2, **config)
        file = made[kind] / "model.safetensors"
        weights = load_file(file)
        torch.manual_seed(1)
        weights |= {name: torch.randn_like(w) for name, w in weights.items() if name.endswith("bias")}
        save_file(weights, file, metadata={"format": "pt"})
    return made


def settings(**given: Any) -> Settings:
    return Settings(device="cpu", precision=given.pop("precision", "fp32"), rank=4, alpha=8, **given)


@pytest.fixture
def awake(folders: dict[str, Path]) -> Callable[..., Model]:
    """A model whose adapter does something: B is not zero."""

    def make(kind: str = "llama", **given: Any) -> Model:
        model = load(folders[kind], settings(**given))
        model.add_adapter(settings(**given))
        torch.manual_seed(2)
        with torch.no_grad():
            for name, parameter in model.trained().items():
                if "lora_A" not in name:
                    parameter.add_(0.2 * torch.randn_like(parameter))
        return model

    return make


@pytest.fixture(scope="session")
def examples(folders: dict[str, Path]) -> list[Example]:
    """Eight records of different lengths, the last with a character that no other has."""
    spoken = room.load(folders["llama"])
    records = [
        Record.make(d["Question"], d["Complex_CoT"] * (i % 3 + 1), d["Response"], f"f:{i}")
        for i, d in enumerate(lessons(7))
    ]
    records.append(Record.make("Ω?", "Ω.", "Ω", "f:7"))
    found, findings = room.build(spoken, records, 512)
    assert findings == []
    return found


def fresh(folder: Path) -> Any:
    """The base as transformers alone loads and computes it."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def labelled(model: Any, example: Example) -> Tensor:
    """transformers' own loss of a record, as a sum."""
    ids = torch.tensor([example.ids])
    labels = torch.where(torch.tensor([example.learn]), ids, -100)
    counted = int((labels[:, 1:] != -100).sum())
    loss: Tensor = model(input_ids=ids, labels=labels).loss * counted
    return loss


def grads(named: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Gradients of what is trained, under the base model's names."""
    return {name: p.grad for name, p in named if p.requires_grad and p.grad is not None}


def same(got: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    """Equal to within ``tolerance`` of each tensor's largest element."""
    assert got.keys() == wanted.keys()
    assert wanted
    for name, value in wanted.items():
        scale = float(value.abs().max())
        assert scale > 0, name
        torch.testing.assert_close(
            got[name] / scale, value / scale, rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


# a row is its records


@each_kind
@pytest.mark.parametrize("given_", [{}, {"bias": "all"}, {"bias": "all", "targets": "down_proj"}], ids=str)
def test_a_packed_row_is_peft_one_record_at_a_time(
    folders: dict[str, Path],
    awake: Callable[..., Model],
    examples: list[Example],
    tmp_path: Path,
    kind: str,
    given_: dict[str, Any],
) -> None:
    model = awake(kind, **given_)
    row = Row(tuple(examples))
    loss, count = model.loss_sum(row)
    loss.backward()
    assert count == sum(e.learned for e in examples)

    model.save_adapter(tmp_path, {})
    plain = PeftModel.from_pretrained(fresh(folders[kind]), str(tmp_path), is_trainable=True).eval()
    if given_:
        for name, parameter in plain.base_model.model.named_parameters():
            parameter.requires_grad_("lora_" in name or name.endswith("bias"))
    wanted = sum((labelled(plain, e) for e in examples), torch.zeros(()))
    wanted.backward()
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)
    same(grads(model.base.named_parameters()), grads(plain.base_model.model.named_parameters()))


@each_kind
def test_packed_and_unpacked_agree(awake: Callable[..., Model], examples: list[Example], kind: str) -> None:
    model = awake(kind)
    packed, count = model.loss_sum(Row(tuple(examples)))
    packed.backward()
    together = {name: grad.clone() for name, grad in grads(model.base.named_parameters()).items()}
    model.base.zero_grad()
    alone = 0.0
    for example in examples:
        loss, tokens = model.loss_sum(Row((example,)))
        loss.backward()
        alone, count = alone + float(loss.detach()), count - tokens
    assert count == 0
    assert float(packed.detach()) == pytest.approx(alone, rel=1e-6)
    same(together, grads(model.base.named_parameters()))


@each_kind
def test_loss_sums_are_the_parts_of_loss_sum(awake: Callable[..., Model], examples: list[Example], kind: str) -> None:
    model, row = awake(kind), Row(tuple(examples))
    with model.evaluating():
        parts, (whole, count) = model.loss_sums(row), model.loss_sum(row)
        assert sum(loss for loss, _ in parts) == pytest.approx(float(whole), rel=1e-6)
        assert [tokens for _, tokens in parts] == [e.learned for e in examples]
        assert count == sum(e.learned for e in examples)
        for example, (loss, _) in zip(examples, parts, strict=True):
            assert loss == pytest.approx(model.loss_sums(Row((example,)))[0][0], rel=1e-6)


@each_kind
def test_a_record_is_not_moved_by_its_neighbours(
    awake: Callable[..., Model], examples: list[Example], kind: str
) -> None:
    model = awake(kind)
    first, second, third = examples[:3]
    other = Example(first.id, first.source, tuple((i + 7) % 300 for i in first.ids), first.learn, first.bounds)
    with model.evaluating():
        before = model.loss_sums(Row((first, second, third)))
        after = model.loss_sums(Row((other, second, third)))
    assert before[0] != after[0]
    assert before[1:] == after[1:]


@pytest.mark.parametrize("fast", [True, False])
def test_positions_are_counted_from_each_records_start(folders: dict[str, Path], fast: bool) -> None:
    model, seen = load(folders["llama"], settings()), []
    model.fast = model.fast if fast else None
    turned = model.base.get_decoder().rotary_emb.forward
    model.base.get_decoder().rotary_emb.forward = lambda x, position_ids: (
        seen.append(position_ids.tolist()) or turned(x, position_ids)
    )
    with model.evaluating():
        model.hidden(range(10, 16), (0, 3, 4, 6))
    assert seen == [[[0, 1, 2, 0, 0, 1]]]


@each_kind
def test_loss_is_transformers_loss(folders: dict[str, Path], examples: list[Example], kind: str) -> None:
    model, plain = load(folders[kind], settings()), fresh(folders[kind])
    with torch.inference_mode():
        wanted = [float(labelled(plain, e)) for e in examples]
    with model.evaluating():
        got = [loss for loss, _ in model.loss_sums(Row(tuple(examples)))]
    assert got == pytest.approx(wanted, rel=1e-6)


def test_where_all_is_learned_all_but_the_first_token_counts(folders: dict[str, Path], examples: list[Example]) -> None:
    whole = [Example(e.id, e.source, e.ids, (True,) * len(e), e.bounds) for e in examples]
    model, plain = load(folders["llama"], settings()), fresh(folders["llama"])
    with model.evaluating():
        got = model.loss_sums(Row(tuple(whole)))
        loss, count = model.loss_sum(Row(tuple(whole)))
        wanted = [float(labelled(plain, e)) for e in whole]
    assert [tokens for _, tokens in got] == [len(e) - 1 for e in whole]
    assert count == sum(len(e) - 1 for e in whole)
    assert [part for part, _ in got] == pytest.approx(wanted, rel=1e-6)
    assert float(loss) == pytest.approx(sum(wanted), rel=1e-6)


def test_a_record_that_teaches_nothing_counts_nothing(awake: Callable[..., Model], examples: list[Example]) -> None:
    silent = Example("x", "f:9", examples[0].ids, (False,) * len(examples[0]), examples[0].bounds)
    model = awake()
    loss, count = model.loss_sum(Row((silent,)))
    loss.backward()
    assert (float(loss.detach()), count) == (0.0, 0)
    assert all(float(grad.abs().max()) == 0 for grad in grads(model.base.named_parameters()).values())


# a step is its records


def test_a_step_is_the_same_however_its_records_are_laid(awake: Callable[..., Model], examples: list[Example]) -> None:
    results, norms, losses = [], [], []
    for batch, row_tokens in ((8, 10**6), (4, 10**6), (2, 10**6), (1, 10**6), (8, 150)):
        model = awake("qwen2")
        optimizer = optimizer_for(model.trained(), 1e-3, 0.0)
        for _ in range(2):
            outcome = take_step(model, rows(examples, batch, row_tokens), optimizer, 1.0, Ranks())
            assert outcome.taken
        results.append({name: p.detach().clone() for name, p in model.trained().items()})
        norms.append(outcome.grad_norm)
        losses.append(outcome.loss_sum)
        assert outcome.tokens == sum(e.learned for e in examples)
    for other in results[1:]:
        for name, value in results[0].items():
            torch.testing.assert_close(other[name], value, rtol=0, atol=1e-6)
    assert norms == pytest.approx([norms[0]] * 5, rel=1e-5)
    assert losses == pytest.approx([losses[0]] * 5, rel=1e-5)


def test_a_step_divides_by_tokens_not_by_records(awake: Callable[..., Model], examples: list[Example]) -> None:
    model = awake()
    parameters = list(model.trained().values())
    before = [p.detach().clone() for p in parameters]
    sgd = torch.optim.SGD(parameters, lr=1.0)
    outcome = take_step(model, rows(examples[:3], 2, 10**6), sgd, 1e9, Ranks())  # type: ignore[arg-type]
    moved = [old - p.detach() for old, p in zip(before, parameters, strict=True)]

    again = awake()
    for example in examples[:3]:
        (again.loss_sum(Row((example,)))[0] / sum(e.learned for e in examples[:3])).backward()
    wanted = [p.grad for p in again.trained().values()]
    for got, grad in zip(moved, wanted, strict=True):
        assert grad is not None
        torch.testing.assert_close(got, grad, rtol=1e-3, atol=1e-6)
    norm = math.sqrt(sum(float(grad.square().sum()) for grad in wanted if grad is not None))
    assert outcome.grad_norm == pytest.approx(norm, rel=1e-4)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("given", [{"again": True}, {"kind": "half"}, {"kind": "byte"}], ids=str)
def test_how_activations_are_kept_changes_no_gradient(
    awake: Callable[..., Model], examples: list[Example], given: dict[str, Any], fast: bool
) -> None:
    found = []
    for keep in ({}, given):
        model = awake("mistral")
        assert model.fast is not None
        if not fast:
            model.fast = None
            if keep.get("kind"):
                with pytest.raises(Refusal, match="done by our fast layers alone, and MistralForCausalLM goes"):
                    model.keep_activations(**keep)
                return
        model.keep_activations(**keep)
        model.base.train()
        model.loss_sum(Row(tuple(examples)))[0].backward()
        found.append(grads(model.base.named_parameters()))
    same(found[1], found[0], 5e-2 if given.get("kind") else 1e-6)


@each_kind
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_that_stay_in_their_file_give_the_same_as_in_memory(
    folders: dict[str, Path], examples: list[Example], tmp_path: Path, kind: str, dtype: torch.dtype
) -> None:
    shutil.copytree(folders[kind], tmp_path / "model")
    weights = {name: w.to(dtype) for name, w in load_file(folders[kind] / "model.safetensors").items()}
    save_file(weights, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    found, starts = [], []
    for where in ("resident", "streamed"):
        model = load(tmp_path / "model", settings(weights=where))
        model.add_adapter(settings())
        starts.append(model.trained())  # PEFT draws it in the format of the base
        for name, parameter in model.trained().items():
            parameter.data.copy_(starts[0][name].data)
        assert model.fast is not None
        assert model.head.dtype == (dtype if where == "streamed" else torch.float32)
        roads = []
        for fast in (model.fast, None):
            model.fast = fast
            loss, _ = model.loss_sum(Row(tuple(examples[:3])))
            loss.backward()
            roads.append(grads(model.base.named_parameters()) | {"loss": loss.detach()})
            roads[-1] = {name: value.clone() for name, value in roads[-1].items() if "lora_A" not in name}
            model.base.zero_grad()
        same(roads[0], roads[1])
        found.append(roads[0])
    same(found[1], found[0])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is told by Linux")
def test_weights_that_stay_in_their_file_take_no_memory_of_their_own(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model", hidden_size=512, intermediate_size=2048, num_hidden_layers=8)
    weights = {name: w.to(torch.bfloat16) for name, w in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    size = sum(w.numel() for w in weights.values()) * 2 / 1e6

    code = """
        import sys
        from pathlib import Path
        from buke.config import Settings
        from buke.model import load

        def anonymous():
            lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1e3

        kept = []
        for where in ("streamed", "resident"):
            before = anonymous()
            kept.append(load(Path(sys.argv[1]), Settings(device="cpu", precision="fp32", weights=where)))
            print(where, anonymous() - before)
    """  # in a process of its own: this one has pages left over from other tests, which a load may take
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1] / "src")}
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder)]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    taken = {line.split()[0]: float(line.split()[1]) for line in said.splitlines()}
    assert size > 60
    assert taken["resident"] > 1.8 * size
    assert taken["streamed"] < 0.5 * size


def test_the_record_with_a_nan_is_named_and_nothing_moves(awake: Callable[..., Model], examples: list[Example]) -> None:
    model = awake()
    others = {i for e in examples[:-1] for i in e.ids}
    own = [i for i in examples[-1].ids if i not in others]
    with torch.no_grad():
        model.base.get_input_embeddings().weight[own[0]] = float("nan")
    before = {name: p.detach().clone() for name, p in model.trained().items()}
    step = rows(examples[4:], 2, 10**6)
    outcome = take_step(model, step, optimizer_for(model.trained(), 1e-3, 0.0), 1.0, Ranks())
    assert not outcome.taken
    assert (outcome.loss_sum, outcome.fault) == (None, examples[-1])
    assert all(torch.equal(before[name], p) for name, p in model.trained().items())
    assert all(p.grad is None for p in model.trained().values())
    assert find_fault(model, rows(examples[:-1], 2, 10**6)) is None


# the adapter


@pytest.mark.parametrize(
    ("kind", "given_"),
    [
        *((kind, {"bias": "all"}) for kind in KINDS),
        *(("qwen2", given) for given in (
            {}, {"bias": "lora_only"}, {"targets": "q_proj,down_proj", "layers": "upper"}, {"rslora": True},
        )),
    ],
    ids=str,
)  # fmt: skip
def test_a_saved_adapter_is_a_peft_adapter(
    folders: dict[str, Path],
    awake: Callable[..., Model],
    examples: list[Example],
    tmp_path: Path,
    kind: str,
    given_: dict[str, Any],
) -> None:
    model = awake(kind, **given_)
    model.save_adapter(tmp_path, {"note": "备注"})
    plain = PeftModel.from_pretrained(fresh(folders[kind]), str(tmp_path)).eval()
    ids = examples[0].ids
    with torch.inference_mode():
        wanted = plain(input_ids=torch.tensor([ids])).logits[0]
        got = model.hidden(ids, (0, len(ids))) @ model.head.T
        base = fresh(folders[kind])(input_ids=torch.tensor([ids])).logits[0]
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
    assert float((got - base).abs().max()) > 0.01
    assert (tmp_path / "buke.json").is_file()

    again = load(folders[kind], settings(**given_))
    again.add_adapter(settings(**given_))
    again.load_adapter(tmp_path)
    with torch.inference_mode():
        assert torch.equal(again.hidden(ids, (0, len(ids))), model.hidden(ids, (0, len(ids))))
    assert {n: p.shape for n, p in again.trained().items()} == {n: p.shape for n, p in model.trained().items()}


@each_kind
@pytest.mark.parametrize("bias", ["none", "all", "lora_only"])
def test_switched_off_it_is_the_base_exactly(
    folders: dict[str, Path], awake: Callable[..., Model], examples: list[Example], kind: str, bias: str
) -> None:
    model, base = awake(kind, bias=bias), load(folders[kind], settings())
    row = Row(tuple(examples[:3]))
    with model.evaluating():
        on = model.loss_sums(row)
        with model.adapter(False):
            off = model.loss_sums(row)
        with model.adapter(True):
            assert model.loss_sums(row) == on
        assert model.loss_sums(row) == on
        if model.fast is None:  # trained biases take the plain road, so the base has to take it too
            base.fast = None
        with base.adapter(False):
            assert base.loss_sums(row) == off
    assert on != off
    trained = set(model.trained())
    with pytest.raises(ZeroDivisionError), model.adapter(False):
        _ = 1 / 0
    assert set(model.trained()) == trained
    with model.evaluating():
        assert model.loss_sums(row) == on


def test_a_new_adapter_changes_nothing_and_its_start_is_the_seeds(
    folders: dict[str, Path], examples: list[Example]
) -> None:
    base = load(folders["llama"], settings())
    with base.evaluating():
        before = base.loss_sums(Row((examples[0],)))
    states = []
    for seed in (1, 1, 2):
        model = load(folders["llama"], settings())
        model.add_adapter(settings(seed=seed))
        with model.evaluating():
            assert model.loss_sums(Row((examples[0],))) == before
        states.append(model.adapter_state())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])
    assert base.parameters == model.parameters


def test_dropout_only_while_training(folders: dict[str, Path], examples: list[Example]) -> None:
    model = load(folders["llama"], settings())
    model.add_adapter(settings(dropout=0.5))
    with torch.no_grad():
        for name, parameter in model.trained().items():
            if "lora_B" in name:
                parameter.fill_(0.1)
    row = Row((examples[0],))
    model.base.train()
    with torch.no_grad():
        assert float(model.loss_sum(row)[0]) != float(model.loss_sum(row)[0])
    with model.evaluating():
        assert float(model.loss_sum(row)[0]) == float(model.loss_sum(row)[0])
    assert model.base.training


def test_targets_and_layers(folders: dict[str, Path]) -> None:
    model = load(folders["llama"], settings())
    model.add_adapter(settings(targets="q_proj, v_proj", layers="1-1"))
    assert {name.split(".lora_")[0].split("layers.")[1] for name in model.trained()} == {
        "1.self_attn.q_proj",
        "1.self_attn.v_proj",
    }
    whole = load(folders["llama"], settings())
    whole.add_adapter(settings())
    assert len(whole.trained()) == 2 * 7 * 2
    assert not any("lm_head" in name for name in whole.trained())


def test_unknown_targets_and_layers_are_refused_by_name(folders: dict[str, Path]) -> None:
    model = load(folders["llama"], settings())
    with pytest.raises(Refusal, match="c_attn") as refused:
        model.add_adapter(settings(targets="q_proj,c_attn"))
    assert "q_proj" not in str(refused.value.args[0])
    assert "q_proj" in refused.value.hint
    for layers in ("1-2", "1-0"):
        with pytest.raises(Refusal, match=layers):
            model.add_adapter(settings(layers=layers))


def test_an_adapter_that_does_not_fit_is_refused(
    folders: dict[str, Path], awake: Callable[..., Model], tmp_path: Path
) -> None:
    awake(targets="q_proj").save_adapter(tmp_path / "a", {})
    model = awake()
    before = model.adapter_state()
    with pytest.raises(Refusal):
        model.load_adapter(tmp_path / "a")
    (tmp_path / "a" / "adapter_model.safetensors").write_bytes(b"not safetensors")
    for place in ("a", "absent"):
        with pytest.raises(Refusal, match=place):
            model.load_adapter(tmp_path / place)
    assert all(torch.equal(value, model.adapter_state()[name]) for name, value in before.items())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("streamed", [False, True])
def test_weights_that_are_not_finite_are_named(value: float, streamed: bool, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "base", dtype="bfloat16")
    weights = {name: weight.bfloat16() for name, weight in load_file(folder / "model.safetensors").items()}
    weights["model.embed_tokens.weight"][7, 3] = value  # of a token that no proof of the architecture looks at
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refusal, match=r"model\.safetensors: model\.embed_tokens\.weight") as caught:
        load(folder, settings(weights="streamed" if streamed else "resident"))
    assert ("1 NaN, 0 infinite" if math.isnan(value) else "0 NaN, 1 infinite") in caught.value.message


@pytest.mark.parametrize("tied", [False, True])
def test_weights_that_are_in_no_file_are_not_made_up(tied: bool, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "base", tie_word_embeddings=tied)
    load(folder, settings())
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Refusal, match=r"1 weights .* model\.layers\.1\.mlp\.up_proj\.weight"):
        load(folder, settings())


def test_an_adapter_that_is_not_finite_is_refused(awake: Callable[..., Model], tmp_path: Path) -> None:
    model = awake()
    state = model.adapter_state()
    state[max(state)][0, 0] = math.nan
    model.save_adapter(tmp_path, {}, state)
    with pytest.raises(Refusal, match="not finite"):
        model.load_adapter(tmp_path)


# devices, precisions, other models


def test_bf16_trains_close_to_fp32(
    folders: dict[str, Path], awake: Callable[..., Model], examples: list[Example]
) -> None:
    model, exact = awake(precision="bf16"), awake()
    assert model.head.dtype == torch.bfloat16
    assert {p.dtype for p in model.trained().values()} == {torch.float32}
    row = Row(tuple(examples))
    loss, count = model.loss_sum(row)
    assert loss.dtype == torch.float32
    assert float(loss.detach()) / count == pytest.approx(float(exact.loss_sum(row)[0].detach()) / count, rel=0.03)
    outcome = take_step(model, [row], optimizer_for(model.trained(), 1e-3, 0.0), 1.0, Ranks())
    assert outcome.taken


def test_rows_of_bf16_are_rounded_up_and_nothing_else_changes(
    awake: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training, prompts and layers below the adapter give what rows as they are give."""
    model, ids, starts = awake(precision="bf16"), list(range(3, 80)), (0, 30, 77)
    targets = torch.arange(77) % 50

    def all_of_it() -> list[torch.Tensor]:
        hidden = model.hidden(ids, starts)
        loss = linear_cross_entropy(hidden, model.head, targets)
        loss.backward()
        grads = [p.grad for p in model.trained().values()]
        for p in model.trained().values():
            p.grad = None
        assert model.fast is not None
        with torch.no_grad():
            below = model.fast.below(ids)
            begun = model.begin([ids[:30], ids[30:]], KeyValues(2, 47))
        return [x.detach() for x in (hidden, loss, below, begun, *grads) if x is not None]

    rounded = all_of_it()
    assert len(rounded) > 8
    assert len(rounded[0]) == len(rounded[2]) == 77
    monkeypatch.setattr(linear, "ALIKE", 1)
    monkeypatch.setattr(loss_room, "ALIKE", 1)
    for one, two in zip(rounded, all_of_it(), strict=True):
        assert float((one.float() - two.float()).norm()) <= 0.02 * float(two.float().norm())


def test_precision_and_device_are_chosen_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert choose_precision(Settings(), cpu, 64) == "fp32"
    assert choose_precision(Settings(precision="bf16"), cpu, 64) == "bf16"
    for tiles, wanted in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda tiles=tiles: {"amx_bf16": tiles})
        assert choose_precision(Settings(), cpu, 576) == wanted
        assert choose_precision(Settings(), cpu, 64) == "fp32"  # its products are too small to gain
    with pytest.raises(Refusal, match="fp16"):
        choose_precision(Settings(precision="fp16"), cpu, 64)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device(Settings()) == cpu
    for name in ("cuda", "mps"):
        with pytest.raises(Refusal, match=name):
            choose_device(Settings(device=name))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device(Settings()).type == "mps"
    assert choose_precision(Settings(), torch.device("mps"), 4096) == "fp16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device(Settings()).type == "cuda"
    for good, wanted in ((True, "bf16"), (False, "fp16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda good=good: good)
        assert choose_precision(Settings(), torch.device("cuda"), 64) == wanted


def test_an_architecture_that_cannot_be_packed_is_refused(tmp_path: Path) -> None:
    capped = tiny_folder(tmp_path / "gemma2", kind="gemma2", head_dim=8, initializer_range=0.2)
    with pytest.raises(Refusal, match=r"Gemma2.*caps its attention scores"):
        load(capped, settings())
    gpt = tiny_folder(tmp_path / "granite", kind="granite", logits_scaling=3.0)  # divides its logits after the head
    with pytest.raises(Refusal, match="Granite"):
        load(gpt, settings())


def test_a_damaged_folder_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folders["llama"] / "config.json").read_bytes())
    with pytest.raises(Refusal, match=str(tmp_path)):
        load(tmp_path, settings())
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(Refusal, match=str(tmp_path)):
        load(tmp_path, settings())
