"""Room `machine`: memory that is free here, and what the control groups of this process leave of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil


def free_memory() -> int:
    """Memory that this process could still take, in bytes."""
    available, (limit, used) = int(psutil.virtual_memory().available), memory_limit()
    return available if limit is None else min(available, max(limit - used, 0))


def memory_limit(root: Path = Path("/")) -> tuple[int | None, int]:
    """(limit, what is used of it) of that control group of this process that leaves it least, in bytes; Linux."""
    found = [(group.limit(), group.used()) for group in memory_groups(root)]
    found = [(limit, used) for limit, used in found if limit]
    return min(found, key=lambda one: one[0] - one[1]) if found else (None, 0)


@dataclass(frozen=True)
class Group:
    """A control group that counts memory. most, now: its files of the limit and of what is used."""

    folder: Path
    most: str
    now: str

    def limit(self) -> int:
        """In bytes; 0 where it has none."""
        limit = self._number(self.most)  # "max" is no number
        return limit if limit < 1 << 60 else 0

    def used(self, files: bool = False) -> int:
        """Bytes that are used. files: pages of files too; they are given back when memory is needed, but telling them
        apart takes the kernel a while."""
        used = self._number(self.now)
        if files:
            return used
        try:
            stat = dict(line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
            kinds = ("active_file", "inactive_file")
            return max(used - sum(int(stat.get(f"total_{kind}", stat.get(kind, 0))) for kind in kinds), 0)
        except (OSError, ValueError):
            return used

    def _number(self, name: str) -> int:
        try:
            return int((self.folder / name).read_text())
        except (OSError, ValueError):
            return 0


def memory_groups(root: Path = Path("/")) -> list[Group]:
    """The control groups of this process that count memory, with those above them, as far as they are seen here."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found: list[Group] = []
    for line in lines:
        _, kinds, path = line.split(":", 2)
        newer = kinds == ""
        if newer or "memory" in kinds.split(","):
            top = root / "sys/fs/cgroup" / ("" if newer else "memory")
            names = ("memory.max", "memory.current") if newer else ("memory.limit_in_bytes", "memory.usage_in_bytes")
            own = top / path.lstrip("/")
            found += [Group(group, *names) for group in (own, *own.parents) if group == top or top in group.parents]
    return found
