"""Room `intake`: what is read comes back exactly, and what is wrong is named with its line."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from buke.intake import Intake, Options, check, split
from buke.records import Record, Severity, Turn
from buke.words import Refusal, catalogue, set_language
from reading import read

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
GOOD = {"question": "Q?", "thought": "because A, B", "answer": "A"}


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    set_language("en")
    yield
    set_language("en")


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{name} is not in the shared folder")
    return path


def write(tmp_path: Path, content: str | bytes, name: str = "d.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(*values: Any) -> str:
    return "".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values)


def take(tmp_path: Path, content: str | bytes, name: str = "d.jsonl", **options: Any) -> Intake:
    return read([write(tmp_path, content, name)], **options)


def seen(intake: Intake) -> list[tuple[int, str]]:
    return [(int(finding.source.rsplit(":", 1)[1]), finding.kind) for finding in intake.findings]


def texts(record: Record) -> tuple[str, str, str]:
    return record.question, record.thought, record.answer


# ---- texts come back exactly


# a tag of its own is a finding, not a text; filtered one by one, for hypothesis gives up where most rows are discarded
TEXT = st.text(min_size=1).filter(lambda text: text.strip() and "think>" not in text)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=4), st.booleans())
def test_any_unicode_comes_back_exactly(tmp_path: Path, rows: list[tuple[str, str, str]], ascii_only: bool) -> None:
    assume(len({(q, c.strip(), r.strip()) for q, c, r in rows}) == len(rows))
    names = ("Question", "Complex_CoT", "Response")
    content = "\r\n".join(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=ascii_only) for row in rows)
    intake = take(tmp_path, content)
    assert [texts(r) for r in intake.records] == [(q, c.strip(), r.strip()) for q, c, r in rows]
    assert [r.source.rsplit(":", 1)[1] for r in intake.records] == [str(i + 1) for i in range(len(rows))]


def test_line_separators_of_unicode_do_not_end_a_line(tmp_path: Path) -> None:
    row = {"question": "a\u2028b\u2029c\x85d\x1ce", "thought": "t\u2028t", "answer": "r\x85r"}
    intake = take(tmp_path, json.dumps(row, ensure_ascii=False) + "\n" + lines(GOOD))
    assert texts(intake.records[0]) == tuple(row.values())
    assert intake.records[1].source.endswith(":2")


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("gbk", "gb18030")]
)
def test_encodings(tmp_path: Path, encoding: str, shown: str) -> None:
    row = {"问题": "患者头痛三天，如何处理？", "思考": "先排除危险信号，再看血压。", "回答": "休息、补水，必要时就医。"}
    intake = take(tmp_path, json.dumps(row, ensure_ascii=False).encode(encoding))
    assert texts(intake.records[0]) == tuple(row.values())
    assert intake.files[0].encoding == shown
    assert [f.kind for f in intake.findings] == (["gb18030"] if shown == "gb18030" else [])


def test_utf16_big_endian_with_a_mark(tmp_path: Path) -> None:
    assert take(tmp_path, b"\xfe\xff" + json.dumps(GOOD).encode("utf-16-be")).records[0].answer == "A"


def test_a_damaged_utf8_file_is_not_taken_for_gbk(tmp_path: Path) -> None:
    row = json.dumps({"问题": "患者头痛三天，如何处理？", "思考": "先排除。", "回答": "休息。"}, ensure_ascii=False)
    data = (row + "\n" + row).encode()
    intake = take(tmp_path, data[:-20] + b"\xff" + data[-20:])
    assert seen(intake) == [(2, "damaged")]
    assert intake.files[0].encoding == "utf-8"
    assert len(intake.records) == 1


@pytest.mark.parametrize(
    "data", [b"PAR1\x00\x01", b"PK\x03\x04rest", b"{\x00}\x00\x00\x00", b"\xff\xfe{\x00\x00\xd8x\x00"]
)
def test_what_is_not_text_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Refusal, match=r"not text|damaged") as refusal:
        take(tmp_path, data)
    assert refusal.value.hint


# ---- formats


@pytest.mark.parametrize("name", ["d.json", "d.jsonl", "d.csv"])
def test_an_array_by_any_name_keeps_its_lines(tmp_path: Path, name: str) -> None:
    rows = [{**GOOD, "question": f"Q{i}"} for i in range(3)]
    intake = take(tmp_path, "\n" + json.dumps(rows, indent=2), name)
    assert [r.source.rsplit(":", 1)[1] for r in intake.records] == ["3", "8", "13"]
    assert intake.files[0].format == "json"


def test_wrapper_around_one_list(tmp_path: Path) -> None:
    content = '{"version": "1",\n "data": [\n' + json.dumps(GOOD) + ",\n" + json.dumps({**GOOD, "answer": "B"}) + "]}"
    intake = take(tmp_path, content)
    assert [r.source.rsplit(":", 1)[1] for r in intake.records] == ["3", "4"]
    with pytest.raises(Refusal, match="several lists of records in one file: train, test"):
        take(tmp_path, json.dumps({"train": [GOOD], "test": [GOOD]}))


@pytest.mark.parametrize("indent", [None, 2])
def test_one_fault_in_an_array_costs_one_record(tmp_path: Path, indent: int | None) -> None:
    pieces = [json.dumps({**GOOD, "question": f"Q{i}", "more": [{}, {}]}, indent=indent) for i in range(6)]
    pieces[1] = pieces[1].replace('"Q1"', '"a "b""')
    pieces[3] = pieces[3].replace('"A"', "NaN")
    text = ",\n".join(pieces).replace(pieces[4] + ",", pieces[4])
    intake = take(tmp_path, f"[{text},\n]")
    assert [record.question for record in intake.records] == ["Q0", "Q2", "Q4", "Q5"]
    assert [kind for _, kind in sorted(seen(intake))] == [
        "quote_or_comma", "not_a_number", "missing_comma", "trailing_comma",
    ]  # fmt: skip
    assert intake.read == 6


def test_an_array_on_one_line_is_left_where_it_breaks_for_it_may_go_on_anywhere(tmp_path: Path) -> None:
    good, bad = json.dumps(GOOD), '{"question": "a "b"", "x": "'
    with pytest.raises(Refusal, match="column"):
        take(tmp_path, f"[{good}, {bad}}}, {good}]")
    cut = take(tmp_path, f"[{good}, {good[:30]}")
    assert (len(cut.records), seen(cut)) == (1, [(1, "truncated")])


def test_pretty_records_one_after_the_other(tmp_path: Path) -> None:
    pieces = [json.dumps({**GOOD, "question": f"Q{i}", "x": [{}]}, indent=2) for i in range(5)]
    intake = take(tmp_path, "\n".join(pieces))
    assert [(record.question, record.source.rpartition(":")[2]) for record in intake.records] == [
        (f"Q{i}", str(1 + 8 * i)) for i in range(5)
    ]
    for at in (0, 2):
        broken = [piece.replace(f'"Q{at}"', f"Q{at}") for piece in pieces]
        intake = take(tmp_path, "\n".join(broken))
        assert (len(intake.records), seen(intake)) == (4, [(2 + 8 * at, "broken")])
    intake = take(tmp_path, ",\n".join(pieces))
    assert (len(intake.records), {kind for _, kind in seen(intake)}) == (5, {"trailing_comma"})


def test_a_document_of_faults_alone_is_given_up_in_time(tmp_path: Path) -> None:
    begun = time.perf_counter()
    with pytest.raises(Refusal):
        take(tmp_path, "[\n" + '{"a": x},\n' * 100_000 + "]")
    assert time.perf_counter() - begun < 5


def test_one_record_alone_flat_or_pretty(tmp_path: Path) -> None:
    assert len(take(tmp_path, json.dumps(GOOD)).records) == 1
    assert len(take(tmp_path, json.dumps(GOOD, indent=1)).records) == 1
    dialogue = {"messages": turns("q", "<think>t</think>a")}
    assert texts(take(tmp_path, json.dumps(dialogue, indent=1)).records[0]) == ("q", "t", "a")


def test_csv_counts_physical_lines_and_keeps_newlines(tmp_path: Path) -> None:
    content = 'Question,Complex_CoT,Response\r\n"a ""b""\nc","t,t",r\r\n\r\nq2,t2,r2\r\n'
    intake = take(tmp_path, content, "d.csv")
    assert texts(intake.records[0]) == ('a "b"\nc', "t,t", "r")
    assert [r.source.rsplit(":", 1)[1] for r in intake.records] == ["2", "5"]


def test_csv_faults_have_lines(tmp_path: Path) -> None:
    content = "question,thought,answer\nq,t,a\nq,t\nq3,t3,a3,more\nq4,t4,\nq5,t5,a5\n" + '"q6,t6,a6\nq7,t7,a7\n'
    intake = take(tmp_path, content)
    assert seen(intake) == [(3, "columns"), (4, "columns"), (5, "empty_field"), (7, "bad_rows")]
    assert [r.question for r in intake.records] == ["q", "q5"]


def test_lines_swallowed_by_a_quote_are_named_and_counted(tmp_path: Path) -> None:
    quote = ("", '"')
    content = "question,thought,answer\n" + "".join(f"q{i},t{i},{quote[i == 3]}a{i}\n" for i in range(10))
    intake = take(tmp_path, content)
    assert (len(intake.records), intake.read) == (3, 10)
    (finding,) = intake.findings
    assert (finding.source.rpartition(":")[2], finding.kind) == ("5", "bad_rows")
    assert "lines 5 to 11 " in finding.message
    closed = take(tmp_path, content.replace("q7", '"q7"'))
    assert (len(closed.records), closed.read) == (5, 10)
    assert "lines 5 to 9 " in closed.findings[0].message
    one = take(tmp_path, 'question,thought,answer\nq,t,"a"x\nr,t,a\n')
    assert (seen(one), one.read) == ([(2, "bad_row")], 2)


def test_what_follows_a_line_too_long_in_a_table_is_named_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in (("formats", "MAX_LINE", 100), ("source", "BLOCK", 200)):
        monkeypatch.setattr(f"buke.intake.{module}.{name}", value)
    before = "question,thought,answer\n" + "".join(f"q{i},t{i},a{i}\n" for i in range(30))
    for end in ("\n", ""):
        after = "".join(f"r{i},t{i},a{i}\n" for i in range(30)).rstrip("\n") + end
        intake = take(tmp_path, before + "x" * 600 + ",t,a\n" + after)
        assert (len(intake.records), intake.read) == (30, 60)
        assert sorted(seen(intake)) == [(32, "line_too_long"), (33, "unread_rows")]
        assert "lines 33 to 62 " in next(f.message for f in intake.findings if f.kind == "unread_rows")


def test_a_first_line_of_single_words_is_said_to_be_taken_for_the_header(tmp_path: Path) -> None:
    content = "Fever,Infection,Paracetamol\nCough,Virus,Rest\n"
    with pytest.raises(Refusal, match="Fever, Infection, Paracetamol"):
        take(tmp_path, content)
    fields = {"question_field": "1", "thought_field": "2", "answer_field": "3"}
    intake = take(tmp_path, content, **fields)
    assert texts(intake.records[0]) == ("Fever", "Infection", "Paracetamol")
    assert seen(intake) == [(1, "header_denied")]
    named = take(tmp_path, "frage,denken,antwort\nq,t,a\n", map={"question": "frage", "answer": "{antwort}{denken}"},
                 without_thought="empty")  # fmt: skip
    assert (seen(named), len(named.records)) == ([], 1)
    checked = check([write(tmp_path, content)], Options())
    assert {kind: one.places[0].rpartition(":")[2] for kind, one in checked.tally.kinds.items()} == {
        "header_guessed": "1", "unknown_shape": "2",
    }  # fmt: skip


def test_csv_with_semicolons_and_a_cell_of_200_000_characters(tmp_path: Path) -> None:
    intake = take(tmp_path, f"question;thought;answer\nq;{'x' * 200_000}, y;a\n")
    assert len(intake.records[0].thought) == 200_003


def test_tsv_quotes(tmp_path: Path) -> None:
    plain = 'Is "x" right?\tyes\t"X" is right.\nIs y?\tno\tIt is not.\n'
    intake = take(tmp_path, plain)
    assert texts(intake.records[0]) == ('Is "x" right?', '"X" is right.', "yes")
    assert [f.kind for f in intake.findings] == ["no_header"]
    quoted = 'question\tthought\tanswer\n"two\nlines"\t"a ""b"""\tc\n'
    assert texts(take(tmp_path, quoted).records[0]) == ("two\nlines", 'a "b"', "c")


def test_columns_without_a_header_by_number(tmp_path: Path) -> None:
    content = "What is it? Say.\tI think.\tIt is this, 1.\t1\nAnd that?\tWell.\tThat.\t2\n"
    intake = take(tmp_path, content, question_field="1", thought_field="2", answer_field="3")
    assert texts(intake.records[1]) == ("And that?", "Well.", "That.")


QTA = ("{i} apples and 2 more, how many?", "There are {i} apples, and 2 more make a few more.", "A few, {i} and 2.")


@pytest.mark.parametrize("places", [*itertools.permutations(range(3))])
def test_columns_without_a_header_are_told_by_what_they_hold(tmp_path: Path, places: tuple[int, ...]) -> None:
    rows = [[QTA[at].replace("{i}", str(i)) for at in places] for i in range(9)]
    intake = take(tmp_path, "".join("\t".join(row) + "\n" for row in rows), "d.tsv")
    assert texts(intake.records[3]) == tuple(text.replace("{i}", "3") for text in QTA)
    (finding,) = intake.findings
    question, thought, answer = (places.index(at) + 1 for at in range(3))
    assert f"--map question={question} thought={thought} answer={answer}" in finding.hint


@pytest.mark.parametrize(
    "row",
    [
        ("Solve it.", "Twelve and no more.", "Ten and two are twelve."),  # no question mark, thought and answer alike
        ("yes", "Name a bird.", "It may be a crow or not."),  # the first is the shortest
        ("Is it?", "Really?", "It is so, since it was so before."),  # two columns of questions
        ("It is so.", "", ""),
    ],
)
def test_columns_that_are_not_clear_are_refused_with_a_map_that_works(tmp_path: Path, row: tuple[str, ...]) -> None:
    with pytest.raises(Refusal, match=re.escape(row[0])) as refusal:
        take(tmp_path, "\t".join(row) + "\n", "d.tsv")
    assert "--map question=1 thought=2 answer=3" in refusal.value.hint
    if all(row):
        assert (
            texts(take(tmp_path, "\t".join(row), map={"question": "1", "thought": "2", "answer": "3"}).records[0])
            == row
        )


def test_a_header_in_other_words_is_not_taken_for_a_record(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="frage, denken, antwort"):
        take(tmp_path, "frage\tdenken\tantwort\nWas ist das?\tHm.\tDas.\n")


BROKEN = {
    "trailing_comma": ('{"question": "q", "thought": "t", "answer": "a",}', 49),
    "single_quotes": ("{'question': 'q', 'thought': 't'}", 2),
    "not_a_number": ('{"question": "NaN", "thought": "t", "answer": NaN}', 47),
    "truncated": ('{"question": "q", "thought": "t', 30),
    "python_literal": ('{"question": "q", "thought": None}', 30),
    "control": ('{"question": "a\tb"}', 16),
    "backslash": (r'{"question": "\alpha"}', 15),
    "full_width": ('{"question"： "q"}', 12),
    "extra": ('{"question": "q"} {"question": "r"}', 19),
    "quote_or_comma": ('{"question": "he said "no""}', 24),
    "broken": ("{question: 1}", 2),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_lines_are_named_and_the_others_kept(tmp_path: Path, kind: str) -> None:
    line, column = BROKEN[kind]
    intake = take(tmp_path, lines(GOOD, line, {**GOOD, "answer": "B"}))
    assert seen(intake) == [(2, kind), (3, "other_answer")]
    message = intake.findings[0].message
    at = int(message.split("column ")[1].split(":")[0])
    assert at == column or (kind == "trailing_comma" and at == column - 1)  # Python 3.13 points at the comma itself
    assert intake.findings[0].hint
    assert len(intake.records) == 2
    assert intake.read == 3


def test_every_broken_line_in_one_pass_also_where_the_first_is_broken(tmp_path: Path) -> None:
    intake = take(tmp_path, lines("{'a': 1}", GOOD, '{"question": "q", ', "[1]", '"text"', json.dumps(GOOD) + ","))
    kinds = [(1, "single_quotes"), (3, "truncated"), (4, "not_object"), (5, "not_object"), (6, "trailing_comma")]
    assert seen(intake) == kinds


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("[\n" + json.dumps(GOOD) + ",\n{'question': 1}\n]", r":3: column 2: single quotes"),
        ("[\n" + json.dumps(GOOD) + ",\n]", r":[23]: column \d+: a comma"),
        ("[\n" + json.dumps(GOOD) + "\n" + json.dumps(GOOD) + "\n]", r":3: column 1: no comma between"),
        ("[\n" + json.dumps(GOOD) + ",\n" + json.dumps(GOOD) + "\n", r":4: column 1: the JSON breaks off"),
    ],
)
def test_a_fault_at_the_end_of_an_array_leaves_what_stands_before(tmp_path: Path, content: str, place: str) -> None:
    path = write(tmp_path, content)
    intake = read([path])
    assert [record.question for record in intake.records] == ["Q?"]
    (finding,) = [finding for finding in intake.findings if finding.kind != "duplicate"]
    assert re.search(re.escape(path.name) + place, str(finding))


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("[" + json.dumps(GOOD) + "]\n\n  x", r":3: column 3: more text"),
        ('{\n  "data": [\n    {"question": "q",}\n  ]\n}', r":3: column \d+: a comma"),
        ("[]", r":1: the file is empty"),
    ],
)
def test_a_broken_array_is_one_finding_with_its_place(tmp_path: Path, content: str, place: str) -> None:
    with pytest.raises(Refusal, match=place) as refusal:
        take(tmp_path, content)
    assert refusal.value.hint
    assert not refusal.value.details


def test_not_a_number_inside_an_array_has_its_own_line(tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "question": "NaN", "answer": float("nan")}]
    intake = take(tmp_path, json.dumps(rows, indent=1))
    assert seen(intake) == [(10, "not_a_number")]
    assert "column 13" in intake.findings[0].message


def test_duplicate_keys_even_deep_inside(tmp_path: Path) -> None:
    twice = '{"question": "q", "thought": "t", "answer": "a", "answer": "b"}'
    inside = '{"question": "q", "thought": "t", "answer": "a", "meta": {"x": 1, "x": 2}}'
    intake = take(tmp_path, lines(GOOD, twice, inside))
    assert seen(intake) == [(2, "duplicate_key"), (3, "duplicate_key")]
    assert "'answer'" in intake.findings[0].message


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_nesting_is_a_finding(tmp_path: Path, opening: str) -> None:
    deep = '{"question": ' + opening * 200_000
    intake = take(tmp_path, lines(GOOD, deep))
    assert seen(intake) == [(2, "too_deep")]
    with pytest.raises(Refusal, match="nested too deeply"):
        take(tmp_path, "[" + deep)


def test_huge_numbers_do_no_harm(tmp_path: Path) -> None:
    huge = '{"question": "q", "thought": "t", "answer": "a", "n": ' + "9" * 10_000 + ', "e": 1e999999}'
    assert len(take(tmp_path, huge).records) == 1


def test_a_line_of_50_megabytes(tmp_path: Path) -> None:
    start = time.perf_counter()
    intake = take(tmp_path, lines(GOOD, {**GOOD, "thought": "思" * 8_000_000 + "x" * 2_000_000}))
    assert len(intake.records[1].thought) == 10_000_000
    assert time.perf_counter() - start < 10


SEEDS = [
    json.dumps([GOOD, {"messages": [{"role": "user", "content": "q"}]}], indent=1),
    lines(GOOD, {"instruction": "q", "input": "x", "output": "<think>t</think>a", "history": [["q", "a"]]}),
    '{"data": [{"question": "q", "answer": "t\\n#### 1"}], "n": NaN}',
    'question,thought,answer\n"q",t,a\n',
    'Q 1?\tyes\t"t".\n',
    json.dumps({"conversations": [{"from": "human", "value": [{"type": "text", "text": "q"}]}, {"from": "gpt"}]}),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SEEDS), st.data())
def test_no_damage_brings_a_traceback(tmp_path: Path, seed: str, data: st.DataObject) -> None:
    content = bytearray(seed.encode())
    pieces = st.sampled_from(
        [b"", b",", b"{", b"}", b"[", b"]", b'"', b"\n", b"\t", b"null", b"1", b"\xe5", b"\\", b":"]
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 9))] = data.draw(pieces | st.binary(max_size=3))
    try:
        kept, hint = take(tmp_path, bytes(content)).records, ""
    except Refusal as refusal:
        kept, hint = [], refusal.hint
    assert kept or hint


# ---- shapes


def turns(*contents: Any, first: str = "user") -> list[dict[str, Any]]:
    order = ["system", "user", "assistant"] if first == "system" else ["user", "assistant"] * 9
    return [{"role": role, "content": content} for role, content in zip(order, contents, strict=False)]


SHAPES = [
    ("fields", {"QUESTION": "q", "complex_cot": "t", "Response": "a"}),
    ("fields", {"problem": "q", "message_thinking": "t", "message_content": "a", "gtruth": "x"}),
    ("fields", {"prompt": "q", "Reasoning Content": "t", "output": "a"}),
    ("fields", {"query": "q", "thinking": " <think>\nt</think>\n", "solution": "a"}),
    ("fields", {"input": "q", "output": "<think>t</think>\n\na"}),
    ("fields", {"question": "q", "thought": "", "answer": "\n<think>t</think>a"}),
    ("alpaca", {"instruction": "q", "input": "", "output": "<think>t</think>a", "history": []}),
    ("gsm8k", {"question": "q", "answer": "t\n#### a"}),
    ("messages", {"messages": turns("q", "<think>t</think>a")}),
    ("messages", {"messages": [turns("q")[0], {"role": "assistant", "reasoning_content": "t", "content": "a"}]}),
    (
        "messages",
        {"messages": turns("q", [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"}])},
    ),
    ("messages", {"messages": turns([{"type": "text", "value": "q"}], [
        {"type": "reasoning", "value": "t"}, {"type": "text", "value": "a"}])}),
    ("sharegpt", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "<think>t</think>a"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "row"), SHAPES)
def test_shapes_are_recognised(tmp_path: Path, shape: str, row: dict[str, Any]) -> None:
    intake = take(tmp_path, json.dumps(row))
    assert texts(intake.records[0]) == ("q", "t", "a")
    assert intake.files[0].shape == shape
    assert {finding.severity for finding in intake.findings} <= {Severity.WARNING}
    assert len(intake.findings) < 30


def test_alpaca_input_belongs_to_the_question(tmp_path: Path) -> None:
    row = {"instruction": "Sum up.", "input": "A text.", "output": "<think>t</think>a", "system": "Be brief."}
    record = take(tmp_path, json.dumps(row)).records[0]
    assert (record.question, record.system) == ("Sum up.\nA text.", "Be brief.")


def test_gsm8k_marks_and_numbers(tmp_path: Path) -> None:
    row = {"question": "q << 2?", "answer": "4/2 = <<4/2=2>>2\nso $<<2*500=1000>>1,000.\n#### 1,000"}
    assert texts(take(tmp_path, json.dumps(row)).records[0]) == ("q << 2?", "4/2 = 2\nso $1,000.", "1,000")


def test_system_messages_travel(tmp_path: Path) -> None:
    first = {"messages": turns("s", "q", "<think>t</think>a", first="system")}
    second = {"conversations": [{"from": "human", "value": "p"}, {"from": "gpt", "value": "<think>t</think>a"}]}
    intake = take(tmp_path, lines(first, {**second, "system": "other"}))
    assert [r.system for r in intake.records] == ["s", "other"]


DIALOGUES = [
    ("tool_use", [*turns("q"), {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}]),
    ("tool_use", [*turns("q"), {"role": "assistant", "content": [{"type": "tool_call", "value": "f"}]}]),
    ("tool_use", [*turns("q", "a"), {"role": "tool", "content": "1"}]),
    ("bad_turns", turns("q")),
    ("bad_turns", []),
    ("bad_turns", "text"),
    ("bad_turns", ["text"]),
    ("bad_content", turns([{"type": "image", "url": "x"}, {"type": "text", "text": "q"}], "<think>t</think>a")),
    ("bad_content", turns(["q"], "<think>t</think>a")),
    ("null_field", turns(None, "<think>t</think>a")),
]


@pytest.mark.parametrize(("kind", "messages"), DIALOGUES)
def test_other_dialogues_are_refused_by_line(tmp_path: Path, kind: str, messages: Any) -> None:
    intake = take(tmp_path, lines(GOOD, {"messages": messages}))
    assert seen(intake) == [(2, kind)]


# ---- explicit fields


def test_given_fields_override(tmp_path: Path) -> None:
    row = {"Frage": "q", "thought": "no", "Weg": "t", "answer": "no", "Antwort": "a"}
    given_all = {"question_field": "Frage", "thought_field": "Weg", "answer_field": "Antwort"}
    assert texts(take(tmp_path, json.dumps(row), **given_all).records[0]) == ("q", "t", "a")
    assert texts(take(tmp_path, json.dumps(row), question_field="Frage").records[0]) == ("q", "no", "no")


def test_a_given_field_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="Question, Complex_CoT, Response") as refusal:
        take(tmp_path, lines({"Question": "q", "Complex_CoT": "t", "Response": "a"}), thought_field="complex_cots")
    assert "'Complex_CoT'" in refusal.value.hint


def test_ambiguous_fields_are_said_once(tmp_path: Path) -> None:
    intake = take(tmp_path, lines(*({**GOOD, "question": f"q{i}", "response": "R"} for i in range(3))))
    assert seen(intake) == [(1, "ambiguous")]
    assert "response, answer" in intake.findings[0].message
    assert intake.records[0].answer == "R"


# ---- findings


BAD = [
    ({"question": None}, "null_field"),
    ({"question": " \n"}, "empty_field"),
    ({"question": 3e50}, "wrong_type"),
    ({"question": ["q"]}, "wrong_type"),
    ({"thought": {"a": 1}}, "wrong_type"),
    ({"thought": None}, "no_thought"),
    ({"thought": "  "}, "no_thought"),
    ({"thought": "<think> </think>"}, "no_thought"),
    ({"answer": True}, "wrong_type"),
    ({"answer": ""}, "empty_field"),
    ({"answer": None}, "null_field"),
    ({"thought": "a </think> b"}, "think_tag"),
    ({"thought": "<think>a</think> b <think>c</think>"}, "think_tag"),
    ({"answer": "<think>again</think> a"}, "think_tag"),
    ({"answer": "\ud800"}, "surrogate"),
]


@pytest.mark.parametrize(("change", "kind"), BAD)
def test_bad_fields(tmp_path: Path, change: dict[str, Any], kind: str) -> None:
    intake = take(tmp_path, lines(GOOD, {**GOOD, "question": "other", **change}))
    assert seen(intake) == [(2, kind)]
    assert intake.findings[0].severity is Severity.ERROR
    assert len(intake.records) == 1


def test_a_missing_field_and_all_problems_of_one_record(tmp_path: Path) -> None:
    rows = [GOOD, {"question": "q", "thought": "t"}, {"question": "", "thought": "</think>", "answer": None}]
    intake = take(tmp_path, lines(*rows, {"foo": 1}))
    kinds = ["missing_field", "empty_field", "think_tag", "null_field", "unknown_shape"]
    assert [f.kind for f in intake.findings] == kinds


def test_tags_in_a_question_are_allowed(tmp_path: Path) -> None:
    assert take(tmp_path, lines({**GOOD, "question": "What is <think>?"})).records[0].question == "What is <think>?"


def test_duplicates_and_other_answers(tmp_path: Path) -> None:
    intake = take(tmp_path, lines(GOOD, GOOD, {**GOOD, "answer": "B"}, {**GOOD, "answer": " A "}))
    assert seen(intake) == [(2, "duplicate"), (4, "duplicate"), (3, "other_answer")]
    assert all(f.severity is Severity.WARNING and f"{tmp_path / 'd.jsonl'}:1" in f.message for f in intake.findings)
    assert [r.answer for r in intake.records] == ["A", "B"]


def test_duplicates_across_files_and_a_folder(tmp_path: Path) -> None:
    write(tmp_path, lines(GOOD), "b.jsonl")
    write(tmp_path, lines(GOOD), "a.jsonl")
    write(tmp_path, "not data", "notes.txt")
    intake = read([tmp_path])
    assert [Path(info.path).name for info in intake.files] == ["a.jsonl", "b.jsonl"]
    assert [f.source for f in intake.findings] == [f"{tmp_path / 'b.jsonl'}:1"]


def test_limit(tmp_path: Path) -> None:
    rows = [{**GOOD, "question": f"q{i}"} for i in range(9)]
    intake = take(tmp_path, lines(rows[0], "{", *rows[1:], "{"), limit=3)
    assert [r.question for r in intake.records] == ["q0", "q1", "q2"]
    assert seen(intake) == [(2, "truncated")]
    assert intake.read == intake.files[0].rows == 4


def test_without_thought(tmp_path: Path) -> None:
    content = lines({"question": "q", "answer": "a"}, {"question": "p", "answer": "b"})
    with pytest.raises(Refusal, match="none of the 2 records has a thought") as refusal:
        take(tmp_path, content)
    assert "--thought-field" in refusal.value.hint
    assert "--without-thought empty" in refusal.value.hint
    intake = take(tmp_path, content, without_thought="empty")
    assert [r.thought for r in intake.records] == ["", ""]
    assert {finding.severity for finding in intake.findings} <= {Severity.WARNING}
    assert len(intake.findings) < 30


# ---- refusals


def test_missing_files_and_empty_folders(tmp_path: Path) -> None:
    write(tmp_path, lines(GOOD), "train.jsonl")
    with pytest.raises(Refusal, match="no such file") as refusal:
        read([tmp_path / "train.json", tmp_path / "zzz"])
    assert "train.jsonl" in refusal.value.hint
    assert len(refusal.value.details) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refusal, match="no data file in this folder"):
        read([tmp_path / "empty"])
    with pytest.raises(Refusal, match="no data file was named"):
        read([])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ":1: the file is empty"),
        (" \n\n", ":1: the file is empty"),
        ("\ufeff", ":1: the file is empty"),
        ("question,thought,answer\n", ":1: the file is empty"),
        ("just prose", ":1: neither JSON"),
        ('{"foo": "x", "bar": "y"}', ":1: cannot tell .* foo, bar"),
        (lines(*({"foo": i} for i in range(99))), ":1: cannot tell .* foo"),
        ("a,a\n1,2\n", ":1: the field 'a' stands here twice"),
    ],
)
def test_nothing_to_learn_from(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(Refusal, match=message) as refusal:
        take(tmp_path, content)
    assert refusal.value.hint


def test_a_long_list_is_cut_and_counted(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="none of the 30 records is good") as refusal:
        take(tmp_path, lines(*({**GOOD, "answer": [i]} for i in range(30))))
    assert len(refusal.value.details) == 21
    assert refusal.value.details[-1] == "and 10 more"


def test_an_unusable_file_beside_a_good_one_is_a_finding(tmp_path: Path) -> None:
    intake = read([write(tmp_path, "", "a.jsonl"), write(tmp_path, lines(GOOD), "b.jsonl")])
    assert len(intake.records) == 1
    assert [f.kind for f in intake.findings] == ["empty_file"]


def test_the_catalogue_has_the_same_values_in_both_languages(tmp_path: Path) -> None:
    for key, (english, chinese) in catalogue("intake").items():
        fields = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (english, chinese)]
        assert fields[0] == fields[1], key
    set_language("zh")
    intake = take(tmp_path, lines(GOOD, {**GOOD, "thought": 3}))
    assert intake.findings[0].message == "思考是数字，不是文字"


# ---- split


def make(count: int, start: int = 0) -> list[Record]:
    return [Record.make(f"q{i}", "t", f"a{i}", f"f:{i}") for i in range(start, start + count)]


@pytest.mark.parametrize(
    ("count", "share", "held"),
    [(9, 0.5, 0), (100, 0, 0), (10, 0.05, 1), (100, 0.05, 10), (300, 0.05, 20), (1000, 0.05, 50)],
)  # fmt: skip
def test_split_sizes(count: int, share: float, held: int) -> None:
    training, held_out = split(make(count), share)
    assert (len(training), len(held_out)) == (count - held, held)


def test_split_does_not_hang_on_the_order() -> None:
    records = make(200)
    shuffled = random.Random(1).sample(records, 200)
    assert {r.id for r in split(records, 0.1)[1]} == {r.id for r in split(shuffled, 0.1)[1]}
    by_hash = sorted(records, key=lambda r: hashlib.sha256(r.question.encode()).hexdigest())
    assert {r.id for r in split(records, 0.1)[1]} == {r.id for r in by_hash[:20]}
    assert split(records, 0.1)[0] == [r for r in records if r in split(records, 0.1)[0]]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=10, max_size=80), st.lists(st.integers(0, 60), max_size=15))
def test_split_keeps_questions_together_and_appending_moves_nothing_into_it(old: list[int], new: list[int]) -> None:
    records = [Record.make(f"q{n}", str(i), "a", f"f:{i}") for i, n in enumerate([*old, *new])]
    target = len(old) // 3
    before, after = (split(part, (target + 0.2) / len(part), 0) for part in (records[: len(old)], records))
    for training, held_out in (before, after):
        assert not {r.question for r in training} & {r.question for r in held_out}
        assert len(held_out) <= target
    assert not {r.id for r in before[0]} & {r.id for r in after[1]}


def test_split_keeps_the_records_of_a_dialogue_together() -> None:
    turns = [Turn(f"q{i}", "", "a") for i in range(40)]
    records = [
        Record.make(f"{n}", "t", "a", "f:1", history=(first, *turns[:n])[:n])
        if n
        else Record.make(first.question, "t", "a", "f:1")
        for first in turns
        for n in range(3)
    ]
    training, held_out = split(records, 0.2)
    sides = [{(r.history[0].question if r.history else r.question) for r in side} for side in (training, held_out)]
    assert len(held_out) == 24
    assert not sides[0] & sides[1]


# ---- the shared files


def test_medical(tmp_path: Path) -> None:
    path = shared("medical-o1-zh/train.jsonl")
    intake = read([path])
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    expected = [(r["Question"], r["Complex_CoT"].strip(), r["Response"].strip()) for r in rows]
    assert [texts(r) for r in intake.records] == expected
    assert len(expected) == 600


def test_medical_as_alpaca_is_the_same_lessons() -> None:
    plain = {(r.thought, r.answer) for r in read([shared("medical-o1-zh/train.jsonl")]).records}
    alpaca = read([shared("medical-o1-zh/alpaca-50.json")])
    assert len(alpaca.records) == 50
    assert {(r.thought, r.answer) for r in alpaca.records} <= plain


def test_gsm8k_whole_and_fast() -> None:
    path = shared("gsm8k/train.jsonl")
    start = time.process_time()
    intake = read([path])
    seconds = time.process_time() - start
    assert len(intake.records) == 7473
    assert {finding.severity for finding in intake.findings} <= {Severity.WARNING}
    assert len(intake.findings) < 30
    assert not any("<<" in r.thought or ">>" in r.thought or "####" in r.thought for r in intake.records)
    assert all(float(r.answer.replace(",", "")) is not None for r in intake.records)
    assert seconds < 3  # of processor time; a fifth of a second on an idle machine


def test_other_shapes() -> None:
    tsv = read([shared("other-shapes/strategyqa-300.tsv")])
    assert len(tsv.records) == 300
    assert {r.answer for r in tsv.records} == {"yes", "no"}
    assert len(read([shared("other-shapes/sample_ollama_outputs.json")]).records) == 5
    tools = read([shared("other-shapes/reason_tool_use_demo_50.jsonl")])
    assert 10 < len(tools.records) < 30
    assert all(r.thought and r.system for r in tools.records)
    kinds = Counter(finding.kind for finding in tools.findings)
    assert kinds["tool_use"] + kinds["think_tag"] + len(tools.records) == 50


@pytest.mark.parametrize("name", ["alpaca_en_demo.json", "alpaca_zh_demo.json"])
def test_demos_without_thoughts_are_refused_with_an_explanation(name: str) -> None:
    path = shared(f"other-shapes/{name}")
    with pytest.raises(Refusal, match="buke trains thoughts"):
        read([path])
    assert len(read([path], without_thought="empty").records) > 900
