"""Room `hub`: what Hugging Face (and its mirrors) and ModelScope say about a model or a data set, as one listing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from buke.hub.wire import Denied, File, Headers, Unreachable, get_json
from buke.words import Refusal, t

PAGE = 100  # entries ModelScope lists at once
UNSAFE = re.compile(r'[\\:*?"<>|\x00-\x1f]')


@dataclass(frozen=True)
class Place:
    """A model or a data set on a hub. hub: huggingface or modelscope; kind: models or datasets; name: org/name."""

    hub: str
    kind: str
    name: str

    @property
    def endpoint(self) -> str:
        """The address of the hub, without a slash at the end. Raises Refusal where the user's own is no address."""
        variable, usual = ENDPOINTS[self.hub]
        given = os.environ.get(variable) or usual
        address = given.strip().rstrip("/")
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", address):
            raise Refusal(
                t("hub.bad_endpoint", variable=variable, value=given),
                t("hub.bad_endpoint_hint", variable=variable, usual=usual),
            )
        return address

    @property
    def page(self) -> str:
        """The page that a person looks at."""
        folder = "" if self.hub == "huggingface" and self.kind == "models" else f"{self.kind}/"
        return f"{self.endpoint}/{folder}{self.name}"

    def url(self, path: str, revision: str = "") -> str:
        """Where a file is fetched from."""
        if self.hub == "huggingface":
            return f"{self.page}/resolve/{revision or 'main'}/{quote(path)}"
        return f"{self.endpoint}/api/v1/{self.kind}/{self.name}/repo?Revision=master&FilePath={quote(path, safe='')}"

    def headers(self) -> Headers:
        """The user's token, for the hub that gave it."""
        if self.hub != "huggingface":
            return {}
        from huggingface_hub import get_token

        token = get_token()
        return {"Authorization": f"Bearer {token}"} if token else {}


ENDPOINTS = {
    "huggingface": ("HF_ENDPOINT", "https://huggingface.co"),
    "modelscope": ("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn"),
}


@dataclass(frozen=True)
class Listing:
    """All files of a place, and its licence ("" where it names none)."""

    files: tuple[File, ...]
    licence: str


def listing(place: Place) -> Listing:
    """Ask the hub. Raises Unreachable, Denied, and Refusal for a listing that leads out of its folder."""
    if place.hub == "huggingface" and os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise Unreachable("HF_HUB_OFFLINE", passing=False)
    try:
        found = _hugging_face(place) if place.hub == "huggingface" else _modelscope(place)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unreachable(t("hub.odd_listing"), passing=False) from None
    for file in found.files:
        steps = file.path.split("/")
        if UNSAFE.search(file.path) or any(step in ("", ".", "..") for step in steps) or file.size < 0:
            raise Refusal(t("hub.bad_path", name=place.name, endpoint=place.endpoint, path=file.path))
    return found


def _hugging_face(place: Place) -> Listing:
    headers, api = place.headers(), f"{place.endpoint}/api/{place.kind}/{place.name}"
    about, _ = get_json(api, headers)
    revision = str(about["sha"])  # one commit throughout, even where the owner changes the files meanwhile
    entries: list[Any] = []
    address = f"{api}/tree/{revision}?recursive=true"
    while address:
        page, following = get_json(address, headers)
        entries += page
        # the next page is on the hub itself: anything else would be given the token
        address = following if following.startswith(f"{place.endpoint}/") else ""
    return Listing(tuple(_hugging_face_files(place, revision, entries)), _licence(about))


def _hugging_face_files(place: Place, revision: str, entries: list[Any]) -> Iterator[File]:
    for entry in entries:
        if entry["type"] == "file":
            path, large = str(entry["path"]), entry.get("lfs")
            kind, digest = ("sha256", large["oid"]) if large else ("git", entry["oid"])
            size = int((large or entry)["size"])
            yield File(path, size, place.url(path, revision), kind, str(digest).removeprefix("sha256:"))


def _licence(about: dict[str, Any]) -> str:
    """The licence in a card, or among the tags."""
    card = (about.get("cardData") or {}).get("license") or ""
    tags = [tag.partition(":")[2] for tag in about.get("tags") or [] if tag.startswith("license:")]
    return str((card[0] if card else "") if isinstance(card, list) else card) or next(iter(tags), "")


def _modelscope(place: Place) -> Listing:
    api = f"{place.endpoint}/api/v1/{place.kind}/{place.name}"
    if place.kind == "models":
        entries = _answer(f"{api}/repo/files?Revision=master&Recursive=true")["Files"]
    else:  # only the first level; what we fetch lies there
        entries, number = [], 1
        while len(entries) == PAGE * (number - 1):
            address = f"{api}/repo/tree?Revision=master&Root=&PageNumber={number}&PageSize={PAGE}"
            entries += _answer(address)["Files"]
            number += 1
    files = []
    for entry in entries:
        if entry["Type"] != "tree":
            path, digest = str(entry["Path"]), entry.get("Sha256") or ""
            files.append(File(path, int(entry["Size"]), place.url(path), "sha256" if digest else "", digest))
    return Listing(tuple(files), str(_answer(api).get("License") or ""))


def _answer(address: str) -> Any:
    """What ModelScope wraps into ``Data``; its refusals may come with HTTP status 200."""
    value, _ = get_json(address, {})
    if value.get("Success") is False or value.get("Code") not in (200, None):
        raise Denied(404, str(value.get("Message") or ""))
    return value["Data"]
