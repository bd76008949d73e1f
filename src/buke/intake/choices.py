"""Room `intake`, choices: a question with options -> the question with its options written out, and its answer.

The options are a list of texts, a list of objects, an object by letter, ``{"text": […], "label": […]}``, lines of one
text, or a field for each letter. They are appended to the question as lines ``A. …``, unless it has them already.
The answer is the row's own text where it has one that is more than a choice; else ``B. …``, and under it the
explanation where the row has one. A choice is a letter (or several), an option's text, or a number, counted from 0
where the user does not say otherwise. One row cannot tell from where its number counts; ``Counting`` looks at all of
a file.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from buke.intake.formats import find
from buke.intake.names import EXPLANATION, INDEX, LETTERED, OPTIONS
from buke.records import Finding, Severity
from buke.words import Refusal, t

ENOUGH = 10  # answers given as numbers: with none of them 0, it is time to ask from where they count
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LINE = re.compile(r"[(（]?([A-Z])(?:\s?[.．、:：)）]\s*|\s+)(.+)")
_SEVERAL = re.compile(r"[A-Z](?:[,，、;/ ]*[A-Z])+")
Counted = Literal["", "zero", "beyond", "between"]  # what a number is: 0, the number of options, any other
_TELLING: tuple[Counted, ...] = ("zero", "beyond", "between")  # of several, the first met decides
_AROUND = " \t\r\n()（）[].。．,:：、"


class Choice(NamedTuple):
    """Where a row has its options and its choice."""

    options: tuple[str, ...]  # one field with all options, or a field for each
    key: str | None
    explanation: str | None


class Chosen(NamedTuple):
    """A row's question and answer with the options written into them."""

    question: Any
    answer: Any
    counted: Counted = ""


@dataclass(slots=True)
class Counting:
    """Where the choices of one file count from, as far as its rows tell. Those of parts of a file add up."""

    seen: Counter[str] = field(default_factory=Counter)
    first: str = ""  # where the first number stands
    beyond: str = ""  # and the first that is the number of options

    def see(self, counted: Counted, source: str) -> None:
        """Take in one row."""
        if counted:
            self.seen[counted] += 1
            self.first = self.first or source
            if counted == "beyond":
                self.beyond = self.beyond or source

    def add(self, other: Counting) -> None:
        """Take in what another has seen behind this."""
        self.seen += other.seen
        self.first, self.beyond = self.first or other.first, self.beyond or other.beyond

    @property
    def open(self) -> bool:
        """Whether there were numbers, and none of them tells from where they count."""
        return bool(self.seen["between"] and not self.seen["zero"] and not self.seen["beyond"])

    def settle(self, first: int | None) -> list[Finding]:
        """What is to be said of a file that was read; first: the number of the first option, None where not given.

        Raises Refusal where the numbers count from 1: each would stand for the option after the one that is meant.
        """
        if first is not None or self.seen["zero"]:
            return []
        count = self.seen["between"]
        if self.beyond and count:
            source = self.beyond
            raise Refusal(t("intake.from_one", source=source), t("intake.from_one_hint", source=source))
        return [find(self.first, "never_zero", Severity.WARNING, count=count)] if count >= ENOUGH else []


def find_choice(by_name: dict[str, str]) -> Choice | None:
    """The fields of a multiple choice question among normalised names -> names; None where there are no options."""
    key, explanation = (
        next((by_name[name] for name in names if name in by_name), None) for names in (INDEX, EXPLANATION)
    )
    lists = tuple(by_name[name] for name in OPTIONS if name in by_name)
    if lists:
        return Choice(lists[:1], key, explanation)
    for prefix in LETTERED:
        fields: list[str] = []
        for letter in LETTERS.lower():
            if prefix + letter not in by_name:
                break
            fields.append(by_name[prefix + letter])
        if len(fields) > 1:
            return Choice(tuple(fields), key, explanation)
    return None


def choose(
    row: dict[str, Any], choice: Choice, question: Any, own: Any, source: str, findings: list[Finding], first: int = 0
) -> Chosen | None:
    """The question and answer of a row; None where its options are empty.

    own: its field for an answer, or None. first: the number of the first option.
    """
    held = [row.get(name) for name in choice.options]
    if not any(held):
        return None
    options = _options(held)
    if options is None:
        findings.append(find(source, "bad_options"))
        return Chosen(question, own)
    found = _pick(own, options, first)
    given = own if choice.key is None else row.get(choice.key)
    index = found if choice.key is None else _pick(given, options, first)
    text = isinstance(own, str) and not found and not _is_mark(own)
    if not text:
        if index is None or (found and found != index) or (found is None and choice.key and _is_mark(own)):
            shown = " / ".join(dict.fromkeys(map(str, filter(_is_plain, (own, given)))))
            labels = ", ".join(label for label, _ in options)
            findings.append(find(source, "bad_choice", answer=shown[:80] or "–", options=labels, first=first))
            return Chosen(question, own, _counted(given, options))
        own = "\n".join(f"{options[at][0]}. {options[at][1]}" for at in index)
        explanation = row.get(choice.explanation) if choice.explanation else None
        if isinstance(explanation, str) and explanation.strip():
            own = f"{own}\n\n{explanation.strip()}"
    if isinstance(question, str) and not _has(question, options):
        question = "\n".join([question, *(f"{label}. {option}" for label, option in options)])
    return Chosen(question, own, "" if text else _counted(given, options))


def _options(held: list[Any]) -> list[tuple[str, str]] | None:
    """(label, text) of each option; None where they are not texts."""
    value = held[0] if len(held) == 1 else held
    if isinstance(value, str):
        lines = [_line(line) for line in value.strip().splitlines()]
        pairs: list[tuple[Any, Any]] = [match.groups() if match else (None, None) for match in lines]  # type: ignore[misc]
    elif isinstance(value, dict) and isinstance(value.get("text"), list) and isinstance(value.get("label"), list):
        pairs = list(zip(value["label"], value["text"], strict=False))
    elif isinstance(value, dict):
        pairs = [(label, text) for label, text in value.items() if text is not None]
    elif isinstance(value, list) and all(isinstance(each, dict) for each in value):
        pairs = [(_of(each, "label", "key", "id"), _of(each, "text", "value", "content")) for each in value]
    elif isinstance(value, list):
        while len(held) > 1 and not value[-1]:  # a table has a column E for the rows that have five options
            value = value[:-1]
        lines = [_line(each) if isinstance(each, str) else None for each in value]
        marked = [match[1] for match in lines if match] == list(LETTERS[: len(value)])
        pairs = [
            (letter, match[2] if marked and match else each)
            for letter, match, each in zip(LETTERS, lines, value, strict=False)
        ]
        pairs = pairs if len(pairs) == len(value) else []
    else:
        return None
    sound = all(isinstance(part, str) and part.strip() for pair in pairs for part in pair)
    if (
        not 1 < len(pairs) <= len(LETTERS)
        or not sound
        or len({label.strip().upper() for label, _ in pairs}) < len(pairs)
    ):
        return None
    return [(label.strip(), text.strip()) for label, text in pairs]


def _line(text: str) -> re.Match[str] | None:
    """A letter and an option on one line. Of several lines the pattern would try every division of their spaces."""
    text = text.strip()
    return None if "\n" in text else _LINE.fullmatch(text)


def _of(value: dict[str, Any], *names: str) -> Any:
    return next((value[name] for name in names if name in value), None)


def _is_plain(value: Any) -> bool:
    """Whether a value is a text or a number: others may be nested so deeply that nothing can be done with them."""
    return isinstance(value, (str, int, float))


def _is_mark(value: Any) -> bool:
    """Whether a text is so short that it can only stand for an option."""
    return isinstance(value, str) and len(mark := value.strip(_AROUND)) < 3 and mark.isascii() and mark.isalnum()


def _counted(value: Any, options: list[tuple[str, str]]) -> Counted:
    """What a choice given as a number, or as several, tells of where it counts from; "" where it is none."""
    if isinstance(value, list):
        kinds = {_counted(each, options) for each in value if _is_plain(each)}
        return next((kind for kind in _TELLING if kind in kinds), "")
    if isinstance(value, str):
        mark = value.strip(_AROUND)
        if not mark.isdecimal() or len(mark) > 2 or any(mark in option for option in options):
            return ""
        value = int(mark)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return ""
    return "zero" if value == 0 else "beyond" if value == len(options) else "between"


def _pick(value: Any, options: list[tuple[str, str]], first: int) -> tuple[int, ...] | None:
    """Which options a value stands for, or None; none too where it could stand for two different ones."""
    if isinstance(value, list):
        several = [_pick(each, options, first) if _is_plain(each) else None for each in value]
        return tuple(at for each in several if each for at in each) if value and all(several) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return (int(value) - first,) if 0 <= value - first < len(options) and value == int(value) else None
    if not isinstance(value, str):
        return None
    mark = value.strip(_AROUND).upper()
    labels = [label.upper() for label, _ in options]
    found = {at for at, (_, text) in enumerate(options) if text == value.strip()}
    found |= {labels.index(mark)} if mark in labels else set()
    line = _line(value)
    if line and (line[1], line[2]) in options:
        found.add(options.index((line[1], line[2])))
    if not found and mark.isdecimal() and len(mark) < 3 and 0 <= int(mark) - first < len(options):
        found.add(int(mark) - first)
    if not found and _SEVERAL.fullmatch(mark) and set(letters := re.sub(r"[^A-Z]", "", mark)) <= set(labels):
        return tuple(labels.index(letter) for letter in letters)
    return tuple(found) if len(found) == 1 else None


def _has(question: str, options: list[tuple[str, str]]) -> bool:
    """Whether a question already lists its options, each on a line after its letter."""
    if not all(text in question for _, text in options):
        return False
    lines = [line.strip() for line in question.splitlines()]
    return all(
        any(line.strip("(（").startswith(label) and line.endswith(text) for line in lines) for label, text in options
    )
