"""Prompt: the earlier turns of a dialogue stand in the prompt as the template writes them; none of it is learned."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from buke import prompt as room
from buke.prompt import CLOSE, OPEN, Prompt, build, lengths, prove
from buke.records import Record, Turn
from buke.words import Refusal
from test_prompt import LOOK_ALIKES, R1, characters, completion, copy, folders, learned, real, spoken, texts
from tiny import R1_2025_01, TEMPLATES

__all__ = ["copy", "folders", "real", "spoken"]  # fixtures

turns = st.lists(st.builds(Turn, texts, texts, texts), max_size=3).map(tuple)
HISTORY = (Turn("患者头痛?", "想一想 12 mg。", "偏头痛。"), Turn("The dose?", "", "It is 12 mg."))
each_template = pytest.mark.parametrize("name", list(TEMPLATES))
KEEPS = {  # the same templates, where they do not strip earlier thoughts
    "r1-01": (".split('</think>')[-1]", ""),
    "r1-02": (".split('</think>')[-1]", ""),
    "qwen3": ("loop.index0 > ns.last_query_index and", ""),
}


def dialogue(history: tuple[Turn, ...], question: str = "几天?", system: str = "") -> Record:
    return Record.make(question, "想。", "三天。", "f.jsonl:1", system, history)


@cache
def compiled(template: str) -> jinja2.Template:
    return jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(template)


def golden(own: Prompt, question: str, system: str, history: tuple[Turn, ...], template: str) -> list[int]:
    """The dialogue as a user of the template would render it, encoded by the model's whole tokenizer."""
    messages = [{"role": "system", "content": system}] * bool(system)
    for turn in history:
        before = f"{OPEN}\n{turn.thought.strip()}\n{CLOSE}\n\n" if turn.thought.strip() else ""
        messages.append({"role": "user", "content": turn.question.strip()})
        messages.append({"role": "assistant", "content": before + turn.answer.strip()})
    messages.append({"role": "user", "content": question.strip()})
    names = {name: own.tokens.named(name) for name in ("bos_token", "eos_token")}
    text = compiled(template).render(messages=messages, add_generation_prompt=True, **names)
    return list(own.tokens.full.encode(text, add_special_tokens=False).ids)


@pytest.mark.slow
@each_template
@given(question=texts, history=turns, system=st.sampled_from(["", "你是医生。"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_a_dialogue_is_encoded_as_the_template_writes_it(
    spoken: dict[str, Prompt], name: str, question: str, history: tuple[Turn, ...], system: str
) -> None:
    """With look-alikes left out, since the whole tokenizer would take them for control tokens."""
    own = spoken[name]
    parts = [question, *(text for turn in history for text in (turn.question, turn.thought, turn.answer))]
    marks = [*own.tokens.control, OPEN, CLOSE]
    assume(not any(mark in part for mark in marks for part in parts))
    plain = tuple(Turn(turn.question, "", turn.answer) for turn in history)
    assert own.prompt_ids(question, system, plain) == golden(own, question, system, plain, own.template)

    assume(all(turn.answer.strip() for turn in history))  # Llama's trims what stands before an empty one
    keeps = own.template.replace(*KEEPS.get(name, ("", "")))
    assert own.prompt_ids(question, system, history) == golden(own, question, system, history, keeps)


@each_template
@given(question=texts, history=turns)
@settings(max_examples=60, deadline=None)
def test_no_text_of_a_dialogue_becomes_a_control_token(
    spoken: dict[str, Prompt], name: str, question: str, history: tuple[Turn, ...]
) -> None:
    own = spoken[name]
    control = set(own.tokens.control.values())
    harmless = tuple(Turn("a", "b" * bool(turn.thought.strip()), "c") for turn in history)
    found, wanted = own.prompt_ids(question, "", history), own.prompt_ids("q", "", harmless)
    assert [i for i in found if i in control] == [i for i in wanted if i in control]
    text, place = own.tokens.decode(found), 0
    for part in (part for turn in history for part in (turn.question, turn.thought, turn.answer)):
        place = text.index(part.strip(), place) + len(part.strip())
    assert text.index(question.strip(), place) >= place


@each_template
@given(history=turns)
@settings(max_examples=30, deadline=None)
def test_nothing_of_the_history_is_learned(spoken: dict[str, Prompt], name: str, history: tuple[Turn, ...]) -> None:
    own, lesson = spoken[name], dialogue(history)
    made = own.example(lesson)
    assert learned(own, made) == completion(own, "想。", "三天。")
    assert list(made.ids[: made.bounds[0]]) == own.prompt_ids(lesson.question, lesson.system, history)
    assert made.learn.index(True) == made.bounds[0]
    prove(own, lesson, made)
    assert build(own, [lesson], len(made))[0] == [made]


@each_template
def test_a_sent_back_thought_has_real_tags_and_a_dropped_one_none(spoken: dict[str, Prompt], name: str) -> None:
    own = spoken[name]
    ids = own.prompt_ids("几天?", "", HISTORY)
    text = own.tokens.decode(ids)
    assert text.count(f"{OPEN}\n想一想 12 mg。\n{CLOSE}\n\n偏头痛。") == 1
    assert (text.count(OPEN), text.count(CLOSE)) == (1 + own.opened, 1)
    assert text.index("患者头痛?") < text.index("偏头痛。") < text.index("The dose?") < text.index("几天?")
    if OPEN in own.tokens.control:
        assert (ids.count(own.tokens.control[OPEN]), ids.count(own.tokens.control[CLOSE])) == (1 + own.opened, 1)


def test_the_empty_thought_a_template_writes_gives_way_to_the_one_sent_back(copy) -> None:  # type: ignore[no-untyped-def]
    always = R1_2025_01.replace("'<|assistant|>' + message", "'<|assistant|><think>\\n\\n</think>\\n\\n' + message")
    own = room.load(copy("r1-01", chat_template=always))
    text = own.tokens.decode(own.prompt_ids("q", "", HISTORY))
    assert "<|assistant|><think>\n想一想 12 mg。\n</think>\n\n偏头痛。<|end|>" in text
    assert "<|assistant|><think>\n\n</think>\n\nIt is 12 mg.<|end|>" in text


def test_a_system_message_inside_the_last_question_has_its_place(copy) -> None:  # type: ignore[no-untyped-def]
    inside = (
        "{% set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}{% for m in messages %}"
        "{% if m['role'] == 'user' %}<|user|>{% if loop.last and system %}{{ system + '\\n\\n' }}{% endif %}"
        "{{ m['content'] }}{% elif m['role'] == 'assistant' %}{{ m['content'] }}<|end|>{% endif %}{% endfor %}"
    )
    own = room.load(copy("r1-01", chat_template=inside))
    plain = (Turn("a", "", "b"),)
    assert own.tokens.decode(own.prompt_ids("q", "Be brief.", plain)) == "<|user|>ab<|end|><|user|>Be brief.\n\nq"


@pytest.mark.parametrize(
    "template",
    [
        "{% set messages = messages[-1:] if messages[-1]['role'] == 'user' else messages %}" + R1_2025_01,
        R1_2025_01.replace("in messages %}", "in (messages if messages|length < 3 else messages|reverse) %}", 1),
        "{% if messages|length > 2 %}{{ raise_exception('one question only') }}{% endif %}" + R1_2025_01,
    ],
)
def test_a_template_without_a_place_for_earlier_turns_is_refused_where_there_are_any(copy, template: str) -> None:  # type: ignore[no-untyped-def]
    own = room.load(copy("chatml", chat_template=template, eos_token="<|end|>"))
    own.prompt_ids("q")
    with pytest.raises(Refusal, match="chat template") as caught:
        own.prompt_ids("q", "", HISTORY)
    assert "--chat-template" in caught.value.hint


def test_the_tutorials_text_refuses_dialogues(folders: dict[str, Path]) -> None:
    own = room.load(folders["chatml"], tutorial=64)
    with pytest.raises(Refusal, match=r"f\.jsonl:1: .*earlier turns"):
        build(own, [dialogue(HISTORY)], 64)
    with pytest.raises(Refusal, match="earlier turns"):
        own.prompt_ids("q", "", HISTORY)


def test_half_a_character_in_an_earlier_turn_is_a_finding(spoken: dict[str, Prompt]) -> None:
    broken = [
        dialogue((turn,)) for turn in (Turn("\ud800", "", "a"), Turn("q", "\udfff", "a"), Turn("q", "", "\ud83d"))
    ]
    found, findings = build(spoken["qwen3"], broken, 400)
    assert (found, [f.kind for f in findings]) == ([], ["surrogate"] * 3)
    assert list(lengths(spoken["qwen3"], broken)) == []


@each_template
def test_lengths_are_those_of_the_examples(spoken: dict[str, Prompt], name: str) -> None:
    own, records = spoken[name], [dialogue(HISTORY), dialogue(()), dialogue((), "long? " * 300)]
    for record, found in zip(records, lengths(own, records), strict=True):
        made = own.example(record)
        parts = own.tokens
        assert found.source == record.source
        assert found.all == len(made) == found.prompt + found.thought + found.answer + 1
        assert found.learned == made.learned == found.all - found.prompt
        assert found.prompt == len(own.prompt_ids(record.question, "", record.history))
        assert found.answer == len(parts.encode("\n\n三天。"))


# the real R1 tokenizer, with text of any kind

r1_texts = st.lists(st.one_of(characters, st.sampled_from([*LOOK_ALIKES, "<|endoftext|>", "患者", "3 天"])), max_size=5)


@pytest.mark.skipif(not R1.is_dir(), reason="the shared tokenizers are not here")
@pytest.mark.parametrize("version", ["01", "02"])
@given(asked=r1_texts.map("".join), thought=r1_texts.map("".join), answer=r1_texts.map("".join), history=turns)
@settings(max_examples=80, deadline=None)
def test_r1_learns_thought_answer_and_end_of_any_text(
    real: dict[str, Prompt], version: str, asked: str, thought: str, answer: str, history: tuple[Turn, ...]
) -> None:
    own = real[version]
    lesson = Record.make(asked, thought, answer, "f.jsonl:1", "", history)
    (made,), findings = build(own, [lesson], 10**6)
    assert findings == []
    assert learned(own, made) == completion(own, thought, answer)
    control = set(own.tokens.control.values())
    harmless = tuple(Turn("a", "b" * bool(turn.thought.strip()), "c") for turn in history)
    wanted = own.example(Record.make("q", "t", "a", "", "", harmless))
    assert [i for i in made.ids if i in control] == [i for i in wanted.ids if i in control]
    assert list(made.ids[: made.bounds[0]]) == own.prompt_ids(asked, "", history)
