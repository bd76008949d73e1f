"""Room `intake`, among: the same, nearly the same, contradicting, leaking."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from buke.intake import among
from buke.intake.among import (
    Marks,
    common_shingles,
    contradictions,
    duplicates,
    fold,
    held_out,
    leaks,
    near,
    shingles,
)
from buke.records import Record, Turn

LONG = "A woman of 54 years comes with a headache that began two days ago and does not answer to paracetamol"
ZH = "患者女，五十四岁，两天前开始头痛，服用对乙酰氨基酚后没有缓解，伴有恶心和畏光，既往有偏头痛病史，应如何处理？"


def marks(*records: tuple[str, str], thought: str = "t") -> Marks:
    made = [Record.make(question, thought, answer, f"f:{i}") for i, (question, answer) in enumerate(records)]
    found, common = Marks(), common_shingles(made)
    for record in made:
        found.add(record, common)
    return found


def test_the_same_record_is_found_with_the_first_of_its_kind() -> None:
    assert duplicates(marks(("q", "a"), ("r", "a"), ("q", "a"), ("q", "b"), ("q", "a"))).tolist() == [[2, 0], [4, 0]]
    assert len(duplicates(Marks())) == len(near(Marks())) == 0


def test_the_same_question_with_another_answer_is_found() -> None:
    assert contradictions(marks(("q", "a"), ("q", "a"), ("q", "b"), ("r", "b"))).tolist() == [[2, 0]]


def test_a_question_is_not_the_same_after_another_history_or_system_message() -> None:
    found = Marks()
    for system, history in (("", ()), ("s", ()), ("", (Turn("x", "", "y"),)), ("", (Turn("x", "", "z"),))):
        found.add(Record.make("q", "t", f"{system}{history}", "f:1", system, history), frozenset())
    assert len(contradictions(found)) == 0


def test_near_duplicates_are_found_in_both_languages() -> None:
    english = (
        LONG,
        LONG.replace("woman", "lady"),
        LONG.upper() + "!",
        "What is the dose of aspirin for a child of this age?",
    )
    assert near(marks(*((q, "a") for q in english))).tolist() == [[1, 0], [2, 0]]
    chinese = (ZH, ZH.replace("恶心", "呕吐"), ZH[: len(ZH) // 2])
    assert near(marks(*((q, "a") for q in chinese))).tolist() == [[1, 0]]


def test_other_numbers_make_another_question() -> None:
    assert len(near(marks((LONG, "a"), (LONG.replace("54", "45"), "b")))) == 0


def test_a_shared_instruction_makes_no_near_duplicates() -> None:
    instruction = (
        "You are a careful physician. Read the case and answer in one sentence, after thinking it through. " * 3
    )
    cases = [
        f"{instruction}{word * 3} of the {word}, which is {word[::-1]}"
        for word in (
            f"{a}{b}{c}" for a in ("kid", "liv", "spl") for b in ("ney", "er", "een") for c in ("ab", "cd", "ef", "gh")
        )
    ]
    assert len(near(marks(*((case, "a") for case in cases)))) == 0


def test_leaks_are_passed_on_from_near_to_near() -> None:
    found = marks(
        (LONG, "a"), (LONG + ".", "b"), ("quite another question, about something else", "c"), (LONG + "?", "d")
    )
    out = np.array([False, False, False, True])
    assert leaks(found, near(found), out).tolist() == [[0, 3], [1, 3]]
    assert leaks(found, near(found), ~out).tolist() == [[3, 0]]
    assert len(leaks(found, near(found), np.zeros(4, bool))) == 0


@settings(max_examples=50)
@given(st.lists(st.text(max_size=30), min_size=2, max_size=12))
def test_near_is_symmetric_with_itself_and_never_links_forward(questions: list[str]) -> None:
    for late, early in near(marks(*((q, "a") for q in questions))).tolist():
        assert early < late
        assert questions[early] != questions[late]


def test_shingles_ignore_case_and_space() -> None:
    assert shingles(fold("A  b\nCdef")) == shingles("a b cdef") == {"a b c", " b cd"[:5], "b cde", " cdef"}


def test_what_is_held_out_is_whole_questions_up_to_the_share() -> None:
    roots = [1, 1, 1, 5, 6, 7, 8, 9, 10, 11]
    assert held_out(roots, 0.3, 0).tolist() == [True] * 3 + [False] * 7
    assert not held_out(roots, 0.2, 0).any()  # the first question has three records
    assert not held_out(roots[:9], 0.5, 0).any()


def test_what_a_reader_takes_for_the_same_question_folds_to_the_same() -> None:
    assert fold("什么是　糖尿病？\n") == fold("什么是 糖尿病?") != fold("什么是糖尿病")
    assert fold("WHAT is １２ µg，\u00a0Straße?") == fold("what is 12 μg, STRASSE?")
    assert fold("a" * 600 + "é" + "（" * 600) == fold("A" * 600 + "É" + "(" * 600)


def asking(question: str, system: str = "", *before: str) -> Record:
    return Record.make(question, "t", "a", "f:1", system, tuple(Turn(text, "", "x") for text in before))


def leaking(training: list[Record], out: list[Record]) -> list[int]:
    """Which of the training records leak, without near-duplicates."""
    found = Marks()
    for record in [*training, *out]:
        found.add(record, frozenset(), near=False)
    mask = np.arange(len(found)) >= len(training)
    return leaks(found, near(found), mask)[:, 0].tolist()


def test_a_short_question_leaks_whatever_its_case_width_space_or_system_message() -> None:
    training = [asking(text) for text in ("什么是糖尿病？ ", "什么是糖尿病?", "WHAT is fever?", "what is a cold?")]
    training.append(asking("什么是糖尿病？", "你是医生"))
    assert leaking(training, [asking("什么是糖尿病？"), asking("What is fever?", "Be brief.")]) == [0, 1, 2, 4]
    assert len(duplicates(marks(("Q?", "a"), ("q?", "a"), ("Q？", "a")))) == 0  # what is learned twice: to the letter
    assert len(contradictions(marks(("Q?", "a"), ("q?", "b"), ("Q？", "c")))) == 0


def test_a_question_in_the_history_leaks_as_the_own_does() -> None:
    held = asking("What is fever?")
    dialogue = [
        asking("Hello"),
        asking("what is fever?", "", "Hello"),
        asking("And then?", "", "Hello", "what is fever?"),
    ]
    alone = [asking("And then?", "", "What is fever?"), asking("And then?"), asking("Why?", "", "Hello", "And then?")]
    assert leaking(dialogue + alone, [held]) == [1, 2, 3]
    assert leaking(dialogue[1:], [held]) == [0, 1]  # the first turn gave no record
    # what was asked after something counts only after that
    assert leaking([*dialogue, *alone], [asking("And then?", "", "What is fever?")]) == [3]


def test_a_long_dialogue_costs_its_turns_and_not_their_square() -> None:
    found, before = Marks(), tuple(Turn(f"question {i}", "", "x") for i in range(300))
    for i in range(1, 301):
        found.add(Record.make("then?", "t", "a", "f:1", "", before[:i]), frozenset(), near=False)
    assert len(found.told) < 4 * 300


def test_two_questions_about_one_long_passage_are_two() -> None:
    passage = "".join(f"The {word} of the {word[::-1]} stood there. " for word in (f"{i * 7919:x}z" for i in range(90)))
    one, other = "Who wrote the letter to the king about the harvest?", "Why does she distrust her memory at the end?"
    whole = [passage + one, passage + other, passage + one.replace("?", "!"), one + passage, other + passage]
    assert len(passage) > 2000
    assert near(marks(*((question, "a") for question in whole))).tolist() == [[2, 0]]
    assert len(near(marks((passage * 2 + "in 1990?", "a"), (passage * 2 + "in 1991?", "b")))) == 0


def test_a_record_with_another_system_message_is_another_record() -> None:
    plain = Record.make("q", "t", "a", "f:1")
    assert plain.id == "3b5ad7ffcfdf5042"
    assert len({plain.id, asking("q", "s").id, asking("q", "r").id, asking("q", "", "s").id}) == 4


def test_questions_that_hardly_differ_are_said_to_be_compared_to_the_letter_only() -> None:
    parts = list("abcdefghijklmnopqrstuvwxyz")
    records = [
        Record.make(f"What does a {one} {two} patient with a fever of this kind need first?", "t", "a", "f:1")
        for one in parts for two in parts[:3] if one != two
    ]  # fmt: skip
    marks, common = Marks(), among.common_shingles(records)
    for record in [*records, Record.make("Short?", "t", "a", "f:2")]:
        marks.add(record, common)
    assert among.too_alike(marks).tolist() == list(range(len(records)))
    assert len(among.near(marks)) == 0
    marks = Marks()
    for record in records[:9]:
        marks.add(record, frozenset())
    assert len(among.too_alike(marks)) == 0
