"""Room `hub`: HTTP. One file at a time, continued where it was cut, and never under its final name before it is whole.

Written on urllib because the hub library checks only the size of what it fetches over HTTP, not its hash, and changes
its transport between the versions we allow.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import buke

PAUSES = (1.0, 2.0, 4.0, 8.0)  # seconds before each new try
LONGEST_PAUSE = 60.0  # what a server may ask for with Retry-After
TIMEOUT = 30.0  # seconds without a byte
PATIENCE = 6.0  # seconds for an answer to whether anybody is there
BLOCK = 1 << 20
LONGEST_LISTING = 64 << 20  # bytes

Headers = dict[str, str]
Watch = Callable[[int], None]  # gets the bytes of the file that are on the disk


@dataclass(frozen=True)
class File:
    """A file on a hub. kind: of the digest: ``sha256``, ``git`` (SHA-1 of a git blob), or "" where there is none."""

    path: str
    size: int
    url: str
    kind: str = ""
    digest: str = ""


class Unreachable(Exception):
    """No answer, or only a part of one. passing: whether to try again; wait: seconds the server asked for."""

    def __init__(self, why: str, passing: bool = True, wait: float = 0.0) -> None:
        super().__init__(why)
        self.passing, self.wait = passing, wait


class Denied(Exception):
    """The server's answer is no. code: its HTTP status; reason: the hub's own word for it, such as ``GatedRepo``."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"HTTP {code} {reason}".strip())
        self.code, self.reason = code, reason


class Damaged(Exception):
    """What arrived is not the file that the hub lists."""


class _Redirect(urllib.request.HTTPRedirectHandler):
    """Follows a hub to its file servers, without the token: that is for the hub only."""

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302  # Python 3.10 does not know it

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """The request for the new place, which is on the web and nowhere else."""
        parts, before = urllib.parse.urlsplit(newurl), urllib.parse.urlsplit(req.full_url)
        if parts.scheme not in ("http", "https"):
            raise Unreachable(f"redirected to {parts.scheme}:", passing=False)
        request = urllib.request.Request(newurl, headers=dict(req.headers))  # noqa: S310
        if (parts.scheme, parts.netloc) != (before.scheme, before.netloc):
            request.remove_header("Authorization")
        return request


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates of the system, and those that came with Python's libraries."""
    context = ssl.create_default_context()
    try:  # Python from python.org on macOS knows none of the system's
        import certifi

        context.load_verify_locations(certifi.where())
    except (ImportError, OSError):
        pass
    return context


def _opener() -> urllib.request.OpenerDirector:
    """Only http and https, through the proxy of the system."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(context=_trusted()),
        urllib.request.HTTPDefaultErrorHandler(), _Redirect(), urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):  # fmt: skip
        opener.add_handler(handler)
    return opener


def _open(url: str, headers: Headers, timeout: float = TIMEOUT) -> Any:
    """The response to one GET. Raises Unreachable or Denied."""
    request = urllib.request.Request(url, headers={"User-Agent": f"buke/{buke.__version__}", **headers})  # noqa: S310
    try:
        return _opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with closing(error):
            if error.code >= 500 or error.code in (408, 429):
                asked = error.headers.get("Retry-After", "")
                wait = min(float(asked), LONGEST_PAUSE) if asked.isdigit() else 0.0
                raise Unreachable(f"HTTP {error.code}", wait=wait) from None
            raise Denied(error.code, error.headers.get("X-Error-Code") or "") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreachable(error) from None


def reach(url: str) -> None:
    """Ask once, for a few seconds, whether anybody answers there, be it with no. Raises Unreachable."""
    with suppress(Denied):
        _open(url, {}, PATIENCE).close()


def _unreachable(error: Exception) -> Unreachable:
    """A fault of the network in the system's words. Nobody there, or an unknown name: trying again is no use."""
    root = error.reason if isinstance(error, urllib.error.URLError) else error
    why = getattr(root, "strerror", None) or str(root) or type(root).__name__
    passing = isinstance(root, (TimeoutError, ConnectionResetError, BrokenPipeError, http.client.HTTPException))
    return Unreachable(why, passing)


def _patiently(action: Callable[[], Any]) -> Any:
    """The action's value; it is tried again where the fault may pass."""
    for pause in PAUSES:
        try:
            return action()
        except Unreachable as error:
            if not error.passing:
                raise
            time.sleep(error.wait or pause)
    return action()


def get_json(url: str, headers: Headers) -> tuple[Any, str]:
    """A JSON answer, and the address of its next page ("" on the last). Raises Unreachable or Denied."""

    def once() -> tuple[Any, str]:
        with closing(_open(url, headers)) as response:
            text = b"".join(_blocks(response, LONGEST_LISTING))
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                kind = response.headers.get("Content-Type") or "?"
                raise Unreachable(f"{url}: {kind} instead of JSON", passing=False) from None
            return value, _next_page(response.headers.get("Link") or "")

    result: tuple[Any, str] = _patiently(once)
    return result


def _next_page(link: str) -> str:
    """The address marked ``rel="next"`` in a Link header."""
    for part in link.split(","):
        address, _, rest = part.partition(";")
        if 'rel="next"' in rest:
            return address.strip().strip("<>")
    return ""


def _blocks(response: Any, most: int) -> Iterator[bytes]:
    """The body of a response, at most one block more than ``most`` bytes of it. Raises Unreachable."""
    count = 0
    while count <= most:
        try:
            block = response.read1(BLOCK)  # what has come, however little: a killed process loses nothing more
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(_unreachable(error).args[0]) from None
        if not block:
            return
        count += len(block)
        yield block


def part_of(target: Path) -> Path:
    """Where the beginning of a file waits for the rest."""
    return target.with_name(target.name + ".part")


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def is_whole(path: Path, file: File) -> bool:
    """Whether a file has the size and the hash that the hub lists."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    if not file.kind:
        return True
    digest = hashlib.sha256()
    if file.kind == "git":  # what git calls the content of a file, no protection
        digest = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    with open(path, "rb") as data:
        while block := data.read(BLOCK):
            digest.update(block)
    return digest.hexdigest() == file.digest.lower()


def download(file: File, target: Path, headers: Headers, watch: Watch) -> None:
    """Bring one file under its name: receive ``target.part``, continue it where it stops, check it, rename it.

    Raises Unreachable (the part stays for the next time), Denied, Damaged (the part is deleted), OSError of the disk.
    """
    part = part_of(target)
    continued = size_of(part) > 0
    _receive(file, part, headers, watch)
    if not is_whole(part, file):
        part.unlink(missing_ok=True)
        if not continued:
            raise Damaged(file.path)
        _receive(file, part, headers, watch)  # the beginning was of an older version
        if not is_whole(part, file):
            part.unlink(missing_ok=True)
            raise Damaged(file.path)
    os.replace(part, target)


def _receive(file: File, part: Path, headers: Headers, watch: Watch) -> None:
    """Append to ``part`` until it has as many bytes as the file, through as many connections as it takes."""
    part.parent.mkdir(parents=True, exist_ok=True)
    failures, moved = 0, False
    if size_of(part) > file.size or not file.size:
        part.write_bytes(b"")
    while (before := size_of(part)) < file.size:
        try:
            _append(file, part, headers, watch)
            if size_of(part) < file.size:
                raise Unreachable(f"{file.path}: {size_of(part):,} / {file.size:,}")
        except Unreachable as error:
            grew = size_of(part) > before
            failures, moved = (1 if grew else failures + 1), moved or grew
            if failures > len(PAUSES) or not (error.passing or moved):
                raise
            time.sleep(error.wait or PAUSES[failures - 1])


def _append(file: File, part: Path, headers: Headers, watch: Watch) -> None:
    """One connection: ask for what is missing, and write what comes."""
    start = size_of(part)
    ranged = {"Range": f"bytes={start}-"} if start else {}
    with closing(_open(file.url, {**headers, **ranged})) as response:
        here = response.headers.get("Content-Range") or ""
        if not (response.status == 206 and here.startswith(f"bytes {start}-")):
            start = 0  # the server sends the whole file, whatever we asked for
        with open(part, "ab") as out:
            if out.tell() > start:
                out.truncate(start)
            for block in _blocks(response, file.size - start):
                out.write(block)
                start += len(block)
                watch(min(start, file.size))
            out.flush()
            os.fsync(out.fileno())
