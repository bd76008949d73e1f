"""Room `intake`, folders: the paths a user names -> the files to read, in order."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buke.words import Refusal, of_system, quoted, t

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".xlsx")
PACKED = ("", ".gz", ".zst")
_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}.*")


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files meant by paths: files themselves, "-" for stdin, and folders.

    A folder stands for its data files by name; one that the ``datasets`` library saved, or one of a hub with a folder
    ``data`` inside, for its shards. Raises Refusal for no path, a missing one, a folder without data files, or one with
    several splits; all such problems at once.
    """
    if not paths:
        raise Refusal(t("intake.no_paths"), t("intake.no_paths_hint"))
    files: list[Path] = []
    problems: list[tuple[str, str]] = []
    for path in map(Path, paths):
        try:
            if str(path) == "-" or (path.exists() and not path.is_dir()):
                files.append(path)
            elif path.is_dir():
                files += _inside(path)
            else:
                problems.append(_missing(path))
        except Refusal as refusal:
            problems.append((refusal.message, refusal.hint))
        except OSError as error:
            problems.append((t("intake.unreadable", path=path, why=of_system(error)), t("intake.unreadable_hint")))
        except ValueError:  # a NUL in the name
            problems.append((t("intake.missing_file", path=repr(str(path))), t("intake.missing_file_hint")))
    if problems:
        (message, hint), *others = problems
        raise Refusal(message, hint, tuple(f"{message} ({hint})" for message, hint in others))
    return files


def _missing(path: Path) -> tuple[str, str]:
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    hint = t("intake.nearest_file", name=near[0]) if near else t("intake.missing_file_hint")
    return t("intake.missing_file", path=path), hint


def _inside(folder: Path) -> list[Path]:
    """The data files of a folder."""
    if (folder / "state.json").is_file():
        return _saved(folder)
    if (folder / "dataset_dict.json").is_file():
        return _inside(_only(folder, [path.name for path in sorted(folder.iterdir()) if path.is_dir()], ""))
    files = _data_files(folder)
    if (folder / "data").is_dir():  # the files beside it are descriptions
        files = _data_files(folder / "data") or files
    splits = {match[1] for path in files if (match := _SHARD.fullmatch(path.name))}
    if len(splits) > 1:
        _only(files[0].parent, sorted(splits), "-*")
    if not files:
        hint = t("intake.no_data_in_folder_hint", suffixes=" ".join(SUFFIXES))
        raise Refusal(t("intake.no_data_in_folder", path=folder), hint)
    return files


def _only(folder: Path, names: list[str], end: str) -> Path:
    """The one split of a folder. Raises Refusal where there are several: mixing them would train on the test set."""
    if len(names) == 1:
        return folder / names[0]
    first = "train" if "train" in names else next(iter(names), "…")
    hint = t("intake.several_splits_hint", path=folder / f"{first}{end}")
    others = [name for name in ("test", "validation", *names) if name in names and name != first]
    if others and len(list(folder.glob(f"{others[0]}{end}"))) == 1:  # --held-out-file takes one name
        path, other = (quoted(str(folder / f"{name}")) + end for name in (first, others[0]))
        hint = t("intake.several_splits_both", hint=hint, path=path, other=other)
    raise Refusal(t("intake.several_splits", path=folder, names=", ".join(names)), hint)


def _saved(folder: Path) -> list[Path]:
    """The shards of a folder made by save_to_disk, in the order its state.json gives."""
    try:
        state: Any = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        files = [folder / Path(part["filename"]).name for part in state["_data_files"]]
        whole = not state.get("_indices_files") and all(path.is_file() for path in files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole, files = False, []
    if not whole or not files:
        raise Refusal(t("intake.bad_saved", path=folder / "state.json"), t("intake.bad_saved_hint"))
    return files


def _data_files(folder: Path) -> list[Path]:
    endings = tuple(suffix + packed for suffix in SUFFIXES for packed in PACKED)
    files = (path for path in folder.iterdir() if path.name.lower().endswith(endings) and path.name[0] != ".")
    return sorted(path for path in files if path.is_file())
