"""Room `intake`, formats: every format, encoding and compression gives the same rows, as a stream of known memory."""

from __future__ import annotations

import bz2
import datetime
import decimal
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buke.intake import encodings, formats, jsontext, read, source
from buke.intake.folders import files_of
from buke.intake.formats import Content, Raw, lines, open_content
from buke.intake.names import KNOWN
from buke.words import Refusal, set_language

ROWS = [
    {
        "question": f"患者{i}头痛三天，如何处理？",
        "thought": "先排除危险信号，再看血压。一般先休息。",
        "answer": f"休息，{i}",
    }
    for i in range(5)
]
TAIWAN = [
    {
        "question": f"病人{i}頭痛三天，應該怎麼處理？",
        "thought": "先排除危險訊號，再測量血壓。",
        "answer": f"多休息、補充水分，必要時就醫。{i}",
    }
    for i in range(5)
]


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    set_language("en")
    yield
    set_language("en")


def jsonl(rows: list[dict[str, Any]], ascii_only: bool = False) -> str:
    return "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)


def opened(path: Path) -> tuple[Content, list[Raw]]:
    """The content and all its rows."""
    content = open_content(path, KNOWN)
    rows = list(content.rows)
    return content, rows


def kinds(content: Content, rows: list[Raw]) -> list[tuple[int, str]]:
    found = [*content.findings, *(row.finding for row in rows if row.finding)]
    return [(int(finding.source.rsplit(":", 1)[1]), finding.kind) for finding in found]


def values(rows: list[Raw]) -> list[Any]:
    return [row.value for row in rows if not row.finding]


# ---- the fast way and the strict way are one


PIECES = st.sampled_from(
    ['"', ":", "{", "}", "[", "]", ",", " ", "\\", '\\"', '":', '" :', "\t", "\r", "1",
     "null", '"a"', '"a":', "é", "1e5", "-0"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
LINES = st.lists(PIECES, max_size=20).map("".join).map(lambda text: text.encode("utf-8", "replace")) | st.dictionaries(
    st.text(max_size=4), JSON, max_size=5
).map(lambda value: json.dumps(value).encode())


@st.composite
def doubled(draw: st.DrawFn) -> bytes:
    """An object of which any key may stand twice, with white space and colons anywhere they are allowed."""

    def text() -> str:
        return json.dumps(draw(st.text(alphabet='a":\\ \t', max_size=3)))

    def space() -> str:
        return draw(st.sampled_from(["", " ", "\t", "\r"]))

    def member(deep: bool) -> str:
        value = text() if deep or draw(st.booleans()) else "{" + ",".join(member(True) for _ in range(2)) + "}"
        return f"{space()}{text()}{space()}:{space()}{value}"

    return ("{" + ",".join(member(False) for _ in range(draw(st.integers(0, 3)))) + "}").encode()


@pytest.mark.slow
@settings(max_examples=1500)
@given(LINES | doubled() | st.binary(max_size=30))
def test_the_fast_way_gives_what_the_strict_way_gives(line: bytes) -> None:
    fast = list(lines(line, "d", 1))
    strict = [
        raw
        for number, part in enumerate(line.split(b"\n"), 1)
        if (raw := jsontext.Strict("d", "utf-8").line(part, number))
    ]
    assert repr(fast) == repr(strict)


def test_most_lines_go_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those with colons, quotes and JSON in their texts, and those of dialogues."""

    def none(*_: Any) -> None:
        raise AssertionError("the strict way was taken")

    monkeypatch.setattr(jsontext.Strict, "line", none)
    turns = [{"role": "user", "content": 'say "a": b'}, {"role": "assistant", "content": 'c:\\d: {"e": 1}', "n": 1.5}]
    rows = [*ROWS, {"messages": turns, "system": None}, {"question": "a:b::", "answer": '":":"'}]
    assert [raw.value for raw in lines(jsonl(rows).encode(), "d", 1)] == rows


def test_lines_count_from_the_number_given() -> None:
    block = b'{"a": 1}\n\n \r\n{"a": 2}\r\n{"a": \n'
    got = [(raw.line, raw.value, raw.finding and raw.finding.source) for raw in lines(block, "d", 41)]
    assert got == [(41, {"a": 1}, None), (44, {"a": 2}, None), (45, None, "d:45")]


# ---- JSON Lines as a stream, whatever the size of the blocks


@pytest.mark.parametrize("block", [1, 7, 64, 4 << 20])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030", "gzip", "zstd"])
def test_blocks_of_any_size_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, end: str, name: str
) -> None:
    monkeypatch.setattr(source, "BLOCK", block)
    text = (end or "\n").join(json.dumps(row, ensure_ascii=False) for row in ROWS) + end
    pack: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": _zstd}
    data = pack[name](text.encode()) if name in pack else text.encode(name)
    # A guess needs more than a few bytes to stand on, and every real block has them.
    if block < 64 and name in ("utf-16-le", "gb18030", "utf-16", "utf-8-sig", "gzip", "zstd"):
        monkeypatch.setattr(source, "BLOCK", 300)
    path = tmp_path / "d"
    path.write_bytes(data)
    content, rows = opened(path)
    assert values(rows) == ROWS
    assert [row.line for row in rows] == [1, 2, 3, 4, 5]
    assert content.format == "jsonl"
    assert (content.bytes, content.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def _zstd(data: bytes) -> bytes:
    zstandard = pytest.importorskip("zstandard")
    return bytes(zstandard.ZstdCompressor().compress(data))


def test_blocks_give_the_same_as_rows(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_bytes(jsonl(ROWS).encode() + b"{\n")
    _, rows = opened(path)
    content = open_content(path, KNOWN)
    assert content.blocks is not None
    assert [raw for first, block in content.blocks for raw in lines(block, content.name, first)] == rows
    content.finish()
    assert content.bytes == path.stat().st_size


def test_a_line_over_the_bound_is_named_and_the_others_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (source, formats, jsontext, encodings):
        monkeypatch.setattr(module, "MAX_LINE", 2000)
    monkeypatch.setattr(jsontext, "BLOCK", 1000)
    path = tmp_path / "d"
    for block in (100, 700, 10_000):
        monkeypatch.setattr(source, "BLOCK", block)
        for encoding in ("utf-8", "gb18030"):
            path.write_bytes((jsonl(ROWS[:2]) + '{"a": "' + "x" * 9000 + '"}\n' + jsonl(ROWS[2:])).encode(encoding))
            content, rows = opened(path)
            assert [pair for pair in kinds(content, rows) if pair[1] != "gb18030"] == [(3, "line_too_long")]
            assert values(rows) == ROWS
            assert rows[-1].line == 6


def test_what_has_to_be_whole_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_WHOLE", 400)
    monkeypatch.setattr(source, "BLOCK", 100)
    path = tmp_path / "d"
    path.write_text(json.dumps(ROWS))
    assert kinds(*opened(path)) == [(1, "too_large")]
    path.write_text(json.dumps({"data": ROWS}, indent=1))
    assert kinds(*opened(path)) == [(1, "too_large")]
    path.write_text('{"a": 1, \n' + jsonl(ROWS))  # broken JSON Lines, not the beginning of an object
    content, rows = opened(path)
    assert kinds(content, rows) == [(1, "truncated")]
    assert values(rows) == ROWS


def test_a_limit_still_knows_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", 100)
    path = tmp_path / "d"
    path.write_bytes(jsonl(ROWS).encode())
    info = read([path], limit=1).files[0]
    assert (info.bytes, info.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


# ---- encodings


ENCODINGS = [
    ("utf-8", "utf-8", ROWS, []),
    ("utf-8-sig", "utf-8-sig", ROWS, []),
    ("utf-16", "utf-16", ROWS, []),
    ("utf-32", "utf-32", ROWS, []),
    ("utf-16-le", "utf-16-le", ROWS, ["utf_16"]),
    ("utf-16-be", "utf-16-be", ROWS, ["utf_16"]),
    ("gbk", "gb18030", ROWS, ["gb18030"]),
    ("gb18030", "gb18030", TAIWAN, ["gb18030"]),
    ("big5", "big5", TAIWAN, ["big5"]),
    ("big5hkscs", "big5", TAIWAN, ["big5"]),
]


@pytest.mark.parametrize(("encoding", "shown", "rows", "warned"), ENCODINGS)
@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "tsv"])
def test_every_encoding_of_every_text_format(
    tmp_path: Path, encoding: str, shown: str, rows: list[dict[str, str]], warned: list[str], form: str
) -> None:
    cells = [[*rows[0]], *([*row.values()] for row in rows)]
    text = {
        "jsonl": jsonl(rows),
        "json": json.dumps(rows, ensure_ascii=False, indent=1),
        "csv": "\r\n".join(",".join(f'"{cell}"' for cell in line) for line in cells),
        "tsv": "\n".join("\t".join(line) for line in cells),
    }[form]
    path = tmp_path / "d"
    path.write_bytes(text.encode(encoding))
    content, got = opened(path)
    assert values(got) == rows
    assert (content.format, content.encoding, content.compression) == (form, shown, "")
    assert [kind for _, kind in kinds(content, got)] == warned


def test_gb18030_and_big5_are_told_apart_on_every_single_sentence() -> None:
    for rows, encoding in ((ROWS, "gb18030"), (TAIWAN, "big5")):
        for row in rows:
            for text in row.values():
                assert encodings._detect(text.encode(encoding)) == encoding, text


def test_chinese_may_come_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", 500)
    path = tmp_path / "d"
    text = jsonl([{"question": "q", "thought": "t", "answer": "a"}] * 50) + jsonl(ROWS)
    for encoding, shown in (("utf-8", "utf-8"), ("gbk", "gb18030")):
        path.write_bytes(text.encode(encoding))
        content, rows = opened(path)
        assert content.encoding == shown
        assert values(rows)[50:] == ROWS


def test_what_is_in_no_known_encoding_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_bytes(b'{"question": "q"}\n' + '{"question": "Grüße, ça va été"}\n'.encode("latin-1"))
    assert kinds(*opened(path)) == [(2, "encoding")]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5", "utf-16"])
def test_one_damaged_byte_costs_one_row(tmp_path: Path, encoding: str) -> None:
    rows = TAIWAN if encoding == "big5" else ROWS
    path = tmp_path / "d"
    data = bytearray(jsonl(rows).encode(encoding))
    at = data.index("2頭痛".encode("big5") if encoding == "big5" else "2头痛".encode(encoding.replace("16", "16-le")))
    data[at + 2 : at + 4] = b"\xd8\xd8" if encoding == "utf-16" else b"\xff\xff"
    path.write_bytes(data)
    content, got = opened(path)
    assert [pair for pair in kinds(content, got) if pair[1] not in ("gb18030", "big5")] == [(3, "damaged")]
    assert values(got) == rows[:2] + rows[3:]


def test_a_line_of_utf8_among_gbk_is_not_read_as_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_bytes(b"".join(jsonl([row]).encode("utf-8" if i == 3 else "gbk") for i, row in enumerate(ROWS * 3)))
    content, rows = opened(path)
    assert kinds(content, rows) == [(1, "gb18030"), (4, "damaged")]


# ---- compression


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
@pytest.mark.parametrize("pack", [gzip.compress, _zstd])
def test_compressed_texts(tmp_path: Path, form: str, pack: Callable[[bytes], bytes]) -> None:
    text = {
        "jsonl": jsonl(ROWS),
        "json": json.dumps(ROWS),
        "csv": "\n".join([",".join(ROWS[0]), *(",".join(row.values()).replace("，", " ") for row in ROWS)]),
    }[form]
    path = tmp_path / "d"
    path.write_bytes(
        pack(text.encode()[:99]) + pack(text.encode()[99:]) + (b"\0" * 512 if pack is gzip.compress else b"")
    )
    content, rows = opened(path)
    assert len(values(rows)) == 5
    assert not content.findings
    assert content.compression == ("gzip" if pack is gzip.compress else "zstd")
    assert content.bytes == path.stat().st_size


def test_other_archives_and_archives_in_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d"
    for data in (gzip.compress(gzip.compress(b"{}")), bz2.compress(jsonl(ROWS).encode())):
        path.write_bytes(data)
        content, rows = opened(path)
        assert not rows
        assert [kind for _, kind in kinds(content, rows)] in (["binary"], ["encoding"])


# ---- Parquet, Arrow, Excel


def parquet(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    pyarrow.parquet.write_table(arrow.Table.from_pylist(rows), path, **options)
    return path


def arrow_stream(path: Path, rows: list[dict[str, Any]], whole: bool = False) -> Path:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.Table.from_pylist(rows)
    make = arrow.ipc.new_file if whole else arrow.ipc.new_stream
    with path.open("wb") as file, make(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path


def excel(path: Path, *sheets: list[list[Any]]) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_parquet_and_arrow_give_what_json_lines_give(tmp_path: Path) -> None:
    dialogues = [{"messages": [{"role": "user", "content": "q", "n": i}], "tags": ["a"], "x": 0.5} for i in range(700)]
    made = [
        parquet(tmp_path / "a", dialogues, row_group_size=300),
        arrow_stream(tmp_path / "b", dialogues),
        arrow_stream(tmp_path / "c", dialogues, whole=True),
    ]
    for path, form in zip(made, ("parquet", "arrow", "arrow"), strict=True):
        content, rows = opened(path)
        assert (content.format, content.encoding) == (form, "")
        assert values(rows) == dialogues
        assert [row.line for row in rows] == [*range(1, 701)]
        assert content.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_other_types_of_a_column_become_texts(tmp_path: Path) -> None:
    row = {"d": datetime.date(2024, 1, 2), "n": decimal.Decimal("1.50"), "b": "病".encode(), "m": [{"t": b"\xff"}]}
    _, rows = opened(parquet(tmp_path / "a", [row]))
    assert values(rows) == [{"d": "2024-01-02", "n": "1.50", "b": "病", "m": [{"t": "\udcff"}]}]


def test_excel(tmp_path: Path) -> None:
    header = ["Question", "Complex_CoT", "Response"]
    path = excel(tmp_path / "d", [header, ["q", "t", "a"], [], ["q2", "t2", 42], ["q3"], ["q4", "t", "a", "more"]], [])
    content, rows = opened(path)
    assert content.format == "xlsx"
    assert [(row.line, row.value and [*row.value.values()]) for row in rows] == [
        (2, ["q", "t", "a"]),
        (4, ["q2", "t2", "42"]),
        (5, ["q3", "", ""]),
        (6, None),
    ]
    assert kinds(content, rows) == [(6, "columns_sheet")]


HEADER = ["Question", "Complex_CoT", "Response"]


def test_the_headings_of_excel_may_stand_below_a_title(tmp_path: Path) -> None:
    content, rows = opened(excel(tmp_path / "a", [["Cases"], [], HEADER, ["q", "t", "a"], ["q2", "t2"]]))
    assert [(row.line, [*row.value.values()]) for row in rows] == [(4, ["q", "t", "a"]), (5, ["q2", "t2", ""])]
    assert kinds(content, rows) == [(3, "above_header")]
    content, rows = opened(excel(tmp_path / "b", [["Cases"], [], ["who", "why", "what for"], ["q", "t", "a"]]))
    assert kinds(content, rows) == [(3, "header_below")]
    assert not rows


def test_of_several_sheets_the_one_with_known_headings_is_read(tmp_path: Path) -> None:
    content, rows = opened(excel(tmp_path / "a", [["more"]], [HEADER, ["q", "t", "a"]]))
    assert values(rows) == [dict(zip(HEADER, "qta", strict=True))]
    assert kinds(content, rows) == [(1, "other_sheets")]
    for second in ([HEADER, ["q2", "t2", "a2"]], [HEADER]):
        content, rows = opened(excel(tmp_path / "b", [HEADER, ["q", "t", "a"]], second))
        assert (kinds(content, rows), rows) == ([(1, "several_sheets")], [])
    assert kinds(*opened(excel(tmp_path / "c", [["x"], ["y"]], [["more"]]))) == [(1, "several_sheets")]


def test_cells_of_excel_that_are_no_texts_are_named_where_they_are_learned(tmp_path: Path) -> None:
    day = datetime.datetime(2024, 1, 24)
    path = tmp_path / "a"
    sheet = [
        [*HEADER, "note"], ["q", "t", day], ["q2", "t", day.replace(hour=9), "#N/A"], ["q3", "t", "#REF!"],
        ["q4", "t", True], ["q5", "t", "=1+1"], ["q6", "t", "a", "=1+1", "=2+2"], [None, None, None, "=1+1"],
    ]  # fmt: skip
    made = read([excel(path, sheet)])
    assert [(r.question, r.answer) for r in made.records] == [
        ("q", "2024-01-24"), ("q2", "2024-01-24 09:00:00"), ("q6", "a"),
    ]  # fmt: skip
    found = [(finding.source, finding.kind) for finding in made.findings]
    assert found == [(f"{path}:4", "cell_error"), (f"{path}:5", "cell_boolean"), (f"{path}:6", "cell_formula")]
    said = " ".join(finding.message for finding in made.findings)
    assert all(shown in said for shown in ("#REF!", "TRUE", "=1+1"))


@pytest.mark.parametrize(
    ("module", "data", "command"),
    [
        ("pyarrow", b"PAR1", 'pip install "buke[parquet]"'),
        ("openpyxl", b"PK\x03\x04", 'pip install "buke[excel]"'),
        ("zstandard", b"\x28\xb5\x2f\xfd", 'pip install "buke[zstd]"'),
    ],
)
def test_a_missing_library_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, data: bytes, command: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / "d"
    path.write_bytes(data)
    with pytest.raises(Refusal, match=module) as refusal:
        open_content(path, KNOWN)
    assert command in refusal.value.hint


# ---- tables


@pytest.mark.slow
def test_a_long_tsv_with_quotes_as_plain_characters(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_text("question\tthought\tanswer\n" + 'Is "x" it?\tso\t"yes" it is\n' * 200_000)
    content, rows = opened(path)
    assert len(rows) == 200_000
    assert not content.findings
    assert rows[-1] == Raw(200_001, {"question": 'Is "x" it?', "thought": "so", "answer": '"yes" it is'})


@pytest.mark.slow
def test_a_long_csv_with_line_breaks_in_cells(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_text("question,thought,answer\r\n" + '"a\nb","c, d","e ""f"""\r\n' * 200_000, newline="")
    _, rows = opened(path)
    assert len(rows) == 200_000
    assert rows[-1] == Raw(400_000, {"question": "a\nb", "thought": "c, d", "answer": 'e "f"'})


# ---- folders, stdin


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for name in ("b.jsonl.gz", "a.csv", "c.parquet", "d.txt", ".e.jsonl", "f.XLSX"):
        (tmp_path / "plain" / name).touch()
    assert [path.name for path in files_of([tmp_path / "plain"])] == ["a.csv", "b.jsonl.gz", "c.parquet", "f.XLSX"]
    (tmp_path / "hub" / "data").mkdir(parents=True)
    (tmp_path / "hub" / "dataset_infos.json").touch()
    for name in ("train-00001-of-00002.parquet", "train-00000-of-00002.parquet"):
        (tmp_path / "hub" / "data" / name).touch()
    names = [path.name for path in files_of([tmp_path / "hub"])]
    assert names == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    (tmp_path / "hub" / "data" / "test-00000-of-00001.parquet").touch()
    with pytest.raises(Refusal, match="several splits in one folder: test, train") as refusal:
        files_of([tmp_path / "hub"])
    assert refusal.value.hint.endswith("train-* --held-out-file " + str(tmp_path / "hub" / "data" / "test-*"))


def saved(folder: Path, shards: int = 2, **more: Any) -> Path:
    """A folder as the datasets library's save_to_disk leaves it."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05}-of-{shards:05}.arrow" for i in range(shards)]
    for i, name in enumerate(names):
        rows = [{"question": f"q{i}{n}", "thought": "t", "answer": "a"} for n in range(2)]
        arrow_stream(folder / name, rows)
    (folder / "dataset_info.json").write_text('{"features": {}}')
    state = {"_data_files": [{"filename": name} for name in names], "_format_type": None, "_split": "train", **more}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def test_folders_of_the_datasets_library(tmp_path: Path) -> None:
    assert [r.question for r in read([saved(tmp_path / "one")]).records] == ["q00", "q01", "q10", "q11"]
    saved(tmp_path / "dict" / "train")
    (tmp_path / "dict" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    assert len(read([tmp_path / "dict"]).records) == 4
    saved(tmp_path / "dict" / "test")
    with pytest.raises(Refusal, match="several splits in one folder: test, train") as refusal:
        read([tmp_path / "dict"])
    assert refusal.value.hint.endswith("train --held-out-file " + str(tmp_path / "dict" / "test"))
    for i, state in enumerate(("{", "[]", "{}", '{"_data_files": [{"filename": "../../x"}]}', '{"_data_files": [3]}')):
        folder = saved(tmp_path / f"bad{i}")
        (folder / "state.json").write_text(state)
        with pytest.raises(Refusal, match="does not fit"):
            read([folder])
    with pytest.raises(Refusal, match="does not fit") as refusal:
        read([saved(tmp_path / "indices", _indices_files=[{"filename": "indices.arrow"}])])
    assert "flatten_indices" in refusal.value.hint


class Pipe(io.TextIOWrapper):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    data = gzip.compress((jsonl(ROWS) + "{\n").encode())
    monkeypatch.setattr("sys.stdin", Pipe(data))
    intake = read([Path("-")])
    assert [r.source for r in intake.records] == [f"stdin:{i}" for i in range(1, 6)]
    assert [f.source for f in intake.findings] == ["stdin:6"]
    assert (intake.files[0].path, intake.files[0].sha256) == ("stdin", hashlib.sha256(data).hexdigest())
    monkeypatch.setattr("sys.stdin", Pipe(b"PAR1"))
    with pytest.raises(Refusal, match=r"stdin:1: .*stdin"):
        read([Path("-")])


# ---- memory


PEAK = """
import resource, sys
from pathlib import Path
from buke.intake.formats import open_content
from buke.intake.names import KNOWN
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
content = open_content(Path(sys.argv[1]), KNOWN)
rows = sum(1 for raw in content.rows if not raw.finding)
found = ",".join(finding.kind for finding in content.findings)
print(rows, found or "-", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def peak(path: Path) -> tuple[int, str, int]:
    """(good rows, kinds of findings about the file, MB that reading it took at most), in a process of its own."""
    root = Path(__file__).resolve().parents[1] / "src"
    ran = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    rows, found, size = ran.stdout.split()
    return int(rows), found, int(size)


needs_resource = pytest.mark.skipif(sys.platform == "win32", reason="the peak of a process is read with resource")


@pytest.mark.slow
@needs_resource
def test_json_lines_and_tables_stream(tmp_path: Path) -> None:
    path = tmp_path / "d"
    row = json.dumps({"question": "思" * 300, "thought": "考" * 300, "answer": "答" * 300}, ensure_ascii=False) + "\n"
    for text, most in ((row, 60), ("question,thought,answer\n" + "思,考,答考考考考考考考考考\n" * 200, 60)):
        with path.open("wb") as file:
            for _ in range(30):
                file.write((text * 1500 if text is row else text * 250).encode())
                text = text.replace("question,thought,answer\n", "")
        assert path.stat().st_size > 40_000_000
        rows, found, size = peak(path)
        assert rows > 1000
        assert found == "-"
        assert size < most


@needs_resource
@pytest.mark.slow
@pytest.mark.parametrize("begin", [b'{"question": "', b"question,thought,answer\nq,", b"\n"])
def test_a_line_of_300_megabytes_is_never_held(tmp_path: Path, begin: bytes) -> None:
    path = tmp_path / "d"
    with path.open("wb") as file:
        file.write(begin)
        for _ in range(300):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n{"question": "q", "thought": "t", "answer": "a"}\n')
    rows, found, size = peak(path)
    assert size < 300
    assert found in ("line_too_long", "no_format", "empty_file")
    assert rows == (begin[:1] == b"{")
