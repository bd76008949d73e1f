"""Room `grade`: (Record, Answer) -> Verdict and measures; pure functions, apart from the user's own grading file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from buke.grade.choices import final_choice, stated_choice
from buke.grade.measures import Tone, looped
from buke.grade.numbers import Number, final_number, marked_number, numbers, plainly
from buke.grade.own import python_judge
from buke.records import Answer, Ending, Record, Verdict
from buke.words import Refusal, t

__all__ = ["GRADERS", "Grader", "Number", "Tone", "final_choice", "final_number", "grader", "looped"]

GRADERS = ("auto", "number", "choice", "exact", "regex", "python", "none")
SHORT = 80  # characters; a longer reference is graded automatically only where it marks its answer

Judge = Callable[[Record, str], Verdict]


@dataclass(frozen=True, slots=True)
class Grader:
    """How answers are judged. name: one of GRADERS other than auto, which has been resolved."""

    name: str
    judge: Judge

    def __call__(self, record: Record, answer: Answer) -> Verdict:
        """The verdict on a generated answer. A forced answer is judged like any other."""
        return self.text(record, answer.text, answer.ending)

    def text(self, record: Record, text: str, ending: Ending = Ending.STOPPED) -> Verdict:
        """The verdict on the text after the thought. Raises Refusal where the user's own file fails."""
        if self.name != "none" and (not text.strip() or ending is Ending.CUT_THOUGHT):
            return Verdict.NO_ANSWER
        return self.judge(record, text)


def grader(name: str, records: Sequence[Record], pattern: str | None = None, file: str | Path | None = None) -> Grader:
    """The grader of this name. ``auto`` looks at the reference answers of `records`; it never runs a file.

    auto: choice where every reference states options' letters; else number where every reference either marks its
    number (``\\boxed{}``, ``####``, "answer is", 答案) or has at most SHORT characters and exactly one number; else
    none. Raises Refusal for an unknown name, a bad or missing pattern, and a file that is missing, fails to load or
    has no function ``grade``.
    """
    if name == "auto":
        name = _suited([record.answer for record in records])
    if name == "regex":
        return Grader(name, _regex_judge(pattern))
    if name == "python":
        return Grader(name, python_judge(file))
    judges: dict[str, Judge] = {"number": _number, "choice": _choice, "exact": _exact, "none": _unscored}
    if name not in judges:
        raise Refusal(t("grade.unknown", name=name), t("grade.unknown_hint", names=", ".join(GRADERS)))
    return Grader(name, judges[name])


def _suited(references: Sequence[str]) -> str:
    """The grader that fits every one of the references."""
    if references and all(stated_choice(reference, SHORT) for reference in references):
        return "choice"
    return "number" if references and all(_has_number(reference) for reference in references) else "none"


def _has_number(reference: str) -> bool:
    """Whether the reference states one number beyond doubt."""
    plain = plainly(reference)
    return marked_number(plain) is not None or (len(plain) <= SHORT and len(numbers(plain)) == 1)


def _verdict(right: bool) -> Verdict:
    return Verdict.RIGHT if right else Verdict.WRONG


def _unscored(record: Record, text: str) -> Verdict:
    return Verdict.UNSCORED


def _number(record: Record, text: str) -> Verdict:
    """The final number against that of the reference, see ``final_number``."""
    reference = final_number(record.answer)
    if reference is None:
        return Verdict.UNSCORED
    number = final_number(text, reference.unit)
    return Verdict.NO_ANSWER if number is None else _verdict(number.equals(reference))


def _choice(record: Record, text: str) -> Verdict:
    """The options chosen against those of the reference, see ``final_choice``; all have to agree."""
    reference = final_choice(record.answer)
    if reference is None:
        return Verdict.UNSCORED
    choice = final_choice(text)
    return Verdict.NO_ANSWER if choice is None else _verdict(choice == reference)


def _exact(record: Record, text: str) -> Verdict:
    """Equal after NFKC, case folding, and removal of white space and of punctuation at both ends (but not - and %)."""
    reference = _tidy(record.answer)
    return _verdict(_tidy(text) == reference) if reference else Verdict.UNSCORED


def _tidy(text: str) -> str:
    text = "".join(unicodedata.normalize("NFKC", text).casefold().split())
    first, last = 0, len(text)
    while first < last and _punctuation(text[first]):
        first += 1
    while last > first and _punctuation(text[last - 1]):
        last -= 1
    return text[first:last]


def _punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P") and character not in "-%‰"


def _regex_judge(pattern: str | None) -> Judge:
    """The first group (or the whole match, without groups) in the answer against that in the reference."""
    if not pattern:
        raise Refusal(t("grade.no_pattern"), t("grade.no_pattern_hint"))
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise Refusal(t("grade.bad_pattern", pattern=pattern, why=error), t("grade.bad_pattern_hint")) from None

    def found(text: str) -> str | None:
        match = compiled.search(text)
        group = match[min(1, compiled.groups)] if match else None
        return None if group is None else str(group).strip()

    def judge(record: Record, text: str) -> Verdict:
        reference, answer = found(record.answer), found(text)
        if reference is None:
            return Verdict.UNSCORED
        return Verdict.NO_ANSWER if answer is None else _verdict(answer == reference)

    return judge
