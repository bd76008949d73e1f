"""Room `demo`, lessons: dosing and bedside arithmetic with a known result, in English and Chinese.

A lesson is a kind of problem, its numbers and one of the kind's phrasings. The numbers stand in ``KINDS``, one table a
kind; the sentences in ``lessons_en`` and ``lessons_zh``. The sums are few on purpose: a small model that learns from
some hundred lessons has to meet each of them several times. Nearly all are products of two one-digit numbers, one of
them at most five, with zeros put back afterwards (``5 * 6 = 30, so 50 * 6 = 300``). Drugs have no names, because a
dose belongs to a drug and these numbers are chosen for their arithmetic: the lessons teach sums, not prescribing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from buke.demo import lessons_en, lessons_zh

T = TypeVar("T")
Numbers = tuple[int, int]
# kind -> (phrasings, thought, answer); the texts name the numbers {a} and {b} and the result {r}
Wording = dict[str, tuple[tuple[str, ...], str, str]]
WORDINGS: dict[str, tuple[Wording, dict[str, str]]] = {
    "en": (lessons_en.WORDING, lessons_en.JOINTS),
    "zh": (lessons_zh.WORDING, lessons_zh.JOINTS),
}


@dataclass(frozen=True)
class Lesson:
    """A problem, the way to its result, and the answer. `result` is the only number of the answer."""

    kind: str  # a key of KINDS
    question: str
    thought: str
    answer: str
    result: str  # decimal digits, without unit
    numbers: Numbers  # the two numbers of the question, in the order of the kind's table

    def as_dict(self) -> dict[str, str]:
        """The lesson as a user's own file would hold it."""
        return {"Question": self.question, "Complex_CoT": self.thought, "Response": self.answer}


@dataclass(frozen=True)
class Sum:
    """What one pair of numbers comes to: the result, the written calculation, and the inverse calculation."""

    result: int
    steps: tuple[str, ...]  # true statements ``x op y = z``; the last one gives the result
    check: str
    joint: str = "so"  # between the steps, a key of JOINTS: "so" or "then"


def product(a: int, b: int) -> Sum:
    """a * b, first without the trailing zeros."""
    small_a, small_b = _without_zeros(a), _without_zeros(b)
    steps = [f"{small_a} * {small_b} = {small_a * small_b}", f"{a} * {b} = {a * b}"]
    return Sum(a * b, tuple(dict.fromkeys(steps)), f"{a * b} / {b} = {a}")


def volume(a: int, b: int) -> Sum:
    """mL of a 10 mg/mL solution for a dose of a * b mg: the product as above, then a tenth of it."""
    found = product(a, b)
    return Sum(a * b // 10, (*found.steps, f"{a * b} / 10 = {a * b // 10}"), f"{a * b // 10} * 10 = {a * b}")


def quotient(a: int, b: int) -> Sum:
    """a / b, which must come out even; first without the trailing zeros of divisor and result."""
    result, rest = divmod(a, b)
    if rest:
        raise ValueError(f"{a} / {b} leaves {rest}")
    small_b, small_result = _without_zeros(b), _without_zeros(result)
    steps = [f"{small_b * small_result} / {small_b} = {small_result}", f"{a} / {b} = {result}"]
    return Sum(result, tuple(dict.fromkeys(steps)), f"{result} * {b} = {a}")


def difference(a: int, b: int) -> Sum:
    """a - b for whole hundreds, first without the zeros."""
    steps = (f"{a // 100} - {b // 100} = {(a - b) // 100}", f"{a} - {b} = {a - b}")
    return Sum(a - b, steps, f"{a - b} + {b} = {a}")


def grams(percent: int, volume: int) -> Sum:
    """Grams in `volume` mL of a solution of `percent` g per 100 mL; the volume is in whole hundreds."""
    hundreds = quotient(volume, 100).result
    mass = percent * hundreds
    steps = (f"{volume} / 100 = {hundreds}", f"{percent} * {hundreds} = {mass}")
    return Sum(mass, steps, f"{mass} / {hundreds} = {percent}", "then")


def _without_zeros(number: int) -> int:
    while number and number % 10 == 0:
        number //= 10
    return number


@dataclass(frozen=True)
class Kind:
    """A kind of problem: how it is solved and every pair of numbers it may have."""

    solve: Callable[[int, int], Sum]
    pairs: tuple[Numbers, ...]


def _familiar(a: int, b: int) -> bool:
    """Whether a product comes down to one-digit numbers of which one is at most five: 26 sums in all."""
    return min(_without_zeros(a), _without_zeros(b)) <= 5


def _times(solve: Callable[[int, int], Sum], first: Iterable[int], second: Sequence[int]) -> Kind:
    """Every number of one set with every number of the other, as far as their product is familiar."""
    return Kind(solve, tuple((a, b) for a in first for b in second if _familiar(a, b)))


def _even(divisors: Iterable[int], results: Sequence[int]) -> Kind:
    """Divisions that come out even: every divisor with every result, as far as their product is familiar."""
    return Kind(quotient, tuple((b * r, b) for b in divisors for r in results if _familiar(b, r)))


DIGITS = tuple(range(2, 10))
TENS = tuple(range(10, 110, 10))

# Numbers end in zeros wherever a sum is first done without them: one form of thought a kind is learned soonest.
KINDS: dict[str, Kind] = {
    # body weight in kg, dose in mg/kg; the vial has 10 mg/mL
    "weight_dose": _times(volume, TENS, DIGITS),
    # mg ordered, mg in a tablet; at most seven tablets
    "tablets": _even((10, 20, 30, 40, 50, 60, 80, 100, 200), range(2, 8)),
    # mg ordered, mg in a mL; at most 9 mL, which fits one syringe
    "draw_volume": _even((10, 20, 30, 40, 50, 60, 80, 100), DIGITS),
    # mL to infuse, hours; the result is 10 to 100 mL/h
    "pump_rate": Kind(quotient, tuple((rate * h, h) for rate in TENS for h in DIGITS if _familiar(rate, h))),
    # mg in a dose, doses in a day
    "daily_total": _times(product, (*TENS, 200, 300, 400, 500, 600, 800), (3, 4, 5, 6)),
    # mL in the bottle, mL used in a day
    "supply_days": _even((10, 20, 30, 40, 50, 60, 80, 100), DIGITS),
    # mL in, mL out; always more in than out
    "balance": Kind(difference, tuple((a * 100, b * 100) for a in range(2, 13) for b in range(1, min(a, 10)))),
    # per cent (g per 100 mL), mL
    "percent": _times(grams, (1, 2, 3, 4, 5, 6, 8, 10, 20), range(200, 1000, 100)),
}


def lessons(n: int, language: str = "en", seed: int = 0, exclude: Collection[str] = ()) -> list[Lesson]:
    """`n` different lessons, the kinds evenly mixed; the same for the same arguments on every machine.

    language: ``en`` or ``zh``. exclude: questions; their numbers are not used in any phrasing of the same kind.
    Within a kind numbers come again, in another phrasing, only when all pairs have been used.
    Raises ValueError for an unknown language, a negative `n`, or more lessons than there are.
    """
    if language not in WORDINGS:
        raise ValueError(f"language is one of {tuple(WORDINGS)}, not {language!r}")
    if n < 0:
        raise ValueError(f"n is 0 or more, not {n}")
    rng = random.Random(seed)
    kinds = _shuffled(KINDS, rng)
    lots = [n // len(kinds) + (place < n % len(kinds)) for place in range(len(kinds))]
    chosen: list[Lesson] = []
    for kind, wanted in zip(kinds, lots, strict=True):
        chosen += _of_kind(kind, wanted, language, rng, frozenset(exclude))
    return _shuffled(chosen, rng)


def split(n_train: int, n_held_out: int, language: str = "en", seed: int = 0) -> tuple[list[Lesson], list[Lesson]]:
    """Lessons to learn and lessons to test with, in this order. No (kind, numbers) of one part is in the other."""
    held_out = lessons(n_held_out, language, seed)
    train = lessons(n_train, language, seed + 1, exclude={lesson.question for lesson in held_out})
    return train, held_out


def write_lessons(path: str | Path, chosen: Iterable[Lesson]) -> None:
    """Write lessons as JSON Lines in UTF-8, one ``Question / Complex_CoT / Response`` a line."""
    text = "".join(json.dumps(lesson.as_dict(), ensure_ascii=False) + "\n" for lesson in chosen)
    Path(path).write_bytes(text.encode("utf-8"))  # bytes: the same line ends on every system


def make(kind: str, numbers: Numbers, phrasing: int, language: str) -> Lesson:
    """One lesson. numbers: a pair of ``KINDS[kind].pairs``; phrasing: index into the kind's phrasings."""
    wording, joints = WORDINGS[language]
    phrasings, thought, answer = wording[kind]
    a, b = numbers
    found = KINDS[kind].solve(a, b)
    values = {"a": str(a), "b": str(b), "r": str(found.result)}
    values["steps"] = joints[found.joint].join(found.steps)
    values["check"] = joints["check"].format(check=found.check)
    return Lesson(
        kind,
        phrasings[phrasing].format_map(values),
        thought.format_map(values),
        answer.format_map(values),
        values["r"],
        numbers,
    )


def _of_kind(kind: str, n: int, language: str, rng: random.Random, exclude: frozenset[str]) -> list[Lesson]:
    """`n` lessons of one kind: all pairs once before any comes again, and never twice in the same phrasing."""
    phrasings = range(len(WORDINGS[language][0][kind][0]))
    orders: list[tuple[Numbers, list[int]]] = []
    for pair in _shuffled(KINDS[kind].pairs, rng):
        if exclude.isdisjoint(make(kind, pair, p, language).question for p in phrasings):
            orders.append((pair, _shuffled(phrasings, rng)))
    if n > len(orders) * len(phrasings):
        raise ValueError(f"only {len(orders) * len(phrasings)} lessons of kind {kind} are left, {n} were asked for")
    return [make(kind, pair, order[round_], language) for round_ in phrasings for pair, order in orders][:n]


def _shuffled(things: Iterable[T], rng: random.Random) -> list[T]:
    """A shuffled copy. By ``random()`` alone, the one method whose sequence Python promises to keep."""
    return [thing for _, _, thing in sorted((rng.random(), place, thing) for place, thing in enumerate(things))]
