"""Room `hub`: where fetched and converted models are kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

Say = Callable[[str], None]


def silent(line: str) -> None:
    """A ``say`` that says nothing."""


def cache_folder() -> Path:
    """$BUKE_CACHE, else ``buke`` in the usual cache place of the platform. The folder need not exist yet."""
    if own := os.environ.get("BUKE_CACHE"):
        return Path(own).expanduser()
    if sys.platform == "win32":
        usual = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        usual = str(Path.home() / "Library" / "Caches")
    else:  # the XDG rules say to ignore a relative path
        given = os.environ.get("XDG_CACHE_HOME", "")
        usual = given if os.path.isabs(given) else str(Path.home() / ".cache")
    return Path(usual) / "buke"
