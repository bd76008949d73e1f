"""Generation: batches write what transformers' own generate writes question by question; endings and budgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from buke import generate as room
from buke import prompt as prompts
from buke.config import Settings
from buke.generate import Course, KeyValues, Sampling, choose, generate
from buke.model import Model, load
from buke.prompt import Prompt, TutorialPrompt
from buke.records import Answer, Ending, Record
from tiny import TEMPLATES, tiny_folder

# PEFT itself asks transformers by a name that transformers is giving up
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

KINDS: dict[str, dict[str, Any]] = {
    "llama": {}, "qwen2": {}, "qwen3": {}, "mistral": {"sliding_window": 16},
    "phi3": {"pad_token_id": 0},  # one key head a query head
}  # fmt: skip
QUESTIONS = [
    "?",
    "What is 7 times 8?",
    "患者头痛三天",
    "Why? " * 9,
    "12",
    "def f(x): return x[0]",
    "a\nb",
    "Why? " * 20,
]
OPEN = Sampling(thought_budget=25, answer_budget=25, ask_answer=False)


def records(questions: Sequence[str] = QUESTIONS) -> list[Record]:
    return [Record.make(question, "t", "a", f"f:{i}") for i, question in enumerate(questions)]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights wide enough that no two logits are nearly equal."""
    root = tmp_path_factory.mktemp("models")
    made = {kind: tiny_folder(root / kind, kind, "r1-01", initializer_range=0.3, **c) for kind, c in KINDS.items()}
    return made | {name: tiny_folder(root / name, template=name) for name in TEMPLATES}


@pytest.fixture(scope="session")
def model(folders: dict[str, Path]) -> Model:
    return load(folders["llama"], Settings(device="cpu"))


@pytest.fixture(scope="session")
def spoken(folders: dict[str, Path]) -> dict[str, Prompt]:
    return {name: prompts.load(folders[name]) for name in TEMPLATES}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Token ids of each record's thought and answer, filled while generating."""
    found: dict[str, list[int]] = {}
    finish = Course.finish

    def noted(self: Course, prompt: Prompt) -> Answer:
        found[self.record.id] = self.thought + self.answer
        return finish(self, prompt)

    monkeypatch.setattr(Course, "finish", noted)
    return found


def reference(folder: Path, spoken: Prompt, ids: list[int], tokens: int) -> list[int]:
    """What transformers alone writes after ids, the token it stopped at left out."""
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    given_ids = torch.tensor([ids])
    out = base.generate(
        given_ids, attention_mask=torch.ones_like(given_ids), do_sample=False, max_new_tokens=tokens,
        eos_token_id=sorted(spoken.stops), pad_token_id=spoken.end,
    )  # fmt: skip
    new: list[int] = out[0, len(ids) :].tolist()
    return new[:-1] if new and new[-1] in spoken.stops else new


def stopping(spoken: Prompt, share: int = 12) -> Prompt:
    """The same prompt with one token in ``share`` ending the turn, so that answers end at different places."""
    every = range(5, spoken.tokens.full.get_vocab_size(), share)
    return Prompt(spoken.tokens, spoken.template, generation_eos=tuple(every))


# greedy


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_batches_write_what_transformers_writes_one_by_one(
    folders: dict[str, Path], spoken: dict[str, Prompt], written: dict[str, list[int]], kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(room, "GROWTH", 3)  # so that the store of keys grows many times
    own, asked = stopping(spoken["r1-01"]), records()
    model = load(folders[kind], Settings(device="cpu"))
    wanted = {r.id: reference(folders[kind], own, own.prompt_ids(r.question), 25) for r in asked}
    lengths = {len(ids) for ids in wanted.values()}
    assert len(lengths) > 2  # some end early, and not all at once
    for batch in (1, 3, 8):
        written.clear()
        answers = generate(model, own, asked, OPEN, batch)
        assert written == wanted
        assert [answer.id for answer in answers] == [record.id for record in asked]
        for answer in answers:
            ended = len(wanted[answer.id]) < 25
            assert answer.ending is (Ending.STOPPED if ended else Ending.CUT_ANSWER)
            assert answer.answer_tokens == len(wanted[answer.id])
            assert answer.text == own.tokens.decode(wanted[answer.id]).strip()
            assert (answer.thought, answer.thought_tokens, answer.closed, answer.forced) == ("", 0, False, False)


def test_with_an_adapter_and_without(
    folders: dict[str, Path], spoken: dict[str, Prompt], written: dict[str, list[int]]
) -> None:
    own, asked = spoken["r1-01"], records(QUESTIONS[:4])
    model = load(folders["qwen2"], Settings(device="cpu"))
    generate(model, own, asked, OPEN, 4)
    base = dict(written)
    model.add_adapter(Settings(rank=2))
    with torch.no_grad():
        for name, parameter in model.trained().items():
            if "lora_B" in name:
                parameter.add_(0.3)
    generate(model, own, asked, OPEN, 4)
    assert written != base
    with model.adapter(False):
        generate(model, own, asked, OPEN, 4)
    assert written == base


def test_progress_counts_answers_and_tokens(model: Model, spoken: dict[str, Prompt]) -> None:
    own, told = stopping(spoken["r1-01"]), []
    answers = generate(model, own, records(), OPEN, 3, lambda done, tokens: told.append((done, tokens)))
    assert told == sorted(told)
    stopped = sum(answer.ending is Ending.STOPPED for answer in answers)
    assert told[-1] == (8, sum(answer.answer_tokens for answer in answers) + stopped)
    assert all(answer.seconds >= 0 for answer in answers)


def test_no_questions_no_answers(model: Model, spoken: dict[str, Prompt]) -> None:
    assert generate(model, spoken["r1-01"], [], OPEN, 4) == []


# drawn


def test_what_is_drawn_depends_on_seed_and_record_alone(
    model: Model, spoken: dict[str, Prompt], written: dict[str, list[int]]
) -> None:
    own, asked = stopping(spoken["r1-01"]), records()
    sampling = Sampling(25, 25, temperature=1.2, top_p=0.9, seed=1, ask_answer=False)
    generate(model, own, asked, sampling, 8)
    together = dict(written)
    for batch, order in ((1, asked), (3, asked[::-1]), (2, asked[2:5])):
        written.clear()
        generate(model, own, order, sampling, batch)
        assert written == {record.id: together[record.id] for record in order}
    generate(model, own, asked, Sampling(25, 25, temperature=1.2, top_p=0.9, seed=2, ask_answer=False), 8)
    assert written != together
    generate(model, own, asked, OPEN, 8)
    assert written != together


def drawn(probabilities: list[float], count: int, **given_: float) -> Counter[int]:
    lesson = records(["q"])
    course = room._course(lesson[0], BARE, Sampling())
    logits = torch.tensor([probabilities]).log()
    return Counter(choose(logits, [course], Sampling(**given_))[0] for _ in range(count))  # type: ignore[arg-type]


class _Bare:
    opened = True


BARE: Any = _Bare()


def test_draws_follow_the_nucleus() -> None:
    probabilities = [0.1, 0.4, 0.05, 0.3, 0.15]
    counts = drawn(probabilities, 4000, temperature=1.0, top_p=0.69)
    assert set(counts) == {1, 3}
    assert counts[1] / 4000 == pytest.approx(4 / 7, abs=0.03)
    counts = drawn(probabilities, 4000, temperature=1.0, top_p=0.71)  # the token that reaches top_p is in it
    assert set(counts) == {1, 3, 4}
    counts = drawn(probabilities, 4000, temperature=1.0, top_p=1.0)
    for token, probability in enumerate(probabilities):
        assert counts[token] / 4000 == pytest.approx(probability, abs=0.03)
    counts = drawn(probabilities, 4000, temperature=0.5, top_p=1.0)
    squares = [p * p for p in probabilities]
    assert counts[1] / 4000 == pytest.approx(squares[1] / sum(squares), abs=0.03)
    assert set(drawn(probabilities, 200, temperature=1.0, top_p=0.01)) == {1}
    assert set(drawn(probabilities, 20, temperature=0.0)) == {1}


# the course of one answer


def taken(own: Prompt, tokens: Sequence[int], sampling: Sampling) -> Course:
    """A course that the model's tokens (and what is written in its stead) went through."""
    course = room._course(records(["q"])[0], own, sampling)
    model_tokens = iter(tokens)
    while course.ending is None:
        token = course.queue.pop(0) if course.queue else next(model_tokens, None)
        if token is None:
            break
        course.take(token, own, sampling)
    return course


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@pytest.mark.parametrize("name", list(TEMPLATES))
@given(thought=words, answer=words)
@settings(max_examples=40, deadline=None)
def test_what_was_taught_is_read_back(spoken: dict[str, Prompt], name: str, thought: str, answer: str) -> None:
    own = spoken[name]
    made = own.example(Record.make("q", thought, answer, "f:1"))
    course = taken(own, made.ids[made.bounds[0] :], Sampling(1000, 1000))
    got = course.finish(own)
    assert (got.thought, got.text) == (thought.strip(), answer.strip())
    assert (got.ending, got.closed, got.forced) == (Ending.STOPPED, True, False)
    assert got.thought_tokens + got.answer_tokens == len(made) - made.bounds[0] - 1


@pytest.mark.parametrize("name", list(TEMPLATES))
@pytest.mark.parametrize("budget", [1, 3, 7, 8, 20])
def test_a_thought_that_runs_out_is_closed_and_the_answer_asked_for(
    spoken: dict[str, Prompt], name: str, budget: int
) -> None:
    own = spoken[name]
    opening = [] if own.opened else own.tokens.tag("<think>")
    endless = opening + own.tokens.encode("la " * 40)
    budget = max(budget, len(opening))  # it is a thought only once its tag is written
    got = taken(own, endless, Sampling(budget, 10)).finish(own)
    assert (got.ending, got.closed, got.forced) == (Ending.CUT_ANSWER, False, True)
    assert (got.thought_tokens, got.answer_tokens) == (budget, 10)
    said = own.tokens.decode(endless[: budget + 10])
    assert own.tokens.decode(endless[:budget]).removeprefix("<think>").strip() == got.thought
    assert said.rstrip().endswith(got.text)

    got = taken(own, endless, Sampling(budget, 10, ask_answer=False)).finish(own)
    assert (got.ending, got.closed, got.forced) == (Ending.CUT_THOUGHT, False, False)
    assert (got.thought_tokens, got.answer_tokens, got.text) == (budget, 0, "")


@pytest.mark.parametrize("budget", [1, 3, 6])
def test_a_budget_smaller_than_the_tag_still_ends_the_thought(spoken: dict[str, Prompt], budget: int) -> None:
    own = spoken["chatml"]
    tag = own.tokens.tag("<think>")
    assert len(tag) > 6
    got = taken(own, tag + own.tokens.encode("la " * 400), Sampling(budget, 9)).finish(own)
    assert (got.ending, got.forced, got.thought_tokens) == (Ending.CUT_ANSWER, True, len(tag))


def test_an_end_inside_the_thought_is_no_answer(spoken: dict[str, Prompt]) -> None:
    own = spoken["r1-02"]
    got = taken(own, [*own.tokens.encode("la la"), own.end], Sampling()).finish(own)
    assert (got.ending, got.closed, got.forced) == (Ending.STOPPED, False, False)
    assert (got.thought, got.text, got.thought_tokens) == ("la la", "", 5)


def test_an_answer_without_a_thought(spoken: dict[str, Prompt]) -> None:
    own = spoken["chatml"]
    for text in ("48 mg", "<thin ice", "\n48"):
        got = taken(own, [*own.tokens.encode(text), own.end], Sampling(thought_budget=1)).finish(own)
        assert (got.thought, got.text, got.thought_tokens) == ("", text.strip(), 0)
        assert (got.ending, got.closed, got.forced) == (Ending.STOPPED, False, False)
    got = taken(own, own.tokens.encode("48 mg of it"), Sampling(answer_budget=3)).finish(own)
    assert (got.ending, got.answer_tokens, got.text) == (
        Ending.CUT_ANSWER,
        3,
        own.tokens.decode(own.tokens.encode("48 mg of it")[:3]),
    )


def test_the_tutorials_thought_ends_at_its_heading(folders: dict[str, Path]) -> None:
    own = prompts.load(folders["chatml"], tutorial=64)
    assert isinstance(own, TutorialPrompt)
    got = taken(own, [*own.tokens.encode("想一想。\n### 答案:\n48 mg"), own.end], Sampling()).finish(own)
    assert (got.thought, got.text, got.ending, got.closed) == ("想一想。", "48 mg", Ending.STOPPED, True)
    got = taken(own, own.tokens.encode("la " * 40), Sampling(5, 4)).finish(own)
    assert (got.forced, got.thought_tokens, got.answer_tokens, got.ending) == (True, 5, 4, Ending.CUT_ANSWER)


def test_after_a_forced_close_the_model_goes_on_from_it(
    folders: dict[str, Path], model: Model, spoken: dict[str, Prompt], written: dict[str, list[int]]
) -> None:
    """Each at its own place in the batch: thought, the closing tag, then what transformers writes after both."""
    own, asked = spoken["r1-02"], records()
    answers = generate(model, own, asked, Sampling(thought_budget=6, answer_budget=9), 3)
    for record, answer in zip(asked, answers, strict=True):
        ids = own.prompt_ids(record.question)
        thought = reference(folders["llama"], own, ids, 6)
        assert len(thought) == 6
        rest = reference(folders["llama"], own, [*ids, *thought, *own.close_ids], 9)
        assert written[record.id] == [*thought, *own.close_ids, *rest]
        assert (answer.forced, answer.closed, answer.thought_tokens, answer.answer_tokens) == (
            True,
            False,
            6,
            len(rest),
        )
        assert answer.thought == own.tokens.decode(thought).strip()
        assert answer.text == own.tokens.decode(rest).strip()


# the store of keys and values


def test_keys_and_values_grow_and_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "GROWTH", 2)
    store, parts = KeyValues(), [torch.randn(3, 2, n, 4) for n in (5, 1, 1, 1, 1, 1)]
    for number, part in enumerate(parts):
        for layer in (0, 1):
            keys, values = store.update(part + layer, 2 * part, layer)
            so_far = torch.cat(parts[: number + 1], dim=2)
            assert torch.equal(keys, so_far + layer)
            assert torch.equal(values, 2 * so_far)
        store.length += part.shape[2]
        assert store.get_seq_length() == so_far.shape[2]
    store.select(torch.tensor([0, 2]))
    last = torch.randn(2, 2, 1, 4)
    keys, _ = store.update(last, last, 0)
    assert torch.equal(keys, torch.cat([so_far[[0, 2]], last], dim=2))


def test_batches_do_not_share_their_stores(model: Model, spoken: dict[str, Prompt]) -> None:
    own, asked = spoken["r1-01"], records()

    def ask(some: list[Record]) -> list[str]:
        return [answer.text for answer in generate(model, own, some, OPEN, 2)]

    assert ask(asked) == ask(asked)
    assert ask(asked)[:2] == ask(asked[:2])
