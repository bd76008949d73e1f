"""The report of a run. The run folders here are stand-ins: made up by ``stand_in`` below, not trained."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from buke import config, words
from buke.records import Answer, Ending, HeldOut, Judged, Record, Step, Verdict
from buke.report import curve as curves
from buke.report import write_curve, write_report
from buke.report.sections import _reasons
from buke.runfolder import write_json, write_lines
from buke.words import Refusal

FILES = ("run.toml", "manifest.json", "data.json", "steps.jsonl", "eval.jsonl", "held-out.jsonl",
         "answers-before.jsonl", "answers-after.jsonl", "comparison.json")  # fmt: skip
HOSTILE = '<script>alert(1)</script></script>{{7*7}}"onload=alert(2)//<img src=x onerror=alert(3)>&amp;'


def lesson(number: int, language: str) -> tuple[str, str, str]:
    """A made-up lesson: question, thought, answer."""
    weight, dose = 8 + number % 30, 5 + 5 * (number % 4)
    daily = weight * dose
    if language == "zh":
        return (
            f"患儿体重 {weight} kg，某药按每日每公斤 {dose} mg 给药，分两次服用。每次应给多少毫克？",
            f"先算一天的总量：{weight} × {dose} = {daily} mg。\n\n分两次，每次就是 {daily} ÷ 2 = {daily / 2:g} mg。"
            "再检查一遍：两次相加正好是一天的量，没有超过常用上限。",
            f"每次 {daily / 2:g} mg，每日两次。",
        )
    return (
        f"A child weighs {weight} kg. The drug is given at {dose} mg per kg and day, in two doses. "
        "How many milligrams is each dose?",
        f"First the whole day: {weight} × {dose} = {daily} mg.\n\nIt is given in two doses, so each is "
        f"{daily} ÷ 2 = {daily / 2:g} mg. Check: two of these make the day's amount again.",
        f"Each dose is {daily / 2:g} mg, twice a day.",
    )


def judged(record: Record, verdict: Verdict, chance: random.Random, trained: bool) -> Judged:
    """A made-up answer, as the base model or the trained one might give it."""
    if trained:
        text = record.answer if verdict is Verdict.RIGHT else record.answer.replace("2", "3").replace("5", "6")
        answer = Answer(record.id, record.thought, text, Ending.STOPPED, True, False, chance.randint(60, 95), 14, 2.3)
    else:
        thought = (record.thought.split("\n")[0] + " " + record.question + "\n") * 4
        cut = verdict is Verdict.NO_ANSWER
        ending = Ending.CUT_ANSWER if cut else Ending.STOPPED
        wrong = record.answer if verdict is Verdict.RIGHT else re.sub(r"\d+(\.\d+)?", "120", record.answer)
        text = record.question if cut else wrong
        answer = Answer(record.id, thought, text, ending, False, True, 256, 128 if cut else 60, 9.8)
    loss = (0.42 if trained else 2.31) * 90
    return Judged(answer, verdict, not trained and verdict is Verdict.NO_ANSWER, 0.9 if trained else 0.2, loss, 90)


def side(right: int, wrong: int, no_answer: int, trained: bool) -> dict[str, Any]:
    n = right + wrong + no_answer
    return {
        "right": right, "wrong": wrong, "no_answer": no_answer, "unscored": 0,
        "closed": n if trained else 0, "looped": 0 if trained else n // 2, "stopped": n if trained else n - n // 2,
        "thought_tokens_mean": 77.4 if trained else 256.0, "answer_tokens_mean": 14.0 if trained else 96.5,
        "seconds_mean": 2.31 if trained else 9.84, "tone_mean": 0.91 if trained else 0.22,
        "held_out_loss": 0.418 if trained else 2.312,
    }  # fmt: skip


def difference(mean: float, low: float, high: float) -> dict[str, float]:
    return {"mean": mean, "low": low, "high": high}


def stand_in(run: Path, language: str = "en", questions: int = 40, steps: int = 212) -> Path:
    """A made-up run folder with every file in it, in which step 90 was skipped."""
    run.mkdir(parents=True)
    chance = random.Random(7)
    records = [Record.make(*lesson(i, language), f"dosing-{language}.jsonl:{3 + 14 * i}") for i in range(questions)]
    verdicts = [Verdict.RIGHT if i == 2 else [Verdict.NO_ANSWER, Verdict.WRONG][i % 2] for i in range(questions)]
    later = [Verdict.WRONG if i % 11 == 2 else Verdict.RIGHT for i in range(questions)]
    write_lines(run / "held-out.jsonl", records)
    for name, found, trained in (("before", verdicts, False), ("after", later, True)):
        lines = [judged(record, verdict, chance, trained) for record, verdict in zip(records, found, strict=True)]
        write_lines(run / f"answers-{name}.jsonl", lines)
    write_losses(run, steps, chance)
    settings, where = config.make({"data": [f"dosing-{language}.jsonl"], "model": "embedded", "epochs": 3},
                                  {"data": "command line", "model": "--model", "epochs": "lesson.toml:4"})  # fmt: skip
    settings = settings.model_copy(update={"learning_rate": 2e-3, "length": 1024})
    where |= {"learning_rate": "computed: the model is 576 wide", "length": "# longest record, rounded up"}
    (run / "run.toml").write_text(config.to_toml(settings, where), encoding="utf-8")
    write_json(run / "comparison.json", comparison(questions))
    write_json(run / "data.json", data_json(language))
    write_json(run / "manifest.json", manifest(language))
    return run


def write_losses(run: Path, steps: int, chance: random.Random) -> None:
    lines = []
    for step in range(1, steps + 1):
        tokens = chance.randint(500, 800)
        loss = 0.32 + 1.95 * 0.975**step + chance.gauss(0, 0.07)
        skipped = "the loss was not finite at dosing.jsonl:17" if step == 90 else ""
        loss_sum = None if skipped else loss * tokens
        lines.append(Step(step, step / 71, loss_sum, tokens, tokens + 300, 1e-3, 0.8, 0.9, skipped))
    write_lines(run / "steps.jsonl", lines)
    scored = [(s, 0.4 + 1.9 * 0.97**s + max(0, s - 150) * 0.0012) for s in range(0, steps + 1, 21)]
    best, held_out = 9.0, []
    for step, loss in scored:
        held_out.append(HeldOut(step, loss * 2700, 2700, 9000, 4.2, loss < best))
        best = min(best, loss)
    write_lines(run / "eval.jsonl", held_out)


def comparison(n: int) -> dict[str, Any]:
    before, after = side(1, n // 2 - 1, n - n // 2, False), side(n - 4, 4, 0, True)
    changes = {key: after[key] - before[key] for key in before}
    shares = {"right", "wrong", "no_answer", "unscored", "closed", "looped", "stopped"}
    spread = {"seconds_mean": 0.6, "thought_tokens_mean": 5.0, "answer_tokens_mean": 12.0, "wrong": 0.6}
    gaps: dict[str, Any] = {}
    for key, change in changes.items():
        mean = change / n if key in shares else change
        room = spread.get(key, 0.1)
        gaps[key] = difference(mean, mean - room, mean + room) if key not in shares else difference(
            mean, max(mean - room, -1), min(mean + room, 1))  # fmt: skip
    gaps["unscored"] = None
    sampling = {"temperature": 0.0, "top_p": 0.95, "seed": 42, "thought_budget": 256, "answer_budget": 128}
    sides = {"before": before, "after": after, "difference": gaps}
    return {"records": n, "grader": "number", "sampling": sampling, **sides}


def data_json(language: str) -> dict[str, Any]:
    zh = language == "zh"
    path = f"dosing-{language}.jsonl"
    return {
        "files": [{"path": path, "bytes": 412_883, "sha256": "9f2c" * 16, "format": "jsonl", "encoding": "utf-8",
                   "shape": "Question / Complex_CoT / Response", "rows": 602}],
        "read": 602, "kept": 600,
        "dropped": [
            {"source": f"{path}:118", "kind": "missing_field",
             "message": "缺少思考过程（Complex_CoT）" if zh else "the thought (Complex_CoT) is missing"},
            {"source": f"{path}:407", "kind": "overlong",
             "message": "长 5,310 个 token，上限 1,024" if zh else "has 5,310 tokens, the limit is 1,024"},
        ],
        "warnings": [{"source": f"{path}:21", "kind": "near_duplicate",
                      "message": f"与 {path}:20 几乎相同" if zh else f"is nearly the same as {path}:20"}],
        "train": 560, "held_out": 40,
        "tokens": {"all": 141_302, "learned": 92_118, "longest": 402, "median": 231,
                   "histogram": [[128, 6], [160, 41], [192, 97], [224, 139], [256, 151], [288, 88], [320, 49],
                                 [352, 19], [384, 7], [416, 3]]},
        "end_learned": 600,
    }  # fmt: skip


def manifest(language: str) -> dict[str, Any]:
    return {
        "buke": "0.1.0", "packages": {"python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0"},
        "machine": {"system": "Linux 6.1", "processor": "x86_64", "cores": 2, "memory_gb": 24, "device": "cpu"},
        "seed": 42,
        "model": {"name": "SmolLM2-135M-Instruct", "folder": "/home/user/.cache/buke/embedded", "architecture": "llama",
                  "parameters": 134_515_008,
                  "sha256": {"model.safetensors": "ab12" * 16, "tokenizer.json": "cd34" * 16}},
        "data": [{"path": f"dosing-{language}.jsonl", "bytes": 412_883, "sha256": "9f2c" * 16}],
        "prompt": {"fingerprint": "3d1f0c55a9e27b64", "template": "<|im_start|>user\n{question}<|im_end|>\n<think>\n",
                   "end_token": "<|im_end|>"},
        "started": "2025-03-02T21:04:11+08:00", "finished": "2025-03-02T21:10:32+08:00", "language": language,
    }  # fmt: skip


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text outside script and style."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else self._inside

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data: str) -> None:
        self.text += "" if self._inside else data.replace("\u00a0", " ")

    def having(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [a for name, a in self.elements if name == tag and all(a.get(k) == v for k, v in attributes.items())]


def page_of(run: Path) -> Page:
    return Page(write_report(run).read_text(encoding="utf-8"))


def edit(path: Path, change: Any) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    write_json(path, value)


def edit_lines(path: Path, change: Any) -> None:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        change(line)
    write_lines(path, lines)


def test_the_headline_is_the_count_of_right_answers_in_either_language(tmp_path: Path) -> None:
    run = stand_in(tmp_path / "r")
    page = page_of(run)
    assert "Right answers: 1 of 40 before, 36 of 40 after." in page.text
    assert "rose by 87.5 percentage points" in page.text
    words.set_language("zh")
    page = page_of(run)
    assert "答对的题：训练前 1/40，训练后 36/40。" in page.text
    assert page.having("html")[0]["lang"] == "zh-CN"


def test_an_interval_that_includes_zero_is_neither_better_nor_worse(tmp_path: Path) -> None:
    run = stand_in(tmp_path / "r")
    edit(run / "comparison.json", lambda c: c["difference"].update(right=difference(0.05, -0.02, 0.12)))
    html = write_report(run).read_text(encoding="utf-8")
    assert "includes 0: these 40 questions do not show" in html
    row = html[html.index("<b>Right answers</b>") :].split("</tr>")[0]
    assert "not clear" in row
    assert "better" not in row
    assert "+5.0 points" in row
    assert "−2.0 to +12.0" in row


@pytest.mark.parametrize(
    ("key", "gap", "judgement"),
    [
        ("right", (0.2, 0.1, 0.3), "better"), ("right", (-0.2, -0.3, -0.1), "worse"),
        ("looped", (-0.2, -0.3, -0.1), "better"), ("held_out_loss", (0.2, 0.1, 0.3), "worse"),
        ("thought_tokens_mean", (-9.0, -12.0, -3.0), ""), ("wrong", (-0.2, -0.3, -0.1), ""),
    ],
)  # fmt: skip
def test_colour_follows_the_direction_of_the_measure(
    tmp_path: Path, key: str, gap: tuple[float, float, float], judgement: str
) -> None:
    run = stand_in(tmp_path / "r")
    edit(run / "comparison.json", lambda c: c["difference"].update({key: difference(*gap)}))
    html = write_report(run).read_text(encoding="utf-8")
    table = html[html.index('<table class="stack numbers"') :]
    row = table[table.index(f"<b>{words.t(f'report.m_{key}')}</b>") :].split("</tr>")[0]
    assert re.findall(r'<small class="(\w+)">', row) == ([judgement] if judgement else [])


def test_counts_given_as_shares_are_refused_not_misprinted(tmp_path: Path) -> None:
    run = stand_in(tmp_path / "r")
    edit(run / "comparison.json", lambda c: c["before"].update(right=0.025))
    assert "comparison.json does not have the form" in page_of(run).text
    edit(run / "comparison.json", lambda c: c["before"].update(right=1))
    edit(run / "comparison.json", lambda c: c["difference"].update(right=difference(35, 30, 38)))
    assert "comparison.json does not have the form" in page_of(run).text


def test_where_nothing_is_graded_the_headline_is_the_held_out_loss(tmp_path: Path) -> None:
    run = stand_in(tmp_path / "r")

    def ungrade(c: dict[str, Any]) -> None:
        for each in (c["before"], c["after"]):
            each.update(right=0, wrong=0, no_answer=0, unscored=40)

    edit(run / "comparison.json", ungrade)
    for name in ("before", "after"):
        edit_lines(run / f"answers-{name}.jsonl", lambda line: line.update(verdict="unscored"))
    page = page_of(run)
    assert "Loss on held-out records: 2.312 before, 0.418 after." in page.text
    assert "Wrong answers" not in page.text
    assert not page.having("button", **{"data-filter": "better"})


def test_without_a_comparison_the_headline_falls_back_to_the_losses(tmp_path: Path) -> None:
    run = stand_in(tmp_path / "r")
    (run / "comparison.json").unlink()
    assert "Loss on held-out records: 2.300 before, 0.4" in page_of(run).text
    (run / "eval.jsonl").unlink()
    assert re.search(r"Training loss: \d\.\d{3} at step 1, \d\.\d{3} at step 212\.", page_of(run).text)
    (run / "steps.jsonl").unlink()
    assert "nothing to compare yet" in page_of(run).text


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_costs_its_section_only(tmp_path: Path, name: str) -> None:
    run = stand_in(tmp_path / "r")
    whole = page_of(run)
    (run / name).unlink()
    page = page_of(run)
    assert {a.get("id") for a in page.having("h2")} == {a.get("id") for a in whole.having("h2")}
    said = len(page.having("p", **{"class": "absent"}))
    assert said == (0 if name in ("eval.jsonl", "held-out.jsonl") or name.startswith("answers") else 1)
    assert said == 0 or f"{name} is not in this run folder" in page.text


def test_an_empty_folder_says_what_it_lacks_and_a_missing_one_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert len(page_of(empty).having("p", **{"class": "absent"})) == 6
    with pytest.raises(Refusal):
        write_report(tmp_path / "none")
    with pytest.raises(Refusal):
        write_curve(tmp_path / "none")


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_costs_its_section_only(tmp_path: Path, name: str) -> None:
    run = stand_in(tmp_path / "r", questions=4, steps=30)
    for content in ("{", "[]\n", "{}\n", "null\n", "7\n", '{"id": 1}\n', "\udcff", '{"step": "x"}\n', "", "[" * 9999):
        (run / name).write_bytes(content.encode("utf-8", "surrogateescape"))
        page = page_of(run)
        assert len(page.having("section")) == 6
        assert len(page.having("h1")) == 1
        assert len(page.having("p", **{"class": "absent"})) <= 1


def test_whatever_a_file_says_is_shown_and_never_run(tmp_path: Path) -> None:
    run = stand_in(tmp_path / "r", questions=4, steps=30)
    clean = page_of(run)
    edit_lines(run / "held-out.jsonl", lambda line: line.update(question=HOSTILE, answer=HOSTILE, source=HOSTILE))
    for name in ("before", "after"):
        edit_lines(run / f"answers-{name}.jsonl", lambda line: line["answer"].update(thought=HOSTILE, text=HOSTILE))
    edit(run / "comparison.json", lambda c: c.update(grader=HOSTILE))

    def spoil(value: Any, keep: tuple[str, ...] = ("started", "finished")) -> None:
        """Put the hostile text in place of every string of a JSON value."""
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in list(items):
            if isinstance(item, (dict, list)):
                spoil(item)
            elif isinstance(item, str) and key not in keep:
                value[key] = HOSTILE

    for name in ("data.json", "manifest.json"):
        edit(run / name, spoil)
    (run / "run.toml").write_text(f"[model]\nmodel = {json.dumps(HOSTILE)}  # {HOSTILE}\n", encoding="utf-8")
    page = page_of(run)
    assert page.text.count(HOSTILE) >= 4 * 7 + 20
    assert len(page.having("script")) == 1
    assert not page.having("img")
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in clean.elements}
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    assert "{{7*7}}" in page.text


def test_the_page_loads_nothing_and_admits_only_its_own_script(tmp_path: Path) -> None:
    html = write_report(stand_in(tmp_path / "r", questions=4, steps=30)).read_text(encoding="utf-8")
    page = Page(html)
    policy = page.having("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"] or ""
    import base64
    import hashlib

    script = re.search(r"<script>(.*?)</script>", html, re.S)
    assert script
    digest = base64.b64encode(hashlib.sha256(script.group(1).encode()).digest()).decode()
    assert policy.startswith("default-src 'none'")
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy.replace("style-src 'unsafe-inline'", "")
    assert not re.search(r"https?://|url\(|@import|<link|\ssrc=", html)


def test_answers_carry_their_source_change_and_endings(tmp_path: Path) -> None:
    page = page_of(stand_in(tmp_path / "r"))
    cards = page.having("article")
    changes = [card["data-change"] for card in cards]
    assert len(cards) == 40
    assert changes.count("worse") == 1
    assert changes.count("better") == 36
    assert "dosing-en.jsonl:3" in page.text
    assert "cut off inside the answer" in page.text
    assert "thought closed for it at the limit" in page.text
    assert len(page.having("details", **{"class": "fold"})) == 80


def test_a_question_asked_once_only_is_shown_with_the_other_side_empty(tmp_path: Path) -> None:
    run = stand_in(tmp_path / "r", questions=4)
    kept = (run / "answers-before.jsonl").read_text(encoding="utf-8").splitlines()[:2]
    (run / "answers-before.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
    page = page_of(run)
    assert len(page.having("article")) == 4
    assert page.text.count("Not asked.") == 2
    (run / "held-out.jsonl").unlink()
    assert page_of(run).text.count("The question is not in held-out.jsonl.") == 4


def test_settings_show_value_meaning_and_origin(tmp_path: Path) -> None:
    page = page_of(stand_in(tmp_path / "r"))
    for said in ("computed: the model is 576 wide", "lesson.toml:4", config.meaning("learning_rate"), "0.002"):
        assert said in page.text
    assert "Left at their defaults" in page.text


def test_reasons_are_read_behind_values_that_hold_a_hash() -> None:
    text = 'system = "a # b"  # --system\n# length =  # computed\nname = \'x\' # by hand\ndata = ["#1"]  # here\n'
    assert _reasons(text) == {"system": "--system", "length": "computed", "name": "by hand", "data": "here"}


def test_lone_surrogates_and_controls_do_not_stop_the_page(tmp_path: Path) -> None:
    run = stand_in(tmp_path / "r", questions=2, steps=5)
    edit_lines(run / "answers-after.jsonl", lambda line: line["answer"].update(text="a\ud800b\x00c\u202ed"))
    assert "a\ufffdb" in write_report(run).read_text(encoding="utf-8")


def test_the_same_files_give_the_same_page_and_nothing_else_is_written(tmp_path: Path) -> None:
    run = stand_in(tmp_path / "r", questions=4, steps=30)
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    write_curve(run)
    assert {path.name for path in run.iterdir()} == {*FILES, "report.html", "loss_curve.png"}


def test_two_hundred_long_answers_take_a_second_or_so(tmp_path: Path) -> None:
    run = stand_in(tmp_path / "r", questions=200, steps=30)
    for name in ("before", "after"):
        edit_lines(run / f"answers-{name}.jsonl", lambda line: line["answer"].update(thought="<思考> & " * 500))
    write_report(run)  # the first call loads matplotlib's tick finder
    start = time.perf_counter()
    write_report(run)
    assert time.perf_counter() - start < 3  # under 1 on a machine at rest


def test_the_curve_divides_sums_by_counts_and_keeps_gaps(tmp_path: Path) -> None:
    run = tmp_path / "r"
    run.mkdir()
    steps = [Step(1, 0.1, 20.0, 10, 10, 1e-3, 1.0, 1.0), Step(2, 0.2, None, 10, 10, 1e-3, None, 1.0, "not finite"),
             Step(3, 0.3, 90.0, 30, 30, 1e-3, 1.0, 1.0)]  # fmt: skip
    write_lines(run / "steps.jsonl", steps)
    write_lines(run / "eval.jsonl", [HeldOut(0, 30.0, 10, 50, 1.0, True), HeldOut(3, 20.0, 10, 50, 1.0, True),
                                     HeldOut(4, 25.0, 10, 50, 1.0)])  # fmt: skip
    curve = curves.read_curve(run)
    assert curve.training == (((1, 2.0),), ((3, 3.0),))
    assert curve.skipped == 1
    assert curve.smooth == (((1, 2.0),), ((3, 3.0),))
    assert curve.held_out == ((0, 3.0), (3, 2.0), (4, 2.5))
    assert curve.best == 1


def test_the_smoothed_loss_is_weighted_by_tokens_and_does_not_trail() -> None:
    _, smooth = curves._pieces([(1, 20.0, 10), (2, 90.0, 30), (3, None, 5), (4, 8.0, 4), (5, 6.0, 6)])
    assert smooth == (((1, 110 / 40), (2, 110 / 40)), ((4, 14 / 10), (5, 14 / 10)))
    straight = [(step, 500.0 - step, 1) for step in range(400)]
    smoothed = curves._pieces(straight)[1][0]
    assert smoothed[20:-20] == tuple((step, 500.0 - step) for step in range(20, 380))
    assert smoothed[0][1] == pytest.approx(498.5)
    assert smoothed[-1][1] == pytest.approx(102.5)


def test_after_a_resume_the_later_line_of_a_step_holds(tmp_path: Path) -> None:
    run = tmp_path / "r"
    run.mkdir()
    step = Step(1, 0.1, 20.0, 10, 10, 1e-3, 1.0, 1.0)
    again = dataclasses.replace(step, loss_sum=50.0)
    write_lines(run / "steps.jsonl", [step, dataclasses.replace(step, step=2), again])
    assert curves.read_curve(run).training == (((1, 5.0), (2, 2.0)),)


@pytest.mark.parametrize(("steps", "held_out"), [(0, 0), (0, 1), (1, 0), (1, 1), (3, 0), (300, 9)])
def test_any_curve_draws_as_png_and_svg(tmp_path: Path, steps: int, held_out: int) -> None:
    run = tmp_path / "r"
    run.mkdir()
    write_lines(run / "steps.jsonl", [Step(i, i / 9, 20.0, 10, 10, 1e-3, 1.0, 1.0) for i in range(1, steps + 1)])
    if held_out:
        write_lines(run / "eval.jsonl", [HeldOut(i * 30, 20.0 - i, 10, 50, 1.0, True) for i in range(held_out)])
    assert write_curve(run).read_bytes().startswith(b"\x89PNG")
    html = write_report(run).read_text(encoding="utf-8")
    drawn = html.count('<svg class="curve wide"')
    assert drawn == (1 if steps or held_out else 0)
    assert "nan" not in re.sub("(?s)<script>.*?</script>", "", html).split("<main>")[1].split('id="numbers"')[0].lower()


def test_a_long_curve_is_thinned_but_keeps_its_extremes() -> None:
    piece = tuple((float(step), 9.0 if step == 5003 else 1.0) for step in range(20_000))
    thin = curves._thin(piece, 700)
    assert len(thin) <= 1500
    assert (5003.0, 9.0) in thin
    assert thin == sorted(thin)


def test_labels_are_english_where_no_font_has_chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words.set_language("zh")
    monkeypatch.setattr(curves, "CJK_FONTS", ())
    which, families = curves._labels()
    assert (which, families) == (0, ["DejaVu Sans"])
    run = stand_in(tmp_path / "r", "zh", questions=2, steps=20)
    with pytest.MonkeyPatch.context() as patch:
        import warnings

        patch.setattr(curves, "CJK_FONTS", ())
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # matplotlib warns of each glyph a font lacks
            write_curve(run)


def test_chinese_labels_find_their_glyphs_where_a_font_is_installed(tmp_path: Path) -> None:
    import warnings

    words.set_language("zh")
    which, _ = curves._labels()
    if which == 0:
        pytest.skip("no font with Chinese glyphs is installed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert write_curve(stand_in(tmp_path / "r", "zh", questions=2, steps=20)).stat().st_size > 10_000


def test_every_text_of_the_room_is_used_and_both_languages_name_the_same_values() -> None:
    folder = Path(words.__file__).parents[1] / "report"
    source = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir() if path.suffix in (".py", ".j2"))
    made = ("m_", "verdict_", "ending_", "flag_", "filter_", "change_", "deck_", "headline_", "line_",
            "kept_", "recommended_", "role_", "lang_", "sample_", "read_", "part_")  # fmt: skip
    for key, (english_text, chinese_text) in words.catalogue("report").items():
        names = set(re.findall(r"\{(\w+)\}", english_text))
        assert names == set(re.findall(r"\{(\w+)\}", chinese_text)), key
        stem = key.removesuffix("_title")
        assert key.startswith(made) or re.search(rf'"(report\.)?({key}|{stem})"', source), key
