"""Room `intake`, encodings: blocks of bytes in any usual encoding -> blocks of UTF-8, and the name of what it was.

A byte order mark decides; then UTF-8, where the text fits it; then a guess, said in a warning. Where a byte does not
fit the encoding, MARK stands in the text, so that the row with it can be named and the others kept.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from functools import lru_cache

from buke.intake.rows import Content
from buke.intake.source import MAX_LINE, Broken
from buke.records import Severity
from buke.words import t

MARK = "\udcff"  # half a character, which no encoding gives for good bytes
MARKING = "buke.mark"  # the error handler that leaves MARKs
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CODECS = {"big5": "cp950"}  # what Windows calls Big5 has a few characters more
_GUESSES = {"gb18030": "gb18030", "big5": "big5", "utf-16-le": "utf_16", "utf-16-be": "utf_16"}  # -> kind of warning


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return MARK, error.end


codecs.register_error(MARKING, _mark)


def utf8(chunks: Iterator[bytes], content: Content) -> Iterator[bytes]:
    """The same text in UTF-8, without its byte order mark. ``content`` learns the encoding, and of any guess.

    Blocks of plain ASCII are the same in all of them, so the first other block decides. Raises Broken for what is no
    text, or in no encoding known here.
    """
    head = next(chunks, b"")
    mark, encoding = next((bom for bom in _BOMS if head.startswith(bom[0])), (b"", "utf-8"))
    encoding = encoding if mark else _wide(head) or "utf-8"
    content.encoding = encoding
    decided = encoding != "utf-8"
    if encoding.startswith(("utf-16", "utf-32")):
        _warn(content)
        yield from _transcode(_chain(head, chunks), encoding)
        return
    for chunk in _chain(head.removeprefix(codecs.BOM_UTF8), chunks):
        if not decided and not chunk.isascii():
            content.encoding, decided = _detect(chunk), True
            _warn(content)
            if content.encoding != "utf-8":
                yield from _by_line(_chain(chunk, chunks), content.encoding)
                return
        yield chunk


def _chain(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from chunks


def _warn(content: Content) -> None:
    if kind := _GUESSES.get(content.encoding):
        content.note(1, kind, Severity.WARNING)


def _transcode(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(MARKING)
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    yield decoder.decode(b"", True).encode("utf-8", "surrogatepass")


def _by_line(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """GB18030 and Big5 by whole lines: neither has a line feed inside a character, and a line of UTF-8 in the middle of
    them, which would decode to nonsense without an error, gets its MARK."""
    held = b""
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if not cut and len(held) + len(chunk) <= MAX_LINE:
            held += chunk
            continue
        cut = cut or len(chunk)  # a line beyond MAX_LINE is refused later whatever is in it
        yield b"".join(_line(line, encoding) for line in (held + chunk[:cut]).splitlines(keepends=True))
        held = chunk[cut:]
    yield _line(held, encoding)


def _line(line: bytes, encoding: str) -> bytes:
    if line.isascii():
        return line
    try:
        if all(char < "\x80" or char >= "\u0800" for char in line.decode("utf-8")):
            return MARK.encode("utf-8", "surrogatepass") + line
    except UnicodeDecodeError:
        pass
    return line.decode(_CODECS.get(encoding, encoding), MARKING).encode("utf-8", "surrogatepass")


def _wide(head: bytes) -> str:
    """UTF-16 without a byte order mark, by its zero bytes; "" for a text without them. Raises Broken for no text."""
    sample = head[: 1 << 16]
    zeros = sample.count(0)
    if not zeros or 20 * zeros < len(sample):  # a stray one is a fault of its line
        return ""
    # Every ASCII character has its zero on one side; a few Chinese ones, such as U+4E00, have theirs on the other.
    encoding = "utf-16-le" if 2 * sample[1::2].count(0) > zeros else "utf-16-be"
    text = sample[: len(sample) // 2 * 2].decode(encoding, "replace")
    odd = sum(not (char in "\t\n\r" or " " <= char <= "\u024f" or "\u2000" <= char <= "\uffef") for char in text)
    if 20 * odd > len(text):
        raise Broken("binary", what=t("intake.what_other"))
    return encoding


def _detect(chunk: bytes) -> str:
    """UTF-8, GB18030 or Big5. Raises Broken for a text in none of them."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(chunk)
        return "utf-8"
    except UnicodeDecodeError as error:
        at = error.start
    # GB18030 accepts most bytes, a slightly damaged UTF-8 file included. Real GBK text seldom makes the three-byte
    # sequences of which Chinese UTF-8 consists, so more of those than of bad bytes around the place tells them apart.
    sample = chunk[chunk.rfind(b"\n", 0, max(0, at - 500_000)) + 1 : at + 500_000]
    tried = sample.decode("utf-8", "replace")
    if sum(char >= "\u0800" for char in tried) > 2 * tried.count("\ufffd"):  # the first sum counts both kinds
        return "utf-8"
    shares = {encoding: _usual(sample, encoding) for encoding in ("gb18030", "big5")}
    best = max(shares, key=lambda encoding: shares[encoding])
    if shares[best] < 0.4:
        raise Broken("encoding", after=chunk.count(b"\n", 0, at))
    return best


def _usual(sample: bytes, encoding: str) -> float:
    """The share of the characters beyond ASCII that a text in this encoding is made of: its signs and first level.

    Both standards put their commonest characters (3,755 and 5,401) into a first level. Text is nearly all in it when
    read by the right one, and half of it or less by the wrong one.
    """
    text = [char for char in sample.decode(_CODECS.get(encoding, encoding), "replace") if char >= "\x80"]
    return sum(char in _first_level(encoding) for char in text) / max(len(text), 1)


@lru_cache
def _first_level(encoding: str) -> frozenset[str]:
    leads, trails = (
        ([0xA1, 0xA3, *range(0xB0, 0xD8)], range(0xA1, 0xFF))
        if encoding == "gb18030"
        else ([*range(0xA1, 0xA4), *range(0xA4, 0xC7)], [*range(0x40, 0x7F), *range(0xA1, 0xFF)])
    )
    codec = _CODECS.get(encoding, encoding)
    return frozenset("".join(bytes([a, b]).decode(codec, "ignore") for a in leads for b in trails)) - {"\ufffd"}
