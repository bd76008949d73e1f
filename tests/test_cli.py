"""The command line: flags made from the settings, exit codes, languages, and a quick start."""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

import buke
from buke import cli
from buke.cli import commands, run
from buke.cli.common import Common, common
from buke.cli.flags import settings_from
from buke.cli.view import Figures, LiveView, View, clock, curve, number
from buke.config import Settings, aliases_of, choices, meaning
from buke.records import HeldOut, Step
from buke.words import Refusal

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("demo", "train", "compare", "report", "show", "runs")
HEAVY = {"torch", "transformers", "peft", "tokenizers", "matplotlib", "numpy", "gguf", "huggingface_hub", "plotext"}


def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")


# --- flags


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, dict[str, str]]]:
    """The settings that `buke train` was called with, in place of training."""
    from buke.cli import road

    calls: list[tuple[Settings, dict[str, str]]] = []
    monkeypatch.setattr(road, "train", lambda runs, settings, *_, **__: calls.append(settings))
    return calls


VALUES = {
    "batch": "3", "limit": "9", "length": "64", "rank": "4", "alpha": "8", "dropout": "0.25", "targets": "q_proj",
    "seed": "5",
    "accumulation": "2", "epochs": "1.5", "learning_rate": "1e-4", "warmup": "0.1", "clip": "0.5", "log_every": "7",
    "eval_every": "5", "save_every": "6", "keep": "3", "patience": "1", "held_out_file": "h.jsonl", "model": "m",
    "layers": "upper", "schedule": "linear",
}  # fmt: skip
NAMED = [(name, alias) for name in Settings.model_fields for alias in (name, *aliases_of(name)) if name in VALUES]


@pytest.mark.parametrize(("name", "alias"), [pair for pair in NAMED if len(pair[1]) > 1])
def test_every_name_of_a_setting_is_a_flag(name: str, alias: str, given: list[tuple[Settings, dict[str, str]]]) -> None:
    assert run(["train", "x.jsonl", f"--{alias}", VALUES[name]]) == 0
    assert run(["train", f"--{alias.replace('_', '-')}={VALUES[name]}", "x.jsonl"]) == 0
    expected = Settings.model_validate({name: VALUES[name]})
    assert len(given) == 2
    for settings, sources in given:
        assert getattr(settings, name) == getattr(expected, name)
        assert settings.data == ["x.jsonl"]
        assert sources[name] == f"--{alias.replace('_', '-')}"


def test_a_yes_or_no_setting_is_a_pair_of_flags(given: list[tuple[Settings, dict[str, str]]]) -> None:
    assert run(["train", "x.jsonl", "--recompute"]) == 0
    assert run(["train", "x.jsonl", "--no-recompute"]) == 0
    assert run(["train", "x.jsonl", "--no-gradient-checkpointing"]) == 0
    assert run(["train", "x.jsonl"]) == 0
    assert [settings.recompute for settings, _ in given] == [True, False, False, None]


def test_several_files_and_a_config(given: list[tuple[Settings, dict[str, str]]], tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('data = ["z.jsonl"]\nmodel = "m"\n[lora]\nr = 8\n', encoding="utf-8")
    assert run(["train", "--config", str(file)]) == 0
    assert run(["train", "a.jsonl", "b.jsonl", "-c", str(file), "--rank", "4"]) == 0
    (first, _), (second, sources) = given
    assert (first.data, first.rank, first.model) == (["z.jsonl"], 8, "m")
    assert (second.data, second.rank) == (["a.jsonl", "b.jsonl"], 4)
    assert (sources["rank"], sources["model"]) == ("--rank", str(file))


def test_runs_and_lang_may_stand_anywhere() -> None:
    assert common(["--runs", "r", "train", "x"]) == (["train", "x"], Common(Path("r"), ""))
    assert common(["train", "x", "--runs=r", "--lang", "zh"]) == (["train", "x"], Common(Path("r"), "zh"))
    assert common([]) == ([], Common(Path("runs"), ""))
    for bad in (["--runs"], ["--lang"], ["--lang", "fr"], ["--runs="]):
        with pytest.raises(Refusal) as caught:
            common(["train", *bad])
        assert caught.value.hint


def test_values_of_flags_are_refused_with_the_flag_as_typed() -> None:
    with pytest.raises(Refusal) as caught:
        settings_from({"lora_r": "0", "epochs": "x"}, {})
    assert [line.split(":")[0] for line in caught.value.details] == ["--lora-r", "--epochs"]


# --- help


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_explains_itself(command: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, flag]) == 0
    out, err = capsys.readouterr()
    assert f"buke {command}" in out
    assert err == ""


def test_the_help_of_train_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--help"]) == 0
    out = capsys.readouterr().out
    flat = " ".join(out.split())
    for name, field in Settings.model_fields.items():
        if name != "data":
            assert f"--{name.replace('_', '-')}" in out
            assert " ".join(meaning(name).split())[:20] in flat
            assert not choices(field) or "|".join(choices(field)) in flat
    assert "--lora-alpha" not in out  # other names work, and the page stays readable


def test_the_help_is_chinese_where_the_machine_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chinese(monkeypatch)
    assert run(["train", "--help"]) == 0
    assert "适配器矩阵的秩" in capsys.readouterr().out
    assert run(["--lang", "en", "train", "--help"]) == 0
    assert "rank of the adapter" in capsys.readouterr().out


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"buke {buke.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["train", "--no-such-flag"], ["nonsense"], ["compare"], ["demo", "--lessons", "x"]]
)
def test_a_line_that_cannot_be_read_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "rror" in err
    assert "Traceback" not in err


# --- exit codes


def breaking(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def app(*_: Any) -> Any:
        def call(*_: Any, **__: Any) -> None:
            raise error

        return call

    monkeypatch.setattr(commands, "app", app)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Refusal("it is so", "do that", ("one", "two")), 2, "error: it is so\n  one\n  two\nhint: do that\n"),
        (Refusal("it is so"), 2, "error: it is so\n"),
        (KeyboardInterrupt(), 130, "\nInterrupted.\n"),
        (SystemExit(3), 3, ""),
        (SystemExit(None), 0, ""),
        (SystemExit("why"), 1, ""),
    ],
)
def test_what_a_command_ends_with(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    breaking(monkeypatch, error)
    assert run(["runs"]) == code
    assert capsys.readouterr() == ("", said)


def test_a_fault_of_ours_is_one_sentence_and_the_trace_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    breaking(monkeypatch, ZeroDivisionError("by nought"))
    monkeypatch.delenv("BUKE_DEBUG", raising=False)
    assert run(["runs"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: something went wrong inside buke: ZeroDivisionError: by nought\nhint: ")
    assert "Traceback" not in err
    monkeypatch.setenv("BUKE_DEBUG", "1")
    assert run(["runs"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "a.json"), "a.json: Permission denied"),
        (OSError(28, "No space left on device"), "something could not be read or written: No space left on device"),
    ],
)
def test_a_file_that_the_system_refuses_is_no_fault_of_ours(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    breaking(monkeypatch, error)
    assert run(["runs"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}\nhint: ")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("words", [["train", "--json"], ["--version"]], ids=" ".join)
def test_a_full_disk_behind_the_output_brings_no_traceback(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run([sys.executable, "-m", "buke", *words], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)


def test_complaints_are_chinese_where_the_machine_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chinese(monkeypatch)
    breaking(monkeypatch, Refusal("某事", "某法"))
    assert run(["runs"]) == 2
    assert capsys.readouterr().err == "错误：某事\n提示：某法\n"


def test_the_program_exits_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["buke", "nonsense"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2


# --- a quick start


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60,
        check=False,
    )  # fmt: skip


def test_help_comes_at_once() -> None:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        assert python("-m", "buke", "--help").returncode == 0
        times.append(time.perf_counter() - began)
    assert statistics.median(times) < 1.0, times  # 0.2 s on a machine at rest


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["runs"]])
def test_nothing_heavy_is_loaded_for_a_light_command(arguments: list[str]) -> None:
    code = f"import sys, buke.cli\nbuke.cli.run({arguments!r})\n"
    code += f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    assert python("-c", code).stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--help"], "pydantic"),
        (["get", "--help"], "buke.config"),
        (["--version"], "buke.config"),
        (["runs"], "buke.config"),
    ],
)
def test_settings_are_read_only_for_a_command_that_has_them(arguments: list[str], unneeded: str) -> None:
    code = f"import sys, buke.cli\nbuke.cli.run({arguments!r})\nprint({unneeded!r} in sys.modules, file=sys.stderr)"
    assert python("-c", code).stderr.splitlines()[-1] == "False"


# --- what is shown while a run is under way


def step(number: int, loss: float | None, skipped: str = "") -> Step:
    return Step(number, number / 10, None if loss is None else loss * 5, 5, 50, 1e-4, 1.0, 0.5, skipped)


def test_the_plain_view_tells_steps_scorings_and_skips(capsys: pytest.CaptureFixture[str]) -> None:
    view = View(log_every=2)
    with view.training(10, 1.0):
        for event in (HeldOut(0, 12.0, 4, 9, 0.1, True), step(1, 2.0), step(2, 1.0), step(3, None, "not finite: f:7")):
            view.event(event)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "step 0: held-out loss 3.000 (best so far)"
    assert lines[1].startswith("step 2/10  epoch 0.20  loss 1.900  held-out 3.000  100 tokens/s  ")
    assert lines[2] == "step 3: not finite: f:7"
    assert len(lines) == 3


def test_the_curve_is_drawn_where_there_is_room() -> None:
    figures = Figures(10, 1.0)
    for number_ in range(1, 8):
        figures.add(step(number_, 3.0 - number_ / 4))
    figures.add(HeldOut(7, 8.0, 4, 9, 0.1, True))
    assert figures.best_step == 7
    drawn = curve(figures, 80, 12)
    assert len(drawn.plain.splitlines()) == 12
    assert all(len(line) <= 80 for line in drawn.plain.splitlines())
    assert "● held-out" in drawn.plain  # the legend
    assert drawn.spans  # in colours
    assert curve(figures, 30, 12).plain == curve(figures, 80, 3).plain == ""
    assert curve(Figures(10, 1.0), 80, 12).plain == ""


def test_the_held_out_part_of_an_earlier_run_has_its_own_figures(capsys: pytest.CaptureFixture[str]) -> None:
    view = View()
    with view.training(10, 1.0):
        for event in (HeldOut(0, 12.0, 4, 9, 0.1, True, 8.0, 4), step(1, 2.0), step(2, 1.0)):
            view.event(event)
        view.event(HeldOut(2, None, 0, 9, 0.1, False, 10.0, 4))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "step 0: held-out loss 3.000 (best so far); on the earlier run's part 2.000"
    assert "held-out 3.000 (earlier 2.000)" in lines[1]
    assert lines[3] == "step 2: held-out loss -; on the earlier run's part 2.500"
    drawn = curve(view.figures, 80, 14).plain
    assert "earlier run's" in drawn
    assert all(len(line) <= 80 for line in drawn.splitlines())


def test_the_live_view_draws_bar_figures_and_curve_over_a_whole_run() -> None:
    screen = io.StringIO()
    view = LiveView()
    view.console = Console(file=screen, force_terminal=True, width=90, height=30, color_system="standard")
    with view.asking("Asking before"):
        view.asked(1, 4, 77)
    with view.training(10, 1.0):
        view.event(HeldOut(0, 12.0, 4, 9, 0.1, True))
        for number_ in range(1, 11):
            view.event(step(number_, 3.0 - number_ / 9))
        view.event(step(10, None, "not finite: f:7"))
        drawn = view._draw()
        view.console.print(drawn)
    view.say("[bold]not markup[/bold]")
    text = screen.getvalue()
    for part in (
        "Asking before",
        "1/4",
        "77 tokens",
        "Training",
        "10/10",
        "not finite: f:7",
        "step 10/10",
        "● held-out",
    ):
        assert part in Text.from_ansi(text).plain
    assert "[bold]not markup[/bold]" in text
    assert view.live is None


def test_figures_for_people() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 61, 3599, 3600, 36061)] == [
        "0:00", "1:00", "1:01", "59:59", "1:00:00", "10:01:01",
    ]  # fmt: skip
    assert (number(None), number(1.23456), number(2.0, 1)) == ("-", "1.235", "2.0")


def test_more_lessons_than_there_are_is_something_to_mend(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--lessons", "1500", "--questions", "200"]) == 2
    printed = capsys.readouterr().err
    assert "1500 lessons and 200 questions are more than there are" in printed
    assert "hint:" in printed


def test_a_command_line_that_cannot_be_read_is_one_sentence_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["train", "--nope", "3"], ["trian"], ["show"], ["demo", "--lessons", "3"]):
        assert run(arguments) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 2
        assert lines[0].startswith("error: ")
        assert lines[1].startswith("hint: see buke ")


def test_hints_name_the_flags_and_commands_that_were_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, blocked = tmp_path / "d.jsonl", tmp_path / "file"
    data.write_text('{"question": "q", "thought": "t", "answer": "a"}\n', encoding="utf-8")
    blocked.write_text("", encoding="utf-8")
    assert run(["check", str(data), "--report", str(blocked / "x")]) == 2
    assert "hint: --report FOLDER" in capsys.readouterr().err
    assert run(["check", str(data), "--held-out", "2"]) == 2
    assert "train" not in capsys.readouterr().err.partition("hint:")[2]
    assert run(["check", str(tmp_path / "none")]) == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_where_there_is_no_chinese_english_is_spoken(tmp_path: Path) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text('{"question": "头痛？", "thought": "想", "answer": "休息"}\n', encoding="utf-8")
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1] / "src"), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "buke", "--lang", "zh", "check", str(data), "--json"]
    done = subprocess.run(command, capture_output=True, env=env, check=False, text=True)
    found = json.loads(done.stdout)
    assert (done.returncode, found["language"]) == (0, "en")
    assert found["samples"][0]["question"] == "头痛？"
    assert done.stderr.startswith("ascii, the encoding of this output, has no Chinese")


USAGE = [  # a command line, what it is told, and what it is told in Chinese
    (
        ["train", "--rnak", "3"],
        "there is no option --rnak; did you mean --rank?",
        "没有 --rnak 这个选项；是不是 --rank？",
    ),
    (["train", "-x"], "there is no option -x\n", "没有 -x 这个选项\n"),
    (["trian"], "there is no command trian; did you mean train?", "没有 trian 这个命令；是不是 train？"),
    (["qqqqq"], "there is no command qqqqq\n", "没有 qqqqq 这个命令\n"),
    (["compare"], "run is missing", "缺少 run"),
    (["compare", "a", "b"], "more than the command takes: b", "多余的参数：b"),
    (["train", "--rank"], "--rank needs a value", "--rank 需要一个值"),
    (["runs", "--json=3"], "--json takes no value", "--json 不接受值"),
    (["demo", "--lessons", "3"], "--lessons takes a whole number from 16 to 1500", "--lessons 须为 16 到 1500 的整数"),
    (["demo", "--seed", "x"], "--seed takes a whole number of at least 0", "--seed 须为不小于 0 的整数"),
]


@pytest.mark.parametrize(("arguments", "english", "chinese"), USAGE)
def test_a_command_line_is_corrected_in_the_language_in_force(
    arguments: list[str], english: str, chinese: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for lang, said in (("en", english), ("zh", chinese)):
        assert run([*arguments, "--lang", lang]) == 2
        err = capsys.readouterr().err
        assert said in err
        named = "" if "command" in english and "more" not in english else f"{arguments[0]} "
        assert err.splitlines()[1].endswith(f"buke {named}--help")


def test_a_page_of_help_has_no_english_where_chinese_is_spoken(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["-h"], ["compare", "-h"]):
        run([*arguments, "--lang", "zh"])
        page = "".join(capsys.readouterr())
        found = [word for word in ("Usage", "Options:", "Arguments", "Commands", "Show this", "required", "default:")
                 if word in page]  # fmt: skip
        assert found == []
        assert "用法：" in page
        assert "显示本页。" in page


# --- errors for programs


@pytest.mark.parametrize(
    "line",
    [
        ["plan", "nowhere.jsonl", "--model", "r1-7b", "--memory", "lots"], ["plan", "--rnak", "8"],
        ["train", "nowhere.jsonl", "--model", "nobody", "--dry-run"], ["train", "--resume", "nothing"],
        ["check", "nowhere.jsonl"], ["verify", "nothing"], ["compare", "nothing"], ["show", "nowhere.jsonl"],
        ["get", "x", "--from", "nowhere"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_error_with_json_is_an_object_of_the_same_shape_for_every_command(
    line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(line) == 2
    plain = capsys.readouterr()
    assert plain.out == ""
    assert run([*line, "--json"]) == 2
    told = capsys.readouterr()
    assert told.err == plain.err
    found = json.loads(told.out)
    assert list(found) == ["error", "hint", "details", "code"]
    assert f"error: {found['error']}\n" in told.err
    assert ("hint: " in told.err) == bool(found["hint"])
    assert found["hint"] in told.err
    assert all(f"  {detail}\n" in told.err for detail in found["details"])
    assert found["code"] == 2


def test_a_fault_of_ours_is_an_object_too_and_a_name_that_follows_two_dashes_asks_for_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(*_: Any) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(commands, "app", fault)
    assert run(["runs", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["code"] == 1
    assert run(["check", "--", "--json"]) == 1
    assert capsys.readouterr().out == ""
