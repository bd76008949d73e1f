"""Room `intake`, columnar: Parquet, Arrow and Excel -> rows, a few hundred at a time. Their libraries are optional."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Collection, Iterator
from datetime import date, datetime, time
from itertools import islice, repeat
from pathlib import Path
from typing import Any

from buke.intake.rows import Content, Fault, Raw, find, twice
from buke.intake.source import BLOCK, MAX_RATIO, MAX_WHOLE, needed
from buke.intake.table import HEADING, Row, heading, named
from buke.records import Severity

EXCEL_ROWS = 1_048_576  # the most a sheet can have
_ERRORS = {"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#SPILL!", "#CALC!", "#FIELD!"}
ROWS = 256  # of Parquet or Arrow made into Python's objects at a time


def columnar(kind: str, content: Content, known: Collection[str], wanted: Collection[str]) -> Iterator[Raw]:
    """The rows of a "parquet", "arrow" or "xlsx" file; its library is looked for at once, the file read later.

    Raises Refusal where the library is missing.
    """
    if kind == "xlsx":
        needed("openpyxl", "excel")
        return named(_sheet(content, known, wanted), content, known, wanted)
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


def _sheet(content: Content, known: Collection[str], wanted: Collection[str]) -> Iterator[Row]:
    """The rows of the sheet that holds the records: (row of the sheet, its cells up to the last filled one)."""
    path, row = content.source.path, 0
    # Broken files make openpyxl raise whatever its layers raise (BadZipFile, KeyError, ParseError, ValueError …).
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())  # no more than this is unpacked
            if size > min(MAX_WHOLE, max(4 * BLOCK, MAX_RATIO // 2 * path.stat().st_size)):
                kind = "bomb" if size <= MAX_WHOLE else "too_large"
                content.note(1, kind, ratio=MAX_RATIO // 2, most=MAX_WHOLE >> 20)
                return
            formulas = any(_has_formula(archive, part) for part in archive.namelist() if "/worksheets/" in part)
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and the like, which are not read
            load = needed("openpyxl", "excel").load_workbook
            book = load(file, read_only=True, data_only=True, keep_links=False)
            written = load(file, read_only=True, keep_links=False) if formulas else None
            sheet = _chosen(book, content, known, wanted)
            for row, cells in _cells(sheet, written and written[sheet.title]) if sheet else ():
                yield row, cells
    except Exception:
        content.note(row + 1, "bad_file", what="Excel")


def _has_formula(archive: zipfile.ZipFile, part: str) -> bool:
    """Whether a sheet has any formula: only then it is read a second time, for those without a result."""
    end = b""
    with archive.open(part) as file:
        while block := file.read(1 << 20):
            if b"<f>" in (text := end + block) or b"<f " in text:
                return True
            end = block[-2:]
    return False


def _chosen(book: Any, content: Content, known: Collection[str], wanted: Collection[str]) -> Any:
    """The one sheet that holds anything, or the one whose headings are known; None, with a finding where several."""
    sheets = [sheet for sheet in book.worksheets if any(any(cells) for _, cells in _cells(sheet))]
    if len(sheets) < 2:
        return sheets[0] if sheets else None
    names = ", ".join(sheet.title for sheet in sheets)
    good = [sheet for sheet in sheets if heading([*islice(_cells(sheet), HEADING)], known, wanted) is not None]
    if len(good) != 1:
        content.note(1, "several_sheets", names=names)
        return None
    left = ", ".join(sheet.title for sheet in sheets if sheet is not good[0])
    content.note(1, "other_sheets", Severity.WARNING, name=good[0].title, left=left)
    return good[0]


def _cells(sheet: Any, written: Any = None) -> Iterator[tuple[int, list[Any]]]:
    """(row of the sheet, its cells as texts or Faults up to the last filled one), without empty rows.

    written: the same sheet with formulas in the place of their results.
    """
    for each in (sheet, written) if written else (sheet,):
        each.reset_dimensions()  # what a file says of its size may be wrong by millions
    rows = sheet.iter_rows(max_row=EXCEL_ROWS, values_only=True)
    behind = written.iter_rows(max_row=EXCEL_ROWS, values_only=True) if written else repeat(())
    for number, (cells, formulas) in enumerate(zip(rows, behind, strict=False), 1):
        texts = [_cell(cell) for cell in cells]
        for at, formula in enumerate(formulas if any(texts) else ()):  # copied far down, they give empty rows
            if texts[at] == "" and formula is not None:
                texts[at] = Fault("cell_formula", formula if isinstance(formula, str) else "=…")
        while texts and texts[-1] == "":
            texts.pop()
        if texts:
            yield number, texts


def _cell(value: Any) -> Any:
    """A cell as the text a person sees in it, about; a Fault where that is nothing to learn."""
    if isinstance(value, str):
        return Fault("cell_error", value) if value in _ERRORS else value
    if isinstance(value, bool):
        return Fault("cell_boolean", str(value).upper())
    if isinstance(value, datetime):
        return str(value.date() if value.time() == time() else value)
    return "" if value is None else str(plain(value))
