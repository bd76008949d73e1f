"""Room `intake`, formats: a file -> its rows with their lines. The content decides, never the file's name.

source     a path, or stdin -> blocks of bytes, hashed, decompressed
encodings  -> blocks of UTF-8, whatever they were in
jsontext   -> rows of JSON Lines as a stream; of a JSON array, or of an object around one, read as a whole
table      -> rows of CSV and TSV as a stream
columnar   Parquet, Arrow and Excel, which are no text
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path

from buke.intake.columnar import columnar
from buke.intake.encodings import MARKING, utf8
from buke.intake.jsontext import MAX_PARTS, Document, begins_lines, lines, mostly_objects, overfull
from buke.intake.rows import DIALOGUES, Content, Fault, Raw, find, normal
from buke.intake.source import BLOCK, MAX_LINE, MAX_WHOLE, Broken, Source, decompressed, magic
from buke.intake.table import table

__all__ = ["DIALOGUES", "Content", "Fault", "Raw", "find", "lines", "normal", "open_content"]

_OTHER = {b"%PDF": "PDF", b"\xd0\xcf\x11\xe0": "Office 97 (.xls, .doc)", b"\x89HDF": "HDF5", b"SQLite": "SQLite"}


def open_content(path: Path, known: Collection[str], wanted: Collection[str] = ()) -> Content:
    """What a file holds; the path "-" is stdin. Its beginning is read at once, the rest with the rows.

    known: normalised names of fields, by which a header line is recognised.
    wanted: field names the user gave, exactly.
    Raises Refusal where the file cannot be opened, is no regular file, or needs a library that is missing; everything
    else is a finding.
    """
    content = Content(Source(path))
    kind = content.source.kind
    try:
        if kind in ("parquet", "arrow", "xlsx"):
            content.format = kind
            if content.source.stdin:
                raise Broken("needs_file", what=kind)
            rows = columnar(kind, content, known, wanted)
        else:
            content.compression = kind
            chunks = content.source.chunks()
            rows = _text(decompressed(chunks, kind) if kind else chunks, content, known, wanted)
    except Broken as broken:
        content.note(1 + broken.after, broken.kind, **broken.values)
        rows = iter(())
    except BaseException:
        content.source.close()
        raise
    content.rows = _to_the_end(rows, content)
    return content


def _to_the_end(rows: Iterator[Raw], content: Content) -> Iterator[Raw]:
    yield from rows
    content.finish()


def _text(chunks: Iterator[bytes], content: Content, known: Collection[str], wanted: Collection[str]) -> Iterator[Raw]:
    """The rows of a text. Raises Broken where its first block cannot be read."""
    first = next(chunks, b"")
    what = next((what for begin, what in _OTHER.items() if first.startswith(begin)), magic(first))
    if what:
        raise Broken("binary", what=what)
    texts = utf8(chain([first], chunks), content)
    head = next((text for text in texts if text), b"")
    if head.startswith(BOM_UTF8):
        raise Broken("mark_inside", column=1)
    begin = head.lstrip(b" \t\r\n")[:1]
    if not begin:
        if not all(not text.strip(b" \t\r\n") for text in texts):
            raise Broken("no_format")
        raise Broken("empty_file")
    if begin not in b"[{":
        return table(head, whole_lines(chain([head], texts), content), content, known, wanted)
    return _json(head, texts, content, begin == b"[")


def _json(head: bytes, texts: Iterator[bytes], content: Content, array: bool) -> Iterator[Raw]:
    """The rows of a text that begins with a bracket: as a stream where it is JSON Lines, else as a whole."""
    if b"\n" not in head and b"\r" in head:  # an old Mac's line ends; inside a JSON text neither can stand
        head, texts = head.replace(b"\r", b"\n"), (text.replace(b"\r", b"\n") for text in texts)
    if array or not _is_lines(head := _past_first_line(head, texts)):
        held = _held(head, texts)
        if sum(map(len, held)) <= MAX_WHOLE:
            whole, held = b"".join(held), []
            if len(whole) > BLOCK and overfull(whole):
                raise Broken("too_many_parts", most=MAX_PARTS)
            rows = Document(whole.decode("utf-8", MARKING), content).rows()
            if rows is not None:
                return rows
            held = [whole]
        elif array or not mostly_objects(head[:BLOCK].decode("utf-8", MARKING)):
            raise Broken("too_large", most=MAX_WHOLE >> 20)
        texts, head = chain(held, texts), b""
    content.format = "jsonl"
    content.blocks = whole_lines(chain([head], texts), content)
    return (raw for line, block in content.blocks for raw in lines(block, content.name, line, content.encoding))


def _past_first_line(head: bytes, texts: Iterator[bytes]) -> bytes:
    """The head, read on until something follows its first line, the text ends, or MAX_LINE is reached."""
    while len(head) <= MAX_LINE and not head.lstrip().partition(b"\n")[2].strip():
        more = next(texts, None)
        if more is None:
            break
        head += more
    return head


def _is_lines(head: bytes) -> bool:
    """Whether a text that begins with a brace is surely JSON Lines, so that it need not be read as a whole."""
    first, _, rest = head.lstrip().partition(b"\n")
    if len(first) > MAX_LINE:
        return True
    text = head[: len(head) - len(rest) + BLOCK].decode("utf-8", MARKING)
    return bool(rest.strip()) and begins_lines(text)


def _held(head: bytes, texts: Iterator[bytes]) -> list[bytes]:
    """Everything, or somewhat more than MAX_WHOLE of it. Raises Broken with the lines before the break."""
    held, size = [head], len(head)
    try:
        while size <= MAX_WHOLE and (text := next(texts, None)) is not None:
            held.append(text)
            size += len(text)
    except Broken as broken:
        broken.after += sum(text.count(b"\n") for text in held)
        raise
    return held


def whole_lines(chunks: Iterator[bytes], content: Content) -> Iterator[tuple[int, bytes]]:
    """(number of the first line, whole lines) for about every chunk.

    A line over MAX_LINE is dropped with a finding and never held. Where the bytes break off, so does this, with a
    finding at the line reached.
    """
    line, held, size = 1, [b""], 0
    try:
        for chunk in chunks:
            cut = chunk.rfind(b"\n") + 1
            if cut:
                begin = 0
                if size > MAX_LINE:
                    content.note(line, "line_too_long", most=MAX_LINE >> 20)
                    line, begin = line + 1, chunk.find(b"\n") + 1
                block = b"".join([*held, chunk[begin:cut]])
                if block:
                    yield line, block
                line, held, size = line + block.count(b"\n"), [chunk[cut:]], len(chunk) - cut
            else:
                size += len(chunk)
                held = [*held, chunk] if size <= MAX_LINE else []
    except Broken as broken:
        content.note(line + broken.after, broken.kind, **broken.values)
        return
    if size > MAX_LINE:
        content.note(line, "line_too_long", most=MAX_LINE >> 20)
    elif block := b"".join(held):
        yield line, block
