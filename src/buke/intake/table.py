"""Room `intake`, table: CSV and TSV, and the rows of any table whose first row may name its columns."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any

from buke.intake.columns import MOST, order
from buke.intake.encodings import MARK, MARKING
from buke.intake.rows import Content, Fault, Raw, find, normal, twice
from buke.intake.source import BLOCK, MAX_LINE
from buke.records import Severity

MAX_COLUMNS = 10_000
HEADING = 10  # rows among which the headings are looked for
SHOWN = 40  # characters of a cell in a message
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
    """Rows with their cells as fields, under the header's names, or under "1", "2", … where there is no header.

    Three columns without a header become fields in the order question, answer, thought, as far as that is clear.
    """
    rows = iter(rows)
    first = _first(rows)
    at = heading(first, known, wanted)
    top = next((i for i, row in enumerate(first) if not isinstance(row[1], int)), len(first)) if at is None else at
    line, cells = (first[top][0], _cells(first[top])) if first[top:] else (1, ())
    guessed = at is None and bool(cells) and _is_words(cells)
    denied = guessed and any(name.isdecimal() for name in wanted)
    header = at is not None or (guessed and not denied)
    names = [str(cell).strip() if header else str(i) for i, cell in enumerate(cells, 1)]
    if not _usable(names, line, content) or (at is None and _is_title(first, content)):
        return
    if guessed:
        kind = "header_denied" if denied else "header_guessed"
        content.note(line, kind, Severity.WARNING, names=", ".join(map(str, cells))[:300])
    above = first[:top]
    if shown := [_short(str(cell)) for row in above for cell in _cells(row) if cell != ""]:
        content.note(line, "above_header", Severity.WARNING, row=line, shown=" | ".join(shown[:5]))
    places: Sequence[int] = range(len(names))
    if not header and len(names) == 3 and not {*wanted} & {*names}:
        if (found := _order(first[top:], line, content)) is None:
            return
        places = found
    count = 0
    rows = chain((row for row in above if isinstance(row[1], int)), first[top + header :], rows)
    for raw in _raws(rows, names, places, content):
        count += 1
        yield raw
    if not count and all(finding.severity is Severity.WARNING for finding in content.findings):
        content.note(1, "empty_file")


def _raws(rows: Iterable[Row], names: list[str], places: Sequence[int], content: Content) -> Iterator[Raw]:
    """Rows under these names, their fields in the order of these places, or what is wrong with them."""
    sheet = content.format == "xlsx"  # where empty cells at the end of a row are not there
    plain = [*places] == [*range(len(names))]
    for line, cells in rows:
        source = f"{content.name}:{line}"
        if sheet and not isinstance(cells, int) and all(isinstance(cell, Fault) for cell in cells[len(names) :]):
            cells = cells[: len(names)]  # beside the columns nothing but formulas
        if isinstance(cells, int):
            yield _lost("bad_rows" if cells > line else "bad_row", line, cells, content.name)
        elif bad := next((cell for cell in cells if isinstance(cell, str) and (MARK in cell or "\0" in cell)), None):
            kind = "damaged" if MARK in bad else "nul"
            column = 1 + sum(len(str(cell)) + 1 for cell in cells[: cells.index(bad)])
            yield Raw(line, None, find(source, kind, column=column, encoding=content.encoding))
        elif len(cells) != len(names) and not (sheet and len(cells) < len(names)):
            kind = "columns_sheet" if sheet else "columns"
            yield Raw(line, None, find(source, kind, found=len(cells), wanted=len(names)))
        elif plain:
            yield Raw(line, dict(zip_longest(names, cells, fillvalue="")))
        else:
            padded = [*cells, *[""] * (len(names) - len(cells))]
            yield Raw(line, {names[at]: padded[at] for at in places})


def _cells(row: Row) -> Sequence[Any]:
    """The cells of a row, none where they cannot be told."""
    return () if isinstance(row[1], int) else row[1]


def _first(rows: Iterator[Row]) -> list[Row]:
    """The rows from which the columns are told: a few, and no more than a block of text."""
    taken: list[Row] = []
    size = 0
    while len(taken) < MOST and size < BLOCK and (row := next(rows, None)) is not None:
        taken.append(row)
        size += sum(len(cell) for cell in _cells(row) if isinstance(cell, str))
    return taken


def _order(rows: Sequence[Row], line: int, content: Content) -> tuple[int, int, int] | None:
    """Columns of question, answer and thought, with a warning; None, with an error, where they are not clear."""
    texts = [[str(cell) for cell in _cells(row)] for row in rows if len(_cells(row)) == 3]
    if found := order(texts):
        question, thought, answer = found
        content.note(line, "no_header", Severity.WARNING, question=question + 1, thought=thought + 1, answer=answer + 1)
        return question, answer, thought
    sample = " | ".join(_short(cell) for cell in texts[0])
    content.note(line, "columns_unclear", sample=sample)
    return None


def _short(text: str) -> str:
    """A cell as a message shows it."""
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


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


def heading(rows: Sequence[Row], known: Collection[str], wanted: Collection[str]) -> int | None:
    """Which row names the columns, for it has two known names or one that the user gave: the first, or, below a title,
    one of the first HEADING rows that has more cells than any above it; None where no row does."""
    widest = 0
    for at, row in enumerate(rows[:HEADING]):
        texts = [cell.strip() if isinstance(cell, str) else "" for cell in _cells(row)]
        filled = len(texts) - texts.count("")
        if filled > widest and (
            any(text in wanted and not text.isdigit() for text in texts)
            or sum(normal(text) in known for text in texts) > 1
        ):
            return at
        widest = max(widest, filled)
    return None


def _is_words(cells: Sequence[Any]) -> bool:
    """Whether a first row has nothing but single words, which name columns in other words than ours."""
    return all(re.fullmatch(r"[^\W\d][\w.-]{0,39}", cell.strip() if isinstance(cell, str) else "") for cell in cells)


def _is_title(rows: Sequence[Row], content: Content) -> bool:
    """Whether a first row of one cell stands above a wider one that may name the columns; then there is a finding."""
    filled = [(row[0], [cell for cell in _cells(row) if cell != ""]) for row in rows[:HEADING]]
    most = max((len(cells) for _, cells in filled), default=0)
    if not filled or len(filled[0][1]) != 1 or most < 2:
        return False
    row = next(line for line, cells in filled if 2 * len(cells) > most and len(cells) > 1)
    content.note(row, "header_below", row=row)
    return True
