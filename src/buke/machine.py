"""Room `machine`: memory that is free here, and what the control groups of this process leave of it."""

from __future__ import annotations

from pathlib import Path

import psutil


def free_memory() -> int:
    """Memory that this process could still take, in bytes."""
    available, (limit, used) = int(psutil.virtual_memory().available), memory_limit()
    return available if limit is None else min(available, max(limit - used, 0))


def memory_limit(root: Path = Path("/")) -> tuple[int | None, int]:
    """(limit, what is used of it) of that control group of this process which leaves it least memory, in bytes; Linux.

    Pages of files count as used there, but are given back when memory is needed, so they are taken off.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None, 0
    found: list[tuple[int, int]] = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        newer = kinds == ""
        if newer or "memory" in kinds.split(","):
            top = root / "sys/fs/cgroup" / ("" if newer else "memory")
            names = ("memory.max", "memory.current") if newer else ("memory.limit_in_bytes", "memory.usage_in_bytes")
            own = top / path.lstrip("/")
            found += [_limit(group, *names) for group in (own, *own.parents) if group == top or top in group.parents]
    found = [(limit, used) for limit, used in found if 0 < limit < 1 << 60]
    return min(found, key=lambda one: one[0] - one[1]) if found else (None, 0)


def _limit(group: Path, most: str, now: str) -> tuple[int, int]:
    """A control group's limit, 0 where it has none, and what counts of its use."""
    try:
        limit = int((group / most).read_text())  # "max" is no number
        used = int((group / now).read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        files = sum(int(stat.get(f"total_{kind}", stat.get(kind, 0))) for kind in ("active_file", "inactive_file"))
    except (OSError, ValueError):
        return 0, 0
    return limit, max(used - files, 0)
