"""What ``buke check`` shows: its page, its picture and its lines. The findings are made up by ``made_up`` below."""

from __future__ import annotations

import os
import re
from html import escape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from buke import words
from buke.report import data_lines, terminal, write_data_page, write_lengths
from buke.report.lengths import place
from buke.words import t
from test_report import HOSTILE, Page
from test_report_browser import BROWSER, browse, with_script

LESSON = {
    "en": ("A child of 12 kg, 20 mg per kg and day in two doses: how much is each?",
           "A day is 12 × 20 = 240 mg.\nIn two doses that is 120 mg.", "120 mg, twice a day."),
    "zh": ("患儿体重 12 kg，每日每公斤 20 mg，分两次，每次多少毫克？",
           "一天 12 × 20 = 240 mg。\n分两次，每次 120 mg。", "每次 120 mg，每日两次。"),
}  # fmt: skip
FOUND = {  # kind, severity, count, message, hint
    "en": [
        ("empty_field", "error", 7, "the thought is empty", "fill it in, or delete the record"),
        ("truncated", "error", 3, "column 812: the JSON breaks off",
         "a closing quote or bracket is missing; write this record again"),
        ("near_duplicate", "warning", 34, "nearly the same as cases-en.jsonl:20",
         "delete one of them, or the model learns it twice"),
        ("personal", "warning", 2, "this looks like a telephone number",
         "take it out before training: a model may recite it"),
    ],
    "zh": [
        ("empty_field", "error", 7, "思考是空的", "请补上内容，或删去这条记录"),
        ("truncated", "error", 3, "第 812 列：JSON 没有写完", "缺少收尾的引号或括号；请重新写出这条记录"),
        ("near_duplicate", "warning", 34, "与 cases-zh.jsonl:20 几乎相同", "删去其中一条，否则模型会把它学两遍"),
        ("personal", "warning", 2, "这里有像是手机号码的数字", "训练前请去掉：模型可能会把它背出来"),
    ],
}  # fmt: skip


GIVEN = {
    "data": ["my train.jsonl"], "quick": True,
    "flags": ["--map", "question=a", "thought={b} c", "--held-out-file", "held.jsonl"],
}  # fmt: skip


def finding(kind: str, severity: str, count: int, message: str, hint: str, name: str) -> dict[str, Any]:
    places = [f"{name}:{3 + 7 * place}" for place in range(min(count, 20))]
    return {"kind": kind, "severity": severity, "count": count, "message": message, "hint": hint, "places": places}


def made_up(language: str = "en", model: bool = True) -> dict[str, Any]:
    """A check with a finding of every sort, of records in the language."""
    zh, name = language == "zh", f"cases-{language}.jsonl"
    question, thought, answer = LESSON[language]
    made: dict[str, Any] = {
        "buke": "0.2.0", "language": language,
        "files": [
            {"path": name, "bytes": 2_412_883, "sha256": "9f2c" * 16, "format": "jsonl", "encoding": "utf-8",
             "compression": "", "shape": "question/answer", "rows": 940, "whole": True,
             "mapping": {"question": "Question", "thought": "Complex_CoT", "answer": "Response"}},
            {"path": "ward/old cases.csv.gz", "bytes": 41_007, "sha256": "ab12" * 16, "format": "csv",
             "encoding": "gb18030", "compression": "gz", "shape": "fields", "rows": 60, "whole": True,
             "mapping": {"question": "问题", "thought": "思考过程", "answer": "回答"}},
        ],
        "given": {"data": [name, "ward/old cases.csv.gz"], "flags": [], "quick": False},
        "read": 1000, "kept": 990, "left_out": 12, "left_out_of": {"rows": 8, "turns": 1, "duplicates": 3},
        "leaks": 4, "without_thought": 3,
        "findings": [finding(*line, name) for line in FOUND[language]],
        "characters": {"question": {"median": 61, "longest": 412}, "thought": {"median": 1_204, "longest": 9_871},
                       "answer": {"median": 377, "longest": 2_040}},
        "languages": {"zh": 968, "en": 22} if zh else {"en": 968, "zh": 22},
        "samples": [{"source": f"{name}:{line}", "question": question, "thought": thought, "answer": answer}
                    for line in (1, 412)],
        "held_out": {"train": 936, "held_out": 50},
        "tokens": None,
    }  # fmt: skip
    if model:
        counts = [12, 96, 204, 231, 168, 109, 71, 42, 24, 14, 8, 5, 3, 0, 2, 1]
        made["tokens"] = {
            "model": "DeepSeek-R1-Distill-Qwen-1.5B", "all": 612_408, "learned": 531_226, "median": 571, "p95": 1_312,
            "longest": 2_421, "end_learned": [936, 936], "scored": 25_012, "end_scored": [49, 50],
            "histogram": [[152 * (index + 1), count] for index, count in enumerate(counts)],
            "candidates": [{"length": 512, "dropped": 547, "answer_lost": 540},
                           {"length": 1_024, "dropped": 102, "answer_lost": 97},
                           {"length": 1_536, "dropped": 21, "answer_lost": 20},
                           {"length": 2_048, "dropped": 3, "answer_lost": 3},
                           {"length": 3_072, "dropped": 0, "answer_lost": 0}],
            "recommended": 2_048, "bytes_per_token": {"zh": 4.02, "en": 4.31}, "poor": 7,
            "poor_places": [f"{name}:{line}" for line in range(31, 38)],
        }  # fmt: skip
    return made


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    words.set_language(request.param)
    return str(request.param)


def page_of(tmp_path: Path, check: dict[str, Any]) -> Page:
    return Page(write_data_page(tmp_path / "report.html", check).read_text(encoding="utf-8"))


def lines(check: dict[str, Any], width: int = 80) -> str:
    return "\n".join(line.plain for line in data_lines(check, width))


def test_page_and_terminal_say_all_that_was_found(tmp_path: Path, language: str) -> None:
    check = made_up(language)
    page, said = page_of(tmp_path, check), lines(check, 120)
    headline = {"en": "990 good records: 936 to learn from, 50 held out for scoring, 4 in neither part because",
                "zh": "可用记录 990 条：936 条用于学习，50 条留出用于评分，4 条会透露留出的问题"}[language]  # fmt: skip
    assert said.replace("\n", " " if language == "en" else "").startswith(headline)
    found = [f[key] for f in check["findings"] for key in ("message", "hint")]
    for text in [headline, *found, "ward/old cases.csv.gz", "← Complex_CoT", "531,226", "1,312", "question/answer"]:
        assert text in page.text
        assert text in said
    assert page.having("html")[0]["lang"] == {"en": "en", "zh": "zh-CN"}[language]
    for row in check["tokens"]["candidates"]:
        assert re.search(rf"{row['length']:,} +{row['dropped']} +{row['answer_lost']}\n", said)
    for sample in check["samples"]:
        assert all(sample[name] in page.text for name in ("source", "question", "thought", "answer"))


def test_errors_come_before_warnings_whatever_their_order(tmp_path: Path) -> None:
    check = made_up()
    check["findings"].reverse()
    for text in (page_of(tmp_path, check).text, lines(check)):
        order = [text.index(said) for said in ("Errors: these", "the thought is empty", "Warnings: these", "telephone")]
        assert order == sorted(order)


def test_places_are_bounded_and_the_rest_is_counted(tmp_path: Path) -> None:
    check = made_up()
    said = lines(check, 120)
    assert "cases-en.jsonl:24, cases-en.jsonl:31, and 2 more" in said
    assert "cases-en.jsonl:31, and 29 more" in said
    assert "cases-en.jsonl:35, and 2 more)" in said
    assert "and 14 more" in page_of(tmp_path, check).text
    check["findings"] = [finding("x", "error", 5, "m", "", "f.jsonl")]
    assert "more" not in lines(check, 120).split("What is wrong")[1].split("How long")[0]


def test_the_recommended_length_is_marked(tmp_path: Path) -> None:
    check = made_up()
    marked = [line for line in lines(check).splitlines() if line.startswith("  *")]
    assert [line.split()[1] for line in marked] == ["2,048", "Recommended:"]
    html = write_data_page(tmp_path / "report.html", check).read_text(encoding="utf-8")
    assert len(re.findall('<tr role="row" class="chosen"><th [^>]*>2,048 ', html)) == 1
    assert html.count('<li class="over"') == 2  # of the two bars beyond 2,128
    check["tokens"]["recommended"] = 3_072
    assert "Recommended: 3,072 tokens. Every record fits." in lines(check)
    assert 'class="mark late" style="left:100%' in write_data_page(tmp_path / "report.html", check).read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize(
    ("change", "sentence", "command"),
    [
        ({}, "train on 936 records, or mend the errors first (--fix",
         "buke train cases-en.jsonl 'ward/old cases.csv.gz' --model DeepSeek-R1-Distill-Qwen-1.5B --length 2048"),
        ({"findings": []}, "train on 936 records:", "buke train "),
        ({"tokens": None}, "see how long the records are", "buke check cases-en.jsonl 'ward/old cases.csv.gz' --model"),
        ({"kept": 0}, "mend what is listed, then check again:", "buke check cases-en.jsonl"),
        ({"kept": 0, "given": {"data": ["-"], "flags": [], "quick": False}}, "mend what is listed", "buke check DATA"),
        ({"given": GIVEN}, "train on 936 records", "buke train 'my train.jsonl' --model "
         "DeepSeek-R1-Distill-Qwen-1.5B --length 2048 --map question=a 'thought={b} c' --held-out-file held.jsonl"),
        ({"given": GIVEN, "tokens": None}, "see how long", "buke check 'my train.jsonl' --model MODEL --map question=a "
         "'thought={b} c' --held-out-file held.jsonl --quick"),
    ],
)  # fmt: skip
@pytest.mark.skipif(os.name == "nt", reason="quotes of another shell")
def test_the_last_line_is_what_to_type_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], sentence: str, command: str
) -> None:
    monkeypatch.delenv("BUKE_COMMAND", raising=False)
    check = made_up() | change
    said = lines(check, 120)
    assert said.splitlines()[-1].startswith("  " + command)
    assert f"Next: {sentence}" in said
    assert command in page_of(tmp_path, check).text


@pytest.mark.parametrize("change", [
    {"kept": 0, "left_out": 1000, "samples": [], "tokens": None, "held_out": {"train": 0, "held_out": 0}},
    {"read": 0, "kept": 0, "left_out": 0, "files": [], "findings": [], "samples": [], "languages": {}, "tokens": None},
    {"kept": 1000, "left_out": 0, "findings": [], "held_out": None, "characters": {}},
])  # fmt: skip
def test_any_outcome_has_a_headline(tmp_path: Path, language: str, change: dict[str, Any]) -> None:
    check = made_up(language) | change
    first = lines(check).splitlines()[0]
    assert first in page_of(tmp_path, check).text
    assert ("1,000" in first) == bool(check["read"])
    assert t("report.findings_none") in lines(check) or check["findings"]


@given(st.integers(0, 200), st.text(max_size=300), st.sampled_from(["en", "zh"]), st.integers(0, 10**9))
def test_no_line_is_wider_than_the_terminal(width: int, text: str, language: str, count: int) -> None:
    words.set_language(language)
    check = made_up(language)
    check["findings"][0] |= {"message": text, "hint": "长" * 90, "places": [text or "x"], "count": count}
    check["files"][0] |= {"path": "x" * 150, "shape": text}
    check["tokens"]["histogram"][3][1] = count
    *all_but_the_command, _ = data_lines(check, width)
    for line in all_but_the_command:
        assert cell_len(line.plain) <= min(max(width, 40), 120)
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", line.plain)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=200), st.integers(20, 90))
def test_wrapping_loses_no_character(text: str, width: int) -> None:
    wrapped = terminal._wrapped(text, width, "  ", "  ")
    assert "".join("".join(line.plain for line in wrapped).split()) == "".join(text.split())


def test_a_line_breaks_where_chinese_may_break() -> None:
    broken = [line.plain for line in terminal._wrapped("患者头痛（三天），体温 38 度。再看看", 11)]
    assert broken == ["患者头痛", "（三天），", "体温", "38 度。再看", "看"]


def test_bars_are_as_long_as_their_counts() -> None:
    drawn = terminal._bars([[10, 4], [20, 2], [30, 0], [40, 1]], 40)
    lengths = [sum(1.0 if c == "█" else terminal.EIGHTHS.index(c) / 8 for c in bar.split(" ")[-2]) for bar in
               (drawn[0], drawn[1], drawn[3])]  # fmt: skip
    assert lengths == [lengths[0], lengths[0] / 2, pytest.approx(lengths[0] / 4, abs=0.13)]
    assert drawn[2].endswith("≤ 30 0")


def test_whatever_the_data_says_is_shown_and_never_run(tmp_path: Path) -> None:
    check = made_up()
    check["findings"][0] |= {"message": HOSTILE, "hint": HOSTILE, "places": [HOSTILE]}
    check["files"][0] |= {"path": HOSTILE, "shape": HOSTILE, "mapping": {HOSTILE: HOSTILE}, "format": HOSTILE}
    check["samples"][0] = dict.fromkeys(check["samples"][0], HOSTILE)
    check["languages"] = {HOSTILE: 3}
    check["tokens"]["model"] = HOSTILE
    page, clean = page_of(tmp_path, check), page_of(tmp_path, made_up())
    assert page.text.count(HOSTILE) >= 14
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in clean.elements}
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    assert "{{7*7}}" in page.text


def test_the_page_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    html = write_data_page(tmp_path / "report.html", made_up()).read_text(encoding="utf-8")
    policy = Page(html).having("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"] or ""
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert not re.search(r"https?://|url\(|@import|<link|<script|\ssrc=", html)


def test_lone_surrogates_do_not_stop_the_page_and_long_samples_are_cut(tmp_path: Path) -> None:
    check = made_up()
    check["samples"][0] |= {"question": "a\ud800b", "thought": "x" * 5_000, "answer": None}
    page = page_of(tmp_path, check)
    assert "a\ufffdb" in page.text
    assert "x" * 2_000 in page.text
    assert "x" * 2_001 not in page.text
    assert "5,000 characters in all" in page.text


def test_the_same_check_gives_the_same_bytes(tmp_path: Path, language: str) -> None:
    check = made_up(language)
    for write, name in ((write_data_page, "report.html"), (write_lengths, "lengths.png")):
        first = write(tmp_path / name, check).read_bytes()
        assert write(tmp_path / name, made_up(language)).read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lengths.png", "report.html"]
    assert first.startswith(b"\x89PNG")


def test_a_length_beyond_the_bars_is_an_arrow_and_no_line(tmp_path: Path) -> None:
    check = made_up()
    for length, arrow in ((2_048, False), (9_999, True)):
        check["tokens"]["recommended"] = length
        html = write_data_page(tmp_path / "report.html", check).read_text(encoding="utf-8")
        mark = html[html.index('<div class="mark') :].partition("</div>")[0]
        assert ("→" in mark, "border-left-style:none" in mark) == (arrow, arrow)


@pytest.mark.parametrize("histogram", [[], [[1, 0]], [[100, 7]], [[64, 3], [128, 0], [4_096, 9]]])
@pytest.mark.parametrize("recommended", [1, 100, 9_999])
def test_any_histogram_is_drawn(tmp_path: Path, histogram: list[list[int]], recommended: int) -> None:
    check = made_up()
    check["tokens"] |= {"histogram": histogram, "recommended": recommended, "candidates": []}
    assert write_lengths(tmp_path / "l.png", check).read_bytes().startswith(b"\x89PNG")
    assert len(page_of(tmp_path, check).having("section")) == 4
    assert f"Recommended: {recommended:,}" in lines(check)


def test_a_length_finds_its_place_between_the_bars() -> None:
    even, uneven = [[10, 1], [20, 1], [30, 1]], [[64, 1], [128, 1], [4_096, 1]]
    assert [place(even, n) for n in (0, 5, 10, 15, 30, 40)] == [0, 0.5, 1, 1.5, 3, 4]
    assert [place(uneven, n) for n in (0, 96, 2_112)] == [0, 1.5, 2.5]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_no_width_scrolls_sideways(tmp_path: Path, language: str, width: int) -> None:
    check = made_up(language)
    check["findings"][0] |= {"message": "x" * 300, "places": ["long/" * 40 + "f.jsonl:3"]}
    check["files"][0] |= {"path": "y" * 200, "mapping": {"question": "z" * 200}}
    check["samples"][0]["thought"] = "w" * 900
    (tmp_path / "r").mkdir()
    page = write_data_page(tmp_path / "r" / "report.html", check)
    inner = with_script(page, "var e = document.documentElement; parent.document.documentElement.dataset.widths = "
                              "JSON.stringify([e.scrollWidth, window.innerWidth]);")  # fmt: skip
    frame = f'<iframe width="{width}" height="900" style="border:0" srcdoc="{escape(inner)}"></iframe>'
    outer = tmp_path / "r" / "frame.html"
    outer.write_text(f"<!doctype html>{frame}", encoding="utf-8")
    found = re.search(r'data-widths="\[(\d+),(\d+)\]"', browse(outer))
    assert found
    assert int(found.group(2)) == width
    assert int(found.group(1)) <= width
