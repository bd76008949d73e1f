"""Room `intake`: files -> Records and Findings.

``read`` gives the records that a run learns from; ``check`` looks through files of any size and keeps only numbers;
``split`` holds records out; ``fix`` writes a mended copy. Every problem of every file is found in one pass, each with
``file:line`` and how to mend it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from buke.config import Settings
from buke.intake.among import HEAD, Marks, common_shingles, contradictions, near, too_alike
from buke.intake.check import check, mapping, readings_of
from buke.intake.choices import Counting
from buke.intake.files import FileInfo, check_given
from buke.intake.fix import Fixed, check_free, fix
from buke.intake.folders import files_of
from buke.intake.formats import Content, find, open_content
from buke.intake.mapping import Fields, Options
from buke.intake.names import KNOWN
from buke.intake.review import review
from buke.intake.shapes import Reading, Roles, ambiguities, records
from buke.intake.split import leaks, split
from buke.intake.tally import ONCE, SEVERAL, commonest
from buke.records import Finding, Record, Severity
from buke.words import Refusal, t

__all__ = [
    "Fields", "FileInfo", "Fixed", "Intake", "Options", "check", "check_free", "files_of", "fix", "leaks", "options_of",
    "read", "readings_of", "settle", "split",
]  # fmt: skip

SHOWN = 20  # findings listed in a refusal
LOOKED_ON = 10_000  # rows read on after a limit


@dataclass(slots=True)
class Intake:
    """What was read. ``read`` counts the rows looked at."""

    records: list[Record] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: list[FileInfo] = field(default_factory=list)
    read: int = 0


def options_of(settings: Settings) -> Options:
    """How the settings want rows to be read."""
    s = settings
    fields = Fields(s.question_field, s.thought_field, s.answer_field)
    empty = s.without_thought != "refuse"
    return Options(fields, tuple(s.map.items()), s.turns, s.earlier_thoughts, empty, s.choices_from)


def read(paths: Sequence[Path], options: Options | None = None, *, limit: int | None = None) -> Intake:
    """The good records of files, in order, and a finding for everything else.

    paths: files, or folders whose data files are read in the order of their names.
    limit: stop after so many good records.
    Raises Refusal where a path does not exist or cannot be read, where a given field is in no file, where a file's
    answers are numbers that would be taken for the wrong options, and where no good record remains; the findings are
    its details.
    """
    options = options or Options()
    intake = Intake()
    first: dict[str, str] = {}
    files = files_of(paths)
    check_given(files, options)
    for path in files:
        content = open_content(path, KNOWN, options.names)
        taken = _Taken(first)
        for raw in content.rows if limit is None or len(intake.records) < limit else ():
            taken.row(records(raw, f"{content.name}:{raw.line}", options), intake, limit)
            if len(intake.records) == limit:
                taken.look_on(content, options)
                break
        content.finish()
        taken.own += taken.counting.settle(options.first)
        info = FileInfo.of(content)
        info.shape, info.rows, info.mapping = taken.shape, taken.rows, mapping(taken.roles, options)
        intake.files.append(info)
        intake.read += taken.rows
        intake.findings += [*content.findings, *taken.findings]
    if not intake.records:
        raise _nothing(intake)
    intake.findings += _among(intake.records)
    return intake


class _Taken:
    """What was taken from one file."""

    def __init__(self, first: dict[str, str]) -> None:
        self.first = first  # the id of a record, of any file -> where it stands
        self.rows = 0
        self.shapes: Counter[str] = Counter()
        self.told: set[Roles] = set()  # fields that could be read otherwise
        self.counting = Counting()
        self.roles: Roles | None = None
        self.own: list[Finding] = []
        self.once: set[str] = set()  # kinds of ONCE that were met

    def row(self, reading: Reading, intake: Intake, limit: int | None) -> None:
        """Take one row: its records that were not met before, and what is to be said of them."""
        self.rows += reading.rows
        self.shapes[reading.shape] += reading.rows
        self.own += [f for f in reading.findings if f.kind not in ONCE or f.kind not in self.once]
        self.once |= {f.kind for f in reading.findings if f.kind in ONCE}
        self.counting.see(reading.counted, reading.source)
        if roles := reading.roles:
            self.roles = self.roles or roles
            if roles.ambiguous and roles not in self.told and len(self.told) < SEVERAL:
                self.told.add(roles)
                self.own += ambiguities(roles, reading.source)
        seen = 0  # earlier turns that were reviewed as records of their own
        for record in reading.records:
            if first := self.first.get(record.id):
                self.own.append(find(record.source, "duplicate", Severity.WARNING, first=first))
                continue
            if len(intake.records) == limit:
                return
            self.first[record.id] = record.source
            self.own += review(record, seen)
            intake.records.append(record)
            seen = len(record.history) + 1

    def look_on(self, content: Content, options: Options) -> None:
        """Read on, without taking anything, until it is clear from where the choices of the file count."""
        rows = content.rows if options.first is None else ()
        for raw in itertools.islice(rows, LOOKED_ON):
            if not self.counting.open:
                return
            reading = records(raw, f"{content.name}:{raw.line}", options)
            self.counting.see(reading.counted, reading.source)

    @property
    def shape(self) -> str:
        """Of most rows; "" where none was recognised."""
        return commonest(self.shapes)

    @property
    def findings(self) -> list[Finding]:
        """What is to be said; where no row has a known shape, that is said once for the file."""
        unknown = [finding for finding in self.own if finding.kind == "unknown_shape"]
        return unknown[:1] if len(unknown) == self.rows else self.own


def _among(records: list[Record]) -> Iterator[Finding]:
    """Findings between records that were kept."""
    marks, common = Marks(), common_shingles(records[:HEAD])
    for record in records:
        marks.add(record, common)
    for kind, pairs in (("other_answer", contradictions(marks)), ("near_duplicate", near(marks))):
        for late, first in pairs.tolist():
            yield find(records[late].source, kind, Severity.WARNING, first=records[first].source)
    for index in too_alike(marks).tolist():
        yield find(records[index].source, "too_alike", Severity.WARNING)


def settle(records: Sequence[Record], without_thought: str) -> None:
    """Raise Refusal where records with and without a thought come together and the user did not say ``mix``."""
    without = sum(not record.thought for record in records)
    if without_thought == "empty" and 0 < without < len(records):
        raise Refusal(t("intake.mixed", without=without, all=len(records)), t("intake.mixed_hint"))


def _nothing(intake: Intake) -> Refusal:
    """The refusal where no good record remains: what is commonest, then every finding up to SHOWN."""
    errors = [finding for finding in intake.findings if finding.severity is Severity.ERROR]
    details = [str(finding) for finding in errors[:SHOWN]]
    if len(errors) > SHOWN:
        details.append(t("intake.more", n=len(errors) - SHOWN))
    kinds = Counter(finding.kind for finding in errors)
    if intake.read and kinds["no_thought"] == len(errors) >= intake.read:
        return Refusal(
            t("intake.all_without_thought", read=intake.read), t("intake.all_without_thought_hint"), tuple(details)
        )
    if len(errors) == 1:
        return Refusal(f"{errors[0].source}: {errors[0].message}", errors[0].hint)
    return Refusal(t("intake.nothing", read=intake.read), t("intake.nothing_hint"), tuple(details))
