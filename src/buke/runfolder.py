"""Room `runfolder`: the names of the files in a run, and the only ways to write them.

A run folder is all that training, comparison and report share. Whole files appear atomically; lines are appended.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from buke.words import Refusal, t

RUN_TOML = "run.toml"
MANIFEST = "manifest.json"
DATA = "data.json"
PLAN = "plan.json"
STEPS = "steps.jsonl"
EVAL = "eval.jsonl"
HELD_OUT = "held-out.jsonl"
CHECKPOINTS = "checkpoints"
ADAPTER = "adapter"
ANSWERS_BEFORE = "answers-before.jsonl"
ANSWERS_AFTER = "answers-after.jsonl"
COMPARISON = "comparison.json"
REPORT = "report.html"
CURVE = "loss_curve.png"


def check_free(runs: Path, name: str) -> None:
    """Raise Refusal where ``runs/name`` cannot become a run: an unfit name, a taken one, a place we may not write."""
    run = runs / name
    if not re.fullmatch(r"[\w][\w .+-]{0,99}", name) or name.endswith((" ", ".")):
        raise Refusal(t("runfolder.bad_name", name=name), t("runfolder.bad_name_hint"))
    if run.exists():
        raise Refusal(t("runfolder.exists", run=run), t("runfolder.exists_hint"))
    there = next(path for path in (runs, *runs.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        why = os.strerror(errno.EACCES if there.is_dir() else errno.ENOTDIR)
        raise Refusal(t("runfolder.unwritable", run=run, why=why), t("runfolder.unwritable_hint"))


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk of a folder that need not exist yet."""
    return shutil.disk_usage(next(path for path in (folder, *folder.absolute().parents) if path.exists())).free


def create(runs: Path, name: str) -> Path:
    """Make the folder ``runs/name`` and return it. Raises Refusal as ``check_free`` does."""
    check_free(runs, name)
    run = runs / name
    try:
        runs.mkdir(parents=True, exist_ok=True)
        run.mkdir()
    except OSError as error:
        raise Refusal(t("runfolder.unwritable", run=run, why=error.strerror), t("runfolder.unwritable_hint")) from None
    return run


def find(runs: Path, run: str) -> Path:
    """The run a user named, as a path or as a name under ``runs``. Raises Refusal listing the runs there are."""
    for candidate in (Path(run), runs / run):
        if (candidate / RUN_TOML).is_file():
            return candidate
    known = ", ".join(path.name for path in runs_in(runs)[:8])
    raise Refusal(t("runfolder.none", run=run), t("runfolder.known", names=known) if known else "")


def runs_in(runs: Path) -> list[Path]:
    """Every run under a folder, the newest first."""
    found = [path.parent for path in runs.glob(f"*/{RUN_TOML}")]
    return sorted(found, key=lambda path: (path / RUN_TOML).stat().st_mtime, reverse=True)


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write a whole file, from a text or its pieces, so that it is either the old one or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.writelines([text] if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically. NaN is refused: a number we do not have is null."""
    write_text(path, _json(value, indent=1) + "\n")


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """Write JSON Lines, atomically."""
    write_text(path, (_json(value) + "\n" for value in values))


def append_line(path: Path, value: Any) -> None:
    """Add one line of JSON and flush it to the system."""
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.write(_json(value) + "\n")


def read_json(path: Path) -> Any:
    """A JSON file; None where there is none. Raises Refusal naming a damaged one."""
    return _parse(_read(path), str(path)) if path.is_file() else None


def read_lines(path: Path) -> list[Any]:
    """The values of a JSON Lines file; [] where there is none. A last line cut off by a crash is left out.

    Raises Refusal naming file and line where any other line is damaged.
    """
    if not path.is_file():
        return []
    text = _read(path)
    lines = enumerate(text[: text.rfind("\n") + 1].split("\n"), start=1)
    return [_parse(line, f"{path}:{number}") for number, line in lines if line.strip()]


def _read(path: Path) -> str:
    """The text of a file. Raises Refusal where it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        why = error.strerror or str(error)
    except UnicodeDecodeError as error:
        why = str(error)
    raise Refusal(t("runfolder.damaged", place=path, why=why), t("runfolder.damaged_hint"))


def _parse(text: str, place: str) -> Any:
    """A value of JSON. Raises Refusal naming its place where it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(t("runfolder.damaged", place=place, why=error), t("runfolder.damaged_hint")) from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """Dataclasses, enums, paths and tuples as JSON's own kinds."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return getattr(value, "value", value)


def _json(value: Any, indent: int | None = None) -> str:
    """JSON in plain characters; escaped throughout where a lone surrogate has no UTF-8."""
    text = json.dumps(plain(value), ensure_ascii=False, indent=indent, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = json.dumps(plain(value), ensure_ascii=True, indent=indent, allow_nan=False)
    return text
