"""Room `encoded`: examples kept between runs, so that the same records are not tokenised and proven twice.

An entry is a folder named by a key: tokens.bin holds all ids (int32), then the masks of what is learned (one byte for
each id); entry.json holds the rest and the hash of tokens.bin. A damaged entry is no entry, and is made again.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import buke
from buke import runfolder
from buke.prompt import Prompt
from buke.records import Example, Finding, Record, Severity
from buke.words import language

TOKENS, ENTRY = "tokens.bin", "entry.json"
KEPT, KEPT_BYTES = 8, 4 << 30  # the newest entries that stay, and how much room they may take


def key(prompt: Prompt, records: Iterable[Record], length: int, shorten: bool) -> str:
    """SHA-256 over all that decides examples and findings: prompt, limits, version, language, records and their places.

    A record counts by its own content, not by its file, so that no setting of intake can be forgotten here.
    """
    digest = hashlib.sha256()
    settings = [buke.__version__, language(), prompt.fingerprint, length, shorten]
    for part in [settings, *([r.id, r.source, r.system] for r in records)]:
        digest.update(json.dumps(part).encode())
    return digest.hexdigest()


def save(folder: Path, key: str, examples: Sequence[Example], findings: Sequence[Finding]) -> None:
    """Keep examples and findings under a key; older entries make room. A disk that is full or read-only keeps nothing.

    The entry appears whole or not at all.
    """
    part = folder / f".{key}.{os.getpid()}.part"
    try:
        part.mkdir(parents=True)
        with open(part / TOKENS, "wb") as file:
            for example in examples:
                file.write(array("i", example.ids))
            for example in examples:
                file.write(bytes(example.learn))
        entry = {
            "key": key,
            "sha256": runfolder.sha256_of(part / TOKENS),
            "examples": [(example.id, example.source, example.bounds) for example in examples],
            "findings": findings,
        }
        runfolder.write_json(part / ENTRY, entry)
        shutil.rmtree(folder / key, ignore_errors=True)
        part.rename(folder / key)
        _make_room(folder)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)


def load(folder: Path, key: str) -> tuple[list[Example], list[Finding]] | None:
    """The examples and findings kept under a key; None where there are none or they are damaged.

    Their ids and masks are read from the file as they are used.
    """
    try:
        entry = json.loads((folder / key / ENTRY).read_text(encoding="utf-8"))
        if entry["key"] != key or entry["sha256"] != runfolder.sha256_of(folder / key / TOKENS):
            return None
        with open(folder / key / TOKENS, "rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        count = len(data) // 5
        ids, learn = data[: 4 * count].cast("i"), data[4 * count :].cast("?")
        examples, start = [], 0
        for name, source, (b0, b1, b2, b3) in entry["examples"]:
            stop = start + b3
            examples.append(Example(name, source, ids[start:stop], learn[start:stop], (b0, b1, b2, b3)))
            start = stop
        findings = [Finding(**line | {"severity": Severity(line["severity"])}) for line in entry["findings"]]
        os.utime(folder / key)  # the newest is the one last used
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return (examples, findings) if start == count else None


def _make_room(folder: Path) -> None:
    """Delete the entries used longest ago, and what a crash left, beyond KEPT and KEPT_BYTES; the newest stays."""
    entries = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda p: -p.stat().st_mtime)
    taken = 0
    for place, path in enumerate(entries):
        taken += sum(file.stat().st_size for file in path.iterdir())
        if place and (place >= KEPT or taken > KEPT_BYTES):
            shutil.rmtree(path, ignore_errors=True)
