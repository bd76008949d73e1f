"""What this machine has: memory that is free, memory that this process holds, and how fast it multiplies."""

from __future__ import annotations

import ctypes
import errno
import gc
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from buke.machine import Group, free_memory, memory_groups

EVERY = 0.02  # seconds between two looks at the memory of this process
AGAIN = 50  # looks after which it is asked which control groups have a limit: one may be set while a run goes on
NEAR = 2**28  # bytes, or a twentieth where that is less, to leave of a control group: at its limit the kernel kills


def own_bytes() -> int:
    """Memory of this process that is no file's, in bytes; where the system does not tell it apart, all of it."""
    try:
        fields = Path("/proc/self/statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * _PAGE
    except (OSError, ValueError, IndexError):
        return int(psutil.Process().memory_info().rss)


def free_bytes(device: str) -> int:
    """Memory that this process could still take where it computes, in bytes."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else 0
    return free_memory()


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out: on a card, on the CPU, or that a limit was passed."""
    text = str(error)
    return (
        isinstance(error, (MemoryError, torch.OutOfMemoryError))
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or "can't allocate memory" in text
        or "CUDA out of memory" in text
    )


def trim() -> None:
    """Let the C library give back what it holds and nobody uses, where it can."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


class Watch:
    """The most memory of its own that this process held since ``start``, looked at every so often by a thread.

    limit: bytes that it should not go beyond. ``noticed``: whether it did since ``forget``, or, on the CPU, whether a
    control group's limit was near, or will be once this process holds as much again as it did since then: the kernel
    kills within milliseconds, so what a row takes at its height has to be there before it begins. root: where /proc
    and /sys are.
    """

    def __init__(self, device: str, limit: int | None = None, root: Path = Path("/")) -> None:
        self.device, self.limit, self.peak, self.root = device, limit, 0, root
        self.noticed = False
        self._high = 0  # the most since ``forget``
        self._groups: list[Group] = []  # with a limit
        self._looks = 0
        self._lock = threading.Lock()  # a look that began before ``forget`` is not to end after it
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        if self.device == "cuda" and torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._look()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """End; the peak."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        return self.most()

    def most(self) -> int:
        """The peak so far in bytes, of the card's memory where that computes."""
        self._look()
        if self.device == "cuda" and torch.cuda.is_available():
            return int(torch.cuda.max_memory_reserved())
        return self.peak

    def over(self, more: int = 0) -> bool:
        """Look now; whether anything was noticed, or will be once so many bytes more are taken."""
        if self.device == "cpu":
            self._look(more)
        return self.noticed

    def forget(self) -> None:
        """What was is over: something else begins, or the same with less memory."""
        with self._lock:
            self._high, self.noticed = 0, False

    def _run(self) -> None:
        while not self._end.wait(EVERY):
            self._look()

    def _look(self, more: int = 0) -> None:
        with self._lock:
            now = own_bytes()
            self.peak, self._high = max(self.peak, now), max(self._high, now)
            if self.device == "cpu":
                self.noticed |= (self.limit is not None and now > self.limit) or self._crowded(
                    max(self._high - now, more)
                )

    def _crowded(self, more: int) -> bool:
        """Whether a control group has no room for so many bytes more."""
        if self._looks % AGAIN == 0:
            self._groups = [group for group in memory_groups(self.root) if group.limit()]
        self._looks += 1
        for group in self._groups:
            if limit := group.limit():
                room = limit - min(limit // 20, NEAR) - more
                if group.used(files=True) > room and group.used() > room:
                    return True
        return False


def products_per_second(width: int, inner: int, seconds: float = 0.6) -> float:
    """Floating point operations a second of products (512, width) x (width, inner) on this CPU, the best of several."""
    x, w = torch.rand(512, width), torch.rand(width, inner)
    out = torch.empty(512, inner)
    torch.mm(x, w, out=out)
    best, end = float("inf"), time.monotonic() + seconds
    while time.monotonic() < end or best == float("inf"):
        began = time.perf_counter()
        torch.mm(x, w, out=out)
        best = min(best, time.perf_counter() - began)
    return 2 * 512 * width * inner / best


_PAGE = 4096
try:
    import resource

    _PAGE = resource.getpagesize()
except ImportError:  # Windows
    pass
