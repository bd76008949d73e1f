"""Room `intake`, files: what is known of each file as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from buke.intake.formats import Content, open_content
from buke.intake.mapping import Options, unknown
from buke.intake.names import KNOWN
from buke.records import Severity
from buke.words import Refusal, t


@dataclass(slots=True)
class FileInfo:
    """One file as it was read."""

    path: str
    bytes: int
    sha256: str  # of the bytes, 64 hex digits
    format: str  # "jsonl", "json", "csv", "tsv", "parquet", "xlsx", "arrow"; "" where it could not be told
    encoding: str  # Python's name of it; "" for a binary format
    compression: str = ""  # "gzip", "zstd"
    shape: str = ""  # of most of its rows; "" where none was recognised
    rows: int = 0  # rows looked at: all of them, or fewer where a limit was reached
    mapping: dict[str, str] = field(default_factory=dict)  # which field was taken for which role
    whole: bool = True  # whether it could be read to its end, with no row lost on the way

    @classmethod
    def of(cls, content: Content) -> FileInfo:
        """What is known when the rows of a content have been read."""
        c = content
        whole = all(finding.severity is not Severity.ERROR for finding in c.findings)
        return cls(c.name, c.bytes, c.sha256, c.format, c.encoding, c.compression, whole=whole)


def check_given(files: Sequence[Path], options: Options) -> None:
    """Raise Refusal for a field name or path the user gave that no row of any file has, with the names there are.

    Reads the files, mostly no further than to the first row. Standard input cannot be read twice and is not looked at.
    """
    here = [path for path in files if str(path) != "-"]
    if options.given and (lacking := unknown(options, _rows(here, options))):
        near = lacking.nearest
        hint = t("intake.nearest_field", name=near) if near else t("intake.unknown_field_hint")
        names = ", ".join(lacking.names)
        raise Refusal(t("intake.unknown_field", path=here[0], name=lacking.name, names=names), hint)


def _rows(files: Sequence[Path], options: Options) -> Iterator[dict[str, Any]]:
    for path in files:
        content = open_content(path, KNOWN, options.names)
        try:
            yield from (raw.value for raw in content.rows if isinstance(raw.value, dict))
        finally:
            content.source.close()
