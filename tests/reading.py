"""Records read as a person's settings say, for tests of intake."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buke import intake
from buke.config import Settings


def read(paths: Sequence[Path], *, limit: int | None = None, **settings: Any) -> intake.Intake:
    """What ``buke train`` reads with these settings."""
    return intake.read(paths, intake.options_of(Settings(**settings)), limit=limit)
