"""Disks that fail, and processes that can be killed, for the tests of what a run survives."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any

import pytest

from buke import runfolder
from buke.machine import Group
from buke.runfolder import Disk, Piece

ROOT = Path(__file__).resolve().parents[1]


class Faulty(Disk):
    """A disk on which the call number ``at`` (from 1) fails, or every call from there on; a write and the removal of a
    folder fail half-way."""

    def __init__(self, at: int = 0, fault: Callable[[], None] = lambda: None, forever: bool = False) -> None:
        self.at, self.fault, self.forever = at, fault, forever
        self.calls = 0

    def _due(self) -> bool:
        self.calls += 1
        return self.calls == self.at or (self.forever and self.calls > self.at > 0)

    def _pass(self) -> None:
        if self._due():
            self.fault()

    def make(self, folder: Path) -> None:
        self._pass()
        super().make(folder)

    def open(self, path: Path, mode: str) -> IO[bytes]:
        self._pass()
        return super().open(path, mode)

    def write(self, file: IO[bytes], piece: Piece) -> None:
        if self._due():
            file.write(memoryview(piece).cast("B")[: len(memoryview(piece).cast("B")) // 2])
            self.fault()
        super().write(file, piece)

    def sync(self, file: IO[bytes]) -> None:
        self._pass()
        super().sync(file)

    def sync_folder(self, folder: Path) -> None:
        self._pass()
        super().sync_folder(folder)

    def rename(self, old: Path, new: Path) -> None:
        self._pass()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        if self._due():
            for file in sorted(path.glob("*"))[1:] if path.is_dir() else ():
                file.unlink()
            self.fault()
        super().remove(path)


def failing(number: int) -> Callable[[], None]:
    """A fault that raises OSError with this errno."""

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


def dying() -> None:
    """A fault that is kill -9."""
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def on(disk: Disk) -> Iterator[Disk]:
    """Inside, runs are written through this disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runfolder, "disk", disk)
        yield disk


# processes


def start(
    arguments: Sequence[str], log: Path, *, dies_at: int = 0, slow: float = 0.0, terminal: str = "", room: int = 0
) -> BaseProcess:
    """``buke`` in a process of its own, what it says going into ``log``.

    dies_at: the write at which it is killed. slow: seconds added to each step. terminal: name of the device that
    becomes its terminal, in place of the log. room: bytes that it gets beyond what it has when training begins.
    """
    given = (list(arguments), log, dies_at, slow, terminal, room)
    process: BaseProcess = multiprocessing.get_context(method()).Process(target=_child, args=given)  # type: ignore[attr-defined]
    process.start()
    return process


def method() -> str:
    """How processes are started: where the system can, as copies of one that has loaded what is heavy."""
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT / "src", ROOT / "tests")))  # for that one
    if not hasattr(os, "fork"):
        return "spawn"
    late = ["transformers.models.llama.modeling_llama", "matplotlib.figure", "matplotlib.backends.backend_agg"]
    preload = ["buke.cli.commands", "buke.cli.road", "tiny", "faults", *late]
    multiprocessing.get_context("forkserver").set_forkserver_preload(preload)
    return "forkserver"


def _child(arguments: list[str], log: Path, dies_at: int, slow: float, terminal: str, room: int) -> None:
    import torch

    from buke import cli

    gc.freeze()  # pages that it shares with the process it is a copy of stay shared
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if terminal:
        _take_terminal(terminal)
    else:
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1)
    runfolder.disk = counting = Faulty(dies_at, dying)
    if slow:
        _slow_down(slow)
    if room:
        _limit(room)
    code = cli.run(arguments)
    log.with_suffix(".calls").write_text(str(counting.calls))
    sys.stdout.flush()
    os._exit(code)


def _take_terminal(name: str) -> None:
    """Become the leader of a session whose terminal this is."""
    os.setsid()
    slave = os.open(name, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(slave, stream)


def _slow_down(seconds: float) -> None:
    from buke.train import loop

    plain = loop.take_step

    def slowly(*given: Any) -> Any:
        time.sleep(seconds)
        return plain(*given)

    loop.take_step = slowly


def _limit(room: int) -> None:
    """Let the kernel refuse memory from when training begins."""
    import resource

    from buke.train.job import Job

    plain = Job.events

    def events(self: Job) -> Any:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        held = int(status.partition("VmData:")[2].split()[0]) << 10
        resource.setrlimit(resource.RLIMIT_DATA, (held + room, resource.RLIM_INFINITY))
        return plain(self)

    Job.events = events  # type: ignore[method-assign]


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds; AssertionError where it never does."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def reached(run: Path) -> int:
    """The last step written down."""
    lines = runfolder.read_lines(run / runfolder.STEPS)
    return int(lines[-1]["step"]) if lines else 0


# memory


class MemoryGroup:
    """A control group of the kernel's whose memory has a limit: beyond it the kernel kills a process in it.

    Raises OSError where none can be made: elsewhere than on Linux, without the rights, or in most containers.
    """

    def __init__(self, limit: int) -> None:
        older = Path("/sys/fs/cgroup/memory")
        top, names = Path("/sys/fs/cgroup"), ("memory.max", "memory.current")
        if older.is_dir():
            top, names = older, ("memory.limit_in_bytes", "memory.usage_in_bytes")
        self.folder = top / f"buke-{os.getpid()}-{time.monotonic_ns()}"
        self.folder.mkdir()
        self.counted = Group(self.folder, *names)
        try:
            self.set(limit)
            for name in ("memory.swap.max", "memory.swappiness"):  # else what is too much is swapped out and none dies
                with suppress(OSError):
                    (self.folder / name).write_text("0")
        except OSError:
            self.folder.rmdir()
            raise

    def set(self, limit: int) -> None:
        """Change the limit. OSError where the older kind of group holds more than that."""
        (self.folder / self.counted.most).write_text(str(limit))

    def take(self, process: int) -> None:
        """Move a process here; what it takes from now on counts."""
        (self.folder / "cgroup.procs").write_text(str(process))

    def squeeze(self, seconds: float, running: Callable[[], bool]) -> int:
        """Lower the limit to the middle between the least and the most that is used in so many seconds; return it."""
        seen, end = [], time.monotonic() + seconds
        while time.monotonic() < end and running():
            seen.append(self.counted.used())
            time.sleep(0.002)
        limit = (min(seen) + max(seen)) // 2
        while running():
            if self.counted.used() < limit:
                with suppress(OSError):  # used meanwhile
                    self.set(limit)
                    return limit
            time.sleep(0.002)
        raise RuntimeError(f"the process ended before its limit could be lowered to {limit} bytes")

    @property
    def kills(self) -> int:
        """How many processes the kernel has killed here."""
        found = [self.folder / name for name in ("memory.events", "memory.oom_control")]
        text = next(path for path in found if path.exists()).read_text()
        return int(text.partition("oom_kill ")[2].split()[0])

    def close(self) -> None:
        """Kill what is left in it and take it away."""
        with suppress(OSError):
            for process in (self.folder / "cgroup.procs").read_text().split():
                os.kill(int(process), signal.SIGKILL)
        for _ in range(100):
            with suppress(OSError):
                return self.folder.rmdir()
            time.sleep(0.05)
        raise OSError(f"{self.folder} is not empty")
