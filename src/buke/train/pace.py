"""How fast a run goes, and when it has to end."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

SLOW = 3.0  # times the median of the last steps
LAST = 21  # steps the median is taken of
FEWEST = 5  # steps before anything is called slow


@dataclass
class Pace:
    """The seconds a token of the last steps, so that a step of long records is not called slow for its length."""

    last: deque[float] = field(default_factory=lambda: deque(maxlen=LAST))
    in_spell: bool = False

    def slow(self, seconds: float, tokens: int) -> float:
        """How many times as long as usual this step took, where a spell of slow steps begins with it; else 0."""
        now = seconds / max(tokens, 1)
        usual = statistics.median(self.last) if len(self.last) >= FEWEST else 0.0
        self.last.append(now)
        before, self.in_spell = self.in_spell, usual > 0 and now > SLOW * usual
        return now / usual if self.in_spell and not before else 0.0


class Deadline:
    """When a session of training has to end: at a time of day, or after so many hours.

    The time of day is that of the clock on the wall, the next one after the start. Hours are those of the monotonic
    clock: while the machine sleeps it stands still on Linux and macOS, and goes on on Windows.
    """

    def __init__(
        self,
        stop_at: str | None,
        max_hours: float | None,
        wall: Callable[[], datetime] = datetime.now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wall, self.clock = wall, clock
        self.at: datetime | None = None
        if stop_at:
            hour, minute = map(int, stop_at.split(":"))
            now = wall()
            at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            self.at = at if at > now else at + timedelta(days=1)
        self.end = None if max_hours is None else clock() + 3600 * max_hours

    def passed(self) -> bool:
        """Whether it is time to save and leave."""
        return (self.at is not None and self.wall() >= self.at) or (self.end is not None and self.clock() >= self.end)
