"""Room `intake`, files: which files are meant, and what is known of each as a whole."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from buke.intake.formats import Content
from buke.words import Refusal, t

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")


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

    @classmethod
    def of(cls, path: Path, content: Content) -> FileInfo:
        """What is known when the rows of a content have been read."""
        return cls(str(path), content.bytes, content.sha256, content.format, content.encoding, content.compression)


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files meant by paths. Raises Refusal for no path, a missing one, or a folder without data files."""
    if not paths:
        raise Refusal(t("intake.no_paths"), t("intake.no_paths_hint"))
    files: list[Path] = []
    problems: list[tuple[str, str]] = []
    for path in map(Path, paths):
        try:
            inside = _inside(path) if path.is_dir() else [path] if path.exists() else None
        except OSError as error:
            problems.append((t("intake.unreadable", path=path, why=error.strerror), t("intake.unreadable_hint")))
            continue
        files += inside or []
        if inside is None:
            names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            near = difflib.get_close_matches(path.name, names, n=1)
            hint = t("intake.nearest_file", name=near[0]) if near else t("intake.missing_file_hint")
            problems.append((t("intake.missing_file", path=path), hint))
        elif not inside:
            hint = t("intake.no_data_in_folder_hint", suffixes=" ".join(SUFFIXES))
            problems.append((t("intake.no_data_in_folder", path=path), hint))
    if problems:
        (message, hint), *others = problems
        raise Refusal(message, hint, tuple(f"{message} ({hint})" for message, hint in others))
    return files


def _inside(folder: Path) -> list[Path]:
    """The data files of a folder, by name."""
    files = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    return sorted(path for path in files if path.is_file())
