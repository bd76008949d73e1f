"""Room `intake`: files -> Records and Findings. Its one public function is ``read``; ``split`` holds records out.

Every problem of every file is found in one pass, each with ``file:line`` and how to mend it.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from buke.intake.folders import files_of
from buke.intake.formats import find, open_content
from buke.intake.shapes import KNOWN, Fields, Reading, Roles, ambiguities, record
from buke.intake.split import split
from buke.records import Finding, Record, Severity
from buke.words import Refusal, t

__all__ = ["FileInfo", "Intake", "read", "split"]

SHOWN = 20  # findings listed in a refusal


@dataclass(slots=True)
class FileInfo:
    """One file as it was read."""

    path: str
    bytes: int
    sha256: str  # of the bytes, 64 hex digits
    format: str  # "jsonl", "json", "csv", "tsv"; "" where it could not be told
    encoding: str  # Python's name of it
    shape: str = ""  # of most of its rows; "" where none was recognised
    rows: int = 0  # rows looked at: all of them, or fewer where a limit was reached


@dataclass(slots=True)
class Intake:
    """What was read. ``read`` counts the rows looked at; ``read - len(records)`` were left out."""

    records: list[Record] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    files: list[FileInfo] = field(default_factory=list)
    read: int = 0


def read(
    paths: Sequence[Path],
    *,
    limit: int | None = None,
    question_field: str | None = None,
    thought_field: str | None = None,
    answer_field: str | None = None,
    without_thought: Literal["refuse", "empty"] = "refuse",
) -> Intake:
    """The good records of files, in order, and a finding for everything else.

    paths: files, or folders whose data files are read in the order of their names.
    limit: stop after so many good records.
    *_field: names of fields, overriding recognition; 1, 2, … name the columns of a table without a header.
    without_thought: a record without a thought is an error, or is kept with the thought "".
    Raises Refusal where a path does not exist or cannot be read, where a given field is in no file, and where no
    good record remains; the findings are its details.
    """
    fields = Fields(question_field, thought_field, answer_field)
    intake, met = Intake(), _Met()
    files = files_of(paths)
    _check_fields(fields, files)
    for path in files:
        content = open_content(path, KNOWN, fields.given)
        info = FileInfo(content.name, 0, "", content.format, content.encoding)
        intake.files.append(info)
        sources = ((f"{info.path}:{raw.line}", raw) for raw in content.rows)
        readings = (record(raw, source, fields, without_thought == "empty") for source, raw in sources)
        at = len(intake.findings)
        _take(info, readings, intake, limit, met)
        content.finish()
        intake.findings[at:at] = content.findings
        info.bytes, info.sha256, info.encoding = content.bytes, content.sha256, content.encoding
    if not intake.records:
        raise _nothing(intake)
    return intake


def _check_fields(fields: Fields, files: list[Path]) -> None:
    """Raise Refusal for a given field name that no row of any file has, with the names there are."""
    present: dict[str, None] = {}
    for path in files if fields.given and not any(str(path) == "-" for path in files) else ():
        content = open_content(path, KNOWN, fields.given)
        for raw in content.rows:
            if isinstance(raw.value, dict):
                present.update(dict.fromkeys(raw.value))
        content.finish()
    for name in fields.given if present else ():
        if name not in present:
            lower = {key.casefold(): key for key in present}
            near = difflib.get_close_matches(name.casefold(), lower, n=1)
            hint = t("intake.nearest_field", name=lower[near[0]]) if near else t("intake.unknown_field_hint")
            names = ", ".join(list(present)[:SHOWN])
            raise Refusal(t("intake.unknown_field", path=files[0], name=name, names=names), hint)


@dataclass(slots=True)
class _Met:
    """What earlier records were, over all files."""

    sources: dict[str, str] = field(default_factory=dict)  # of the first record with an id
    answers: dict[str, Record] = field(default_factory=dict)  # the first record with a question

    def again(self, made: Record) -> Finding | None:
        """The finding for a record met before, or for its question with another answer."""
        if made.id in self.sources:
            return find(made.source, "duplicate", Severity.WARNING, first=self.sources[made.id])
        self.sources[made.id] = made.source
        first = self.answers.setdefault(made.question, made)
        if first.answer != made.answer:
            return find(made.source, "other_answer", Severity.WARNING, first=first.source)
        return None


def _take(info: FileInfo, readings: Iterator[Reading], intake: Intake, limit: int | None, met: _Met) -> None:
    """Add a file's records and findings to an intake, until it holds ``limit`` records."""
    shapes: Counter[str] = Counter()
    findings: list[Finding] = []
    told: set[Roles] = set()
    while (limit is None or len(intake.records) < limit) and (reading := next(readings, None)):
        info.rows += 1
        shapes[reading.shape] += 1
        findings += reading.findings
        if (roles := reading.roles) and roles.ambiguous and roles not in told:
            told.add(roles)
            findings += ambiguities(roles, reading.source)
        if made := reading.record:
            again = met.again(made)
            findings += [again] if again else []
            if not again or again.kind != "duplicate":
                intake.records.append(made)
    unknown = [finding for finding in findings if finding.kind == "unknown_shape"]
    if len(unknown) == info.rows:  # the file as a whole: once is enough
        findings = unknown[:1]
    intake.read += info.rows
    intake.findings += findings
    info.shape = next((shape for shape, _ in shapes.most_common() if shape), "")


def _nothing(intake: Intake) -> Refusal:
    """The refusal where no good record remains: what is commonest, then every finding up to SHOWN."""
    errors = [finding for finding in intake.findings if finding.severity is Severity.ERROR]
    details = [str(finding) for finding in errors[:SHOWN]]
    if len(errors) > SHOWN:
        details.append(t("intake.more", n=len(errors) - SHOWN))
    kinds = Counter(finding.kind for finding in errors)
    if intake.read and kinds["no_thought"] == intake.read:
        return Refusal(
            t("intake.all_without_thought", read=intake.read), t("intake.all_without_thought_hint"), tuple(details)
        )
    if len(errors) == 1:
        return Refusal(f"{errors[0].source}: {errors[0].message}", errors[0].hint)
    return Refusal(t("intake.nothing", read=intake.read), t("intake.nothing_hint"), tuple(details))
