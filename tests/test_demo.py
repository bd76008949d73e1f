"""The built-in lessons: results recomputed from the question, every written sum true, a split without leaks."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from buke.demo.lessons import KINDS, WORDINGS, Lesson, lessons, make, split, write_lessons

LANGUAGES = ("en", "zh")


def numbers_before(unit: str, text: str) -> list[int]:
    """The numbers followed by exactly this unit: ``mg`` does not match in ``mg/kg`` or ``mg/mL``."""
    return [int(n) for n in re.findall(rf"(\d+) ?{unit}(?![A-Za-z/])", text)]


def one(unit: str, text: str) -> int:
    (number,) = numbers_before(unit, text)
    return number


def larger_and_smaller(unit: str, text: str) -> tuple[int, int]:
    first, second = numbers_before(unit, text)
    return max(first, second), min(first, second)


def whole(a: int, b: int) -> int:
    assert a % b == 0
    return a // b


# Each solver knows only the units of the question, never the generator's tables.
SOLVERS: dict[str, Callable[[str], int]] = {
    "weight_dose": lambda q: whole(one("kg", q) * one("mg/kg", q), one("mg/mL", q)),
    "tablets": lambda q: whole(*larger_and_smaller("mg", q)),
    "draw_volume": lambda q: whole(one("mg", q), one("mg/mL", q)),
    "pump_rate": lambda q: whole(one("mL", q), one("(?:hours|小时)", q)),
    "daily_total": lambda q: one("mg", q) * one("(?:times|次)", q),
    "supply_days": lambda q: whole(*larger_and_smaller("mL", q)),
    "balance": lambda q: larger_and_smaller("mL", q)[0] - larger_and_smaller("mL", q)[1],
    "percent": lambda q: whole(one("%", q) * one("mL", q), 100),
}

UNITS = {
    "weight_dose": ("mL", "mL"),
    "tablets": ("tablets", "片"),
    "draw_volume": ("mL", "mL"),
    "pump_rate": ("mL/h", "mL/h"),
    "daily_total": ("mg", "mg"),
    "supply_days": ("days", "天"),
    "balance": ("mL", "mL"),
    "percent": ("g", "g"),
}


@cache
def every_lesson(language: str) -> list[Lesson]:
    """All kinds, pairs and phrasings of one language."""
    return [
        make(kind, pair, phrasing, language)
        for kind in KINDS
        for pair in KINDS[kind].pairs
        for phrasing in range(len(WORDINGS[language][0][kind][0]))
    ]


def statements(thought: str) -> list[tuple[int, str, int, int]]:
    """Every ``a op b = c`` of the thought."""
    return [
        (int(a), op, int(b), int(c)) for a, op, b, c in re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)(?!\d|\.\d)", thought)
    ]


def holds(a: int, op: str, b: int, c: int) -> bool:
    return {"+": a + b == c, "-": a - b == c, "*": a * b == c, "/": b != 0 and a == b * c}[op]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_result_follows_from_the_question_alone(language: str) -> None:
    for lesson in every_lesson(language):
        assert lesson.result == str(SOLVERS[lesson.kind](lesson.question)), lesson


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_written_sum_is_true_and_the_last_step_gives_the_result(language: str) -> None:
    for lesson in every_lesson(language):
        found = statements(lesson.thought)
        assert len(found) == lesson.thought.count("=") >= 2, lesson
        assert all(holds(*statement) for statement in found), lesson
        *steps, (check_a, check_op, check_b, check_c) = found
        assert str(steps[-1][3]) == lesson.result, lesson
        a, op, b, c = steps[-1]
        if lesson.kind == "balance":
            assert (check_op, {check_a, check_b}, check_c) == ("+", {c, lesson.numbers[1]}, lesson.numbers[0]), lesson
        else:
            inverse = {"*": "/", "/": "*"}[op]
            assert (check_op, check_c, {check_a, check_b}) == (inverse, a, {b, c}), lesson


@pytest.mark.parametrize("language", LANGUAGES)
def test_answer_holds_one_number_with_its_unit(language: str) -> None:
    for lesson in every_lesson(language):
        assert re.findall(r"\d+(?:\.\d+)?", lesson.answer) == [lesson.result], lesson
        unit = UNITS[lesson.kind][LANGUAGES.index(language)]
        assert re.search(rf"{lesson.result} {re.escape(unit)}[.。]$", lesson.answer), lesson


@pytest.mark.parametrize("language", LANGUAGES)
def test_question_holds_its_numbers_and_no_other(language: str) -> None:
    for lesson in every_lesson(language):
        given = [*lesson.numbers, *([10] if lesson.kind == "weight_dose" else [])]  # the vial's 10 mg/mL
        assert sorted(map(int, re.findall(r"\d+", lesson.question))) == sorted(given), lesson


@pytest.mark.parametrize("language", LANGUAGES)
def test_enough_kinds_phrasings_and_pairs(language: str) -> None:
    assert len(KINDS) >= 6
    assert set(WORDINGS[language][0]) == set(KINDS) == set(SOLVERS)
    questions = [lesson.question for lesson in every_lesson(language)]
    assert len(set(questions)) == len(questions)
    for kind, (phrasings, _, _) in WORDINGS[language][0].items():
        assert len(set(phrasings)) >= 4
        assert len(set(KINDS[kind].pairs)) == len(KINDS[kind].pairs) >= 48, kind


def test_quantities_are_plausible_at_the_bedside() -> None:
    limits = {  # the largest result that no ward would question
        "weight_dose": (2, 90),
        "tablets": (1, 8),
        "draw_volume": (1, 10),
        "pump_rate": (10, 150),
        "daily_total": (1, 4000),
        "supply_days": (1, 31),
        "balance": (1, 1100),
        "percent": (1, 200),
    }
    for kind, (low, high) in limits.items():
        for pair in KINDS[kind].pairs:
            assert low <= KINDS[kind].solve(*pair).result <= high, (kind, pair)
            assert all(1 <= number <= 1500 for number in pair), (kind, pair)


@pytest.mark.parametrize("language", LANGUAGES)
def test_kinds_are_evenly_mixed_and_phrasings_all_used(language: str) -> None:
    chosen = lessons(402, language, seed=3)
    counts = Counter(lesson.kind for lesson in chosen)
    assert len(chosen) == 402
    assert set(counts) == set(KINDS)
    assert max(counts.values()) - min(counts.values()) == 1
    assert len({lesson.question for lesson in chosen}) == 402
    assert len({(lesson.kind, lesson.numbers) for lesson in chosen}) == 402  # no pair twice while there are others
    forms = defaultdict(set)
    for lesson in chosen:
        forms[lesson.kind].add(re.sub(r"\d+", "#", lesson.question))
    assert all(len(seen) >= 4 for seen in forms.values())
    first_kinds = {lesson.kind for lesson in chosen[:60]}
    assert len(first_kinds) >= 6  # shuffled, not kind after kind


PINNED = [("weight_dose", (10, 8)), ("tablets", (60, 30)), ("balance", (200, 100)), ("pump_rate", (300, 6))]


def test_same_arguments_give_the_same_lessons_everywhere() -> None:
    assert lessons(50, "en", seed=7) == lessons(50, "en", seed=7)
    assert lessons(50, "en", seed=7) != lessons(50, "en", seed=8)
    # the order rests on random.Random.random() alone; these pairs were written down once and must not move
    assert [(lesson.kind, lesson.numbers) for lesson in lessons(4, "en", seed=7)] == PINNED
    assert [(lesson.kind, lesson.numbers) for lesson in lessons(4, "zh", seed=7)] == PINNED


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("seed", range(5))
def test_split_shares_neither_question_nor_numbers(language: str, seed: int) -> None:
    train, held_out = split(400, 40, language, seed)
    assert (len(train), len(held_out)) == (400, 40)
    assert not {x.question for x in train} & {x.question for x in held_out}
    assert not {(x.kind, x.numbers) for x in train} & {(x.kind, x.numbers) for x in held_out}
    assert set(Counter(x.kind for x in held_out).values()) == {5}


def test_excluded_questions_take_their_numbers_with_them() -> None:
    shown = lessons(200, "en", seed=0)
    other = lessons(300, "en", seed=0, exclude=[lesson.question for lesson in shown])
    assert not {(x.kind, x.numbers) for x in shown} & {(x.kind, x.numbers) for x in other}


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="language"):
        lessons(1, "fr")
    with pytest.raises(ValueError, match="0 or more"):
        lessons(-1)
    with pytest.raises(ValueError, match="are left"):
        lessons(100_000)
    assert lessons(0) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_file_is_json_lines_with_the_three_fields(tmp_path: Path, language: str) -> None:
    chosen = lessons(20, language)
    path = tmp_path / "lessons.jsonl"
    write_lessons(path, chosen)
    data = path.read_bytes()
    assert data.endswith(b"\n")
    assert b"\r" not in data
    rows = [json.loads(line) for line in data.decode("utf-8").splitlines()]
    assert rows == [lesson.as_dict() for lesson in chosen]
    assert all(list(row) == ["Question", "Complex_CoT", "Response"] for row in rows)


@pytest.mark.parametrize("statement", ["3 * 4 = 13", "8 / 3 = 2", "9 - 4 = 4", "2 + 2 = 5"])
def test_the_check_of_sums_can_fail(statement: str) -> None:
    ((a, op, b, c),) = statements(statement)
    assert not holds(a, op, b, c)
