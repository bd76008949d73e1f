"""Room `intake`: files -> Records and Findings. Its one public function is ``read``; ``split`` holds records out.

Every problem of every file is found in one pass, each with ``file:line`` and how to mend it.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from buke.intake.formats import Content, find, parse
from buke.intake.mapping import Fields, Options, unknown
from buke.intake.names import KNOWN
from buke.intake.shapes import Reading, Roles, ambiguities, records
from buke.intake.split import split
from buke.records import Finding, Record, Severity
from buke.words import Refusal, t

__all__ = ["FileInfo", "Intake", "read", "split"]

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
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
    without_thought: Literal["refuse", "empty", "mix"] = "refuse",
    map: Mapping[Any, str] | None = None,
    turns: Literal["every", "last"] = "every",
    earlier_thoughts: Literal["drop", "keep"] = "drop",
) -> Intake:
    """The good records of files, in order, and a finding for everything else.

    paths: files, or folders whose data files are read in the order of their names.
    limit: stop after so many good records.
    *_field: names of fields, overriding recognition; 1, 2, … name the columns of a table without a header.
    without_thought: a record without a thought is an error, or is kept with the thought "".
    map: role -> expression (see ``mapping``). turns, earlier_thoughts: what a dialogue gives (see ``Options``).
    Raises Refusal where a path does not exist or cannot be read, where a given field is in no file, and where no
    good record remains; the findings are its details.
    """
    fields = Fields(question_field, thought_field, answer_field)
    options = Options(fields, tuple((map or {}).items()), turns, earlier_thoughts, without_thought != "refuse")
    intake, contents = Intake(), []
    for path in _files(paths):
        data = _bytes(path)
        content = parse(data, str(path), KNOWN, options.names)
        digest = hashlib.sha256(data).hexdigest()
        intake.files.append(FileInfo(str(path), len(data), digest, content.format, content.encoding))
        contents.append(content)
    _check_fields(options, intake.files, contents)
    met = _Met()
    for info, content in zip(intake.files, contents, strict=True):
        intake.findings += content.findings
        sources = ((f"{info.path}:{raw.line}", raw) for raw in content.rows)
        readings = (records(raw, source, options) for source, raw in sources)
        _take(info, readings, intake, limit, met)
    if not intake.records:
        raise _nothing(intake)
    return intake


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files meant by paths. Raises Refusal for no path, a missing one, or a folder without data files."""
    if not paths:
        raise Refusal(t("intake.no_paths"), t("intake.no_paths_hint"))
    files: list[Path] = []
    problems: list[tuple[str, str]] = []
    for path in map(Path, paths):
        try:
            inside = _inside(path) if path.is_dir() else [path] if path.exists() else None
        except OSError as error:
            problems.append((t("intake.unreadable", path=path, why=error.strerror), t("intake.unreadable_hint")))
            continue
        files += inside or []
        if inside is None:
            names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            near = difflib.get_close_matches(path.name, names, n=1)
            hint = t("intake.nearest_file", name=near[0]) if near else t("intake.missing_file_hint")
            problems.append((t("intake.missing_file", path=path), hint))
        elif not inside:
            hint = t("intake.no_data_in_folder_hint", suffixes=" ".join(SUFFIXES))
            problems.append((t("intake.no_data_in_folder", path=path), hint))
    if problems:
        (message, hint), *others = problems
        raise Refusal(message, hint, tuple(f"{message} ({hint})" for message, hint in others))
    return files


def _inside(folder: Path) -> list[Path]:
    """The data files of a folder, by name."""
    files = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    return sorted(path for path in files if path.is_file())


def _bytes(path: Path) -> bytes:
    """A file's bytes. Raises Refusal where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refusal(t("intake.unreadable", path=path, why=error.strerror), t("intake.unreadable_hint")) from None


def _check_fields(options: Options, files: list[FileInfo], contents: list[Content]) -> None:
    """Raise Refusal for a given field name or path that no row of any file has, with the names there are."""
    rows = (raw.value for content in contents for raw in content.rows if isinstance(raw.value, dict))
    if lacking := unknown(options, rows):
        near = lacking.nearest
        hint = t("intake.nearest_field", name=near) if near else t("intake.unknown_field_hint")
        names = ", ".join(lacking.names)
        raise Refusal(t("intake.unknown_field", path=files[0].path, name=lacking.name, names=names), hint)


@dataclass(slots=True)
class _Met:
    """What earlier records were, over all files."""

    sources: dict[str, str] = field(default_factory=dict)  # of the first record with an id
    answers: dict[tuple[str, object], Record] = field(default_factory=dict)  # the first with a question and history

    def again(self, made: Record) -> Finding | None:
        """The finding for a record met before, or for its question with another answer."""
        if made.id in self.sources:
            return find(made.source, "duplicate", Severity.WARNING, first=self.sources[made.id])
        self.sources[made.id] = made.source
        first = self.answers.setdefault((made.question, made.history), made)
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
        for made in reading.records[: None if limit is None else limit - len(intake.records)]:
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
    if intake.read and kinds["no_thought"] == len(errors) >= intake.read:
        return Refusal(
            t("intake.all_without_thought", read=intake.read), t("intake.all_without_thought_hint"), tuple(details)
        )
    if len(errors) == 1:
        return Refusal(f"{errors[0].source}: {errors[0].message}", errors[0].hint)
    return Refusal(t("intake.nothing", read=intake.read), t("intake.nothing_hint"), tuple(details))
