"""Room `intake`, formats: the bytes of a file -> rows with line numbers. The content decides, never the file's name.

JSON Lines, a JSON array, an object around one list of records, CSV and TSV with or without a header line.
What is broken becomes a finding; nothing is repaired by guessing.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from buke.records import Finding, Severity
from buke.words import t

DIALOGUES = ("messages", "conversations", "conversation", "dialogue")
_BINARY = {b"PAR1": "Parquet", b"PK\x03\x04": "Excel/ZIP", b"\x1f\x8b": "gzip", b"ARROW1": "Arrow", b"%PDF": "PDF"}
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SPACE = re.compile(r"[ \t\r\n]*")
_CONSTANT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(-?Infinity|NaN)')


@dataclass(frozen=True, slots=True)
class Raw:
    """One row of a file before its fields are known. Where ``finding`` is set the row cannot be used."""

    line: int  # counted from 1, where the row begins
    value: Any  # a dict of fields
    finding: Finding | None = None


@dataclass(slots=True)
class Content:
    """What a file holds. ``findings`` are about the file as a whole."""

    format: str = ""  # "jsonl", "json", "csv", "tsv"; "" where it could not be told
    encoding: str = ""
    rows: list[Raw] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def find(source: str, kind: str, severity: Severity = Severity.ERROR, **values: Any) -> Finding:
    """A finding with the catalogue's sentence and hint for its kind."""
    return Finding(source, kind, t(f"intake.{kind}", **values), t(f"intake.{kind}_hint", **values), severity)


def parse(data: bytes, name: str, known: Collection[str], wanted: Collection[str] = ()) -> Content:
    """The rows of a file.

    name: shown in findings. known: normalised names of fields, by which a header line is recognised.
    wanted: field names the user gave, exactly. Raises nothing: every problem is a finding.
    """
    content = Content()
    text = _decode(data, name, content)
    if any(finding.severity is Severity.ERROR for finding in content.findings):
        return content
    start = _skip(text, 0)
    if start == len(text):
        content.findings.append(find(f"{name}:1", "empty_file"))
    elif text[start] in "[{":
        _Json(name, content).document(text, start)
    else:
        _table(text, name, content, known, wanted)
    return content


def normal(key: str) -> str:
    """A field name without case, and with _ for spaces and hyphens."""
    return key.strip().casefold().replace(" ", "_").replace("-", "_")


def _decode(data: bytes, name: str, content: Content) -> str:
    """The text of a file: by its byte order mark, else UTF-8, else GB18030 (with a warning, since it is a guess)."""
    bom = next((encoding for mark, encoding in _BOMS if data.startswith(mark)), None)
    what = next((what for magic, what in _BINARY.items() if data.startswith(magic)), None)
    if what or (not bom and b"\0" in data):
        content.findings.append(find(f"{name}:1", "binary", what=what or t("intake.what_other")))
        return ""
    content.encoding = bom or "utf-8"
    try:
        return data.decode(content.encoding)
    except UnicodeDecodeError as error:
        at, source = error.start + 1, f"{name}:{data.count(10, 0, error.start) + 1}"
    # GB18030 accepts most bytes, a slightly damaged UTF-8 file included. Real GBK text seldom makes the three-byte
    # sequences of which Chinese UTF-8 consists, so more of those than of bad bytes around the place tells them apart.
    tried = data[max(0, at - 500_000) : at + 500_000].decode("utf-8", "replace")
    if bom or sum(char >= "\u0800" for char in tried) > 2 * tried.count("\ufffd"):  # the first sum counts both kinds
        content.findings.append(find(source, "damaged", byte=at, encoding=content.encoding))
        return ""
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        content.findings.append(find(source, "encoding", byte=at))
        return ""
    content.encoding = "gb18030"
    content.findings.append(find(f"{name}:1", "gb18030", Severity.WARNING))
    return text


def _skip(text: str, pos: int) -> int:
    """The first position from pos on that is not JSON's white space."""
    match = _SPACE.match(text, pos)
    assert match
    return match.end()


class _Json:
    """JSON read value by value, so that every record keeps its line and its own findings."""

    def __init__(self, name: str, content: Content) -> None:
        self.name, self.content = name, content
        self.seen: list[tuple[str, str]] = []  # (kind, key) met while decoding the value at hand
        # Numbers are never used, only told from text; float takes any length where int refuses 4,300 digits.
        self.decoder = json.JSONDecoder(
            object_pairs_hook=self._pairs, parse_constant=self._constant, parse_int=float, parse_float=float
        )

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            keys = [key for key, _ in pairs]
            self.seen.append(("duplicate_key", next(key for key in keys if keys.count(key) > 1)))
        return value

    def _constant(self, name: str) -> None:
        self.seen.append(("not_a_number", name))

    def document(self, text: str, start: int) -> None:
        """A whole file that begins with a bracket."""
        self.content.format = "json"
        if text[start] == "[":
            self._records(text, start, last=True)
            return
        raw, end = self.value(text, start, 1 + text.count("\n", 0, start))
        if end >= 0 and _skip(text, end) == len(text):
            self._object(text, start, raw)
        elif self._is_lines(text, start, end):
            self._lines(text)
        else:
            self.content.findings.append(raw.finding if end < 0 and raw.finding else self._after(text, end))

    def value(self, text: str, start: int, line: int, base: int = 1) -> tuple[Raw, int]:
        """The value at text[start] and where it ends; -1 where it cannot be read.

        line: on which it stands. base: the number of the text's own first line, for the place of an error.
        """
        self.seen.clear()
        source = f"{self.name}:{line}"
        try:
            value, end = self.decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            place = f"{self.name}:{base + error.lineno - 1}"
            return Raw(line, None, find(place, _why(text, error.pos, error.msg), column=error.colno)), -1
        except RecursionError:
            return Raw(line, None, find(source, "too_deep")), -1
        if self.seen:
            kind, key = self.seen[0]
            at = _constant(text, start, end) if kind == "not_a_number" else start
            source = f"{self.name}:{line + text.count(chr(10), start, at)}"
            return Raw(line, value, find(source, kind, key=key, column=at - text.rfind("\n", 0, at))), end
        return Raw(line, value, None if isinstance(value, dict) else find(source, "not_object")), end

    def _is_lines(self, text: str, start: int, end: int) -> bool:
        """Whether a text that is not one JSON value is JSON Lines: its first value ends on the first line, or, where
        that is broken, most lines begin with a brace."""
        if end >= 0:
            return text.find("\n", start, end) < 0
        lines = [line[0] for line in text.split("\n") if line and not line.isspace()]
        return 2 * lines.count("{") >= len(lines)

    def _lines(self, text: str) -> None:
        self.content.format = "jsonl"
        # Only \n ends a line: str.splitlines would also cut at U+2028 and others that JSON allows inside a text.
        for number, line in enumerate(text.split("\n"), 1):
            start = _skip(line, 0)
            if start == len(line):
                continue
            raw, end = self.value(line, start, number, number)
            if end >= 0 and (rest := _skip(line, end)) < len(line):
                raw = Raw(number, None, self._after(line, rest, number))
            self.content.rows.append(raw)

    def _after(self, text: str, pos: int, base: int = 1) -> Finding:
        """The finding for text after the end of a value."""
        error = json.JSONDecodeError("Extra data", text, _skip(text, pos))
        place = f"{self.name}:{base + error.lineno - 1}"
        return find(place, _why(text, error.pos, error.msg), column=error.colno)

    def _object(self, text: str, start: int, raw: Raw) -> None:
        """A file that is one object: a single record, or a wrapper around one list of records."""
        lists = [] if any(normal(key) in DIALOGUES for key in raw.value) else self._lists(text, start)
        if not lists:
            self.content.format = "jsonl" if text.find("\n", start, len(text.rstrip())) < 0 else "json"
            self.content.rows.append(raw)
        elif len(lists) > 1:
            keys = ", ".join(key for key, _ in lists)
            self.content.findings.append(find(f"{self.name}:{raw.line}", "several_lists", keys=keys))
        else:
            self._records(text, lists[0][1], last=False)

    def _lists(self, text: str, start: int) -> list[tuple[str, int]]:
        """(key, position) of the members of the valid object at text[start] that are lists of objects."""
        found, pos = [], _skip(text, start + 1)
        while text[pos] != "}":
            key, pos = self.decoder.raw_decode(text, pos)
            at = _skip(text, _skip(text, pos) + 1)  # over the colon
            value, pos = self.decoder.raw_decode(text, at)
            if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
                found.append((key, at))
            pos = _skip(text, pos)
            pos = _skip(text, pos + 1) if text[pos] == "," else pos
        return found

    def _records(self, text: str, start: int, last: bool) -> None:
        """The elements of the array at text[start]. A broken array gives no rows: where it goes on is not known.

        last: nothing may follow the array.
        """
        rows: list[Raw] = []
        line, counted, pos = 1, 0, _skip(text, start + 1)
        while text[pos : pos + 1] != "]" or rows:
            line, counted = line + text.count("\n", counted, pos), pos
            raw, end = self.value(text, pos, line)
            if end < 0 and raw.finding:
                self.content.findings.append(raw.finding)
                return
            rows.append(raw)
            pos = _skip(text, end)
            if text[pos : pos + 1] == "]":
                break
            if text[pos : pos + 1] != ",":
                error = json.JSONDecodeError("Expecting ',' delimiter", text, pos)
                kind = _why(text, pos, error.msg)
                self.content.findings.append(find(f"{self.name}:{error.lineno}", kind, column=error.colno))
                return
            pos = _skip(text, pos + 1)
        if last and _skip(text, pos + 1) < len(text):
            self.content.findings.append(self._after(text, pos + 1))
        elif not rows:
            self.content.findings.append(find(f"{self.name}:1", "empty_file"))
        else:
            self.content.rows = rows


def _constant(text: str, start: int, end: int) -> int:
    """Position of the first NaN or Infinity outside a text."""
    return next((match.start() for match in _CONSTANT.finditer(text, start, end) if match[1]), start)


def _why(text: str, pos: int, message: str) -> str:
    """The kind of finding for JSON that breaks at a position, from what stands around it."""
    here, before = text[pos : pos + 1], text[max(0, pos - 99) : pos].rstrip()[-1:]
    follows = _skip(text, min(pos + 1, len(text)))
    after = text[follows : follows + 1]
    if message.startswith("Unterminated") or _skip(text, pos) == len(text):
        return "truncated"
    if (here in "}]" and before == ",") or (here == "," and (after in ("}", "]") or message == "Extra data")):
        return "trailing_comma"
    if here == "'":
        return "single_quotes"
    if text.startswith(("None", "True", "False", "nan", "undefined"), pos):
        return "python_literal"
    for beginning, kind in (("Invalid control", "control"), ("Invalid \\", "backslash")):
        if message.startswith(beginning):
            return kind
    if here in "“”‘’，：":
        return "full_width"
    return "extra" if message == "Extra data" else "quote_or_comma" if "delimiter" in message else "broken"


def _table(text: str, name: str, content: Content, known: Collection[str], wanted: Collection[str]) -> None:
    """CSV or TSV. Cells become fields under the header's names, or under "1", "2", … where there is no header."""
    first = text[_skip(text, 0) :].split("\n", 1)[0]
    delimiter = next((mark for mark in "\t,;" if mark in first), "")
    if delimiter == "," and ";" in first and len({*map(normal, first.split(";"))} & {*known}) > 1:
        delimiter = ";"
    if not delimiter:
        content.findings.append(find(f"{name}:1", "no_format"))
        return
    rows = _cells(text, delimiter, csv.QUOTE_MINIMAL)
    widths = {len(cells) if cells else 0 for _, cells in rows}
    if delimiter == "\t" and (0 in widths or len(widths) > 1):
        rows = _cells(text, delimiter, csv.QUOTE_NONE)  # quotes are plain characters in most TSV files
    content.format = "tsv" if delimiter == "\t" else "csv"
    head = next((cells for _, cells in rows if cells), [])
    header = _is_header(head, known, wanted)
    names = [cell.strip() for cell in head] if header else [str(i + 1) for i in range(len(head))]
    if not header and len(head) == 3 and not wanted:
        content.findings.append(find(f"{name}:1", "no_header", Severity.WARNING))
    for line, cells in rows[1:] if header else rows:
        if cells is None:
            content.rows.append(Raw(line, None, find(f"{name}:{line}", "bad_row")))
        elif len(cells) != len(head):
            finding = find(f"{name}:{line}", "columns", found=len(cells), wanted=len(head))
            content.rows.append(Raw(line, None, finding))
        else:
            content.rows.append(Raw(line, dict(zip(names, cells, strict=True))))
    if len(set(names)) != len(names):
        key = next(key for key in names if names.count(key) > 1)
        content.rows, content.findings = [], [find(f"{name}:1", "duplicate_key", key=key)]
    elif not content.rows:
        content.findings.append(find(f"{name}:1", "empty_file"))


def _cells(text: str, delimiter: str, quoting: int) -> list[tuple[int, list[str] | None]]:
    """(line on which the row begins, its cells), without blank lines; None for a row whose quotes do not hold."""
    csv.field_size_limit(2**31 - 1)  # the default refuses a cell of more than 131,072 characters
    # strict: otherwise a quote that never closes swallows the rest of the file without a word
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]
    rows: list[tuple[int, list[str] | None]] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return rows
        except csv.Error:
            rows.append((line, None))
            continue
        if any(cell.strip() for cell in cells):
            rows.append((line, cells))


def _is_header(cells: list[str], known: Collection[str], wanted: Collection[str]) -> bool:
    """Whether a first row names the columns: two known names, a name the user gave, or nothing but single words."""
    if any(cell.strip() in wanted and not cell.strip().isdigit() for cell in cells):
        return True
    if sum(normal(cell) in known for cell in cells) > 1:
        return True
    return all(re.fullmatch(r"[^\W\d][\w.-]{0,39}", cell.strip()) for cell in cells)
