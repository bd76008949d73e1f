"""Room `intake`, tally: what `check` counts over records. Tallies of parts of a file add up to that of the whole."""

from __future__ import annotations

import statistics
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from buke.intake.among import Marks
from buke.intake.choices import Counting
from buke.intake.language import language_of
from buke.intake.mapping import Options
from buke.intake.review import review_of
from buke.intake.shapes import Reading, Roles, ambiguities
from buke.records import Finding, Record, Severity
from buke.words import catalogue, t

SEVERAL = 1000  # different sets of fields that could play one role, told once each
PLACES = 10_000  # kept of each kind of finding; what is shown of them is the report's to say
DETAIL = 200  # characters of what is said of one place
SAMPLES = 3
ONCE = ("number_as_text",)  # kinds said once for a file
TEXTS = ("question", "thought", "answer")


@dataclass(slots=True)
class Kind:
    """All findings of one kind."""

    severity: Severity
    message: str  # of the first
    hint: str
    count: int = 0
    places: list[str] = field(default_factory=list)  # the first PLACES
    details: list[str] = field(default_factory=list)  # what is said of each of them, at most DETAIL characters
    alike: bool = True  # whether all say what the first says

    def find(self, finding: Finding) -> None:
        """Count a finding."""
        self.count += 1
        same = finding.message == self.message
        self.alike = self.alike and same
        if len(self.places) < PLACES:
            self.places.append(finding.source)
            self.details.append(self.details[0] if same and self.details else _short(finding.message))

    def add(self, other: Kind) -> None:
        """Count what another has counted behind this."""
        self.alike = self.alike and other.alike and other.message == self.message
        self.count += other.count
        room = PLACES - len(self.places)
        self.places += other.places[:room]
        self.details += other.details[:room]

    def headline(self, name: str) -> str:
        """The sentence that holds for all of them: that of the first, or one that leaves open where they differ."""
        key = f"many_{name}"
        return self.message if self.alike or key not in catalogue("intake") else t(f"intake.many_{name}")


@dataclass(slots=True)
class Tally:
    """What was counted over the rows of one file or of a part of it."""

    rows: int = 0
    good: int = 0  # rows that gave records
    turns: int = 0  # of dialogues that gave records, left out for themselves
    without_thought: int = 0  # good records
    shapes: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, Kind] = field(default_factory=dict)
    characters: dict[str, array[int]] = field(default_factory=lambda: {name: array("I") for name in TEXTS})
    lines: array[int] = field(default_factory=lambda: array("Q"))  # of the good records
    marks: Marks = field(default_factory=Marks)
    samples: list[Record] = field(default_factory=list)
    roles: Roles | None = None  # of the first row that was recognised
    ambiguous: dict[Roles, str] = field(default_factory=dict)  # where the first row stands that could be read otherwise
    counting: Counting = field(default_factory=Counting)

    def row(self, reading: Reading, common: frozenset[str], quick: bool) -> None:
        """Count one row of a file and what it gave."""
        self.rows += reading.rows
        self.shapes[reading.shape] += reading.rows
        for finding in reading.findings:
            if finding.kind not in ONCE or finding.kind not in self.kinds:
                self.find(finding)
        if roles := reading.roles:
            self.roles = self.roles or roles
            if roles.ambiguous:
                self._ambiguous(roles, reading.source)
        if reading.counted:
            self.counting.see(reading.counted, reading.source)
        if reading.records:
            self.good += 1
            if reading.findings:
                self.turns += sum(finding.severity is Severity.ERROR for finding in reading.findings)
        for finding in () if quick else review_of(reading.records):
            self.find(finding)
        for record in reading.records:
            self._record(record, common, quick)

    def _ambiguous(self, roles: Roles, source: str) -> None:
        if len(self.ambiguous) < SEVERAL:
            self.ambiguous.setdefault(roles, source)

    def end(self, options: Options) -> None:
        """Add, once for a file, what only all of its rows tell. Raises Refusal where it would be learned wrong."""
        for roles, source in self.ambiguous.items():
            for finding in ambiguities(roles, source):
                self.find(finding)
        for finding in self.counting.settle(options.first):
            self.find(finding)
        for name in ONCE:  # each block of a large file has said it
            if kind := self.kinds.get(name):
                kind.count, kind.places, kind.details, kind.alike = 1, kind.places[:1], kind.details[:1], True

    def _record(self, record: Record, common: frozenset[str], quick: bool) -> None:
        self.without_thought += not record.thought
        self.languages[language_of(record.question)] += 1
        self.characters["question"].append(len(record.question))
        self.characters["thought"].append(len(record.thought))
        self.characters["answer"].append(len(record.answer))
        self.lines.append(int(record.source.rpartition(":")[2]))
        self.marks.add(record, common, near=not quick)
        if len(self.samples) < SAMPLES:
            self.samples.append(record)

    def find(self, finding: Finding) -> None:
        """Count a finding."""
        kind = self.kinds.get(finding.kind)
        if kind is None:
            kind = self.kinds[finding.kind] = Kind(finding.severity, finding.message, finding.hint)
        kind.find(finding)

    def add(self, other: Tally) -> None:
        """Count what another has counted behind this."""
        self.rows += other.rows
        self.good += other.good
        self.turns += other.turns
        self.without_thought += other.without_thought
        self.shapes += other.shapes
        self.languages += other.languages
        for name, more in other.kinds.items():
            if (kind := self.kinds.get(name)) is None:
                self.kinds[name] = more
            else:
                kind.add(more)
        for name in TEXTS:
            self.characters[name].extend(other.characters[name])
        self.lines.extend(other.lines)
        self.marks.extend(other.marks)
        self.samples += other.samples[: SAMPLES - len(self.samples)]
        self.roles = self.roles or other.roles
        for roles, source in other.ambiguous.items():
            self._ambiguous(roles, source)
        self.counting.add(other.counting)

    @property
    def shape(self) -> str:
        """Of most rows; "" where none was recognised."""
        return commonest(self.shapes)

    def figures(self) -> dict[str, dict[str, int]]:
        """Median and longest of each text, in characters."""
        return {
            name: {"median": int(statistics.median(values or [0])), "longest": max(values, default=0)}
            for name, values in self.characters.items()
        }

    def findings(self) -> list[dict[str, Any]]:
        """Kinds of findings, errors before warnings, then the most frequent, then by name.

        "details" has what is said of each place, or nothing where "message" says it of all.
        """
        order = sorted(
            self.kinds.items(), key=lambda item: (item[1].severity is not Severity.ERROR, -item[1].count, item[0])
        )
        return [
            {"kind": name, "severity": kind.severity.value, "count": kind.count, "message": kind.headline(name),
             "hint": kind.hint, "places": kind.places, "details": [] if kind.alike else kind.details}
            for name, kind in order
        ]  # fmt: skip


def _short(message: str) -> str:
    return message if len(message) <= DETAIL else message[: DETAIL - 1] + "…"


def commonest(shapes: Counter[str]) -> str:
    """The shape of most rows; "" where none was recognised."""
    return next((shape for shape, _ in shapes.most_common() if shape), "")
