"""`buke check`: what is counted, in one process and in several; what is written; what a person sees."""

from __future__ import annotations

import gzip
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buke import intake
from buke.cli import run
from buke.intake import Options, check, tally
from buke.prompt.proof import Lengths
from buke.records import Finding, Record, Severity
from buke.words import Refusal, catalogue

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
    lines = path.read_text(encoding="utf-8").splitlines()
    also = [json.dumps(row | {"answer": "another"}) for row in rows(20, seed=2)]  # two fields for the answer
    choices = [{"question": f"Which {i}?", "cot": "t", "options": ["x", "y", "z"], "label": 1} for i in range(20)]
    write(path, [*lines, *also, *choices])
    alone = check([path], Options(), processes=1)
    assert {kind: alone.tally.kinds[kind].places for kind in ("ambiguous", "never_zero")} == {
        "ambiguous": [f"{path}:61"], "never_zero": [f"{path}:81"],
    }  # fmt: skip
    monkeypatch.setattr(module, "LARGE", 0)
    monkeypatch.setattr("buke.intake.source.BLOCK", 2000)
    content = module.open_content(path, ())
    assert len(list(content.blocks)) > 6
    content.finish()
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


def test_a_file_whose_answers_count_from_1_is_refused_and_not_learned_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["red", "green", "blue"]
    lines = [{"question": f"Which {i}?", "options": options, "answer_idx": 1 + i % 3, "cot": "t"} for i in range(9)]
    path = write(tmp_path / "d.jsonl", lines)
    for arguments in (["check", str(path)], ["check", str(path), "--quick"]):
        assert run(arguments) == 2
        said = capsys.readouterr()
        assert f"{path}:3: the answer is the number of options" in said.err
        assert "--choices-from 1" in said.err
    for limit in (None, 2):  # of the first two no number tells
        with pytest.raises(Refusal, match="count from 1"):
            intake.read([path], limit=limit)
    read = intake.read([path], Options(first=1))
    assert [record.answer for record in read.records[:3]] == ["A. red", "B. green", "C. blue"]
    assert as_json(capsys, str(path), "--choices-from", "1")[1]["kept"] == 9
    assert kinds(as_json(capsys, str(path), "--choices-from", "0")[1])["bad_choice"] == (3, [3, 6, 9])
    zero = write(
        tmp_path / "e.jsonl", [*lines, lines[0] | {"question": "?", "answer_idx": 0}]
    )  # counted from 0, with three faults
    assert kinds(as_json(capsys, str(zero))[1]) == {"bad_choice": (3, [3, 6, 9])}


def test_each_text_of_a_dialogue_is_reviewed_once(tmp_path: Path) -> None:
    turns = [("write to a.b@clinic.org", "a1"), ("u2", "<thinking>t</thinking>a2"), ("u3", "a3 <br> b")]
    messages = [
        message
        for user, assistant in turns
        for message in ({"role": "user", "content": user}, {"role": "assistant", "content": assistant})
    ]
    path = write(tmp_path / "d.jsonl", [{"messages": messages}])
    found = {kind: one.count for kind, one in check([path], Options(empty=True), held_out=0.0).tally.kinds.items()}
    assert found == {"email": 1, "html": 1}
    read = intake.read([path], Options(empty=True))
    assert len(read.records) == 3
    assert sorted(finding.kind for finding in read.findings) == ["email", "html"]
    left_out = check([path], Options(), held_out=0.0).tally.kinds  # the only record is of turn 2
    assert {kind: one.count for kind, one in left_out.items()} == {"email": 1, "no_thought": 2}


@pytest.mark.parametrize("where", ["question", "system"])
def test_a_long_dialogue_takes_time_as_it_is_long(tmp_path: Path, where: str) -> None:
    """Each of its 400 turns stands in the history of the later ones: that would be 1.6 GB."""
    text = "liver and spleen " * 1250
    messages = [{"role": "system", "content": text * (400 if where == "system" else 1)}]
    for i in range(400):
        messages.append({"role": "user", "content": f"{i} {text if where == 'question' else ''}"})
        messages.append({"role": "assistant", "content": f"<think>t{i}</think>a{i}"})
    path = write(tmp_path / "d.jsonl", [{"messages": messages}])
    began = time.process_time()
    assert len(check([path], Options(), quick=True, processes=1).tally.marks) == 400
    assert time.process_time() - began < 3


def dialogue(*turns: tuple[str, str]) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i], "content": turn[i]} for turn in turns for i in range(2)]}


FIRST, NO_THOUGHT = ("What is fever?", "<think>\nhm\n</think>\n\nHeat."), ("Thank you.", "You are welcome.")


def test_the_headline_adds_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [dialogue(FIRST, ("And now?", FIRST[1]), NO_THOUGHT), "{broken", *rows(2), rows(1)[0]]
    path = write(tmp_path / "d.jsonl", lines)
    _, found = as_json(capsys, str(path))
    assert (found["read"], found["kept"], found["left_out"]) == (5, 4, 3)
    assert found["left_out_of"] == {"rows": 1, "turns": 1, "duplicates": 1}
    run(["check", str(path)])
    assert " ".join(capsys.readouterr().out.split("\n\n")[0].split()) == (
        "4 good records: 4 to learn from. Rows read: 5, left out: 1, turns of dialogues left out: 1, records in the "
        "other rows: 5, duplicates left out: 1."
    )


def test_what_is_held_out_is_not_counted_as_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lengths(_: object, records: Iterable[Record]) -> Iterator[Lengths]:
        for record in records:
            yield Lengths(record.source, 9, 5, 0, len(record.thought), 9 + len(record.thought))

    module = sys.modules["buke.cli.check"]
    monkeypatch.setattr(module.hub, "resolve", lambda name, say: Path(name))
    monkeypatch.setattr(module.prompt, "load", lambda folder, **given: None)
    monkeypatch.setattr(module.prompt, "lengths", lengths)
    path = write(tmp_path / "d.jsonl", rows(40))
    _, found = as_json(capsys, str(path), "--model", "embedded")
    assert found["held_out"] == {"train": 36, "held_out": 4}
    tokens = found["tokens"]
    assert (tokens["end_learned"], tokens["end_scored"]) == ([36, 36], [4, 4])
    assert 0 < tokens["scored"] < tokens["learned"] < tokens["all"]
    _, alone = as_json(capsys, str(path), "--model", "embedded", "--held-out", "0")
    assert alone["tokens"]["learned"] == tokens["learned"] + tokens["scored"]


def test_the_next_command_takes_the_same_data_under_the_same_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BUKE_COMMAND", raising=False)
    for name, seed in (("my train.jsonl", 0), ("held.jsonl", 1)):
        write(tmp_path / name, [{"frage": row["Question"], "b": row["Response"]} for row in rows(12, seed)])
    given = ["--map", "question=frage", "answer={b}!", "--without-thought", "empty", "--held-out-file", "held.jsonl"]
    assert run(["check", "my train.jsonl", *given, "--quick", "--system=-x"]) == 0
    typed = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert typed[:5] == ["buke", "check", "my train.jsonl", "--model", "MODEL"]
    assert sorted(typed[5:]) == sorted([*given, "--system=-x", "--quick"])
    assert as_json(capsys, *typed[2:3], *typed[5:])[1]["given"]["data"] == ["my train.jsonl"]


def test_check_refuses_a_mix_of_thoughts_as_train_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = rows(4)
    lines[1]["Complex_CoT"] = ""
    path, held = write(tmp_path / "d.jsonl", lines), write(tmp_path / "h.jsonl", [lines[1] | {"Question": "Else?"}])
    code, found = as_json(capsys, str(path), "--without-thought", "empty")
    assert (code, kinds(found)["mixed"]) == (2, (1, [2]))
    assert "1 of 4 records have no thought" in found["findings"][0]["message"]
    code, found = as_json(capsys, str(path), "--without-thought", "mix")
    assert (code, "mixed" in kinds(found)) == (0, False)
    run(["check", str(path), "--without-thought", "empty"])
    assert capsys.readouterr().out.splitlines()[-1].endswith("--without-thought mix")
    write(path, rows(3))  # each file for itself, as in train
    assert as_json(capsys, str(path), "--without-thought", "empty", "--held-out-file", str(held))[0] == 0


def fixed(path: Path, *flags: str) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    """(exit code, the lines of the mended copy, the changes)."""
    out = path.with_name(f"{path.stem}-out.jsonl")
    code = run(["check", str(path), "--fix", str(out), *flags])
    files = (out, out.with_name(f"{out.stem}.changes.jsonl"))
    texts = [file.read_text(encoding="utf-8") if file.exists() else "" for file in files]
    lines, changes = ([json.loads(line) for line in text.splitlines()] for text in texts)
    return code, lines, changes


def test_a_file_that_breaks_off_is_said_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = gzip.compress("".join(json.dumps(row) + "\n" for row in rows(500)).encode(), mtime=0)
    path = tmp_path / "d.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    code, lines, changes = fixed(path)
    assert (code, 0 < len(lines) < 500) == (0, True)
    assert changes == [
        {"source": f"{path}:{len(lines) + 1}", "change": "left_out", "why": "cut_archive",
         "what": "the compressed file breaks off here"}
    ]  # fmt: skip
    out, err = capsys.readouterr()
    assert "could not be read whole, so that records are missing: 1;" in err
    assert (out.startswith("All"), "Not read whole:" in " ".join(out.split())) == (False, True)


def test_nothing_is_written_where_nothing_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d.json"
    path.write_text('[{"question": "q" "cot": "t", "answer": "a"},\n{"question": "x" "cot": 1}]', encoding="utf-8")
    assert fixed(path)[0] == 2
    assert [file.name for file in tmp_path.iterdir()] == ["d.json"]
    assert "not written, for no record is good" in capsys.readouterr().err


def test_a_dialogue_of_which_any_turn_is_learned_is_copied_whole(tmp_path: Path) -> None:
    line = dialogue(FIRST, NO_THOUGHT)
    path = write(tmp_path / "d.jsonl", [line])
    assert fixed(path) == (0, [line], [])
    assert fixed(write(tmp_path / "e.jsonl", [line]), "--turns", "last")[1] == []


def test_other_fields_are_kept_or_listed_once(tmp_path: Path) -> None:
    more = {"id": "case-17", "source": "A", "difficulty": 3}
    gsm = {"question": "3 and 4?", "answer": "3+4=<<3+4=7>>7.\n#### 7"} | more
    path = write(tmp_path / "d.jsonl", [gsm, gsm | {"question": "4 and 3?", "answer_idx": "B"}])
    code, lines, changes = fixed(path)
    assert code == 0
    assert [{name: line[name] for name in more} for line in lines] == [more, more]
    assert lines[0]["Complex_CoT"] == "3+4=7."
    assert [(one["source"][-1], one["change"], one["why"]) for one in changes] == [
        ("1", "rewritten", "gsm8k"), ("1", "rewritten", "calculator"),
    ]  # fmt: skip
    assert lines[1]["answer_idx"] == "B"  # without options it is no choice
    turns = dialogue(FIRST)
    turns["messages"][0]["name"] = "Anna"
    clash = rows(1)[0] | {"prompt": "another question"}
    _, lines, changes = fixed(write(tmp_path / "e.jsonl", [turns | {"tools": [1]}, clash, clash | {"Response": "x y"}]))
    assert lines[0]["tools"] == [1]
    assert [one["what"] for one in changes if one["why"] == "field"] == [
        "the field 'name' left out of the copy", "the field 'prompt' left out of the copy",
    ]  # fmt: skip


def test_changes_to_standard_input_are_named_so(tmp_path: Path) -> None:
    text = write(tmp_path / "d.jsonl", [*rows(2), rows(1)[0], "{"]).read_bytes()
    command = [sys.executable, "-m", "buke", "check", "-", "--json", "--fix", str(tmp_path / "out.jsonl")]
    env = os.environ | {"PYTHONPATH": str(SRC), "LANG": "C.UTF-8"}
    assert subprocess.run(command, input=text, capture_output=True, env=env, check=False).returncode == 0
    changes = [json.loads(line) for line in (tmp_path / "out.changes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [one["source"] for one in changes] == ["stdin:3", "stdin:4"]
    assert changes[0]["what"] == "the same record as stdin:1; left out"


def test_a_mended_copy_does_not_go_among_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fold").mkdir()
    write(tmp_path / "fold" / "a.jsonl", rows(3))
    assert run(["check", str(tmp_path / "fold"), "--fix", str(tmp_path / "fold" / "good.jsonl")]) == 2
    assert "which was given as data" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "fold").iterdir()] == ["a.jsonl"]
    assert run(["check", str(tmp_path / "fold"), "--fix", str(tmp_path / "good.jsonl")]) == 0


def test_records_under_two_system_messages_are_no_duplicates(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.jsonl", [rows(1)[0] | {"system": text} for text in ("Be brief.", "Be kind.", "Be kind.")]
    )
    assert check([path], Options()).kept.tolist() == [True, True, False]
    assert len(intake.read([path]).records) == len(fixed(path)[1]) == 2


def twins(path: Path) -> Path:
    """Two questions, each with two answers; two types that are no text; two records with HTML, unlike."""
    lines: list[Any] = [{"question": q, "thought": f"so {a}", "answer": a}
                        for q, a in (("Which?", "x"), ("How?", "y"), ("Which?", "z"), ("How?", "w"))]  # fmt: skip
    lines += [{"question": {"x": 1}, "thought": "t", "answer": "a"}, {"question": "b", "thought": "t", "answer": ["a"]}]
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
        "the question is an object, not text", "the answer is a list, not text",
    ]  # fmt: skip
    assert by_kind["html"]["message"] == "HTML is left over"
    assert run(["check", str(path), "--held-out", "0", "--report", "page"]) == 0
    said, page = capsys.readouterr().out, Path("page/report.html").read_text(encoding="utf-8")
    assert "d.jsonl:4: the question of d.jsonl:2 with another answer" in said
    assert "<code>d.jsonl:4</code> the question of d.jsonl:2 with another answer" in page


def test_places_that_are_alike_keep_their_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "d.jsonl", [{"question": n > 5, "thought": "t", "answer": "a"} for n in range(3)])
    _, found = as_json(capsys, str(path))
    (one,) = found["findings"]
    assert (one["count"], one["message"], one["details"]) == (3, "the question is true or false, not text", [])


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
    refused = {"mixed", "all_without_thought", "nothing", "needs_library", "needs_file", "from_one"}
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
