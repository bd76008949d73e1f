"""Other architectures than the Llama family: transformers' own layers, packed, and what is said of that."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from buke import prompt as room
from buke import words
from buke.config import Settings, make
from buke.generate import Sampling, generate
from buke.model import Model, load
from buke.records import Example, Record, Row, Step
from buke.train import begin as jobs
from buke.words import Refusal
from tiny import lessons, tiny_folder, write_lessons

pytestmark = [
    pytest.mark.slow,  # together they take longer than a first look may
    # PEFT itself asks transformers by a name that transformers is giving up
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
]

WINDOW = 16  # tokens, shorter than the records
KINDS: dict[str, dict[str, Any]] = {
    "gemma3_text": {
        "head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": WINDOW, "rms_norm_eps": 1e-5, "pad_token_id": 0,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "gpt_neox": {},  # queries, keys and values in one product, half of each head turned, both halves side by side
    "phi": {},  # layer norms with biases, and a bias on the head
}  # fmt: skip
each_kind = pytest.mark.parametrize("kind", list(KINDS))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights and biases wide enough that every part of the network matters."""
    root, made = tmp_path_factory.mktemp("architectures"), {}
    for kind, config in KINDS.items():
        made[kind] = tiny_folder(root / kind, kind=kind, initializer_range=0.2, **config)
        model = fresh(made[kind])
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.data += 0.3 * torch.randn_like(parameter)
        model.save_pretrained(made[kind])
    return made


@pytest.fixture(scope="session")
def examples(folders: dict[str, Path]) -> list[Example]:
    spoken = room.load(folders["phi"])
    records = [
        Record.make(d["Question"], d["Complex_CoT"] * 2, d["Response"], f"f:{i}") for i, d in enumerate(lessons(4))
    ]
    found, findings = room.build(spoken, records, 512)
    assert not findings
    assert min(map(len, found)) > 2 * WINDOW
    return found


def settings(**given: Any) -> Settings:
    return Settings(device="cpu", precision="fp32", rank=4, alpha=8, **given)


def fresh(folder: Path) -> Any:
    """The model as transformers alone loads and computes it."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def awake(folder: Path, **given: Any) -> Model:
    """A model whose adapter does something: B is not zero."""
    model = load(folder, settings(**given))
    model.add_adapter(settings(**given))
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.trained().items():
            if "lora_A" not in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def gradients(named: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in named if p.requires_grad and p.grad is not None}


def same(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """Equal to within 1e-5 of each tensor's largest element."""
    assert got.keys() == wanted.keys()
    assert wanted
    for name, value in wanted.items():
        scale = value.abs().max().clamp(min=1e-6)
        torch.testing.assert_close(got[name] / scale, value / scale, rtol=0, atol=1e-5, msg=name)


@each_kind
def test_logits_of_a_packed_row_are_those_of_transformers(
    folders: dict[str, Path], examples: list[Example], kind: str
) -> None:
    model, plain, row = load(folders[kind], settings()), fresh(folders[kind]), Row(tuple(examples))
    assert model.fast is None
    with model.evaluating():
        got = model.logits(model.hidden([i for e in examples for i in e.ids], row.starts))
        wanted = torch.cat([plain(input_ids=torch.tensor([e.ids])).logits[0] for e in examples])
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("part", ["sliding_window", "q_norm", "k_norm"])
def test_windows_and_norms_of_gemma_matter_here(folders: dict[str, Path], examples: list[Example], part: str) -> None:
    """The comparison above would see it if one of them were left out."""
    whole, without = fresh(folders["gemma3_text"]), fresh(folders["gemma3_text"])
    attention = without.model.layers[0].self_attn
    if part == "sliding_window":
        without.config.sliding_window = 512
    else:
        setattr(attention, part, torch.nn.Identity())
    ids = torch.tensor([examples[0].ids])
    with torch.inference_mode():
        assert float((whole(input_ids=ids).logits - without(input_ids=ids).logits).abs().max()) > 1e-2


@each_kind
@pytest.mark.parametrize("bias", ["none", "all"])
def test_packed_records_train_as_peft_does_one_by_one(
    folders: dict[str, Path], examples: list[Example], tmp_path: Path, kind: str, bias: str
) -> None:
    model = awake(folders[kind], bias=bias)
    loss, count = model.loss_sum(Row(tuple(examples)))
    loss.backward()
    packed = gradients(model.base.named_parameters())
    model.base.zero_grad()
    for example in examples:
        model.loss_sum(Row((example,)))[0].backward()
    same(packed, gradients(model.base.named_parameters()))

    model.save_adapter(tmp_path, {})
    plain = PeftModel.from_pretrained(fresh(folders[kind]), str(tmp_path), is_trainable=True).eval()
    for name, parameter in plain.base_model.model.named_parameters():
        parameter.requires_grad_("lora_" in name or (bias == "all" and name.endswith("bias")))
    wanted = torch.zeros(())
    for example in examples:
        ids = torch.tensor([example.ids])
        labels = torch.where(torch.tensor([example.learn]), ids, -100)
        wanted = wanted + plain(input_ids=ids, labels=labels).loss * int((labels[:, 1:] != -100).sum())
    wanted.backward()
    assert count == sum(e.learned for e in examples)
    assert float(loss.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    same(packed, gradients(plain.base_model.model.named_parameters()))


@each_kind
def test_computing_activations_again_changes_no_gradient(
    folders: dict[str, Path], examples: list[Example], kind: str
) -> None:
    found = []
    for again in (False, True):
        model = awake(folders[kind])
        model.keep_activations("full", again)
        model.base.train()
        model.loss_sum(Row(tuple(examples)))[0].backward()
        found.append(gradients(model.base.named_parameters()))
    same(found[1], found[0])


@each_kind
def test_answers_are_the_likeliest_tokens_of_transformers(folders: dict[str, Path], kind: str) -> None:
    """Two questions of different lengths at once, each answered past the window, against one by one."""
    model, spoken = load(folders[kind], settings()), room.load(folders[kind])
    spoken.__dict__["stops"] = frozenset()
    records = [Record.make(text, "", "", text) for text in ("12 * 4?", "What is the dose for a child of 12 kg?")]
    answers = generate(model, spoken, records, Sampling(24, 24, ask_answer=False), 2)
    plain = fresh(folders[kind])
    for record, answer in zip(records, answers, strict=True):
        ids = spoken.prompt_ids(record.question, "", ())
        written: list[int] = []
        while len(written) < 24:
            with torch.inference_mode():
                written.append(int(plain(input_ids=torch.tensor([[*ids, *written]])).logits[0, -1].argmax()))
        assert answer.text == spoken.tokens.decode(written).strip()


@each_kind
def test_a_run_says_that_it_takes_the_plain_road_and_learns(
    folders: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    words.set_language("en")
    said: list[str] = []
    values = {
        "data": [str(write_lessons(tmp_path / "lessons.jsonl", 16))], "model": str(folders[kind]), "name": "run",
        "device": "cpu", "batch": 4, "epochs": 4, "held_out": 0, "questions": 0, "learning_rate": 1e-2,
    }  # fmt: skip
    job = jobs.prepare(*make(values), tmp_path / "runs", said.append)
    name = type(job.model.base).__name__
    assert [line for line in said if line.endswith(f"our fast ones do not know {name}")]
    losses = [event.loss for event in job.events() if isinstance(event, Step)]
    assert losses[-1] is not None
    assert losses[0] is not None
    assert losses[-1] < losses[0] - 0.2


def test_layers_that_are_not_told_where_records_begin_are_refused_by_name(tmp_path: Path) -> None:
    words.set_language("en")
    with pytest.raises(Refusal, match=r"StableLmForCausalLM: .*its layers are not told where a record"):
        load(tiny_folder(tmp_path / "stablelm", kind="stablelm"), settings())


def test_an_architecture_without_linear_layers_is_refused_by_name(tmp_path: Path) -> None:
    model = load(tiny_folder(tmp_path / "gpt2", kind="gpt2"), settings())
    with pytest.raises(Refusal, match="GPT2LMHeadModel: this architecture has no linear layer"):
        model.add_adapter(settings())
