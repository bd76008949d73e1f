"""Room `intake`, table: CSV and TSV, and the rows of any table whose first row may name its columns."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from buke.intake.encodings import MARK, MARKING
from buke.intake.rows import Content, Raw, find, normal, twice
from buke.intake.source import BLOCK, MAX_LINE
from buke.records import Severity

MAX_COLUMNS = 10_000
# The line on which a row begins, and its cells; where they cannot be told, the last line on which they may stand.
Row = tuple[int, Sequence[Any] | int]


def table(
    head: bytes, blocks: Iterator[tuple[int, bytes]], content: Content, known: Collection[str], wanted: Collection[str]
) -> Iterator[Raw]:
    """The rows of CSV or TSV.

    head: the beginning, from which the separator and the use of quotes are told. blocks: all of it, from the
    beginning. known: normalised names of fields, by which a header line is recognised. wanted: field names the user
    gave, exactly.
    """
    text = head.decode("utf-8", MARKING)
    first = text.lstrip().split("\n", 1)[0]
    delimiter = next((mark for mark in "\t,;" if mark in first), "")
    if delimiter == "," and ";" in first and len({*map(normal, first.split(";"))} & {*known}) > 1:
        delimiter = ";"
    if not delimiter:
        content.note(1, "no_format")
        return iter(())
    content.format = "tsv" if delimiter == "\t" else "csv"
    quoting = csv.QUOTE_MINIMAL
    if delimiter == "\t":
        widths = [0 if isinstance(cells, int) else len(cells) for _, cells in cells_of([text], delimiter, quoting)]
        if 2 * len(head) >= BLOCK:  # the last row may be cut
            widths = widths[:-1]
        if 0 in widths or len({*widths}) > 1:
            quoting = csv.QUOTE_NONE  # quotes are plain characters in most TSV files
    rest: list[tuple[int, int]] = []
    rows = named(cells_of(_texts(blocks, rest), delimiter, quoting), content, known, wanted)
    return itertools.chain(rows, (_lost("unread_rows", first, last, content.name) for first, last in rest))


def named(rows: Iterable[Row], content: Content, known: Collection[str], wanted: Collection[str]) -> Iterator[Raw]:
    """Rows with their cells as fields, under the header's names, or under "1", "2", … where there is no header."""
    names: list[str] | None = None
    count = 0
    for line, cells in rows:
        source = f"{content.name}:{line}"
        if names is None and not isinstance(cells, int):
            names = _names(cells, known, wanted, line, content)
            if not _usable(names, line, content):
                return
            if names[0] != "1":
                continue
        count += 1
        if isinstance(cells, int) or names is None:
            last = cells if isinstance(cells, int) else line
            yield _lost("bad_rows" if last > line else "bad_row", line, last, content.name)
        elif bad := next((cell for cell in cells if isinstance(cell, str) and (MARK in cell or "\0" in cell)), None):
            kind = "damaged" if MARK in bad else "nul"
            column = 1 + sum(len(str(cell)) + 1 for cell in cells[: cells.index(bad)])
            yield Raw(line, None, find(source, kind, column=column, encoding=content.encoding))
        elif len(cells) != len(names):
            yield Raw(line, None, find(source, "columns", found=len(cells), wanted=len(names)))
        else:
            yield Raw(line, dict(zip(names, cells, strict=True)))
    if not count and all(finding.severity is Severity.WARNING for finding in content.findings):
        content.note(1, "empty_file")


def _names(
    cells: Sequence[Any], known: Collection[str], wanted: Collection[str], line: int, content: Content
) -> list[str]:
    """The names of the columns: those in the first row, or "1", "2", … where it is a record; doubts are findings."""
    header = _is_header(cells, known, wanted)
    if header in ("header_guessed", "header_denied"):
        content.note(line, header, Severity.WARNING, names=", ".join(map(str, cells))[:300])
    if header in ("sure", "header_guessed"):
        return [str(cell).strip() for cell in cells]
    if not header and len(cells) == 3 and not wanted:
        content.note(line, "no_header", Severity.WARNING)
    return [str(i + 1) for i in range(len(cells))]


def _lost(kind: str, first: int, last: int, name: str) -> Raw:
    """What stands for the lines of which it cannot be said where their rows begin, counted as if each were one."""
    return Raw(first, None, find(f"{name}:{first}", kind, first=first, last=last), rows=last - first + 1)


def _usable(names: list[str], line: int, content: Content) -> bool:
    """Whether columns can bear these names; a finding where not."""
    if len(names) > MAX_COLUMNS:
        content.note(line, "too_many_columns", found=len(names), most=MAX_COLUMNS)
    elif len(set(names)) != len(names):
        content.note(line, "duplicate_key", key=twice(names))
    else:
        return True
    return False


def _texts(blocks: Iterator[tuple[int, bytes]], rest: list[tuple[int, int]]) -> Iterator[str]:
    """The blocks as texts, up to a line that was too long to be kept.

    What a table says after it cannot be placed, since that line may have opened a quote. The first and the last line
    that are left are added to rest.
    """
    expected = None
    for line, block in blocks:
        if expected not in (None, line):
            end = line + block.count(b"\n") + (not block.endswith(b"\n"))
            for start, more in blocks:
                end = start + more.count(b"\n") + (not more.endswith(b"\n"))
            rest.append((line, end - 1))
            return
        expected = line + block.count(b"\n")
        yield block.decode("utf-8", MARKING)


def cells_of(texts: Iterable[str], delimiter: str, quoting: int) -> Iterator[Row]:
    """The rows, without blank lines; of one whose quotes do not hold, the last line that was read for it."""
    csv.field_size_limit(MAX_LINE)  # the default refuses a cell of more than 131,072 characters
    physical = (line for text in texts for line in io.StringIO(text, newline=""))
    # strict: otherwise a quote that never closes swallows the rest of the file without a word
    reader = csv.reader(physical, delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield line, max(line, reader.line_num)
            continue
        if any(cell.strip() for cell in cells):
            yield line, cells


def _is_header(cells: Sequence[Any], known: Collection[str], wanted: Collection[str]) -> str:
    """Whether a first row names the columns: "sure" for two known names or one that the user gave.

    The kind of a finding for nothing but single words: names, unless the user gave numbers of columns. Else "".
    """
    texts = [cell.strip() if isinstance(cell, str) else "" for cell in cells]
    if any(text in wanted and not text.isdigit() for text in texts):
        return "sure"
    if sum(normal(text) in known for text in texts) > 1:
        return "sure"
    if not all(re.fullmatch(r"[^\W\d][\w.-]{0,39}", text) for text in texts):
        return ""
    return "header_denied" if any(name.isdecimal() for name in wanted) else "header_guessed"
