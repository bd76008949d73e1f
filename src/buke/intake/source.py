"""Room `intake`, source: a path -> its bytes, hashed and decompressed on the way, never more than a block at a time."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from buke.words import Refusal, of_system, t

BLOCK = 4 << 20  # bytes read at a time
MAX_LINE = 64 << 20  # bytes of one line
MAX_WHOLE = 256 << 20  # bytes of a file that has to be in memory as a whole
MAX_RATIO = 200  # bytes that one compressed byte may become, counted after the first MAX_LINE; texts stay below 50
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "parquet",
    b"PK\x03\x04": "xlsx",
    b"ARROW1": "arrow",
    b"\xff\xff\xff\xff": "arrow",
}


class Broken(Exception):
    """Bytes that end before they should.

    kind: of the finding, which whoever counts the lines makes. after: lines between the bytes given and the fault.
    """

    def __init__(self, kind: str, after: int = 0, **values: Any) -> None:
        super().__init__(kind)
        self.kind, self.after, self.values = kind, after, values


class Source:
    """A file on disk, or stdin for the path "-". Raises Refusal where it cannot be opened or is no regular file."""

    def __init__(self, path: Path) -> None:
        self.path, self.stdin = path, str(path) == "-"
        self.name = "stdin" if self.stdin else str(path)
        self.bytes, self._hash = 0, hashlib.sha256()
        self._file: BinaryIO | None = sys.stdin.buffer if self.stdin else _open(path)
        try:
            self.head = self._read()
        except OSError as error:
            self._file.close()
            raise Refusal(
                t("intake.unreadable", path=path, why=of_system(error)), t("intake.unreadable_hint")
            ) from None

    @property
    def sha256(self) -> str:
        """Of what was read so far."""
        return self._hash.hexdigest()

    @property
    def kind(self) -> str:
        """What the first bytes say: "gzip", "zstd", "parquet", "xlsx", "arrow", or "" for anything else."""
        return magic(self.head)

    def _read(self) -> bytes:
        data = self._file.read(BLOCK) if self._file else b""
        self._hash.update(data)
        self.bytes += len(data)
        return data

    def chunks(self) -> Iterator[bytes]:
        """Everything, in blocks of BLOCK bytes. Raises Broken where the disk or the pipe fails."""
        block, self.head = self.head, b""
        while block:
            yield block
            try:
                block = self._read()
            except OSError as error:
                raise Broken("read_error", why=of_system(error)) from None

    def finish(self) -> None:
        """Read to the end, for the size and the hash; close."""
        if self._file and not self.stdin:
            try:
                while self._read():
                    pass
            except OSError:
                pass  # said already where the rows were read
        self.close()

    def close(self) -> None:
        """Close the file; stdin is not ours to close."""
        if self._file and not self.stdin:
            self._file.close()
        self._file = None


def _open(path: Path) -> BinaryIO:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe without a writer would hang, /dev/zero never end
            raise Refusal(t("intake.not_regular", path=path), t("intake.not_regular_hint"))
        return open(path, "rb")
    except OSError as error:
        raise Refusal(t("intake.unreadable", path=path, why=of_system(error)), t("intake.unreadable_hint")) from None
    except ValueError:  # a NUL in the name
        raise Refusal(t("intake.missing_file", path=repr(path)), t("intake.missing_file_hint")) from None


def magic(head: bytes) -> str:
    """The kind of file that begins so."""
    return next((kind for begin, kind in _MAGIC.items() if head.startswith(begin)), "")


def decompressed(chunks: Iterator[bytes], kind: str) -> Iterator[bytes]:
    """The text inside gzip or zstd, in blocks of BLOCK bytes. Raises Broken for a damaged, cut or monstrous file."""
    if kind == "gzip":
        # 16 KB become 16 MB at most, and 2 KB of zstd 128 MB: a step never outgrows the memory there is.
        yield from _gather(_inflate(chunks, 16 << 10, lambda: zlib.decompressobj(wbits=31), zlib.error))
        return
    zstandard = needed("zstandard", "zstd")
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    yield from _gather(_inflate(chunks, 2 << 10, decompressor.decompressobj, zstandard.ZstdError))


def needed(module: str, extra: str) -> Any:
    """An optional library. Raises Refusal with the command that installs it."""
    try:
        return __import__(module, fromlist=["_"])
    except ImportError:
        raise Refusal(t("intake.needs_library", name=module), t("intake.needs_library_hint", extra=extra)) from None


def _inflate(chunks: Iterator[bytes], step: int, new: Callable[[], Any], error: type[Exception]) -> Iterator[bytes]:
    """The output of one compressed stream or of several after each other, a step of the input at a time."""
    machine, taken, given = new(), 0, 0
    for chunk in chunks:
        for at in range(0, len(chunk), step):
            piece = chunk[at : at + step]
            taken += len(piece)
            while piece:
                if machine.eof:
                    piece = piece.lstrip(b"\0")  # some writers fill the last sector
                    if not piece:
                        break
                    machine = new()
                try:
                    data = machine.decompress(piece)
                except error:
                    raise Broken("bad_archive") from None
                piece = machine.unused_data if machine.eof else b""
                given += len(data)
                if given > max(MAX_LINE, MAX_RATIO * taken):
                    raise Broken("bomb", ratio=MAX_RATIO)
                yield data
    if not machine.eof:
        raise Broken("cut_archive")


def _gather(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of BLOCK or somewhat more; what came before a Broken is given first."""
    held, size = [], 0
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= BLOCK:
                yield b"".join(held)
                held, size = [], 0
    except Broken:
        yield b"".join(held)
        raise
    if size:
        yield b"".join(held)
