"""Files that make a careless reader crash, hang, fill the memory or learn nonsense: each is named with its line."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buke.intake import Intake, read
from buke.words import Refusal, catalogue, set_language

GOOD = '{"question": "q", "thought": "t", "answer": "a"}\n'
ZH = '{"问题": "患者头痛三天，如何处理？", "思考": "先排除危险信号，再看血压。", "回答": "休息，必要时就医。"}\n'
TW = '{"問題": "病人頭痛三天，應該怎麼處理？", "思考": "先排除危險訊號。", "回答": "多休息，必要時就醫。"}\n'
CSV = "question,thought,answer\n"
ANY = 0  # a line that depends on the version of a library


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    set_language("en")
    yield
    set_language("en")


def row(**fields: Any) -> str:
    return json.dumps({"question": "q", "thought": "t", "answer": "a", **fields}, ensure_ascii=False) + "\n"


def parquet(**options: Any) -> bytes:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    rows = [{"question": f"q{i}", "thought": "t", "answer": "a"} for i in range(2000)]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(arrow.Table.from_pylist(rows), buffer, **options)
    return buffer.getvalue()


def huge_parquet() -> bytes:
    """A small file of one value a hundred million times over."""
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    buffer = io.BytesIO()
    rows = arrow.repeat("x" * 200, 1_500_000)
    options: dict[str, Any] = {"use_dictionary": False, "compression": "zstd", "write_statistics": False}
    pyarrow.parquet.write_table(arrow.table({"question": rows}), buffer, **options)
    return buffer.getvalue()


def not_utf8_in_parquet() -> bytes:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    bad = arrow.StringArray.from_buffers(
        2, arrow.py_buffer(struct.pack("<iii", 0, 1, 3)), arrow.py_buffer(b"q\xff\xfe")
    )
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(arrow.table({"question": bad, "thought": ["t", "t"], "answer": ["a", "b"]}), buffer)
    return buffer.getvalue()


def arrow_stream(cut: int = 0) -> bytes:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"question": ["q", "p"], "thought": ["t", "t"], "answer": ["a", "b"]})
    buffer = io.BytesIO()
    with arrow.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    return buffer.getvalue()[: -cut or None]


def excel(parts: dict[str, bytes] | None = None, rows: int = 1) -> bytes:
    """A workbook, with parts of its archive put in the place of the right ones."""
    openpyxl = pytest.importorskip("openpyxl")
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["question", "thought", "answer"])
    for _ in range(rows):
        book.active.append(["q", "t", "a"])
    book.save(buffer)
    if not parts:
        return buffer.getvalue()
    out = io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, parts.get(name, old.read(name)))
    return out.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
LAUGHS = '<!DOCTYPE w [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(12)
)


def sheet(inside: str, before: str = "") -> bytes:
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return f'<?xml version="1.0"?>{before}<worksheet xmlns="{space}">{inside}</worksheet>'.encode()


def far_away() -> bytes:
    cell = '<c r="{}{}" t="inlineStr"><is><t>{}</t></is></c>'
    head = "".join(
        cell.format(column, 1, text) for column, text in zip("ABC", ("question", "thought", "answer"), strict=True)
    )
    far = cell.format("A", 999999999999, "q")
    return sheet(
        '<dimension ref="A1:XFD1048576"/><sheetData>'
        f'<row r="1">{head}</row><row r="999999999999">{far}</row></sheetData>'
    )


def zipped(name: str = "notes.txt", data: bytes = b"text") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def zstd(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    return bytes(zstandard.ZstdCompressor().compress(data))


def wide_json() -> bytes:
    return b'{"question": [' + b"[]," * 5_000_000 + b"[]]}\n"


Made = str | bytes | Callable[[], str | bytes]
# name -> (content, kind, line). The kind "" is a file that is good in spite of its looks.
CORPUS: dict[str, tuple[Made, str, int]] = {
    # nothing in it
    "empty": ("", "empty_file", 1),
    "white space": (" \n\t\r\n  \n", "empty_file", 1),
    "ten megabytes of line feeds": (b"\n" * 10_000_000, "empty_file", 1),
    "white space, then something": (b"\n" * 10_000_000 + b"x", "no_format", 1),
    "a byte order mark alone": (b"\xef\xbb\xbf", "empty_file", 1),
    "a UTF-16 mark alone": (b"\xff\xfe", "empty_file", 1),
    "an empty array": ("[]", "empty_file", 1),
    "an empty object": ("{}", "unknown_shape", 1),
    "a header alone": (CSV, "empty_file", 1),
    "an empty gzip": (gzip.compress(b""), "empty_file", 1),
    # line ends and marks
    "CRLF": ((GOOD + row(question="p")).replace("\n", "\r\n"), "", 0),
    "bare CR": ((GOOD + row(question="p") + "{\n").replace("\n", "\r"), "truncated", 3),
    "bare CR in one line": (GOOD + GOOD.replace("\n", "\r") + GOOD, "bare_cr", 2),
    "CSV with bare CR": ((CSV + "q,t,a\nq,t\n").replace("\n", "\r"), "columns", 3),
    "a mark": (b"\xef\xbb\xbf" + GOOD.encode(), "", 0),
    "a mark before CSV": (b"\xef\xbb\xbf" + (CSV + "q,t,a\n").encode(), "", 0),
    "a mark in the middle": (GOOD.encode() + b"\xef\xbb\xbf" + row(question="p").encode(), "mark_inside", 2),
    "a mark twice": (b"\xef\xbb\xbf" * 2 + GOOD.encode(), "mark_inside", 1),
    "line separators of Unicode": (row(question="a\u2028b\u2029c\x85d") + "{\n", "truncated", 2),
    "no line feed at the end": (GOOD + GOOD.strip(), "duplicate", 2),
    # encodings
    "GBK": (ZH.encode("gbk"), "gb18030", 1),
    "Big5": (TW.encode("big5"), "big5", 1),
    "UTF-16 with a mark": (ZH.encode("utf-16"), "", 0),
    "UTF-16 without a mark": (ZH.encode("utf-16-be"), "utf_16", 1),
    "UTF-16 of an odd length": (ZH.encode("utf-16") + b"{", "damaged", 2),
    "UTF-16 with half a pair": (ZH.encode("utf-16") + b"\x00\xd8\n\x00", "damaged", 2),
    "UTF-32": (ZH.encode("utf-32"), "", 0),
    "UTF-8 with one GBK line": (ZH.encode() * 9 + ZH.encode("gbk"), "damaged", 10),
    "GBK with one UTF-8 line": (ZH.encode("gbk") * 9 + ZH.encode(), "damaged", 10),
    "UTF-8 cut in a character": (ZH.encode() + ZH.encode()[:12], "truncated", 2),
    "overlong UTF-8": (ZH.encode() + row().encode().replace(b'"q"', b'"\xc0\xafq"'), "damaged", 2),
    "surrogates in UTF-8": (ZH.encode() + b'{"question": "\xed\xa0\x80"}\n', "damaged", 2),
    "a damaged array": (
        b"[\n" + ZH.encode() + b",\n" + ZH.encode().replace("头".encode(), b"\xe5\xff") + b"]",
        "damaged",
        4,
    ),
    "a damaged table": (
        CSV.encode() + "患者头痛三天,先休息,就医\n患者\n".encode() + b"\xff\xfe,\xe5,a\n",
        "damaged",
        4,
    ),
    "Latin-1": ((GOOD + row(answer="Grüße, ça va été")).encode("latin-1"), "encoding", 2),
    "random bytes": (random.Random(1).randbytes(5000), "encoding", 1),
    # NULs and binary files
    "a NUL in a text": (GOOD + row(answer="x").replace("x", "x\0y") + row(answer="c"), "nul", 2),
    "a tail of NULs": (GOOD * 400 + "\0" * 900, "nul", 401),
    "a NUL in a table": (CSV + "q,t,a\nq,t\0,a\n" + "q,t,a\n" * 20, "nul", 3),
    "nothing but NULs": (b"\0" * 100_000, "binary", 1),
    "PDF": (b"%PDF-1.7\n", "binary", 1),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "binary", 1),
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0" * 60, "binary", 1),
    # JSON
    "trailing comma": (GOOD + GOOD.replace("}", ",}"), "trailing_comma", 2),
    "commas between lines": ((GOOD.strip() + ",\n") * 2, "trailing_comma", 1),
    "an array called .jsonl": ("[\n" + GOOD + ",\n" + row(answer=[3]) + "]", "wrong_type", 4),
    "single quotes": (GOOD + "{'question': 'q'}\n", "single_quotes", 2),
    "Python's words": (GOOD + '{"question": None}\n', "python_literal", 2),
    "duplicate keys": (GOOD + '{"question": "q", "answer": "a", "question": "p"}\n', "duplicate_key", 2),
    "duplicate keys apart": (GOOD + '{"question" : "q", "question"\t: "p"}\n', "duplicate_key", 2),
    "duplicate keys inside": (GOOD + row(more={"k": 0}).replace('"k": 0', '"k":0,"k":1'), "duplicate_key", 2),
    "duplicate keys, one escaped": (GOOD + r'{"question": "q", "\u0071uestion": "p"}', "duplicate_key", 2),
    "200,000 keys and one twice": (
        "{" + "".join(f'"k{i}": 0, ' for i in range(200_000)) + '"k199999": 1}\n',
        "duplicate_key",
        1,
    ),
    "NaN": (GOOD + '{"question": "q", "answer": NaN}\n', "not_a_number", 2),
    "minus infinity": (GOOD + '{"question": "q", "answer": -Infinity}\n', "not_a_number", 2),
    "null thought": (row(thought=None), "no_thought", 1),
    "null answer": (row(answer=None), "null_field", 1),
    "a number for a thought": (row(thought=3), "wrong_type", 1),
    "numbers for texts": (row(question=3, answer=1.5), "number_as_text", 1),
    "a list for a text": (row(answer=["a"]), "wrong_type", 1),
    "text instead of records": (GOOD + '"q"\n7\nnull\n', "not_object", 2),
    "arrays instead of records": ("[[1], [2]]", "not_object", 1),
    "two records on one line": (GOOD + GOOD.strip() + GOOD, "extra", 2),
    "pretty records without an array": (json.dumps(json.loads(GOOD), indent=1) + "\n" + GOOD + "]", "extra", 7),
    "an array without a comma": ("[" + GOOD + row(question="p") + "]", "missing_comma", 2),
    "an array with a broken record": ("[" + GOOD + ',\n{"question": "\\a"},\n' + GOOD + "]", "backslash", 3),
    "cut in the middle": (GOOD + GOOD[:20], "truncated", 2),
    "an array cut in the middle": ("[\n" + GOOD + ",\n" + GOOD[:20], "truncated", 4),
    "an array without its end": ("[" + GOOD, "truncated", 2),
    "an array with more after it": ("[" + GOOD + "]\n{}", "extra", 3),
    "comments": (GOOD + "// a comment\n" + row(answer="b"), "broken", 2),
    "a raw tab": (GOOD + '{"question": "a\tb"}\n', "control", 2),
    "a raw line feed": (GOOD + '{"question": "a\nb"}\n' + GOOD, "truncated", 2),
    "LaTeX": (GOOD + '{"question": "\\alpha"}\n', "backslash", 2),
    "full-width quotes": (GOOD + '{“question”: "q"}\n', "full_width", 2),
    "unescaped quotes": (GOOD + '{"question": "he said "no""}\n', "quote_or_comma", 2),
    "half a character": (GOOD + '{"question": "\\ud83d", "thought": "t", "answer": "a"}\n', "surrogate", 2),
    "a key with half a character": (row(**{"\ud83d": "x"}).encode("utf-8", "backslashreplace"), "", 0),
    "lists 100,000 deep": (GOOD + '{"question": ' + "[" * 100_000 + "]" * 100_000 + "}\n", "too_deep", 2),
    "objects 100,000 deep": (GOOD + '{"a":' * 100_000 + "1" + "}" * 100_000 + "\n", "too_deep", 2),
    "an array 100,000 deep": ("[" * 100_000, "too_deep", 1),
    "lists 500 deep": (GOOD + row(more=0).replace("0", "[" * 500 + "]" * 500), "too_deep", 2),
    "five million lists": (wide_json, "too_many_parts", 1),
    "a number of 100,000 digits": (row(n=0).replace("0", "9" * 100_000), "", 0),
    "a number out of reach": (row(n=0).replace("0", "1e999999999"), "", 0),
    "several lists": (json.dumps({"train": [{"question": "q"}], "test": [{"question": "p"}]}), "several_lists", 1),
    "two bad lines": ("{'a': 1}\n" + GOOD + "{\n", "single_quotes", 1),
    # tables
    "CSV with quoted line feeds": (CSV + '"a\nb","c\n\nd",e\nq,t\n', "columns", 6),
    "a quote that never closes": (CSV + 'q,t,a\n"q,t,a\nq,t,a\n', "bad_rows", 3),
    "a quote inside a cell": (CSV + 'q,t,a\n"q" x,t,a\n', "bad_row", 3),
    "ragged rows": (CSV + "q,t\nq,t,a,b\n", "columns", 2),
    "columns of one name": ("question,question,answer\nq,t,a\n", "duplicate_key", 1),
    "a million columns": (
        lambda: ",".join(f"c{i}" for i in range(1_000_000)) + "\n" + "1," * 999_999 + "1\n",
        "too_many_columns",
        1,
    ),
    "a million columns below a header": (CSV + "q,t,a\n" + "," * 1_000_000 + "x\n", "columns", 3),
    "no header": ("Is it so?,yes,I think that it is.\n", "no_header", 1),
    "no header and no order": ("What is it? Say.,It is this.,I think.\n", "columns_unclear", 1),
    "plain prose": ("It was a dark and stormy night.\n", "no_format", 1),
    "HTML": ("<!doctype html>\n<title>404</title>\n", "no_format", 1),
    "a pointer of git LFS": ("version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "no_format", 1),
    # archives
    "gzip cut": (gzip.compress(GOOD.encode() * 50_000)[:-20], "cut_archive", ANY),
    "gzip cut in its head": (gzip.compress(GOOD.encode())[:5], "cut_archive", 1),
    "gzip with a wrong sum": (gzip.compress(GOOD.encode())[:-8] + b"\0" * 8, "bad_archive", 1),
    "gzip with garbage behind": (gzip.compress(GOOD.encode()) + b"garbage", "bad_archive", ANY),
    "a gzip bomb of one line": (lambda: gzip.compress(b'{"question": "' + b"x" * 150_000_000), "bomb", 1),
    "a gzip bomb of many lines": (lambda: gzip.compress(b"\n" * 200_000_000), "bomb", ANY),
    "a gzip bomb of an array": (lambda: gzip.compress(b"[" + b" " * 200_000_000), "bomb", 1),
    "gzip in gzip": (gzip.compress(gzip.compress(GOOD.encode())), "binary", 1),
    "a fake gzip": (b"\x1f\x8b" + b"x" * 99, "bad_archive", 1),
    "zstd cut": (lambda: zstd(GOOD.encode() * 50_000)[:-9], "cut_archive", ANY),
    "a zstd bomb": (lambda: zstd(b"\n" * 200_000_000), "bomb", ANY),
    "a fake zstd": (b"\x28\xb5\x2f\xfd" + b"\xff" * 99, "bad_archive", 1),
    "zlib": (zlib.compress(GOOD.encode() * 99), "encoding", 1),
    # Parquet, Arrow, Excel
    "a fake Parquet": (b"PAR1" + b"x" * 99 + b"PAR1", "bad_file", 1),
    "Parquet cut": (lambda: parquet()[:-50], "bad_file", 1),
    "Parquet damaged inside": (lambda: damaged(parquet(use_dictionary=False, compression="zstd")), "bad_file", ANY),
    "Parquet of no rows": (lambda: parquet_of_no_rows(), "empty_file", 1),
    "Parquet with a text that is not UTF-8": (not_utf8_in_parquet, "damaged", 2),
    "a Parquet bomb": (huge_parquet, "bomb", 1),
    "a fake Arrow file": (b"ARROW1\0\0" + b"x" * 99, "bad_file", 1),
    "an Arrow stream cut": (lambda: arrow_stream(cut=300), "bad_file", 2),
    "an Arrow stream of giant size": (b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"x" * 99, "bad_file", 1),
    "a ZIP with other things": (zipped(), "bad_file", 1),
    "a fake ZIP": (b"PK\x03\x04" + b"x" * 99, "bad_file", 1),
    "Excel cut": (lambda: excel()[:-99], "bad_file", 1),
    "Excel with a broken sheet": (lambda: excel({SHEET: b"<worksheet><row"}), "bad_file", 1),
    "Excel that is a bomb": (lambda: excel({SHEET: sheet(" " * 100_000_000)}), "bomb", 1),
    "Excel of a terabyte": (lambda: excel({"xl/styles.xml": b" " * 300_000_000}), "too_large", 1),
    "Excel with a billion laughs": (lambda: excel({SHEET: sheet("<a>&m;</a>", LAUGHS + "]>")}), "bad_file", 1),
    "Excel with a row far away": (lambda: excel({SHEET: far_away()}), "empty_file", 1),
    "Excel without rows": (lambda: excel(rows=0), "empty_file", 1),
}  # fmt: skip


def damaged(data: bytes) -> bytes:
    """With 30 bytes near the beginning inverted."""
    return data[:20] + bytes(byte ^ 0xFF for byte in data[20:50]) + data[50:]


def parquet_of_no_rows() -> bytes:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(arrow.table({"question": arrow.array([], arrow.string())}), buffer)
    return buffer.getvalue()


def beside_a_good_one(tmp_path: Path, path: Path) -> Intake:
    good = tmp_path / "good.jsonl"
    good.write_text('{"question": "good", "thought": "t", "answer": "a"}\n')
    return read([good, path])


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 80
    assert all(kind == "" or f"{kind}_hint" in catalogue("intake") for _, kind, _ in CORPUS.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPUS)
def test_every_hostile_file_is_named_with_its_line_and_its_cure(tmp_path: Path, name: str) -> None:
    made, kind, line = CORPUS[name]
    content = made() if callable(made) else made
    path = tmp_path / "d.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    start = time.perf_counter()
    intake = beside_a_good_one(tmp_path, path)
    assert time.perf_counter() - start < 10  # seconds; a second or less on an idle machine
    found = [finding for finding in intake.findings if finding.source.startswith(f"{path}:")]
    places = [(finding.kind, int(finding.source.rsplit(":", 1)[1])) for finding in found]
    assert all(finding.message and finding.hint for finding in found)
    if not kind:
        assert places == []
        assert len(intake.records) > 1
    elif line == ANY:
        assert kind in [kind for kind, _ in places]
    else:
        assert (kind, line) in places
    if len(intake.records) > 1:
        assert len(read([path]).records) == len(intake.records) - 1
    else:
        with pytest.raises(Refusal, match=rf"{re.escape(str(path))}:\d+|none of") as refusal:
            read([path])
        assert re.search(rf"{re.escape(str(path))}:\d+", " ".join([str(refusal.value), *refusal.value.details]))
        assert refusal.value.hint


# ---- what is no file


def places(folder: Path) -> dict[str, Path]:
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe")
    return {
        "a loop": folder / "loop",
        "two links to each other": folder / "a",
        "an empty folder": folder / "empty",
        "a pipe nobody writes to": folder / "pipe",
        "a device without end": Path("/dev/zero"),
        "a device without content": Path("/dev/null"),
        "below a file": folder / "file" / "x",
        "a name too long": folder / ("x" * 5000),
        "a name with a NUL": folder / "x\0y",
        "nothing": folder / "nothing.jsonl",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="pipes, devices and links of this kind are not on Windows")
def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(GOOD)
    for name, path in places(tmp_path).items():
        start = time.perf_counter()
        with pytest.raises(Refusal) as refusal:
            read([path])
        assert refusal.value.hint, name
        assert time.perf_counter() - start < 5, name
    with pytest.raises(Refusal) as refusal:
        read([*places_again(tmp_path), tmp_path / "file"])
    assert len(refusal.value.details) == 1  # both at once


def places_again(folder: Path) -> list[Path]:
    return [folder / "empty", folder / "nothing.jsonl"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of this kind are not on Windows")
def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(GOOD)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything

        def refuse(*_: Any) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("buke.intake.source.open", refuse, raising=False)
    with pytest.raises(Refusal, match="Permission denied"):
        read([path])


def test_a_disk_that_fails_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(row(question="1") + row(question="2") + row(question="3"))
    monkeypatch.setattr("buke.intake.source.BLOCK", 80)
    real = open

    class Failing(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:  # type: ignore[override]
            if self.tell() >= 80:
                raise OSError(5, "Input/output error")
            return super().read(size) or b""

    monkeypatch.setattr("buke.intake.source.open", lambda path, mode: Failing(path), raising=False)
    intake = read([path])
    monkeypatch.setattr("buke.intake.source.open", real, raising=False)
    assert [record.question for record in intake.records] == ["1"]
    assert [(f.kind, f.source) for f in intake.findings] == [("read_error", f"{path}:2")]


# ---- damage at random


def survives(path: Path, data: bytes) -> None:
    """Reading gives records, or a Refusal with a place and a hint; anything else comes out as it is."""
    path.write_bytes(data)
    refused = None
    try:
        assert read([path]).records
    except Refusal as refusal:
        refused = refusal
    if refused:
        assert refused.hint
        assert str(path) in " ".join([refused.message, *refused.details])


FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
BEGINNINGS = st.sampled_from(
    [
        *(b"", b"{", b"[", b'{"question": "', b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b\x08\0", b"PAR1"),
        *(b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"ARROW1\0\0", b"\xff\xff\xff\xff", CSV.encode()),
    ]
)


@FUZZ
@given(BEGINNINGS, st.binary(max_size=300))
def test_any_bytes_at_all(tmp_path: Path, beginning: bytes, data: bytes) -> None:
    survives(tmp_path / "d", beginning + data)


@pytest.fixture(scope="module")
def seeds() -> list[bytes]:
    text = (ZH * 3).encode()
    table = (CSV + "q,t,a\n" * 5).encode()
    array = json.dumps([json.loads(GOOD), {"messages": [{"role": "user", "content": "q"}]}], indent=1).encode()
    plain = [text, text.decode().encode("gbk"), text.decode().encode("utf-16"), (TW * 3).encode("big5"), table, array]
    return [*plain, gzip.compress(text), zstd(text), parquet(), arrow_stream(), excel()]


@pytest.mark.slow
@FUZZ
@given(st.data())
def test_good_files_damaged_anywhere(tmp_path: Path, seeds: list[bytes], data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(seeds)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        piece = data.draw(st.binary(max_size=4) | st.sampled_from([b"\0", b"\n", b'"', b"[" * 300, b"\xff" * 8]))
        content[at : at + data.draw(st.integers(0, 12))] = piece
    survives(tmp_path / "d", bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))]))
