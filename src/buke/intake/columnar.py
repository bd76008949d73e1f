"""Room `intake`, columnar: Parquet, Arrow and Excel -> rows, a few hundred at a time. Their libraries are optional."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Collection, Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from buke.intake.rows import Content, Raw, find, twice
from buke.intake.source import BLOCK, MAX_RATIO, MAX_WHOLE, needed
from buke.intake.table import Row, named

EXCEL_ROWS = 1_048_576  # the most a sheet can have
ROWS = 256  # of Parquet or Arrow made into Python's objects at a time


def columnar(kind: str, content: Content, known: Collection[str], wanted: Collection[str]) -> Iterator[Raw]:
    """The rows of a "parquet", "arrow" or "xlsx" file; its library is looked for at once, the file read later.

    Raises Refusal where the library is missing.
    """
    if kind == "xlsx":
        needed("openpyxl", "excel")
        return named(_sheet(content), content, known, wanted)
    needed("pyarrow", "parquet")
    return _batches(kind, content)


def _batches(kind: str, content: Content) -> Iterator[Raw]:
    """The rows of all batches, numbered from 1; what breaks off is a finding at the row after the last good one."""
    number, path = 0, content.source.path
    read = _parquet(path) if kind == "parquet" else _arrow(path, content.source.head.startswith(b"ARROW1"))
    # Broken bytes make pyarrow raise whatever its layers raise (ArrowException, OSError, MemoryError, UnicodeError …).
    try:
        for batch in read:
            if len(set(names := batch.schema.names)) < len(names):
                content.note(1, "duplicate_key", key=twice(names))
                return
            for row in _rows(batch):
                number += 1
                bad = isinstance(row, UnicodeDecodeError)
                finding = find(f"{content.name}:{number}", "damaged", column=1, encoding="utf-8") if bad else None
                yield Raw(number, None if bad else {key: plain(item) for key, item in row.items()}, finding)
    except _Bomb:
        content.note(number + 1, "bomb", ratio=MAX_RATIO)
    except Exception:
        content.note(number + 1, "bad_file", what=kind.capitalize())
    else:
        if not number:
            content.note(1, "empty_file")


class _Bomb(Exception):
    """A file that says of itself that it becomes many times its size."""


def _parquet(path: Path) -> Iterator[Any]:
    parquet = needed("pyarrow.parquet", "parquet")
    with parquet.ParquetFile(path) as file:
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if size > max(MAX_WHOLE, MAX_RATIO * path.stat().st_size):
            raise _Bomb
        yield from file.iter_batches(batch_size=ROWS)


def _arrow(path: Path, whole: bool) -> Iterator[Any]:
    """Batches of an Arrow file, or of an Arrow stream as the ``datasets`` library saves it."""
    arrow = needed("pyarrow", "parquet")
    with arrow.memory_map(str(path)) as file:
        if whole:
            reader = arrow.ipc.open_file(file)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            batches = iter(arrow.ipc.open_stream(file))
        for batch in batches:
            batch.validate(full=True)  # offsets that point outside the file would be read without a check
            yield from (batch.slice(at, ROWS) for at in range(0, batch.num_rows, ROWS))


def _rows(batch: Any) -> Iterator[Any]:
    """The rows of a batch as dicts; a UnicodeDecodeError in the place of one that is not UTF-8."""
    try:
        yield from batch.to_pylist()
        return
    except UnicodeDecodeError:
        pass
    for i in range(batch.num_rows):
        try:
            yield batch.slice(i, 1).to_pylist()[0]
        except UnicodeDecodeError as error:
            yield error


def plain(value: Any) -> Any:
    """A value in the types of JSON: dates and the like become the text they show as."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value.isoformat() if isinstance(value, (date, datetime, time)) else str(value)


def _sheet(content: Content) -> Iterator[Row]:
    """The rows of the one sheet that holds anything: (row of the sheet, cells), each as wide as the first or wider."""
    path, row, width = content.source.path, 0, 0
    # Broken files make openpyxl raise whatever its layers raise (BadZipFile, KeyError, ParseError, ValueError …).
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())  # no more than this is unpacked
        if size > min(MAX_WHOLE, max(4 * BLOCK, MAX_RATIO // 2 * path.stat().st_size)):
            content.note(1, "bomb" if size <= MAX_WHOLE else "too_large", ratio=MAX_RATIO // 2, most=MAX_WHOLE >> 20)
            return
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and the like, which are not read
            book = needed("openpyxl", "excel").load_workbook(file, read_only=True, data_only=True, keep_links=False)
            sheets = [sheet for sheet in book.worksheets if any(any(cells) for _, cells in _cells(sheet))]
            if len(sheets) > 1:
                content.note(1, "several_sheets", names=", ".join(sheet.title for sheet in sheets))
                return
            for row, cells in _cells(sheets[0]) if sheets else ():
                width = width or len(cells)
                yield row, cells + [""] * (width - len(cells))
    except Exception:
        content.note(row + 1, "bad_file", what="Excel")


def _cells(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """(row of the sheet, its cells as texts up to the last filled one), without empty rows."""
    sheet.reset_dimensions()  # what a file says of its size may be wrong by millions
    for number, cells in enumerate(sheet.iter_rows(max_row=EXCEL_ROWS, values_only=True), 1):
        texts = ["" if cell is None else cell if isinstance(cell, (str, bool)) else str(plain(cell)) for cell in cells]
        while texts and texts[-1] == "":
            texts.pop()
        if texts:
            yield number, texts
