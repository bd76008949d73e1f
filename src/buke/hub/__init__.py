"""Room `hub`: a name -> a verified local model folder.

A path is always tried first. The network is used only for a name of the form ``org/name`` that is not on this disk.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from buke.hub import embedded
from buke.hub.cache import Say, cache_folder, silent
from buke.hub.check import changed, check_adapter, check_model_folder, file_of, hashes
from buke.hub.fetch import MARKER, fetch_model, spoken
from buke.hub.names import EMBEDDED, SHORT, closest
from buke.hub.places import Place
from buke.hub.wire import size_of
from buke.runfolder import amount, read_json
from buke.words import Refusal, t

__all__ = [
    "EMBEDDED",
    "SHORT",
    "Say",
    "amount",
    "cache_folder",
    "changed",
    "check_adapter",
    "check_model_folder",
    "file_of",
    "full_name",
    "hashes",
    "on_disk",
    "own_folder",
    "ready",
    "resolve",
]


def resolve(name: str, say: Say = silent) -> Path:
    """The checked folder of a base model: ``embedded``, a folder, a short name (SHORT) or ``org/name`` on the hub.

    say: gets lines before and during anything that takes time. Raises Refusal.
    """
    if name == EMBEDDED:
        return embedded.folder(say=say)
    path = Path(name).expanduser()
    if name and path.exists():
        check_model_folder(path)
        return path.resolve()
    full = full_name(name)
    return on_disk(full) or _download(full, say)


def ready(name: str) -> Path | None:
    """The checked folder of a base model that is here already; None where it has to be made, fetched or mended."""
    try:
        if name == EMBEDDED:
            return embedded.here()
        return resolve(name) if Path(name).expanduser().exists() else on_disk(full_name(name))
    except Refusal:
        return None


def full_name(name: str) -> str:
    """``org/name`` of a short name; any other name of that form as it is. Raises Refusal for what is neither."""
    full = SHORT.get(name.lower(), name)
    # "." and "~" begin paths; so does a drive letter, whose colon no hub name has
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", full, re.ASCII):
        meant = closest(name)
        hint = t("hub.meant", names=meant) if meant else t("hub.nothing_hint", short=", ".join(SHORT))
        raise Refusal(t("hub.nothing", name=name), hint)
    return full


def own_folder(name: str) -> Path:
    """Where our downloads of a hub name lie."""
    return cache_folder() / "hub" / name


def on_disk(name: str, folder: Path | None = None) -> Path | None:
    """A whole copy of a hub model in ``folder``; without one, our own download or one in the hub library's cache."""
    candidates = [place] if _is_marked(place := folder or own_folder(name), name) else []
    if folder is None and (snapshot := _snapshot(name)):
        candidates.append(snapshot)
    for candidate in candidates:
        try:
            check_model_folder(candidate)
        except Refusal:
            continue
        return candidate
    return None


def _is_marked(folder: Path, name: str) -> bool:
    """Whether a download of this name was finished in a folder, and every file of it still has its size."""
    try:
        marker = read_json(folder / MARKER) or {}
        sizes = marker.get("files", {})
        return marker.get("name") == name and all(size_of(folder / path) == sizes[path] for path in sizes)
    except (Refusal, AttributeError, TypeError):
        return False


def _snapshot(name: str) -> Path | None:
    """Where the hub library keeps a model whose download was finished."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from huggingface_hub import constants, try_to_load_from_cache

    constants.HF_HUB_DISABLE_TELEMETRY = True  # it may have been imported earlier, without the line above
    config = try_to_load_from_cache(name, "config.json")
    if not isinstance(config, str):
        return None
    snapshot = Path(config).parent
    return None if any((snapshot.parent.parent / "blobs").glob("*.incomplete")) else snapshot


def _download(name: str, say: Say) -> Path:
    """Fetch a model from the hub, or from the mirror in HF_ENDPOINT, into our cache, and check it."""
    place, target = Place("huggingface", "models", name), own_folder(name)
    say(t("hub.downloading", name=name, endpoint=place.endpoint, target=target))
    fetch_model(place, target, True, say, spoken(say))
    check_model_folder(target)
    return target
