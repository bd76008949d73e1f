"""Room `intake`, rows: what every format gives, whatever it was read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from buke.intake.source import Source
from buke.records import Finding, Severity
from buke.words import t

DIALOGUES = ("messages", "conversations", "conversation", "dialogue")


class Fault(NamedTuple):
    """What stands in the place of a text that a cell should have. It counts only where the text is learned."""

    kind: str  # of the finding
    shown: str

    def __str__(self) -> str:
        return self.shown


class Raw(NamedTuple):
    """One row of a file before its fields are known. Where ``finding`` is set the row cannot be used."""

    line: (
        int  # from 1: the line on which the row begins; in Parquet and Arrow the row's number, in Excel the sheet's row
    )
    value: Any  # a dict of fields; numbers are int or float, all else is text, list, dict, bool or None
    finding: Finding | None = None
    rows: int = 1  # that it stands for: more than one where a fault hides where they begin


@dataclass(slots=True)
class Content:
    """What a file holds. ``rows`` is lazy, and ``findings``, about the file as a whole, are complete at its end.

    blocks: for JSON Lines the other way in: (number of the first line, whole lines of UTF-8), each of which ``lines``
    turns into rows, in any process. Take from ``rows`` or from ``blocks``, never from both.
    """

    source: Source
    format: str = ""  # "jsonl", "json", "csv", "tsv", "parquet", "xlsx", "arrow"; "" where it could not be told
    encoding: str = ""  # "utf-8", "utf-8-sig", "utf-16", "gb18030", "big5", …; "" for what is not text
    compression: str = ""  # "gzip" or "zstd"
    rows: Iterator[Raw] = field(default_factory=lambda: iter(()))
    blocks: Iterator[tuple[int, bytes]] | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The file as findings name it."""
        return self.source.name

    @property
    def bytes(self) -> int:
        """Of the file on disk, as far as it was read."""
        return self.source.bytes

    @property
    def sha256(self) -> str:
        """Of the file on disk, as far as it was read: 64 hex digits."""
        return self.source.sha256

    def finish(self) -> None:
        """Read what is left for ``bytes`` and ``sha256`` (not from stdin, which may never end), and close the file."""
        self.source.finish()

    def note(self, line: int, kind: str, severity: Severity = Severity.ERROR, **values: Any) -> None:
        """Add a finding about the file as a whole."""
        self.findings.append(find(f"{self.name}:{line}", kind, severity, **values))


def find(source: str, kind: str, severity: Severity = Severity.ERROR, **values: Any) -> Finding:
    """A finding with the catalogue's sentence and hint for its kind."""
    return Finding(source, kind, t(f"intake.{kind}", **values), t(f"intake.{kind}_hint", **values), severity)


def normal(key: str) -> str:
    """A field name without case, and with _ for spaces and hyphens."""
    return key.strip().casefold().replace(" ", "_").replace("-", "_")


def twice(keys: Iterable[str]) -> str:
    """The key that stands there most often."""
    return Counter(keys).most_common(1)[0][0]
