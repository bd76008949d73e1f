"""Room `intake`, shapes: each shape gives exactly these records, and of a dialogue nothing is lost."""

from __future__ import annotations

import json
import shlex
import string
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buke import intake
from buke.cli.common import common
from buke.cli.flags import settings_from
from buke.config import make, read_toml, to_toml
from buke.intake.formats import Raw
from buke.intake.mapping import MISSING, Options, parse, suggest, unknown
from buke.intake.shapes import Reading, records
from buke.records import Record, Severity, Turn
from buke.words import Refusal, set_language
from reading import read

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
PLAIN, EMPTY = Options(), Options(empty=True)


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    set_language("en")
    yield
    set_language("en")


def reading(row: Any, options: Options = PLAIN) -> Reading:
    return records(Raw(1, row), "f:1", options)


def texts(record: Record) -> tuple[str, str, str]:
    return record.question, record.thought, record.answer


def one(row: Any, options: Options = PLAIN) -> Record:
    made = reading(row, options)
    assert not made.findings
    assert len(made.records) == 1
    return made.records[0]


def kinds(row: Any, options: Options = PLAIN) -> list[str]:
    made = reading(row, options)
    assert not made.records
    assert all(finding.hint and "{" not in finding.message for finding in made.findings)
    return [finding.kind for finding in made.findings]


# ---- plain fields


FIELDS = [
    ("fields", {"Question": "q", "Complex_CoT": "t", "Response": "a"}),
    ("fields", {"question": "q", "think": "t", "answer": "a"}),
    ("fields", {"problem": "q", "solution": "<think>t</think>a"}),
    ("alpaca", {"instruction": "q", "output": "<think>t</think>a"}),
    ("alpaca", {"instruction": "q", "input": "", "output": "<think>\nt\n</think>\n\na", "history": []}),
    ("alpaca", {"instruction": "q", "history": "smoker", "output": "<think>t</think>a"}),
    ("gsm8k", {"question": "q", "answer": "t\n#### a"}),
    ("columns", {"1": "q", "2": "a", "3": "t"}),
    ("fields", {"问题": "q", "思考过程": "t", "回答": "a"}),
    ("fields", {"problem": "q", "solution": "t", "answer": "a"}),
    ("fields", {"question": "q", "reasoning": "t", "deepseek_attempt": "a"}),
    ("fields", {"question": "q", "thinking_trajectories": ["t"], "solution": "a", "cot_type": "math"}),
    ("fields", {"question": "q", "reasoning_conent": "t", "answer": "a"}),
]


@pytest.mark.parametrize(("shape", "row"), FIELDS)
def test_plain_fields(shape: str, row: dict[str, Any]) -> None:
    assert texts(one(row)) == ("q", "t", "a")
    assert reading(row).shape == shape


@pytest.mark.parametrize("name", ["think", "thinking", "reasoning", "thought"])
def test_a_thought_in_any_of_its_tags(name: str) -> None:
    tagged = f"<{name}>\nt < u\n</{name}>"
    assert texts(one({"question": "q", "answer": f"\n{tagged}\n\na"})) == ("q", "t < u", "a")
    assert texts(one({"question": "q", "thought": tagged, "answer": "a"})) == ("q", "t < u", "a")
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": f"{tagged}a"}]
    assert texts(one({"messages": turns})) == ("q", "t < u", "a")


@pytest.mark.parametrize("answer", ["<{0}>t a", "<{0}>t<{0}>u</{0}>a", "<{0}>t</{0}>a</{0}>"])
@pytest.mark.parametrize("name", ["think", "thinking", "reasoning"])
def test_tags_that_do_not_pair_are_refused(answer: str, name: str) -> None:
    row = {"question": "q", "answer": answer.format(name)}
    assert set(kinds(row, EMPTY)) == {"think_tag"}


@pytest.mark.parametrize("open_tag", ["<THINK>", "<think >", "< Think>", "<Reasoning>"])
def test_tags_in_any_case_and_with_blanks(open_tag: str) -> None:
    closing = open_tag.replace("<", "</")
    assert texts(one({"question": "q", "answer": f"{open_tag}t{closing}a"}, EMPTY)) == ("q", "t", "a")
    assert texts(one({"question": "q", "cot": f"{open_tag}t{closing}", "answer": "a"})) == ("q", "t", "a")
    assert set(kinds({"question": "q", "answer": f"{open_tag}t a"}, EMPTY)) == {"think_tag"}


@pytest.mark.parametrize(
    ("thought", "answer"),
    [
        ("<reasoning>a</reasoning> mid <reasoning>c", "b"),
        ("<reasoning>a</reasoning> mid <reasoning>c</reasoning>", "b"),
        ("<think>a</think> mid <think>c</think>", "b"),
        ("first </thought> then", "b"),
        ("t", "x </reasoning> y"),
        ("t", "<think >x"),
        ("t", "<thinking>second</thinking>x"),
        ("", "</Thinking>x"),
    ],
)
def test_tags_out_of_place_are_refused(thought: str, answer: str) -> None:
    assert kinds({"question": "q", "cot": thought, "answer": answer}, EMPTY) == ["think_tag"]


@pytest.mark.parametrize(
    "text",
    ["Write a <thought> element.", "Put it in <thought>…</thought> here.", "End it by `</thought>`.", "x < think > y"],
)
def test_other_tags_in_prose_lose_no_record(text: str) -> None:
    there = "think >" in text  # as a tag that is always one
    assert len(reading({"question": "q", "cot": "t", "answer": text}).records) == (not there)
    assert len(reading({"question": text, "cot": "t", "answer": "a"}).records) == 1


def test_tags_within_tags_are_taken_off_and_none_is_left_half() -> None:
    assert texts(one({"question": "q", "answer": "<think><reasoning>t</reasoning></think>a"})) == ("q", "t", "a")


@pytest.mark.parametrize(
    ("thought", "kind"),
    [
        ([], "no_thought"),
        ({}, "no_thought"),
        (0, "wrong_type"),
        (False, "wrong_type"),
        ([""], "wrong_type"),
        (1.5, "wrong_type"),
    ],
)
def test_a_thought_that_is_no_text_is_not_learned(thought: Any, kind: str) -> None:
    assert kinds({"Question": "q", "Complex_CoT": thought, "Response": "a"}) == [kind]
    assert kinds({"messages": [user(), assistant("a", reasoning_content=thought)]}) == [kind]
    made = reading({"Question": "q", "Complex_CoT": thought, "Response": "a"}, EMPTY).records
    assert [record.thought for record in made] == ([""] if kind == "no_thought" else [])


@pytest.mark.parametrize(
    ("turn", "names"),
    [
        ({"content": "a", "reasoning": "t", "thinking": "u"}, "thinking, reasoning"),
        ({"content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"}], "reasoning_content": "u"},
         "content: thinking, reasoning_content"),
    ],
)  # fmt: skip
def test_a_second_thought_in_a_turn_is_said_to_be_left_out(turn: dict[str, Any], names: str) -> None:
    made = reading({"messages": [user(), {"role": "assistant", **turn}] * 2})
    (finding,) = made.findings
    assert (finding.kind, finding.severity, len(made.records)) == ("second_thought", Severity.WARNING, 2)
    assert f"turn 1 has several thoughts, which differ: {names};" in finding.message
    same = {key: "t" if key.startswith(("reasoning", "thinking")) else value for key, value in turn.items()}
    assert not reading({"messages": [user(), {"role": "assistant", **same}]}).findings


@pytest.mark.parametrize(
    ("answer", "thought", "last"),
    [
        ("t\n#### 1,000\n", "t", "1,000"),
        ("a <<1+1=2>>2\nb\n####2", "a 2\nb", "2"),
        ("t\n#### x\ny\n#### 3", "t\n#### x\ny", "3"),
    ],
)
def test_four_signs_part_thought_and_answer(answer: str, thought: str, last: str) -> None:
    assert texts(one({"question": "q", "answer": answer})) == ("q", thought, last)


@pytest.mark.parametrize(
    "answer",
    [
        "<|begin_of_thought|>\n\nt\n<|end_of_thought|>\n\n<|begin_of_solution|>\na\n<|end_of_solution|>\n",
        "<|begin_of_thought|>t<|end_of_thought|>a",
        "t\n</think>\n\na",
        "t</think>\na",
    ],
)
def test_a_thought_is_found_by_the_marks_of_others(answer: str) -> None:
    assert texts(one({"question": "q", "answer": answer})) == ("q", "t", "a")
    assert texts(one({"messages": [user(), assistant(answer)]})) == ("q", "t", "a")


@pytest.mark.parametrize(
    "answer", ["It writes `</think>` at the end.", "a </think> b </think>\nc", "<think>\n</think>\n</think>\na"]
)
def test_a_closing_tag_that_is_no_border_stays_an_error(answer: str) -> None:
    assert kinds({"question": "q", "answer": answer}, EMPTY) == ["think_tag"]


@pytest.mark.parametrize(
    "answer", ["\n<analysis>t</analysis>\na", "‹思考›t‹/思考›a", "【思考】t【/思考】a", "<|begin_of_thought|>t"]
)
def test_a_thought_in_a_tag_of_another_name_is_spoken_of(answer: str) -> None:
    made = reading({"question": "q", "answer": answer}, EMPTY)
    assert len(made.records) == 1
    assert [finding.kind for finding in made.findings] == ["thought_inside"]
    for other in (
        "<p>t</p>a",
        "<analysis>t</analysis>",
        "x <analysis>t</analysis>a",
        "[分析] t",
    ):
        assert not reading({"question": "q", "answer": other}, EMPTY).findings


def test_four_signs_that_open_no_last_line_are_text() -> None:
    row = {"question": "q", "answer": "#### Heading\ntext"}
    assert texts(one(row, EMPTY)) == ("q", "", "#### Heading\ntext")
    assert texts(one({"question": "q", "answer": "#### 5"}, EMPTY)) == ("q", "", "5")


@pytest.mark.parametrize(("value", "text"), [(8, "8"), (-0.5, "-0.5"), (8.0, "8.0"), (10**19, "10000000000000000000")])
def test_a_number_is_learned_as_it_is_written_with_a_warning(value: float, text: str) -> None:
    made = reading({"question": "q", "thought": "t", "answer": value})
    assert texts(made.records[0]) == ("q", "t", text)
    assert [(f.kind, f.severity) for f in made.findings] == [("number_as_text", Severity.WARNING)]
    for other in (True, [value], {"a": value}, 1e22, float("inf")):
        assert kinds({"question": "q", "thought": "t", "answer": other}) == ["wrong_type"]


def test_numbers_are_spoken_of_once_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "d"
    rows = [{"question": f"q{i}", "thought": f"so {i}", "answer": i} for i in range(9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [f.kind for f in intake.read([path]).findings] == ["number_as_text"]
    assert intake.check([path], PLAIN, quick=True).tally.kinds["number_as_text"].count == 1


def test_without_a_thought_is_the_users_decision() -> None:
    row = {"problem": "q", "solution": "a"}
    assert kinds(row) == ["no_thought"]
    assert texts(one(row, EMPTY)) == ("q", "", "a")


# ---- dialogues


def dialogue(*turns: tuple[str, str, str], system: str = "") -> dict[str, Any]:
    """Messages with the thoughts in a field of their own."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for question, thought, answer in turns:
        messages += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer, "reasoning_content": thought},
        ]
    return {"messages": messages}


THREE = (("q1", "t1", "a1"), ("q2", "t2", "a2"), ("q3", "t3", "a3"))
DROPPED = (Turn("q1", "", "a1"), Turn("q2", "", "a2"))


def test_every_turn_is_learned_with_the_turns_before_it() -> None:
    made = reading(dialogue(*THREE, system="s"))
    assert [texts(record) for record in made.records] == list(THREE)
    assert [record.history for record in made.records] == [(), DROPPED[:1], DROPPED]
    assert {record.system for record in made.records} == {"s"}
    assert {record.source for record in made.records} == {"f:1"}
    assert len({record.id for record in made.records}) == 3


def test_the_last_turn_alone_and_earlier_thoughts_kept() -> None:
    (last,) = reading(dialogue(*THREE), Options(turns="last")).records
    assert (texts(last), last.history) == (THREE[2], DROPPED)
    (last,) = reading(dialogue(*THREE), Options(turns="last", earlier_thoughts="keep")).records
    assert last.history == (Turn(*THREE[0]), Turn(*THREE[1]))


def test_a_turn_without_a_thought_is_left_out_alone() -> None:
    row = dialogue(("q1", "", "a1"), THREE[1], ("q3", " ", "a3"))
    made = reading(row)
    assert [texts(record) for record in made.records] == [THREE[1]]
    assert made.records[0].history == (Turn("q1", "", "a1"),)
    assert [finding.message for finding in made.findings] == [
        "there is no thought of turn 1",
        "there is no thought of turn 3",
    ]
    assert [record.thought for record in reading(row, EMPTY).records] == ["", "t2", ""]
    last = reading(dialogue(("q1", "", "a1"), THREE[1]), Options(turns="last", earlier_thoughts="keep"))
    assert not last.findings
    assert last.records[0].history == (Turn("q1", "", "a1"),)


def test_a_fault_in_one_turn_leaves_out_the_whole_dialogue_and_names_every_turn() -> None:
    made = reading(dialogue(("q1", "t1", ""), ("q2", "", "a2"), ("q3", "t</think>", "a3")))
    assert not made.records
    assert [(f.kind, f.message) for f in made.findings] == [
        ("empty_field", "the answer of turn 1 is empty"),
        ("think_tag", "a </think> stands inside the thought of turn 3"),
        ("no_thought", "there is no thought of turn 2"),
    ]


@pytest.mark.parametrize(
    "key",
    ["reasoning_content", "reasoning_conten", "resoning_content", "reason_content", "thinking_content", "reasoning",
     "Reasoning-Content", "reasoningContent", "thinking", "thought", "cot"],
)  # fmt: skip
def test_a_thought_beside_the_content_by_any_spelling(key: str) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", key: " t\n", "content": "a"}]
    assert texts(one({"messages": turns})) == ("q", "t", "a")
    assert texts(one({"question": "q", key: "t", "answer": "a"})) == ("q", "t", "a")


@pytest.mark.parametrize("kind", ["reasoning", "thinking", "thought"])
@pytest.mark.parametrize("field", ["value", "text", "content", ""])
def test_a_thought_as_a_typed_block(kind: str, field: str) -> None:
    blocks = [{"type": kind, field or kind: "t"}, {"type": "text", field or "text": "a"}]
    turns = [{"role": "user", "content": [{"type": "text", "text": "q"}]}, {"role": "assistant", "content": blocks}]
    assert texts(one({"messages": turns})) == ("q", "t", "a")


def test_sharegpt_with_its_speakers_and_system() -> None:
    for user, assistant in (("human", "gpt"), ("user", "assistant"), ("用户", "助手"), ("Human", "GPT")):
        turns = [{"from": user, "value": "q"}, {"from": assistant, "value": "<think>t</think>a"}]
        made = one({"conversations": turns * 1, "system": "s"})
        assert (texts(made), made.system) == (("q", "t", "a"), "s")
    assert reading({"conversations": turns}).shape == "sharegpt"


def test_alpaca_history_is_the_turns_before() -> None:
    row = {
        "instruction": "q3", "input": "more", "output": "<think>t3</think>a3", "system": "s",
        "history": [["q1", "<think>t1</think>a1"], ["q2", "<think>t2</think>a2"]],
    }  # fmt: skip
    made = reading(row)
    assert not made.findings
    assert [texts(record) for record in made.records] == [*THREE[:2], ("q3\nmore", "t3", "a3")]
    assert made.records[2].history == DROPPED
    assert made.records[2].system == "s"
    assert kinds({**row, "history": [["q1"]]}) == kinds({**row, "history": ["q1"]}) == ["bad_history"]
    assert kinds({**row, "history": [["q1", None]]}) == ["null_field"]


def user(content: Any = "q") -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any = "<think>t</think>a", **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


REFUSED = [
    ("tool_use", [user(), assistant(None, tool_calls=[{"name": "f"}]), {"role": "tool", "content": "1"}, assistant()]),
    ("tool_use", [user(), assistant(function_call={"name": "f"})]),
    ("tool_use", [user(), assistant("<think>t</think><tool_call>{}</tool_call>\n")]),
    ("tool_use", [user(), assistant(), user("\n<tool_response>8</tool_response>"), assistant()]),
    ("tool_use", [user(), assistant([{"type": "tool_use", "name": "f"}])]),
    ("tool_use", [user(), {"from": "function_call", "value": "f"}, {"from": "observation", "value": "1"}, assistant()]),
    ("bad_turns", [user(), user(), assistant()]),
    ("bad_turns", [assistant(), user(), assistant()]),
    ("bad_turns", [user(), assistant(), user()]),
    ("bad_turns", [user(), {"role": "system", "content": "s"}, assistant()]),
    ("bad_turns", [{"role": "system", "content": "s"}]),
    ("bad_turns", [{}, {}]),
    ("bad_turns", {"role": "user"}),
    ("bad_content", [user([{"type": "image", "url": "x"}]), assistant()]),
    ("missing_field", [{"role": "user"}, assistant()]),
    ("wrong_type", [user(3.0), assistant()]),
    ("wrong_type", [user(), assistant("a", reasoning={"text": "t"})]),
    ("too_many_turns", [user(), assistant()] * 1001),
]


@pytest.mark.parametrize(("kind", "messages"), REFUSED)
def test_what_is_no_dialogue_of_texts_is_refused_whole(kind: str, messages: Any) -> None:
    assert kinds({"messages": messages}) == [kind]


def test_a_dialogue_that_speaks_of_tool_calls_is_none() -> None:
    asked = [user("What is <tool_call>?"), assistant("<think>t</think>`<tool_call>…</tool_call>` encloses a call.")]
    assert len(reading({"messages": asked}).records) == 1


def test_tools_that_are_not_called_are_said_to_be_left_out() -> None:
    made = reading({"messages": [user(), assistant()], "tools": [{"name": "f"}]})
    assert [finding.kind for finding in made.findings] == ["tools_ignored"]
    assert len(made.records) == 1
    assert not reading({"messages": [user(), assistant()], "tools": "[]"}).findings


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda s: s.strip() and "<" not in s)
FORMS = ["tag", "field", "block", "sharegpt"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=6), st.sampled_from(FORMS), st.booleans())
def test_of_any_dialogue_every_turn_comes_back_once_and_in_order(
    turns: list[tuple[str, str, str]], form: str, keep: bool
) -> None:
    messages: list[dict[str, Any]] = []
    for question, thought, answer in turns:
        tagged = f"<think>{thought}</think>{answer}"
        said: Any = {"tag": tagged, "sharegpt": tagged, "field": answer}.get(form) or [
            {"type": "reasoning", "text": thought}, {"type": "text", "text": answer},
        ]  # fmt: skip
        names = ("from", "value") if form == "sharegpt" else ("role", "content")
        more = {"reasoning_content": thought} if form == "field" else {}
        messages.append(dict(zip(names, ("user", question), strict=True)))
        messages.append({**dict(zip(names, ("assistant", said), strict=True)), **more})
    expected = [(question, thought.strip(), answer.strip()) for question, thought, answer in turns]
    made = reading({"messages": messages}, Options(earlier_thoughts="keep" if keep else "drop"))
    assert not made.findings
    assert [texts(record) for record in made.records] == expected
    for number, record in enumerate(made.records):
        assert record.history == tuple(Turn(q, t if keep else "", a) for q, t, a in expected[:number])
    assert reading({"messages": messages}, Options(turns="last")).records[0].answer == expected[-1][2]


# ---- multiple choice


ABC = "q\nA. x\nB. y\nC. z"
OPTIONS: list[dict[str, Any]] = [
    {"options": ["x", "y", "z"]},
    {"options": ["A. x", "B. y", "C. z"]},
    {"choices": {"A": "x", "B": "y", "C": "z", "D": None}},
    {"choices": {"text": ["x", "y", "z"], "label": ["A", "B", "C"]}},
    {"options": [{"label": "A", "text": "x"}, {"key": "B", "value": "y"}, {"id": "C", "content": "z"}]},
    {"Options": "A. x\nB. y\nC. z"},
    {"Options": "A x\n(B) y\nC、z"},
    {"A": "x", "B": "y", "C": "z"},
    {"A": "x", "B": "y", "C": "z", "D": ""},
    {"opa": "x", "opb": "y", "opc": "z"},
    {"option_a": "x", "Option B": "y", "option-c": "z"},
    {"选项A": "x", "选项B": "y", "选项C": "z"},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_options_in_any_form_are_written_under_the_question(options: dict[str, Any]) -> None:
    assert texts(one({"question": "q", "cot": "t", **options, "answer": "B"})) == (ABC, "t", "B. y")


@pytest.mark.parametrize("choice", ["B", "b", "(B)", "B.", "B. y", "y", 1, 1.0, "1", ["B"], [1]])
@pytest.mark.parametrize("key", ["answer", "answer_idx", "answerKey", "cop", "label", "答案"])
def test_a_choice_by_letter_text_or_number(choice: Any, key: str) -> None:
    row = {"question": "q", "cot": "t", "options": ["x", "y", "z"], key: choice}
    assert texts(one(row)) == (ABC, "t", "B. y")
    counted = choice in (1, "1") or choice == [1]
    assert reading(row).shape == ("choices (from 0)" if counted else "choices")


def test_answers_with_explanations_texts_and_several_letters() -> None:
    row: dict[str, Any] = {"question": "q", "cot": "t", "options": ["x", "y", "z"]}
    assert one({**row, "answer_idx": "B", "answer": "y"}).answer == "B. y"
    assert one({**row, "answer": "B", "explanation": " Since. "}).answer == "B. y\n\nSince."
    assert one({**row, "answer_idx": "B", "Response": "It is B, since."}).answer == "It is B, since."
    assert one({**row, "Response": "It is B, since."}).answer == "It is B, since."
    for several in ("AC", "A,C", "A、C", ["A", "C"]):
        assert one({**row, "answer": several}).answer == "A. x\nC. z"


def test_a_question_that_lists_its_options_does_not_get_them_twice() -> None:
    row = {"question": "q?\n(A) x\n(B) y", "cot": "t", "options": {"A": "x", "B": "y"}, "answer": "A"}
    assert texts(one(row)) == ("q?\n(A) x\n(B) y", "t", "A. x")


@pytest.mark.parametrize(
    "more",
    [{"answer": "D"}, {"answer": 3}, {"answer": -1}, {"answer": 0.5}, {"answer": None}, {"answer": "9"},
     {"answer": "AD"}, {"answer": "A", "answer_idx": "B"}, {"answer": "x", "answer_idx": 2}, {"answer": []},
     {"answer": True}, {"answer": [0, "D"]}],
)  # fmt: skip
def test_a_choice_that_is_none_is_refused(more: dict[str, Any]) -> None:
    assert kinds({"question": "q", "cot": "t", "options": ["x", "y", "z"], **more}) == ["bad_choice"]


def test_a_choice_that_could_be_two_options_is_refused() -> None:
    row = {"question": "Blood group?", "cot": "t", "options": ["O", "A", "B"]}
    assert kinds({**row, "answer": "A"}) == ["bad_choice"]
    assert one({**row, "answer": "O"}).answer == "A. O"


@pytest.mark.parametrize("options", [["x"], ["x", 2], ["x", " "], "x, y", {"A": "x", "a": "y"}, 3, ["x"] * 27, [None]])
def test_options_that_are_none_are_refused(options: Any) -> None:
    row = {"question": "q", "cot": "t", "options": options, "answer": "a"}
    assert kinds(row) == ["bad_options"]
    by_hand = Options(map=(("question", "question"), ("answer", "answer")))
    assert texts(one(row, by_hand)) == ("q", "t", "a")


@pytest.mark.parametrize("options", [None, [], {}, ""])
def test_a_question_without_options_is_a_plain_one(options: Any) -> None:
    row = {"question": "q", "cot": "t", "options": options, "answer": "a"}
    assert texts(one(row)) == ("q", "t", "a")
    assert reading(row).shape == "fields"


# ---- anything at all


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(-2, 5)
    | st.sampled_from(["", "A", "q", "<think>t</think>a", "t\n#### 1", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "from", "content", "type", "text", "label", "A", "B"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
ANY = st.dictionaries(
    st.sampled_from(["question", "answer", "cot", "input", "instruction", "history", "messages", "options", "A", "B",
                     "answer_idx", "system", "tools", "exp", "1", "x"]), VALUES, max_size=6,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(ANY, st.booleans(), st.sampled_from(["x", "x[0].text", "{x}{A}", "messages[0].content"]))
def test_any_row_gives_records_or_findings_and_never_a_traceback(row: dict[str, Any], empty: bool, place: str) -> None:
    for placed in ((), (("question", place),)):
        made = reading(row, Options(map=placed, empty=empty))
        assert made.records or made.findings
        for record in made.records:
            assert record.question.strip()
            assert record.answer.strip()
            assert record.thought or empty


def test_deep_wide_and_odd_values_are_findings() -> None:
    deep: Any = "A"
    for _ in range(5000):
        deep = [deep]
    row = {"question": "q", "cot": "t", "options": ["x", "y"]}
    assert kinds({**row, "answer": deep}) == kinds({**row, "answer": float("nan")}) == ["bad_choice"]
    assert kinds({**row, "options": deep, "answer": "A"}) == ["bad_options"]
    assert kinds({"messages": [{"role": deep, "content": deep}, assistant()]}) == ["bad_turns"]
    assert kinds({"x": deep}) == ["unknown_shape"]
    assert kinds({"question": deep, "answer": b"bytes", "cot": "t"}) == ["wrong_type", "wrong_type"]
    start = time.perf_counter()
    spaces = "A" + " " * 200_000 + "\n.\n."
    assert kinds({**row, "options": [spaces, spaces], "answer": spaces}) == ["bad_choice"]
    assert time.perf_counter() - start < 5  # a millisecond; hours where the work grows with the square
    wide = {f"column {i}": "x" for i in range(100_000)}
    assert len(reading(wide).findings[0].message) < 400
    assert texts(one({**wide, "question": "q", "cot": "t", "answer": "a"})) == ("q", "t", "a")
    assert texts(one({"messages": [{**wide, **user()}, assistant()]})) == ("q", "t", "a")


# ---- --map


ROW = {
    "prompt": {"text": "q", "id.x": "i"}, "title": "T", "a.b": "dotted", "a": {"b": "nested"}, "{odd}": "o",
    "turns": [{"say": "first"}, {"say": "last"}], "n": 3.0, "nil": None, "深": {"想": "t"}, "two words": "w",
}  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("title", "T"), ("prompt.text", "q"), ("a.b", "dotted"), ("turns[0].say", "first"), ("turns[-1].say", "last"),
        ("深.想", "t"), ("two words", "w"), ("{odd}", "o"), ("{title}", "T"), ("{title}\\n{prompt.text}", "T\nq"),
        ("{title}\n{a.b}!", "T\ndotted!"), ("{{{title}}} \\\\ \\t", "{T} \\ \t"),
        ("{two words}: {turns[1].say}", "w: last"), ("\\frac {title}", "\\frac T"), ("n", 3.0), ("nil", None),
        ("{title}{n}", 3.0), ("{title}{nil}", None),
        ("none", MISSING), ("prompt.none", MISSING), ("turns[2].say", MISSING), ("title.x", MISSING),
        ("prompt[0]", MISSING), ("{title}{none}", MISSING), ("{title", MISSING), ("a..b", MISSING), ("", MISSING),
        ("[0]", MISSING), ("{}", MISSING),
    ],
)  # fmt: skip
def test_expressions(expression: str, value: Any) -> None:
    assert parse(expression, tuple(ROW)).of(ROW) == value


def test_a_map_places_roles_and_leaves_the_others_to_be_recognised() -> None:
    row = {"title": "T", "body": "B", "answer": "no", "meta": {"cot": "t", "who": "s"}, "Response": "a"}
    placed = (("question", "{title}\\n{body}"), ("thought", "meta.cot"), ("system", "meta.who"))
    made = one(row, Options(map=(*placed, ("answer", "Response"))))
    assert (texts(made), made.system) == (("T\nB", "t", "a"), "s")
    assert reading(row, Options(map=placed)).roles.ambiguous == (("answer", "Response, answer"),)  # type: ignore[union-attr]
    turns = {"messages": [user(), assistant()], "who": "s"}
    assert one(turns, Options(map=(("system", "who"),))).system == "s"
    picked = (("question", "messages[0].content"), ("answer", "messages[-1].content"))
    assert texts(one(turns, Options(map=picked))) == ("q", "t", "a")


def test_what_a_map_finds_is_checked_like_any_field() -> None:
    placed = Options(map=(("question", "x.q"), ("thought", "{x.t}"), ("answer", "n")))
    assert kinds({"x": {"q": "q", "t": "t"}, "n": [3.0]}, placed) == ["wrong_type"]
    assert kinds({"x": {"t": 1.0}, "n": None}, placed) == ["missing_field", "wrong_type", "null_field"]
    assert kinds({"x": {"q": "q"}, "n": "a"}, placed) == ["no_thought"]


def test_a_name_that_is_nowhere_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({"prompt": {"text": "q"}, "cot": "t", "reply": "a"}), encoding="utf-8")
    good = {"question": "prompt.text", "thought": "cot", "answer": "reply"}
    assert [texts(r) for r in read([path], map=good).records] == [("q", "t", "a")]
    for wrong, listed, nearest in (
        ({"question": "promt.text"}, "prompt, cot, reply", ""),
        ({"question": "prompt.txt"}, "prompt.text", "prompt.text"),
        ({"answer": "{cot} {repyl}"}, "prompt, cot, reply", "reply"),
        ({"answer": "reply.text"}, "the fields are reply", "reply"),
    ):
        with pytest.raises(Refusal, match=listed) as refusal:
            read([path], map={**good, **wrong})
        assert f"'{nearest}'" in refusal.value.hint if nearest else refusal.value.hint


def test_a_name_counts_as_known_where_one_row_has_it() -> None:
    options = Options(map=(("thought", "x.cot"), ("answer", "y")))
    rows: list[dict[str, Any]] = [{"y": 1}, {"x": {}, "y": 2}, {"x": {"cot": "t"}}]
    assert unknown(options, rows) is None
    lacking = unknown(options, rows[:2])
    assert lacking is not None
    assert lacking.name == "x.cot"
    assert unknown(options, []) is None
    assert unknown(Options(), [{"a": 1}]) is None


@pytest.mark.parametrize(
    ("row", "suggestion"),
    [
        ({"frage": "q", "denken": "a, so a", "antwort": "a"}, "--map question=frage thought=denken answer=antwort"),
        ({"id": 7, "questions": "q", "resp": "a"}, "--map question=questions answer=resp"),
        ({"x": {"prompts": "q"}, "my cot": "a, so a", "y": "a"}, "--map question=x.prompts 'thought=my cot' answer=y"),
        ({"turns": [{"say": "q"}, {"say": "a"}]}, "--map 'question=turns[0].say' 'answer=turns[1].say'"),
        (
            {"主诉": "咳嗽", "思路": "先看肺，再看心", "结果": "肺炎", "病历号": "10001"},
            "--map question=主诉 thought=思路 answer=结果",
        ),
        ({"1": "7", "2": "Is it?", "3": "no", "4": "It is not."}, "--map question=2 thought=4 answer=3"),
        ({"prompts": "q", "x": "It is so.", "y": "It was so."}, "--map question=prompts thought=… answer=…"),
        ({"4": "yes", "5": "Name the bird.", "6": "It is black."}, ""),
        ({"frage": "q", "ref": "A-17", "link": "https://a.b/c", "resp": "a"}, "--map question=frage answer=resp"),
        ({"text": "q"}, ""),
        ({}, ""),
    ],
)
def test_a_row_of_no_shape_gets_a_map_to_try(row: dict[str, Any], suggestion: str) -> None:
    assert suggest(row) == suggestion
    (finding,) = reading(row).findings
    assert finding.kind == "unknown_shape"
    assert (suggestion or "--map question=…") in finding.hint


@pytest.mark.parametrize(
    ("row", "names", "suggestion"),
    [
        ({"question": "q", "answer": "a", "why": "so"}, "(why)", "--map thought=why"),
        (
            {"question": "q", "answer": "a", "source": "x", "my reason": "so", "note": "n"},
            "(my reason, note)",
            "--map 'thought=my reason'",
        ),
        ({"question": "q", "answer": "a", "x": "so", "y": "n"}, "(x, y)", "--map thought=…"),
        ({"question": "q", "opa": "x", "opb": "y", "cop": 0, "exp": "so"}, "exp", "--map thought=exp"),
        (
            {"problem": "q", "solution": "s", "answer": "8", "generations": ["<think>t</think>a", "<think>u</think>b"]},
            "(solution, generations)",
            "--map 'answer=generations[0]'",
        ),
        (
            {"question": "q", "thought": "t", "final result": "a", "n": "x"},
            "(final result, n)",
            "--map 'answer=final result'",
        ),
    ],
)
def test_what_is_lacking_is_looked_for_in_the_unused_fields(row: dict[str, Any], names: str, suggestion: str) -> None:
    (finding,) = reading(row).findings
    assert names in finding.hint
    assert suggestion + ";" in finding.hint
    if "…" not in suggestion:
        role, _, place = shlex.split(suggestion)[1].partition("=")
        assert reading(row, Options(map=((role, place),))).records


def test_an_explanation_that_is_the_thought_is_not_in_the_answer_too() -> None:
    row = {"question": "q", "opa": "x", "opb": "y", "cop": 0, "exp": "so x"}
    assert texts(one(row, Options(map=(("thought", "exp"),)))) == ("q\nA. x\nB. y", "so x", "A. x")


def test_a_preference_pair_is_called_that() -> None:
    rows = [{"prompt": "q", "chosen": "a", "rejected": "b"}, {"x": "q", "chosen": [{"content": "a"}], "rejected": []}]
    hints = [finding.hint for row in rows for finding in reading(row).findings if finding.kind == "preference_pair"]
    assert [hint.partition("--map ")[2] for hint in hints] == [
        "question=prompt answer=chosen",
        "question=… answer=chosen[-1].content",
    ]


NAME = st.text(string.ascii_letters + " .[]{}-_日本", min_size=1, max_size=9)


@settings(max_examples=200, deadline=None)
@given(st.lists(NAME, min_size=3, max_size=3, unique=True))
def test_any_name_of_a_field_is_found_by_that_name(names: list[str]) -> None:
    row = dict(zip(names, ("q", "t", "a"), strict=True))
    placed = tuple(zip(("question", "thought", "answer"), names, strict=True))
    assert unknown(Options(map=placed), [row]) is None
    assert texts(one(row, Options(map=placed))) == ("q", "t", "a")


# ---- --map on the command line and in a file


def mapped(*arguments: str) -> tuple[list[str], Any]:
    rest, _ = common(["train", *arguments])
    words = [word.partition("=")[2] for word in rest if word.startswith("--map=")]
    assert len(words) < 2
    return [word for word in rest if not word.startswith("--map=")], json.loads(words[0]) if words else None


def test_map_on_the_command_line() -> None:
    both = {"question": "prompt.text", "answer": "a b={c}"}
    assert mapped("--map", "question=prompt.text", "answer=a b={c}", "d.jsonl") == (["train", "d.jsonl"], both)
    assert mapped("d", "--map", "question=prompt.text", "--rank", "4", "--map=answer=a b={c}") == (
        ["train", "d", "--rank", "4"], both,
    )  # fmt: skip
    assert mapped("--map=question=prompt.text", "answer=a b={c}", "--", "x=y") == (["train", "--", "x=y"], both)
    assert mapped("a=b.jsonl") == (["train", "a=b.jsonl"], None)
    for wrong in (["--map"], ["--map", "d.jsonl"], ["--map="], ["--map", "--rank", "4"], ["--map=x"]):
        with pytest.raises(Refusal, match="--map needs a value"):
            common(["train", *wrong])
    with pytest.raises(Refusal, match="twice where the question"):
        common(["--map", "question=a", "--map", "question=b"])


def test_map_as_a_setting_from_flag_and_file_and_back(tmp_path: Path) -> None:
    both = {"question": "prompt.text", "thought": 'a "b"\n{c}'}
    made, sources = settings_from({"map": json.dumps(both)}, {})
    assert (made.map, sources["map"]) == (both, "--map")
    path = tmp_path / "run.toml"
    path.write_text(to_toml(made, sources), encoding="utf-8")
    assert make(read_toml(path))[0] == made
    for toml in (
        '[map]\nquestion = "x"\n[lora]\nrank = 4\n',
        '[data]\nmap = {question = "x"}\n',
        '[data.map]\nquestion = "x"\n',
    ):
        path.write_text(toml, encoding="utf-8")
        assert make(read_toml(path))[0].map == {"question": "x"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"qestion": "x"}, "choose question, thought, answer, system"),
        ("x", "write question=NAME"),
        ({"answer": 3}, "text"),
    ],
)
def test_a_map_that_is_none_is_refused(value: Any, said: str) -> None:
    with pytest.raises(Refusal) as refusal:
        make({"map": value}, {"map": "--map"})
    (detail,) = refusal.value.details
    assert detail.startswith("--map: ")
    assert said in detail


# ---- the shared files, without flags


@pytest.mark.parametrize(
    ("name", "shape", "count", "options"),
    [
        ("medical-o1-zh/train.jsonl", "fields", 600, {}),
        ("medical-o1-zh/alpaca-50.json", "alpaca", 50, {}),
        ("gsm8k/train.jsonl", "gsm8k", 7473, {}),
        ("other-shapes/strategyqa-300.tsv", "columns", 300, {}),
        ("other-shapes/sample_ollama_outputs.json", "fields", 5, {}),
        ("other-shapes/alpaca_en_demo.json", "alpaca", 985, {"without_thought": "empty"}),
        ("other-shapes/alpaca_zh_demo.json", "alpaca", 992, {"without_thought": "mix"}),
    ],
)
def test_shared_files_are_read(name: str, shape: str, count: int, options: dict[str, Any]) -> None:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{name} is not in the shared folder")
    intake = read([path], **options)
    assert intake.files[0].shape == shape
    assert len(intake.records) == count
    assert not [finding for finding in intake.findings if finding.severity is Severity.ERROR]
    if options:
        with pytest.raises(Refusal, match="has a thought"):
            read([path])


def test_shared_tool_dialogues_are_refused_by_name_and_the_others_kept() -> None:
    path = SHARED / "other-shapes" / "reason_tool_use_demo_50.jsonl"
    if not path.is_file():
        pytest.skip("the tool dialogues are not in the shared folder")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    found = Counter(finding.kind for row in rows for finding in reading(row).findings)
    kept = [record for row in rows for record in reading(row).records]
    assert found["tool_use"] + found["think_tag"] + len(kept) == len(rows) == 50
    assert found["tool_use"] > 20
    assert all(record.thought and record.system and not record.history for record in kept)
