"""Room `intake`, fix: a mended copy of what was read, and a list of every change. The files read are never touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from buke.intake.check import readings_of
from buke.intake.folders import files_of
from buke.intake.mapping import Options
from buke.intake.mend import mend
from buke.records import CLOSE, OPEN, Record, Severity, Turn
from buke.runfolder import write_lines
from buke.words import Refusal, t


class Fixed(NamedTuple):
    """What was written."""

    path: Path
    changes: Path
    records: int
    mended: int
    left_out: int


def fix(paths: Sequence[Path], options: Options, out: Path) -> Fixed:
    """Write the good records, mended, to ``out`` (JSON Lines) and every change to ``<out>.changes.jsonl`` beside it.

    A dialogue stays one record with all its turns and thoughts. Left out are rows that give no record and exact
    duplicates. Raises Refusal where one of the two files exists, since nothing is overwritten.
    """
    changes = check_free(out)
    counts = {"records": 0, "mended": 0, "left_out": 0}
    listed: list[dict[str, Any]] = []
    whole = options._replace(turns="last", earlier_thoughts="keep")
    try:
        write_lines(out, _mended(files_of(paths), whole, counts, listed))
        write_lines(changes, listed)
    except OSError as error:
        raise Refusal(
            t("intake.fix_unwritable", path=out, why=error.strerror), t("intake.fix_no_folder_hint")
        ) from None
    return Fixed(out, changes, **counts)


def check_free(out: Path) -> Path:
    """Where the changes of a mended copy go. Raises Refusal where the copy or the changes could not be written."""
    changes = out.with_name(f"{out.stem}.changes.jsonl")
    for path in (out, changes):
        if path.exists():
            raise Refusal(t("intake.fix_exists", path=path), t("intake.fix_exists_hint"))
    if not out.parent.is_dir():
        raise Refusal(t("intake.fix_no_folder", path=out.parent), t("intake.fix_no_folder_hint"))
    return changes


def _mended(
    paths: Sequence[Path], options: Options, counts: dict[str, int], listed: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The lines of the mended file; what is changed on the way is counted and listed."""
    seen: dict[str, str] = {}
    for path in paths:
        for reading in readings_of(path, options):
            if not reading.records:
                counts["left_out"] += reading.rows
                errors = [finding for finding in reading.findings if finding.severity is Severity.ERROR]
                listed += [{"source": f.source, "change": "left_out", "why": f.kind, "what": f.message} for f in errors]
            for record in reading.records:
                better, done = mend(record)
                if first := seen.get(better.id):
                    counts["left_out"] += 1
                    what = t("intake.duplicate", first=first)
                    listed.append({"source": record.source, "change": "left_out", "why": "duplicate", "what": what})
                    continue
                seen[better.id] = record.source
                counts["records"] += 1
                counts["mended"] += bool(done)
                listed += [
                    {"source": record.source, "change": "mended", "why": kind, "what": what} for kind, what in done
                ]
                yield _line(better)


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
