"""Room `report`: the files of a run folder, each read once; a missing or damaged one costs its own section only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from buke.runfolder import read_json, read_lines
from buke.words import Refusal, t

MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, ZeroDivisionError)


class Absent(Exception):
    """A section that cannot be filled; the message says which file and why."""


class Folder:
    """The files of a run folder, each read once."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._read: dict[str, Any] = {}

    def json(self, name: str) -> Any:
        """The value of a JSON file. Raises Absent."""
        return self._get(name, read_json)

    def lines(self, name: str) -> list[Any]:
        """The values of a JSON Lines file. Raises Absent."""
        values: list[Any] = self._get(name, read_lines)
        return values

    def section(self, name: str, build: Callable[[Folder], Any]) -> dict[str, Any]:
        """What ``build`` makes, or in its place why it could not, naming the file the section rests on."""
        try:
            return {"absent": "", "view": build(self)}
        except (Absent, Refusal) as reason:
            return {"absent": str(reason), "view": None}
        except MALFORMED:
            return {"absent": t("report.unfit", file=name), "view": None}

    def _get(self, name: str, read: Callable[[Path], Any]) -> Any:
        if name not in self._read:
            if not (self.run / name).is_file():
                raise Absent(t("report.absent", file=name))
            try:
                self._read[name] = read(self.run / name)
            except Refusal as refusal:
                raise Absent(refusal.message) from None
        return self._read[name]
