"""Room `encoded`: lessons kept between runs, so that the same files are not read, tokenised and proven twice.

An entry is a folder named by a key: tokens.bin holds all ids (int32), then the masks of what is learned (one byte for
each id); entry.json holds the rest and the hash of tokens.bin. A damaged entry is no entry, and is made again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import mmap
import os
import shutil
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import buke
from buke import runfolder
from buke.config import Settings, group_of
from buke.intake import FileInfo
from buke.prompt import Prompt
from buke.records import Example, Finding, Record, Severity
from buke.words import language

TOKENS, ENTRY = "tokens.bin", "entry.json"
KEPT, KEPT_BYTES = 8, 4 << 30  # the newest entries that stay, and how much room they may take


@dataclass(frozen=True)
class Lessons:
    """What is learned, what is scored, and what was left out of both."""

    train: list[Example]
    held_out: list[Example]
    records: list[Record]  # of held_out, in its order
    findings: list[Finding]
    files: list[FileInfo]
    read: int  # rows looked at


def key(prompt: Prompt, settings: Settings, files: Sequence[tuple[str, str]]) -> str:
    """SHA-256 over all that decides lessons: prompt, the settings of data, the files' bytes, language, and our code.

    files: each with the SHA-256 of its bytes.
    """
    data = {name: getattr(settings, name) for name in Settings.model_fields if group_of(name) == "data"}
    parts = [_code(), language(), prompt.fingerprint, settings.recipe, data, files]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def _code() -> str:
    """SHA-256 over this program and the versions of what reads text for it: what others kept is made again."""
    digest = hashlib.sha256()
    for name in ("tokenizers", "jinja2"):
        digest.update(importlib.metadata.version(name).encode())
    for path in sorted(Path(buke.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def save(folder: Path, key: str, lessons: Lessons) -> None:
    """Keep lessons under a key; older entries make room. A disk that is full or read-only keeps nothing.

    The entry appears whole or not at all.
    """
    part = folder / f".{key}.{os.getpid()}.part"
    examples = [*lessons.train, *lessons.held_out]
    try:
        part.mkdir(parents=True)
        with open(part / TOKENS, "wb") as file:
            for example in examples:
                file.write(array("i", example.ids))
            for example in examples:
                file.write(bytes(example.learn))
        rest = {field.name: getattr(lessons, field.name) for field in dataclasses.fields(lessons)}
        rest |= {name: [(e.id, e.source, e.bounds) for e in rest[name]] for name in ("train", "held_out")}
        entry = {"key": key, "sha256": runfolder.sha256_of(part / TOKENS), **rest}
        runfolder.write_json(part / ENTRY, entry)
        shutil.rmtree(folder / key, ignore_errors=True)
        part.rename(folder / key)
        _make_room(folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)


def load(folder: Path, key: str) -> Lessons | None:
    """The lessons kept under a key; None where there are none or they are damaged.

    Their ids and masks are read from the file as they are used.
    """
    try:
        entry = json.loads((folder / key / ENTRY).read_text(encoding="utf-8"))
        if entry["key"] != key or entry["sha256"] != runfolder.sha256_of(folder / key / TOKENS):
            return None
        with open(folder / key / TOKENS, "rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        examples = _examples(data, [*entry["train"], *entry["held_out"]])
        count = len(entry["train"])
        found = Lessons(
            examples[:count],
            examples[count:],
            [Record.read(line) for line in entry["records"]],
            [Finding(**line | {"severity": Severity(line["severity"])}) for line in entry["findings"]],
            [FileInfo(**line) for line in entry["files"]],
            entry["read"],
        )
        os.utime(folder / key)  # the newest is the one last used
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return found


def _examples(data: memoryview, heads: Sequence[tuple[str, str, tuple[int, int, int, int]]]) -> list[Example]:
    """Examples of the bytes of tokens.bin. Raises ValueError where the bytes are of other examples."""
    count = len(data) // 5
    ids, learn = data[: 4 * count].cast("i"), data[4 * count :].cast("?")
    examples, start = [], 0
    for name, source, (b0, b1, b2, b3) in heads:
        stop = start + b3
        examples.append(Example(name, source, ids[start:stop], learn[start:stop], (b0, b1, b2, b3)))
        start = stop
    if start != count:
        raise ValueError("other examples")
    return examples


def _make_room(folder: Path) -> None:
    """Delete the entries used longest ago, and what a crash left, beyond KEPT and KEPT_BYTES; the newest stays."""
    entries = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda p: -p.stat().st_mtime)
    taken = 0
    for place, path in enumerate(entries):
        taken += sum(file.stat().st_size for file in path.iterdir())
        if place and (place >= KEPT or taken > KEPT_BYTES):
            shutil.rmtree(path, ignore_errors=True)
