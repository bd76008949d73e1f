"""Room `hub`: fetching: what is missing, whether it fits, and every way in which it may fail, in one sentence."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from buke.hub.cache import Say, silent
from buke.hub.names import closest, usual_files
from buke.hub.places import Listing, Place, listing
from buke.hub.wire import Damaged, Denied, File, Unreachable, download, is_whole, part_of, size_of
from buke.runfolder import amount, write_json
from buke.words import Refusal, of_system, t

WANTED = ("*.json", "*.safetensors", "*.jinja")
UNWANTED = ("*/*", "consolidated*", ".*")  # the same weights for other programs, a second copy, and what is ours
MARKER = ".downloaded.json"  # written last: without it a download is not taken for whole
QUICK = 500_000_000  # bytes on the disk up to which hashing again needs no word of its own
SPARE = 50_000_000  # bytes of the disk that are left free

Watch = Callable[[str, int, int], None]  # file, bytes of everything that are here, bytes of everything


def unseen(name: str, done: int, total: int) -> None:
    """A ``Watch`` that shows nothing."""


@dataclass(frozen=True)
class Fetched:
    """What lies where. fetched: how many of the files came now."""

    place: Place
    folder: Path
    licence: str
    files: tuple[File, ...]
    fetched: int


def fetch_model(place: Place, folder: Path, own: bool, say: Say = silent, watch: Watch = unseen) -> Fetched:
    """A model's config, tokenizer and safetensors weights in ``folder``, whole. Raises Refusal.

    own: whether the folder is ours (the cache), so that a file in it which is not the hub's may be replaced.
    """

    def wanted(path: str) -> bool:
        return any(fnmatch(path, one) for one in WANTED) and not any(fnmatch(path, one) for one in UNWANTED)

    try:
        found = listing(place)
    except (Denied, Unreachable) as error:
        raise _refused(place, error, folder, [(path, 0) for path in usual_files(place.name)]) from None
    files = tuple(file for file in found.files if wanted(file.path))
    if not any(file.path.endswith(".safetensors") for file in files):
        raise Refusal(t("hub.no_weights", name=place.name, endpoint=place.endpoint), t("hub.gguf_hint"))
    fetched = _fetch(place, Listing(files, found.licence), folder, own, say, watch)
    sizes = {file.path: file.size for file in files}
    about = {"name": place.name, "endpoint": place.endpoint, "licence": found.licence, "files": sizes}
    try:
        write_json(folder / MARKER, about)
    except OSError as error:
        raise _disk(error, folder) from None
    return fetched


def fetch_file(
    place: Place, path: str, folder: Path, licence: str, say: Say = silent, watch: Watch = unseen
) -> Fetched:
    """One file of a data set in ``folder``. licence: what to say where the hub names none. Raises Refusal."""
    try:
        found = listing(place)
    except (Denied, Unreachable) as error:
        if not (folder / path).is_file():
            raise _refused(place, error, folder, [(path, 0)]) from None
        # a file under its own name came whole; whether it is still the hub's, nobody can say now
        say(t("hub.unasked", path=folder / path, endpoint=place.endpoint, why=error))
        return Fetched(place, folder, licence, (), 0)
    files = tuple(file for file in found.files if file.path == path)
    if not files:
        raise Refusal(
            t("hub.no_file", name=place.name, endpoint=place.endpoint, path=path), t("hub.see", page=place.page)
        )
    return _fetch(place, Listing(files, found.licence or licence), folder, False, say, watch)


def _fetch(place: Place, found: Listing, folder: Path, own: bool, say: Say, watch: Watch) -> Fetched:
    """Bring every file of the listing that is not here, the largest last."""
    if sum(size_of(folder / file.path) for file in found.files) > QUICK:
        say(t("hub.hashing", folder=folder))
    missing = [file for file in found.files if not is_whole(folder / file.path, file)]
    total = sum(file.size for file in found.files)
    licence = found.licence or t("hub.no_licence", page=place.page)
    known = {"name": place.name, "count": len(found.files), "size": amount(total), "licence": licence, "folder": folder}
    if missing:
        _check_room(place, missing, folder, own, known, say)
    else:
        say(t("hub.already", **known))
    here = total - sum(file.size for file in missing)
    for file in sorted(missing, key=lambda file: file.size):
        _bring(place, file, folder, missing, partial(_shift, watch, file.path, here, total))
        here += file.size
    return Fetched(place, folder, licence, found.files, len(missing))


def _check_room(place: Place, missing: list[File], folder: Path, own: bool, known: dict[str, Any], say: Say) -> None:
    """Say what will be fetched; refuse where it does not fit, or where a file of the user's own is in the way."""
    strange = [file.path for file in missing if (folder / file.path).exists()]
    if strange and not own:
        raise Refusal(t("hub.strange", folder=folder, files=", ".join(strange)), t("hub.strange_hint"))
    free = _free(folder)
    need = sum(file.size - min(size_of(part_of(folder / file.path)), file.size) for file in missing)
    say(t("hub.plan", **known, endpoint=place.endpoint, need=amount(need), free=amount(free)))
    if need + SPARE > free:
        sizes = {"need": amount(need + SPARE), "free": amount(free)}
        raise Refusal(t("hub.no_room", **sizes, folder=folder), t("hub.no_room_hint"))
    if unhashed := [file.path for file in missing if not file.kind]:
        say(t("hub.unhashed", endpoint=place.endpoint, files=", ".join(unhashed)))


def _shift(watch: Watch, name: str, here: int, total: int, done: int) -> None:
    """Tell of one file's bytes as a part of everything."""
    watch(name, here + done, total)


def _bring(place: Place, file: File, folder: Path, missing: list[File], watch: Callable[[int], None]) -> None:
    """One file, its failures put into words."""
    from filelock import FileLock, Timeout

    target = folder / file.path
    lock = target.with_name(f".{target.name}.lock")
    try:
        watch(size_of(part_of(target)))
        with FileLock(lock, timeout=0):  # two at once would write into each other's file, even after its renaming
            download(file, target, place.headers(), watch)
        lock.unlink(missing_ok=True)
    except Timeout:
        raise Refusal(t("hub.busy", path=target), t("hub.busy_hint")) from None
    except (Denied, Unreachable) as error:
        raise _refused(place, error, folder, [(each.path, each.size) for each in missing]) from None
    except Damaged:
        raise Refusal(
            t("hub.damaged", name=place.name, endpoint=place.endpoint, path=file.path), t("hub.damaged_hint")
        ) from None
    except OSError as error:
        raise _disk(error, folder) from None


def _free(folder: Path) -> int:
    """Bytes free on the disk of a folder that need not exist yet."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise _disk(error, folder) from None


def _disk(error: OSError, folder: Path) -> Refusal:
    """A fault of the disk. What has arrived stays."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return Refusal(t("hub.full", folder=folder), t("hub.full_hint"))
    return Refusal(t("hub.unwritable", target=folder, why=of_system(error)), t("hub.elsewhere_hint"))


def _refused(place: Place, error: Denied | Unreachable, folder: Path, files: list[tuple[str, int]]) -> Refusal:
    """What the hub's no, or its silence, means for the user."""
    name, endpoint = place.name, place.endpoint
    if isinstance(error, Unreachable):
        lines = [place.url(path) + (f"  ({amount(size)})" if size else "") for path, size in files]
        hand = tuple(lines) or (t("hub.by_hand_unknown", page=place.page),)
        other = "modelscope" if place.hub == "huggingface" else "huggingface"
        hint = t(f"hub.unreachable_{place.kind}_hint", name=name, other=other, folder=folder)
        return Refusal(t("hub.unreachable", name=name, endpoint=endpoint, why=str(error).rstrip(".。")), hint, hand)
    if error.code == 401 and not error.reason and place.headers():
        return Refusal(t("hub.bad_token", endpoint=endpoint), t("hub.bad_token_hint"))
    if error.code in (401, 403) and error.reason != "RepoNotFound":
        return Refusal(t("hub.gated", name=name, endpoint=endpoint), t("hub.gated_hint", page=place.page))
    if error.code in (401, 404, 410):
        similar = [each for each in closest(name).split(", ") if each and each != name]
        hint = t("hub.meant", names=", ".join(similar)) if similar else t("hub.unknown_hint")
        return Refusal(t("hub.unknown", name=name, endpoint=endpoint), hint)
    return Refusal(t("hub.odd_answer", name=name, endpoint=endpoint, why=error), t("hub.see", page=place.page))


def spoken(say: Say, every: float = 10.0) -> Watch:
    """A ``Watch`` that says a plain line when a file begins and then every so many seconds."""
    said, at, whole = "", 0.0, False

    def watch(name: str, done: int, total: int) -> None:
        nonlocal said, at, whole
        now = time.monotonic()
        if name != said or now - at >= every or (done == total and not whole):
            said, at, whole = name, now, done == total
            share = 100 * done // max(total, 1)
            say(t("hub.progress", name=name, done=amount(done), total=amount(total), share=share))

    return watch
