"""Room `intake`, check: what is in files and what is wrong with it, in constant memory however large they are.

Large files of JSON Lines are counted in blocks by several processes; everything else goes by row through this one.
"""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from buke.intake import among
from buke.intake.files import FileInfo, check_given
from buke.intake.folders import files_of
from buke.intake.formats import Content, Raw, find, lines, open_content
from buke.intake.mapping import Options
from buke.intake.names import KNOWN
from buke.intake.shapes import Reading, Roles, records
from buke.intake.tally import Tally
from buke.records import Severity
from buke.words import language, set_language

LARGE = 64 << 20  # bytes from which several processes are worth their start
MOST = 4  # processes: each takes some 40 MB, and all are fed by one
Told = Callable[[int, int], None]  # told of progress: bytes done, bytes in all


class Task(NamedTuple):
    """What a process has to know to count a block."""

    options: Options
    common: frozenset[str]
    quick: bool
    language: str


class Checked(NamedTuple):
    """What was found in files."""

    files: list[FileInfo]
    tally: Tally  # over all files, records left out as duplicates included
    starts: list[int]  # for each file the index of its first record in the tally; the number of records at the end
    kept: np.ndarray[tuple[int], np.dtype[np.bool_]]  # which good records are left after duplicates
    out: np.ndarray[tuple[int], np.dtype[np.bool_]]  # which are held out
    leaking: np.ndarray[tuple[int], np.dtype[np.bool_]]  # which would give one of those away, and are not learned

    def source(self, index: int) -> str:
        """``file:line`` of a good record."""
        which = int(np.searchsorted(self.starts, index, "right")) - 1
        return f"{self.files[which].path}:{self.tally.lines[index]}"


def check(
    paths: Sequence[Path],
    options: Options,
    *,
    held_out: float | Sequence[Path] = 0.05,
    least: int = 20,
    quick: bool = False,
    mix: bool = True,
    processes: int = min(MOST, os.cpu_count() or 1),
    told: Told = lambda done, of: None,
) -> Checked:
    """Read files once and find all that would spoil a run.

    held_out: the share to hold out, or files that are held out. quick: leave out texts and near-duplicates, which
    take most of the time. mix: whether records with and without a thought may come together.
    Raises Refusal where a path does not exist or cannot be read, and where a file's answers are numbers that would be
    taken for the wrong options.
    """
    apart = [] if isinstance(held_out, (int, float)) else files_of(held_out)
    found = [*files_of(paths), *apart]
    check_given(found, options)
    task = Task(options, frozenset() if quick else common(found, options), quick, language())
    whole, infos, starts = Tally(), [], [0]
    progress = _Progress(told, sum(_size(path) for path in found))
    for path in found:
        tally, info = _file(path, task, processes, progress)
        whole.add(tally)
        infos.append(info)
        starts.append(len(whole.marks))
    border = starts[len(found) - len(apart)]
    kept, out = np.ones(len(whole.marks), bool), np.arange(len(whole.marks)) >= border
    twice = among.duplicates(whole.marks, border)
    kept[twice[:, 0]] = False
    if isinstance(held_out, (int, float)):
        out[kept] = among.held_out(np.frombuffer(whole.marks.roots, np.uint64)[kept], held_out, least)
    checked = Checked(infos, whole, starts, kept, out, np.zeros(len(kept), bool))
    _pairs(checked, twice)
    if not mix:
        _mixed(checked, border)
    return checked


def common(paths: Sequence[Path], options: Options) -> frozenset[str]:
    """The shingles that the questions of the first records share."""
    readings = itertools.chain.from_iterable(readings_of(path, options) for path in paths)
    records = (record for reading in readings for record in reading.records)
    return among.common_shingles(itertools.islice(records, among.HEAD))


def readings_of(path: Path, options: Options) -> Iterator[Reading]:
    """What becomes of each row of a file."""
    content = open_content(path, KNOWN, options.names)
    try:
        yield from _read(content.rows, content.name, options)
    finally:
        content.source.close()


def _read(rows: Iterable[Raw], name: str, options: Options) -> Iterator[Reading]:
    return (records(raw, f"{name}:{raw.line}", options) for raw in rows)


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


class _Progress:
    """Bytes done over all files."""

    def __init__(self, told: Told, total: int) -> None:
        self.told, self.total, self.done = told, total, 0

    def at(self, count: int) -> None:
        """So many bytes of the file at hand."""
        self.told(self.done + count, self.total)

    def end(self, count: int) -> None:
        """The file at hand is read."""
        self.done += count
        self.told(self.done, self.total)


def _file(path: Path, task: Task, processes: int, progress: _Progress) -> tuple[Tally, FileInfo]:
    """Count one file."""
    content = open_content(path, KNOWN, task.options.names)
    if content.blocks and processes > 1 and _size(path) >= LARGE:
        tally = _in_blocks(content, task, processes, progress)
    else:
        tally = _count(content.rows, content.name, task, lambda: progress.at(content.bytes))
    content.finish()
    progress.end(content.bytes)
    for finding in content.findings:
        tally.find(finding)
    tally.end(task.options)
    info = FileInfo.of(content)
    info.shape, info.rows, info.mapping = tally.shape, tally.rows, mapping(tally.roles, task.options)
    return tally, info


def mapping(roles: Roles | None, options: Options) -> dict[str, str]:
    """Which field was taken for which role, or what the user said of it."""
    names = ("question", "thought", "answer", "system", "more", "turns")
    found = {name: value for name in names if (value := getattr(roles, name, None))}
    return {name: value if isinstance(value, str) else options.given[name] for name, value in found.items()}


def _count(rows: Iterable[Raw], name: str, task: Task, told: Callable[[], None] = lambda: None) -> Tally:
    tally = Tally()
    for reading in _read(rows, name, task.options):
        tally.row(reading, task.common, task.quick)
        if tally.rows % 1000 == 0:
            told()
    return tally


def _in_blocks(content: Content, task: Task, processes: int, progress: _Progress) -> Tally:
    """Count a large file of JSON Lines in several processes, a few blocks ahead of what has been added up."""
    tally = Tally()
    waiting: deque[Future[Tally]] = deque()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _quiet, (task.language,)) as pool:
        try:
            for line, data in content.blocks or ():
                with _unheard():  # a process that starts here inherits it, and prints no traceback of its own
                    waiting.append(pool.submit(_block, data, content.name, line, content.encoding, task))
                if len(waiting) > 2 * processes:
                    tally.add(waiting.popleft().result())
                    progress.at(content.bytes)
            for counted in waiting:
                tally.add(counted.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return tally


@contextmanager
def _unheard() -> Iterator[None]:
    """Ignore Ctrl-C for a moment. Only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


def _quiet(tongue: str) -> None:
    """Begin a process: Ctrl-C is the parent's to hear, and nothing here makes cycles for the collector to find."""
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_language(tongue)


def _block(data: bytes, name: str, line: int, encoding: str, task: Task) -> Tally:
    return _count(lines(data, name, line, encoding), name, task)


def _pairs(checked: Checked, twice: among.Pairs) -> None:
    """Add the findings between records to the tally."""
    tally, kept = checked.tally, checked.kept
    near = among.near(tally.marks)
    leaks = among.leaks(tally.marks, near, checked.out)
    checked.leaking[leaks[:, 0]] = True
    for kind, pairs in (
        ("duplicate", twice.tolist()),
        ("other_answer", [pair for pair in among.contradictions(tally.marks).tolist() if kept[pair[0]]]),
        ("leak", [pair for pair in leaks.tolist() if kept[pair[0]]]),
        ("near_duplicate", [pair for pair in near.tolist() if kept[pair[0]] and not checked.leaking[pair[0]]]),
    ):
        for late, first in pairs:
            tally.find(find(checked.source(late), kind, Severity.WARNING, first=checked.source(first)))
    for index in among.too_alike(tally.marks).tolist():
        if kept[index]:
            tally.find(find(checked.source(index), "too_alike", Severity.WARNING))


def _mixed(checked: Checked, border: int) -> None:
    """Find records with and without a thought that come together, which a run refuses. See ``settle``.

    border: index from which on records are of the files held out; those are looked at for themselves.
    """
    empty = np.frombuffer(checked.tally.characters["thought"], np.uint32) == 0
    for first, end in ((0, border), (border, len(empty))):
        part = first + np.flatnonzero(checked.kept[first:end])
        without = part[empty[part]].tolist()
        if 0 < len(without) < len(part):
            for index in without:
                checked.tally.find(find(checked.source(index), "mixed", without=len(without), all=len(part)))
