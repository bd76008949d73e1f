"""Room `intake`, fix: a mended copy of what was read, and a list of every change. The files read are never touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from buke.intake import dialogue
from buke.intake.folders import files_of
from buke.intake.formats import Raw, find, open_content
from buke.intake.mapping import Expression, Options
from buke.intake.mend import mend
from buke.intake.names import KNOWN
from buke.intake.shapes import Roles, recognise, records
from buke.records import CLOSE, OPEN, Finding, Record, Severity, Turn
from buke.runfolder import write_lines
from buke.words import Refusal, of_system, t

Shown = Callable[[Any], Any]  # plain values as they are to be shown: a copy of standard input under its own name


class Fixed(NamedTuple):
    """What was written: nothing where there are no records, and then ``changes`` is not there either."""

    path: Path
    changes: Path
    records: int
    mended: int
    left_out: int
    not_whole: int  # files that could not be read to their end


def fix(paths: Sequence[Path], options: Options, out: Path, shown: Shown = lambda value: value) -> Fixed:
    """Write the good records, mended, to ``out`` (JSON Lines) and every change to ``<out>.changes.jsonl`` beside it.

    A dialogue stays one record with all its turns and thoughts, where any of its turns can be learned. Fields without a
    role stay where they do not change how the copy is read. Left out are rows that give no record and exact duplicates.
    Raises Refusal where one of the two files exists, since nothing is overwritten.
    """
    changes = check_free(out)
    work = _Work(options, shown)
    lines = (line for path in files_of(paths) for line in work.file(path))
    try:
        first = next(lines, None)
        if first is not None:
            write_lines(out, chain([first], lines))
            write_lines(changes, work.listed)
    except OSError as error:
        raise Refusal(
            t("intake.fix_unwritable", path=out, why=of_system(error)), t("intake.fix_no_folder_hint")
        ) from None
    return Fixed(out, changes, **work.counts)


def check_free(out: Path, data: Sequence[Path] = ()) -> Path:
    """Where the changes of a mended copy go. Raises Refusal where the copy or the changes could not be written, and
    where they would come to stand among the data."""
    changes = out.with_name(f"{out.stem}.changes.jsonl")
    for path in (out, changes):
        if path.exists():
            raise Refusal(t("intake.fix_exists", path=path), t("intake.fix_exists_hint"))
    if not out.parent.is_dir():
        raise Refusal(t("intake.fix_no_folder", path=out.parent), t("intake.fix_no_folder_hint"))
    for folder in data:
        if folder.is_dir() and folder.resolve() in out.resolve().parents:
            raise Refusal(t("intake.fix_inside", path=out, folder=folder), t("intake.fix_inside_hint"))
    return changes


class _Work:
    """The lines of the mended file, made one by one; what is changed on the way is counted and listed."""

    def __init__(self, options: Options, shown: Shown) -> None:
        self.options, self.shown = options, shown
        self.counts = {"records": 0, "mended": 0, "left_out": 0, "not_whole": 0}
        self.listed: list[dict[str, Any]] = []
        self.seen: dict[str, str] = {}  # the id of a record -> where it stands
        self.told: set[tuple[str, ...]] = set()  # what is listed once for each file

    def file(self, path: Path) -> Iterator[dict[str, Any]]:
        """The lines that come of one file."""
        content = open_content(path, KNOWN, self.options.names)
        self.told.clear()
        try:
            for raw in content.rows:
                if (line := self._row(raw, f"{content.name}:{raw.line}")) is not None:
                    yield line
        finally:
            content.source.close()
        broken = [finding for finding in content.findings if finding.severity is Severity.ERROR]
        self.counts["not_whole"] += bool(broken)
        self._left_out(broken)

    def _row(self, raw: Raw, source: str) -> dict[str, Any] | None:
        """The line that comes of a row, if any does."""
        reading = records(raw, source, self.options)
        roles = reading.roles
        if not reading.records or roles is None:
            self.counts["left_out"] += reading.rows
            self._left_out(reading.findings)
            return None
        record = reading.records[-1]
        if roles.turns or record.history or len(reading.records) > 1:  # whole, whichever of its turns are learned
            whole = self.options._replace(turns="last", earlier_thoughts="keep", empty=True)
            record = records(raw, source, whole).records[0]
        better, done = mend(record)
        if first := self.seen.get(better.id):
            self.counts["left_out"] += 1
            self._left_out([find(source, "duplicate", first=first)])
            return None
        self.seen[better.id] = source
        self.counts["records"] += 1
        self.counts["mended"] += bool(done)
        for kind, what in done:
            self._list(source, "mended", kind, what)
        return self._with_others(_line(better), raw.value, roles, reading.shape, source)

    def _with_others(
        self, line: dict[str, Any], row: dict[str, Any], roles: Roles, shape: str, source: str
    ) -> dict[str, Any]:
        """The line with the row's fields that play no role. What is written otherwise or lost is listed once a file."""
        used = _used(roles)
        others = {name: row[name] for name in _harmless(tuple(line), tuple(row), used) if _is_json(row[name])}
        if used & row.keys() != line.keys():
            what = t("intake.rewritten", shape=shape, into=", ".join(line))
            self._once(source, "rewritten", shape, what)
        if shape == "gsm8k" and "<<" in str(row):
            self._once(source, "rewritten", "calculator", t("intake.rewritten_calculator"))
        lost = [name for name in row if name not in used and name not in others]
        for name in [*lost, *(dialogue.other_fields(row[roles.turns]) if roles.turns else ())]:
            self._once(source, "rewritten", "field", t("intake.field_left_out", name=name[:80]))
        return line | others

    def _left_out(self, findings: list[Finding]) -> None:
        for finding in findings:
            if finding.severity is Severity.ERROR:
                self._list(finding.source, "left_out", finding.kind, finding.message)

    def _once(self, source: str, change: str, why: str, what: str) -> None:
        if (change, why, what) not in self.told:
            self.told.add((change, why, what))
            self._list(source, change, why, what)

    def _list(self, source: str, change: str, why: str, what: str) -> None:
        self.listed.append(self.shown({"source": source, "change": change, "why": why, "what": what}))


def _line(record: Record) -> dict[str, Any]:
    """A record in the shape of the medical data set, or as messages where it has a history."""
    if not record.history:
        line = {"Question": record.question, "Complex_CoT": record.thought, "Response": record.answer}
        return {"system": record.system, **line} if record.system else line
    messages = [{"role": "system", "content": record.system}] if record.system else []
    turns: tuple[Turn | Record, ...] = (*record.history, record)
    for turn in turns:
        thought = f"{OPEN}\n{turn.thought}\n{CLOSE}\n\n" if turn.thought else ""
        messages.append({"role": "user", "content": turn.question})
        messages.append({"role": "assistant", "content": thought + turn.answer})
    return {"messages": messages}


@lru_cache(maxsize=256)
def _used(roles: Roles) -> frozenset[str]:
    """The fields of a row that became question, thought, answer or system message."""
    used = {roles.more, roles.turns, roles.history}
    for place in (roles.question, roles.thought, roles.answer, roles.system):
        used |= {str(steps[0]) for steps in place.paths} if isinstance(place, Expression) else {place}
    if roles.choice:
        used |= {*roles.choice.options, roles.choice.key, roles.choice.explanation}
    return frozenset(name for name in used if name is not None)


@lru_cache(maxsize=256)
def _harmless(line: tuple[str, ...], row: tuple[str, ...], used: frozenset[str]) -> tuple[str, ...]:
    """The fields of a row, beside those used, with which a line is read as it is without them."""
    kept: list[str] = []
    alone = recognise(line, Options())
    for name in row:
        if name not in used and name not in line and recognise((*line, *kept, name), Options()) == alone:
            kept.append(name)
    return tuple(kept)


def _is_json(value: Any) -> bool:
    """Whether a value can be written and read again."""
    if type(value) is str:
        return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError):
        return False
    return True
