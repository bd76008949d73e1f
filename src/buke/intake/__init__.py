"""Room `intake`: files -> Records and Findings.

``read`` gives the records that a run learns from; ``check`` looks through files of any size and keeps only numbers;
``split`` holds records out; ``fix`` writes a mended copy. Every problem of every file is found in one pass, each with
``file:line`` and how to mend it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from buke.config import Settings
from buke.intake.among import HEAD, Marks, common_shingles, contradictions, near
from buke.intake.check import check, mapping, readings_of
from buke.intake.files import FileInfo, check_given
from buke.intake.fix import check_free, fix
from buke.intake.folders import files_of
from buke.intake.formats import find, open_content
from buke.intake.mapping import Fields, Options
from buke.intake.names import KNOWN
from buke.intake.review import review
from buke.intake.shapes import Reading, Roles, ambiguities, records
from buke.intake.split import leaks, split
from buke.intake.tally import ONCE, commonest
from buke.records import Finding, Record, Severity
from buke.words import Refusal, t

__all__ = [
    "Fields", "FileInfo", "Intake", "Options", "check", "check_free", "files_of", "fix", "leaks", "options_of", "read",
    "readings_of", "settle", "split",
]  # fmt: skip

SHOWN = 20  # findings listed in a refusal


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
    return Options(fields, tuple(s.map.items()), s.turns, s.earlier_thoughts, s.without_thought != "refuse")


def read(paths: Sequence[Path], options: Options | None = None, *, limit: int | None = None) -> Intake:
    """The good records of files, in order, and a finding for everything else.

    paths: files, or folders whose data files are read in the order of their names.
    limit: stop after so many good records.
    Raises Refusal where a path does not exist or cannot be read, where a given field is in no file, and where no
    good record remains; the findings are its details.
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
                break
        content.finish()
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
        self.told: set[Roles] = set()
        self.roles: Roles | None = None
        self.own: list[Finding] = []
        self.once: set[str] = set()  # kinds of ONCE that were met

    def row(self, reading: Reading, intake: Intake, limit: int | None) -> None:
        """Take one row: its records that were not met before, and what is to be said of them."""
        self.rows += 1
        self.shapes[reading.shape] += 1
        self.own += [f for f in reading.findings if f.kind not in ONCE or f.kind not in self.once]
        self.once |= {f.kind for f in reading.findings if f.kind in ONCE}
        if (roles := reading.roles) and roles not in self.told:
            self.told.add(roles)
            self.roles = self.roles or roles
            self.own += ambiguities(roles, reading.source)
        for record in reading.records:
            if first := self.first.get(record.id):
                self.own.append(find(record.source, "duplicate", Severity.WARNING, first=first))
                continue
            if len(intake.records) == limit:
                return
            self.first[record.id] = record.source
            self.own += review(record)
            intake.records.append(record)

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
