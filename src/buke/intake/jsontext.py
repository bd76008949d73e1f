"""Room `intake`, jsontext: JSON Lines and JSON documents -> rows, each with its line and its own finding.

JSON Lines are read twice as strictly as fast: ``orjson`` takes a line only where it provably gives what the strict
decoder gives, which alone reports duplicate keys, NaN and the place of an error. What is broken becomes a finding;
nothing is repaired by guessing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from buke.intake.encodings import MARK, MARKING
from buke.intake.rows import DIALOGUES, Content, Raw, find, normal, twice
from buke.intake.source import BLOCK, MAX_LINE
from buke.records import Finding

MAX_DEPTH = 200  # of nested lists and objects
MAX_PARTS = 4_000_000  # lists and objects in a text, each of which costs many times its bytes
MAX_FAULTS = 1000  # in one document, each of which is searched for its place
_OPENING = re.compile(r"[ \t]*(?:\[|\},?)?[ \t]*")  # what may stand before an object on its line
_ANOTHER = re.compile(r"\}[ \t\r\n]*,[ \t\r\n]*\{")
_SPACE = re.compile(r"[ \t\r\n]*")
_CONSTANT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(-?Infinity|NaN)')


def lines(data: bytes, name: str, first_line: int, encoding: str = "utf-8") -> Iterator[Raw]:
    """The rows of a block of whole lines of UTF-8 JSON Lines, blank lines left out. Raises nothing.

    first_line: the number of the block's first line. encoding: what the file was in, for findings.
    """
    strict = Strict(name, encoding)
    # Only \n ends a line: str.splitlines would also cut at U+2028 and others that JSON allows inside a text.
    for number, line in enumerate(data.split(b"\n"), first_line):
        if len(line) <= BLOCK:  # beyond it, first see whether it would fill the memory
            try:
                value = orjson.loads(line)
            except ValueError:
                value = None
            if type(value) is dict and _is_plain(line, value):
                yield Raw(number, value)
                continue
        if line and (raw := strict.line(line, number)):
            yield raw


def _is_plain(line: bytes, value: dict[str, Any]) -> bool:
    """Whether a line that orjson took has no key twice and no more than MAX_DEPTH levels.

    Every key of the line has a colon, so no more colons (those in texts included) than keys left means no key lost.
    Where texts do hold colons, only those count that stand where a key can end.
    """
    keys = len(value)
    if not {*map(type, value.values())} <= {str}:
        try:
            keys = _keys(value)
        except RecursionError:
            return False
    return line.count(b":") == keys or sum(map(_may_end_key, line.split(b":")[:-1])) == keys


def _may_end_key(text: bytes) -> bool:
    """Whether a colon after this text may follow a key: after white space, or a quote that is not surely escaped."""
    return text.endswith((b'"', b" ", b"\t", b"\r")) and (not text.endswith(b'\\"') or text.endswith(b'\\\\"'))


def _keys(value: Any, depth: int = 1) -> int:
    """How many keys a value holds on all levels. Raises RecursionError beyond MAX_DEPTH of them."""
    if depth > MAX_DEPTH:
        raise RecursionError
    if type(value) is dict:
        inner = sum(_keys(item, depth + 1) for item in value.values() if type(item) is dict or type(item) is list)
        return len(value) + inner
    return sum(_keys(item, depth + 1) for item in value if type(item) is dict or type(item) is list)


class Strict:
    """JSON read value by value with the standard library's decoder, so that every fault is seen and has its place."""

    def __init__(self, name: str, encoding: str) -> None:
        self.name, self.encoding = name, encoding
        self.seen: list[tuple[str, str]] = []  # (kind, key) met while decoding the value at hand
        self.decoder = json.JSONDecoder(object_pairs_hook=self._pairs, parse_constant=self._constant, parse_int=_int)

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            self.seen.append(("duplicate_key", twice(key for key, _ in pairs)))
        return value

    def _constant(self, name: str) -> None:
        self.seen.append(("not_a_number", name))

    def line(self, line: bytes, number: int) -> Raw | None:
        """The row of one line of UTF-8; None for a blank one."""
        source = f"{self.name}:{number}"
        if len(line) > MAX_LINE:
            return Raw(number, None, find(source, "line_too_long", most=MAX_LINE >> 20))
        if len(line) > BLOCK and overfull(line):
            return Raw(number, None, find(source, "too_many_parts", most=MAX_PARTS))
        text = line.decode("utf-8", MARKING)
        start = skip(text, 0)
        if start == len(text):
            return None
        raw, end = self.value(text, start, number, number)
        if end >= 0 and skip(text, end) < len(text):
            return Raw(number, None, self.after(text, end, number))
        return raw

    def value(self, text: str, start: int, line: int, base: int = 1) -> tuple[Raw, int]:
        """The value at text[start] and where it ends; -1 where it cannot be read.

        line: on which it stands. base: the number of the text's own first line, for the place of an error.
        """
        self.seen.clear()
        try:
            value, end = self.decoder.raw_decode(text, start)
            if type(value) is dict or type(value) is list:
                _keys(value)
        except json.JSONDecodeError as error:
            if (at := text.find(MARK, start, error.pos + 1)) >= 0:
                return Raw(line, None, self._at(text, start, at, line, "damaged", encoding=self.encoding)), -1
            place = f"{self.name}:{base + error.lineno - 1}"
            return Raw(line, None, find(place, why(text, error.pos, error.msg), column=error.colno)), -1
        except RecursionError:
            return Raw(line, None, find(f"{self.name}:{line}", "too_deep")), -1
        if (at := text.find(MARK, start, end)) >= 0:
            return Raw(line, value, self._at(text, start, at, line, "damaged", encoding=self.encoding)), end
        if self.seen:
            kind, key = self.seen[0]
            at = _constant(text, start, end) if kind == "not_a_number" else start
            return Raw(line, value, self._at(text, start, at, line, kind, key=key)), end
        return Raw(line, value, None if isinstance(value, dict) else find(f"{self.name}:{line}", "not_object")), end

    def _at(self, text: str, start: int, at: int, line: int, kind: str, **values: Any) -> Finding:
        """A finding at text[at], counted from text[start] on a line."""
        source = f"{self.name}:{line + text.count(chr(10), start, at)}"
        return find(source, kind, column=at - text.rfind("\n", 0, at), **values)

    def after(self, text: str, pos: int, base: int = 1) -> Finding:
        """The finding for text after the end of a value."""
        error = json.JSONDecodeError("Extra data", text, skip(text, pos))
        kind = why(text, error.pos, error.msg)
        if kind == "extra" and "\r" in text[pos : error.pos] and "\n" not in text:
            kind = "bare_cr"
        return find(f"{self.name}:{base + error.lineno - 1}", kind, column=error.colno)


def overfull(data: bytes) -> bool:
    """Whether a text would become so many values that they fill the memory; no text of a human has so many commas."""
    commas = data.count(b",")
    return data.count(b"[") + data.count(b"{") > MAX_PARTS or commas > max(MAX_PARTS, len(data) // 16)


def _int(digits: str) -> int | float:
    """A number as orjson gives it: beyond 64 bits as a float, which takes any length where int refuses 4,300 digits."""
    number = int(digits) if len(digits) < 21 else float(digits)
    return number if -(2**63) <= number < 2**64 else float(digits)


def skip(text: str, pos: int) -> int:
    """The first position from pos on that is not JSON's white space."""
    match = _SPACE.match(text, pos)
    assert match
    return match.end()


class Document:
    """A JSON text read as a whole: an array of records, one record, or an object around one list of records; or
    records of several lines each, one after the other."""

    def __init__(self, text: str, content: Content) -> None:
        self.text, self.content = text, content
        self.strict = Strict(content.name, content.encoding)

    def rows(self) -> Iterator[Raw] | None:
        """Its rows, with findings where there are none; None where it is not one JSON value but JSON Lines."""
        self.content.format = "json"
        text, start = self.text, skip(self.text, 0)
        if text[start] == "[":
            return self._records(start, last=True)
        raw, end = self.strict.value(text, start, 1 + text.count("\n", 0, start))
        if end >= 0 and skip(text, end) == len(text):
            return self._object(start, raw)
        if text.find("\n", start, end) < 0 if end >= 0 else mostly_objects(text):
            return None
        if self._next(start, "}") >= 0 if end < 0 else text[skip(text, end)] in "{,":
            return self._stream(start)
        self.content.findings.append(raw.finding if end < 0 and raw.finding else self.strict.after(text, end))
        return iter(())

    def _object(self, start: int, raw: Raw) -> Iterator[Raw]:
        """A file that is one object: a single record, or a wrapper around one list of records."""
        value = raw.value or {}
        lists = [] if any(normal(key) in DIALOGUES for key in value) else self._lists(start) if value else []
        if not lists:
            one_line = self.text.find("\n", start, len(self.text.rstrip())) < 0
            self.content.format = "jsonl" if one_line else "json"
            return iter([raw])
        if len(lists) > 1:
            self.content.note(raw.line, "several_lists", keys=", ".join(key for key, _ in lists))
            return iter(())
        return self._records(lists[0][1], last=False)

    def _lists(self, start: int) -> list[tuple[str, int]]:
        """(key, position) of the members of the valid object at text[start] that are lists of objects."""
        found, pos, text, decode = [], skip(self.text, start + 1), self.text, self.strict.decoder.raw_decode
        while text[pos] != "}":
            key, pos = decode(text, pos)
            at = skip(text, skip(text, pos) + 1)  # over the colon
            value, pos = decode(text, at)
            if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
                found.append((key, at))
            pos = skip(text, pos)
            pos = skip(text, pos + 1) if text[pos] == "," else pos
        return found

    def _stream(self, pos: int) -> Iterator[Raw]:
        """Objects one after the other without a comma; after a broken one, those that begin a line of their own."""
        text, line, counted, faults = self.text, 1, 0, 0
        while 0 <= pos < len(text):
            line, counted = line + text.count("\n", counted, pos), pos
            raw, end = self.strict.value(text, pos, line)
            yield raw
            following = skip(text, end) if end >= 0 else self._next(pos, "}")
            fault = end < 0
            if not fault and text[following : following + 1] not in ("{", ""):
                self.content.findings.append(self.strict.after(text, end))
                comma, fault = skip(text, following + 1), True
                at_next = text[following] == "," and text[comma : comma + 1] == "{"
                following = comma if at_next else self._next(following, "}")
            faults += fault
            pos = following if faults < MAX_FAULTS else -1

    def _records(self, start: int, last: bool) -> Iterator[Raw]:
        """The elements of the array at text[start]; none where it is broken and where it goes on is not clear.

        Read once to see that it is whole, and once more for the rows, so that they never lie in memory together.
        last: nothing may follow the array.
        """
        try:
            count = sum(1 for _ in self._elements(start, last, []))
        except _Stop as stop:
            self.content.findings.append(stop.finding)
            return iter(())
        if not count:
            self.content.note(1, "empty_file")
        return self._elements(start, last, self.content.findings)

    def _elements(self, start: int, last: bool, found: list[Finding]) -> Iterator[Raw]:
        """The elements of the array at text[start], a broken one as a finding. What is wrong between them is added to
        found. Raises _Stop where a fault leaves no clear place to go on."""
        text, line, counted, faults = self.text, 1, 0, 0
        pos = skip(text, start + 1)
        mark = "" if text[pos : pos + 1] == "]" else ","
        while mark:
            line, counted = line + text.count("\n", counted, pos), pos
            raw, end = self.strict.value(text, pos, line)
            fault = raw.finding if end < 0 else None
            if fault and text[pos : pos + 1] == "]":
                found.append(fault)  # a comma before it
                break
            yield raw
            if not fault:
                pos = skip(text, end)
                mark = "" if text[pos : pos + 1] == "]" else ","
                if mark and text[pos : pos + 1] != mark:
                    fault = self._between(pos)
                    found.append(fault)
            faults += fault is not None
            if not fault:
                pos = skip(text, pos + 1) if mark else pos
            elif (pos := self._after_fault(pos, fault, faults)) < 0:
                return
        if last and skip(text, pos + 1) < len(text):
            raise _Stop(self.strict.after(text, pos + 1))

    def _between(self, pos: int) -> Finding:
        """The finding where a comma should stand."""
        error = json.JSONDecodeError("Expecting ',' delimiter", self.text, pos)
        kind = "missing_comma" if self.text[pos : pos + 1] == "{" else why(self.text, pos, error.msg)
        return find(f"{self.content.name}:{error.lineno}", kind, column=error.colno)

    def _after_fault(self, pos: int, fault: Finding, faults: int) -> int:
        """Where an array goes on; -1 where its text ends. Raises _Stop where that is not clear."""
        following = pos if fault.kind == "missing_comma" else self._next(pos)
        if following >= 0 and faults < MAX_FAULTS:
            return following
        begins_line = _OPENING.fullmatch(self.text, self.text.rfind("\n", 0, pos) + 1, pos)
        is_last = begins_line and following < 0 and not _ANOTHER.search(self.text, pos)
        if fault.kind != "truncated" and not is_last:
            raise _Stop(fault)
        return -1

    def _next(self, pos: int, before: str = "") -> int:
        """Where the next object begins that stands on its line as the one at text[pos] does on its own; -1 where
        there is none, or where objects do not begin their lines.

        before: what has to stand before it, white space left out.
        """
        text, begin = self.text, self.text.rfind("\n", 0, pos) + 1
        head = text[begin : min(pos, begin + 1000)]
        indent = len(head) - len(head.lstrip(" \t"))
        if not _OPENING.fullmatch(head):
            return -1
        pattern = re.compile(rf"\n[ \t]{{0,{indent}}}(?:\}},?[ \t]*)?(?=\{{)")
        for match in pattern.finditer(text, pos):
            if text[max(0, match.end() - 1000) : match.end()].rstrip().endswith(before):
                return match.end()
        return -1


class _Stop(Exception):
    """An array that cannot be read on."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.kind)
        self.finding = finding


def mostly_objects(text: str) -> bool:
    """Whether most of the first lines begin with a brace, as in JSON Lines."""
    begins = [line[0] for line in text[:BLOCK].split("\n") if line and not line.isspace()]
    return 2 * begins.count("{") >= len(begins)


def begins_lines(head: str) -> bool:
    """Whether a text of several lines that begins with a brace is JSON Lines: the first line is a value, or is broken
    as no beginning of a longer value is and most lines begin with a brace."""
    raw, end = Strict("", "").value(head[skip(head, 0) :].partition("\n")[0], 0, 1)
    return end >= 0 or (raw.finding is not None and raw.finding.kind != "truncated" and mostly_objects(head))


def _constant(text: str, start: int, end: int) -> int:
    """Position of the first NaN or Infinity outside a text."""
    return next((match.start() for match in _CONSTANT.finditer(text, start, end) if match[1]), start)


def why(text: str, pos: int, message: str) -> str:
    """The kind of finding for JSON that breaks at a position, from what stands around it."""
    here, before = text[pos : pos + 1], text[max(0, pos - 99) : pos].rstrip()[-1:]
    follows = skip(text, min(pos + 1, len(text)))
    after = text[follows : follows + 1]
    if here == "\0" or here == "\ufeff":
        return "nul" if here == "\0" else "mark_inside"
    if message.startswith("Unterminated") or skip(text, pos) == len(text):
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
