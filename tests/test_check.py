"""`buke check`: what is counted, in one process and in several; what is written; what a person sees."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from buke import intake
from buke.cli import run
from buke.intake import Options, check, tally
from buke.records import Finding, Severity
from buke.words import catalogue

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SRC = Path(__file__).resolve().parents[1] / "src"
SENTENCE = "fever cough liver spleen kidney aspirin dose weight child adult night morning blood sugar pressure"
WORDS = SENTENCE.split()


def rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Records whose questions are not alike."""
    rng = random.Random(seed)
    return [
        {
            "Question": f"Case {i}: " + " ".join(rng.choices(WORDS, k=25)) + "?",
            "Complex_CoT": "I think of " + " ".join(rng.choices(WORDS, k=30)) + ".",
            "Response": " ".join(rng.choices(WORDS, k=10)) + ".",
        }
        for i in range(count)
    ]


def write(path: Path, lines: list[Any]) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def spoilt(path: Path) -> Path:
    """Sixty records, with one each of what is found between them and in them."""
    lines: list[Any] = list(rows(60))
    lines[10] = lines[3]
    lines[20] = lines[4] | {"Response": "quite another answer."}
    lines[30] = lines[5] | {"Question": lines[5]["Question"].replace("?", "!")}
    lines[40] = '{"Question": "cut off", "Complex_CoT": "wh'
    lines[50] = {"Question": "no thought?", "Complex_CoT": None, "Response": "none."}
    lines[55] = lines[55] | {"Response": "Write to anna.schmidt@klinikum.de for the result."}
    return write(path, lines)


def kinds(found: dict[str, Any]) -> dict[str, tuple[int, list[int]]]:
    return {
        one["kind"]: (one["count"], [int(place.split(":")[1]) for place in one["places"]]) for one in found["findings"]
    }


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run(["check", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_everything_is_found_in_one_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spoilt(tmp_path / "d.jsonl")
    code, found = as_json(capsys, "d.jsonl", "--held-out", "0")
    assert code == 0
    assert (found["read"], found["kept"], found["left_out"]) == (60, 57, 3)
    met = kinds(found)
    assert met["duplicate"] == (1, [11])
    assert met["other_answer"] == (1, [21])
    assert met["near_duplicate"] == (1, [31])
    assert met["truncated"] == (1, [41])
    assert met["no_thought"] == (1, [51])
    assert any(56 in places for _, places in met.values())  # the mail address
    severities = [one["severity"] for one in found["findings"]]
    assert severities == sorted(severities)  # errors first
    assert found["files"][0]["mapping"] == {"question": "Question", "thought": "Complex_CoT", "answer": "Response"}


def test_the_same_file_gives_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spoilt(tmp_path / "d.jsonl")
    outputs = []
    for folder in ("one", "two"):
        assert run(["check", str(path), "--report", str(tmp_path / folder)]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    for name in ("report.html", "check.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_strict_exits_with_2_where_anything_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean, bad = write(tmp_path / "clean.jsonl", rows(30)), spoilt(tmp_path / "bad.jsonl")
    assert run(["check", str(clean), "--strict"]) == 0, capsys.readouterr().out
    assert run(["check", str(bad), "--strict"]) == 2
    assert run(["check", str(write(tmp_path / "none.jsonl", ["{"]))]) == 2  # nothing to learn from


def test_check_and_train_see_the_same(tmp_path: Path) -> None:
    path = spoilt(tmp_path / "d.jsonl")
    checked, read = check([path], Options(), held_out=0.0), intake.read([path])
    assert int(checked.kept.sum()) == len(read.records)
    assert {f.kind for f in read.findings} == set(checked.tally.kinds)
    for kind, one in checked.tally.kinds.items():
        assert one.places == [f.source for f in read.findings if f.kind == kind]


def test_what_is_held_out_is_what_split_holds_out(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", rows(300))
    checked, read = check([path], Options(), held_out=0.05), intake.read([path])
    _, out = intake.split(read.records, 0.05)
    assert [checked.source(int(i)) for i in checked.out.nonzero()[0]] == [record.source for record in out]
    assert len(out) == 20


def test_a_leak_into_the_held_out_part_is_told_and_not_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = rows(300)
    _, out = intake.split(intake.read([write(tmp_path / "a.jsonl", lines)]).records, 0.05)
    near = {"Question": out[0].question.replace("?", "."), "Complex_CoT": "t.", "Response": "a."}
    path = write(tmp_path / "b.jsonl", [*lines, near])
    kind = check([path], Options(), held_out=0.05).tally.kinds["leak"]
    learn, out = intake.split(intake.read([path]).records, 0.05)
    kept, findings = intake.leaks(learn, out)
    assert (kind.severity, kind.count) == (Severity.WARNING, len(findings))
    assert kind.places == [finding.source for finding in findings] != []
    assert len(kept) == len(learn) - 1
    assert as_json(capsys, str(path))[1]["held_out"] == {"train": len(kept), "held_out": len(out)}


def test_leaks_against_a_second_file(tmp_path: Path) -> None:
    lines = rows(40)
    data, apart = write(tmp_path / "d.jsonl", lines), write(tmp_path / "h.jsonl", [lines[7], *rows(10, seed=1)])
    kind = check([data], Options(), held_out=[apart]).tally.kinds
    # the same record: a duplicate when seen the second time, in the file that is held out
    assert kind["leak"].places == [f"{data}:8"]


def test_blocks_in_several_processes_give_what_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    module = sys.modules["buke.intake.check"]
    path = spoilt(tmp_path / "d.jsonl")
    alone = check([path], Options(), processes=1)
    monkeypatch.setattr(module, "LARGE", 0)
    several = check([path], Options(), processes=2)
    assert several.files == alone.files
    assert several.tally.kinds == alone.tally.kinds
    assert several.tally.marks == alone.tally.marks
    assert several.out.tolist() == alone.out.tolist()


def test_fix_writes_a_file_in_which_nothing_is_left_to_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[Any] = list(rows(20))
    lines[2] = lines[1]
    lines[4]["Response"] = "<p>Take&nbsp;two.</p>"
    lines[6]["Question"] = "\ufeff" + lines[6]["Question"] + "\u200b"
    path = write(tmp_path / "d.jsonl", [*lines, "{broken"])
    before = path.read_bytes()
    assert run(["check", str(path), "--fix", str(tmp_path / "out.jsonl")]) == 0
    assert path.read_bytes() == before
    changes = [json.loads(line) for line in (tmp_path / "out.changes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {(int(one["source"].rsplit(":", 1)[1]), one["change"]) for one in changes} == {
        (3, "left_out"), (5, "mended"), (7, "mended"), (21, "left_out"),
    }  # fmt: skip
    assert run(["check", str(tmp_path / "out.jsonl"), "--strict"]) == 0, capsys.readouterr().out
    again = tmp_path / "again.jsonl"
    assert run(["check", str(tmp_path / "out.jsonl"), "--fix", str(again)]) == 0
    assert again.read_bytes() == (tmp_path / "out.jsonl").read_bytes()
    assert (tmp_path / "again.changes.jsonl").read_bytes() == b""


def test_fix_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "d.jsonl", rows(5))
    before = path.read_bytes()
    assert run(["check", str(path), "--fix", str(path), "--report", str(tmp_path / "page")]) == 2
    assert path.read_bytes() == before
    assert "exists already" in capsys.readouterr().err
    assert not (tmp_path / "page").exists()  # refused before anything is written


def test_a_dialogue_is_fixed_whole(tmp_path: Path) -> None:
    turns = [("u1", "<think>\nt1\n</think>\n\na1"), ("u2", "<think>\nt2\n</think>\n\na2&amp;b")]
    messages = [m for u, a in turns for m in ({"role": "user", "content": u}, {"role": "assistant", "content": a})]
    path = write(tmp_path / "d.jsonl", [{"messages": messages}])
    assert run(["check", str(path), "--fix", str(tmp_path / "out.jsonl")]) == 0
    line = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert [m["content"] for m in line["messages"]] == [m["content"].replace("&amp;", "&") for m in messages]
    assert len(intake.read([tmp_path / "out.jsonl"]).records) == 2


def test_records_with_and_without_thought_are_mixed_only_where_that_is_said(tmp_path: Path) -> None:
    lines = rows(4)
    lines[1]["Complex_CoT"] = ""
    path = write(tmp_path / "d.jsonl", lines)
    found = intake.read([path], Options(empty=True))
    intake.settle(found.records, "mix")
    with pytest.raises(intake.Refusal, match="1 of 4 records have no thought"):
        intake.settle(found.records, "empty")


def test_standard_input_is_read(tmp_path: Path) -> None:
    text = write(tmp_path / "d.jsonl", rows(12)).read_bytes()
    env = os.environ | {"PYTHONPATH": str(SRC), "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "buke", "check", "-", "--json"]
    done = subprocess.run(command, input=text, capture_output=True, env=env, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["kept"] == 12


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for seed in range(200):
            file.writelines(json.dumps(row) + "\n" for row in rows(1000, seed))
    env = os.environ | {"PYTHONPATH": str(SRC), "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        [sys.executable, "-m", "buke", "check", str(path)], stderr=subprocess.PIPE, env=env, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    time.sleep(3)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 130, error.decode()
    assert error.decode().strip().splitlines()[-1] == "Interrupted."
    assert "Traceback" not in error.decode()


@pytest.mark.parametrize("name", ["medical-o1-zh/train.jsonl", "gsm8k/train.jsonl"])
def test_real_files_are_hardly_complained_of(name: str) -> None:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{name} is not in the shared folder")
    tally = check([path], Options()).tally
    assert tally.good == tally.rows > 500
    quality = {kind: one.count for kind, one in tally.kinds.items() if kind not in ("near_duplicate", "leak")}
    assert sum(quality.values()) < 0.05 * tally.rows, quality


def test_quick_looks_at_form_and_exact_duplicates_only(tmp_path: Path) -> None:
    path = spoilt(tmp_path / "d.jsonl")
    assert set(check([path], Options(), quick=True).tally.kinds) == {
        "duplicate", "other_answer", "truncated", "no_thought",
    }  # fmt: skip


def test_every_place_is_told_to_programs_and_a_few_to_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "d.jsonl", ["{broken"] * 150 + rows(3))
    _, found = as_json(capsys, str(path), "--report", str(tmp_path / "page"))
    assert len(found["findings"][0]["places"]) == 150
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert (f"{path}:20<" in page, f"{path}:21<" in page) == (True, False)


def twins(path: Path) -> Path:
    """Two questions, each with two answers; two types that are no text; two records with HTML, unlike."""
    lines: list[Any] = [{"question": q, "thought": f"so {a}", "answer": a}
                        for q, a in (("Which?", "x"), ("How?", "y"), ("Which?", "z"), ("How?", "w"))]  # fmt: skip
    lines += [{"question": 5, "thought": "t", "answer": "a"}, {"question": "b", "thought": "t", "answer": ["a"]}]
    lines += [{"question": "H<sub>2</sub>O?", "thought": "t", "answer": "a"}]
    lines += [{"question": "c?", "thought": "t", "answer": "10<sup>3</sup>"}]
    return write(path, lines)


def test_places_that_differ_have_a_headline_that_holds_for_all_and_each_its_own_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = twins(Path("d.jsonl"))
    _, found = as_json(capsys, str(path), "--held-out", "0")
    by_kind = {one["kind"]: one for one in found["findings"]}
    assert by_kind["other_answer"]["message"] == "the question of an earlier record with another answer"
    assert by_kind["other_answer"]["details"] == [
        "the question of d.jsonl:1 with another answer", "the question of d.jsonl:2 with another answer",
    ]  # fmt: skip
    assert by_kind["wrong_type"]["message"] == "a part of the record is not text"
    assert by_kind["wrong_type"]["details"] == [
        "the question is a number, not text", "the answer is a list, not text",
    ]  # fmt: skip
    assert by_kind["html"]["message"] == "HTML is left over"
    assert run(["check", str(path), "--held-out", "0", "--report", "page"]) == 0
    said, page = capsys.readouterr().out, Path("page/report.html").read_text(encoding="utf-8")
    assert "d.jsonl:4: the question of d.jsonl:2 with another answer" in said
    assert "<code>d.jsonl:4</code> the question of d.jsonl:2 with another answer" in page


def test_places_that_are_alike_keep_their_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "d.jsonl", [{"question": n, "thought": "t", "answer": "a"} for n in range(3)])
    _, found = as_json(capsys, str(path))
    (one,) = found["findings"]
    assert (one["count"], one["message"], one["details"]) == (3, "the question is a number, not text", [])


@pytest.mark.parametrize("border", [1, 2, 3])
def test_details_do_not_depend_on_where_a_file_is_cut(border: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "PLACES", 3)
    found = [Finding(f"f:{n}", "html", message) for n, message in enumerate(["a" * 300, "b", "b", "a" * 300])]
    whole, first, second = tally.Tally(), tally.Tally(), tally.Tally()
    for n, one in enumerate(found):
        whole.find(one)
        (first if n < border else second).find(one)
    first.add(second)
    assert first.kinds == whole.kinds
    kind = whole.kinds["html"]
    assert (kind.count, kind.places, [len(one) for one in kind.details]) == (4, ["f:0", "f:1", "f:2"], [200, 1, 1])


def test_every_finding_that_may_differ_has_words_for_many() -> None:
    texts = catalogue("intake")
    refused = {"mixed", "all_without_thought", "nothing", "needs_library", "needs_file"}
    differ = {
        name for name, (text, _) in texts.items()
        if "{" in text and "{path}" not in text and f"{name}_hint" in texts and name not in refused
    }  # fmt: skip
    fixed = {"line_too_long", "too_many_parts"}  # their values are constants
    assert differ - fixed == {name[len("many_") :] for name in texts if name.startswith("many_")}
    assert not [name for name, pair in texts.items() if name.startswith("many_") and "{" in "".join(pair)]


def test_what_is_left_out_without_harm_is_not_among_what_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = rows(30)
    data, apart = write(tmp_path / "d.jsonl", [*lines, lines[3]]), write(tmp_path / "h.jsonl", [lines[7]])
    assert run(["check", str(data), "--held-out-file", str(apart)]) == 0
    said = capsys.readouterr().out
    assert "Left out without harm" in said
    assert "Warnings" not in said
    harmless = said.partition("Left out without harm")[2]
    assert "d.jsonl:8" in harmless
    assert "d.jsonl:31" in harmless
