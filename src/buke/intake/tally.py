"""Room `intake`, tally: what `check` counts over records. Tallies of parts of a file add up to that of the whole."""

from __future__ import annotations

import statistics
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from buke.intake.among import Marks
from buke.intake.language import language_of
from buke.intake.review import review
from buke.intake.shapes import Reading, Roles, ambiguities
from buke.records import Finding, Record, Severity

PLACES = 10_000  # kept of each kind of finding; what is shown of them is the report's to say
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


@dataclass(slots=True)
class Tally:
    """What was counted over the rows of one file or of a part of it."""

    rows: int = 0
    good: int = 0  # rows that gave records
    without_thought: int = 0  # good records
    shapes: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, Kind] = field(default_factory=dict)
    characters: dict[str, array[int]] = field(default_factory=lambda: {name: array("I") for name in TEXTS})
    lines: array[int] = field(default_factory=lambda: array("Q"))  # of the good records
    marks: Marks = field(default_factory=Marks)
    samples: list[Record] = field(default_factory=list)
    roles: Roles | None = None  # of the first row that was recognised

    def row(self, reading: Reading, common: frozenset[str], quick: bool) -> None:
        """Count one row of a file and what it gave."""
        self.rows += 1
        self.shapes[reading.shape] += 1
        for finding in reading.findings:
            if finding.kind not in ONCE or finding.kind not in self.kinds:
                self.find(finding)
        if reading.roles and self.roles is None:
            self.roles = reading.roles
            for finding in ambiguities(reading.roles, reading.source):
                self.find(finding)
        self.good += bool(reading.records)
        for record in reading.records:
            self._record(record, common, quick)

    def _record(self, record: Record, common: frozenset[str], quick: bool) -> None:
        for finding in () if quick else review(record):
            self.find(finding)
        self.without_thought += not record.thought
        self.languages[language_of(record.question)] += 1
        for name in TEXTS:
            self.characters[name].append(len(getattr(record, name)))
        self.lines.append(int(record.source.rpartition(":")[2]))
        self.marks.add(record, common, near=not quick)
        if len(self.samples) < SAMPLES:
            self.samples.append(record)

    def find(self, finding: Finding) -> None:
        """Count a finding."""
        kind = self.kinds.get(finding.kind)
        if kind is None:
            kind = self.kinds[finding.kind] = Kind(finding.severity, finding.message, finding.hint)
        kind.count += 1
        if len(kind.places) < PLACES:
            kind.places.append(finding.source)

    def add(self, other: Tally) -> None:
        """Count what another has counted behind this."""
        self.rows += other.rows
        self.good += other.good
        self.without_thought += other.without_thought
        self.shapes += other.shapes
        self.languages += other.languages
        for name, more in other.kinds.items():
            if (kind := self.kinds.get(name)) is None:
                self.kinds[name] = more
            else:
                kind.count += more.count
                kind.places += more.places[: PLACES - len(kind.places)]
        for name in TEXTS:
            self.characters[name].extend(other.characters[name])
        self.lines.extend(other.lines)
        self.marks.extend(other.marks)
        self.samples += other.samples[: SAMPLES - len(self.samples)]
        self.roles = self.roles or other.roles

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
        """Kinds of findings, errors before warnings, then the most frequent, then by name."""
        order = sorted(
            self.kinds.items(), key=lambda item: (item[1].severity is not Severity.ERROR, -item[1].count, item[0])
        )
        return [
            {"kind": name, "severity": kind.severity.value, "count": kind.count, "message": kind.message,
             "hint": kind.hint, "places": kind.places}
            for name, kind in order
        ]  # fmt: skip


def commonest(shapes: Counter[str]) -> str:
    """The shape of most rows; "" where none was recognised."""
    return next((shape for shape, _ in shapes.most_common() if shape), "")
