"""Room `intake`, mend: the changes to a record that take away what ``review`` warns of and leave the meaning alone."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from buke.intake.lesson import TAG
from buke.intake.review import (
    CODE,
    COMMAND,
    CONTROL,
    ESCAPED,
    HTML,
    INVISIBLE,
    LATEX,
    LATIN_RUN,
    MOJIBAKE,
    STRAY,
    Texts,
    kinds_in,
    shown_of,
    texts_of,
)
from buke.records import Record, Turn
from buke.words import t

ROUNDS = 8  # one mend may bring another to light (&amp;lt;br&amp;gt;); what needs more rounds is left to a person

_CP1252 = {
    bytes([byte]).decode("cp1252"): chr(byte) for byte in range(0x80, 0xA0) if byte not in b"\x81\x8d\x8f\x90\x9d"
}
_TO_LATIN = str.maketrans(_CP1252)
_LINE_TAG = re.compile(r"\n?</?(?:p|br|div)\s?/?>\n?", re.IGNORECASE)
_BARE_TAG = re.compile(r"</?(?:span|strong|em|font|center|[biu])>", re.IGNORECASE)
_ANSI = re.compile(r"\x1b\[[0-9;?]{0,32}[@-~]")  # what sets colours in a terminal
_PAGE_END = re.compile(r"[\x0b\x0c]")
_WRAPPED = re.compile(rf"\s*<({STRAY})>(.*)</\1>\s*", re.DOTALL | re.IGNORECASE)


def mend(record: Record) -> tuple[Record, list[tuple[str, str]]]:
    """(the record mended, what was done as pairs of a finding's kind and a sentence).

    A kind is mended in the whole record or not at all: it is done only where ``review`` then no longer finds it, no
    text becomes empty, and no tag of a thought, such as </think>, comes to stand in one. A record that is mended
    already, or in which nothing can be mended, comes back as it is, with nothing done. Raises nothing.
    """
    texts, done = texts_of(record), dict[str, int]()
    for _ in range(ROUNDS):
        before = texts
        for kind in MENDS:
            if kind in kinds_in(texts) and (better := _mended(texts, kind)):
                done[kind] = done.get(kind, 0) + sum(a != b for a, b in zip(texts, better, strict=True))
                texts = better
        if texts is before:
            break
    else:
        return record, []
    if not done or done.keys() & kinds_in(texts):
        return record, []
    return _record(record, texts), [(kind, t(f"intake.mended_{kind}", texts=count)) for kind, count in done.items()]


def _mended(texts: Texts, kind: str) -> Texts | None:
    """The texts without findings of a kind, or None where that cannot be done safely."""
    mended = [(role, MENDS[kind](text) if shown_of(kind, role, text) else text) for role, text in texts]
    mended = [(role, text.strip() if role in ("thought", "answer") else text) for role, text in mended]
    for (_, before), (_, after) in zip(texts, mended, strict=True):
        emptied = before.strip() and not after.strip()
        if emptied or ("<" in after and _tags(after) - _tags(before)):
            return None
    return None if kind in kinds_in(mended) else mended


def _tags(text: str) -> set[tuple[str, str]]:
    """The kinds of tags of thoughts in a text."""
    return {(slash, name.lower()) for slash, name in TAG.findall(text)}


def _record(record: Record, texts: Texts) -> Record:
    """The record with these texts, in the order of ``texts_of``, and the id that goes with them."""
    question, thought, answer, system, *rest = (text for _, text in texts)
    history = tuple(Turn(*rest[i : i + 3]) for i in range(0, len(rest), 3))
    return Record.make(question, thought, answer, record.source, system, history)


def _outside(kept: re.Pattern[str], text: str, change: Callable[[str], str]) -> str:
    """The text with everything changed but what a pattern, which is one group, finds."""
    pieces = kept.split(text)
    return "".join(piece if i % 2 else change(piece) for i, piece in enumerate(pieces))


def _plain(text: str) -> str:
    """HTML as plain text: paragraphs and line breaks as line ends, formatting dropped, entities as characters."""
    text = _BARE_TAG.sub("", _LINE_TAG.sub("\n", text))
    text = re.sub("&(?:amp;)+", "&", text)  # escaped over and over
    return HTML.sub(lambda match: html.unescape(match[0]).replace("\xa0", " "), text)


def _read_again(text: str) -> str:
    """The text with its runs of wrongly read letters decoded, as often as they were encoded."""
    while (better := LATIN_RUN.sub(_decoded, text)) != text:  # each time it gets shorter
        text = better
    return text


def _decoded(match: re.Match[str]) -> str:
    """A run of letters that were bytes of UTF-8, read as that; the run itself where it was something else."""
    run = match[0]
    if not MOJIBAKE.search(run):
        return run
    try:
        return run.translate(_TO_LATIN).encode("latin-1").decode("utf-8")
    except UnicodeError:
        return run


def _without_controls(text: str) -> str:
    """The text without control characters: ends of lines and pages as \\n, the colours of a terminal dropped whole."""
    return CONTROL.sub("", _PAGE_END.sub("\n", _ANSI.sub("", text)))


MENDS: dict[str, Callable[[str], str]] = {
    "latex_escape": lambda text: COMMAND.sub(lambda match: ESCAPED[match[0][0]] + match[0][1:], text),
    "line_ends": lambda text: _outside(LATEX, text, lambda piece: re.sub(r"\r\n?", "\n", piece)),
    "mojibake": _read_again,
    "control_character": lambda text: _outside(LATEX, text, _without_controls),
    "invisible_character": lambda text: INVISIBLE.sub("", text),
    "html": lambda text: _outside(CODE, text, _plain),
    "stray_tag": lambda text: _WRAPPED.sub(r"\2", text) if _WRAPPED.fullmatch(text) else text,
}
