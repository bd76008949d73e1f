"""Before and after: the same call with the adapter off and on, and what comparison.json says of it."""

from __future__ import annotations

import errno
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from buke import compare, prompt, runfolder
from buke.cli import run as buke
from buke.compare import answers_in, grader_of, sampling_of
from buke.config import make, read_toml
from buke.generate import generate
from buke.grade import grader
from buke.model import load
from buke.records import Answer, Ending, Judged, Record, Verdict
from buke.train.loop import held_out_losses
from buke.words import Refusal
from faults import Faulty, failing, on
from tiny import lessons, tiny_folder, write_lessons

PROMISED = {
    "right", "wrong", "no_answer", "unscored", "closed", "looped", "stopped", "thought_tokens_mean",
    "answer_tokens_mean", "held_out_loss",
}  # fmt: skip
BESIDES = {"seconds_mean", "tone_mean"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a tiny model, trained hard enough that it answers otherwise than before."""
    there = tmp_path_factory.mktemp("compare")
    base = tiny_folder(there / "base")
    data = write_lessons(there / "lessons.jsonl", 60)
    line = f"train {data} --model {base} --runs {there}/runs --name run --epochs 6 --learning-rate 0.03 --batch 4"
    assert (
        buke([*line.split(), "--thought-budget", "24", "--answer-budget", "16", "--questions", "5", "--lang", "en"])
        == 0
    )
    return there / "runs" / "run"


def result_of(run: Path) -> dict[str, Any]:
    result: dict[str, Any] = runfolder.read_json(run / runfolder.COMPARISON)
    return result


def said(path: Path) -> list[tuple[Any, ...]]:
    """What stands in a file of answers, without how long each took."""
    return [(j.answer.id, j.answer.thought, j.answer.text, j.answer.ending, j.verdict) for j in answers_in(path)]


def test_comparison_json_has_the_promised_keys(trained: Path) -> None:
    result = result_of(trained)
    assert set(result) == {"records", "before", "after", "grader", "sampling", "difference"}
    assert result["records"] == 5
    for side in ("before", "after"):
        assert set(result[side]) == PROMISED | BESIDES
        assert sum(result[side][verdict.value] for verdict in Verdict) == 5
        counts = ("right", "wrong", "no_answer", "unscored", "closed", "looped", "stopped")
        assert all(isinstance(result[side][key], int) and 0 <= result[side][key] <= 5 for key in counts)
        assert result[side]["held_out_loss"] > 0
    assert set(result["difference"]) == PROMISED | BESIDES
    assert result["after"]["held_out_loss"] < result["before"]["held_out_loss"]
    change = result["difference"]["held_out_loss"]
    assert change["low"] <= change["mean"] <= change["high"] < 0


def test_before_is_what_the_bare_base_model_says(trained: Path) -> None:
    settings, _ = make(read_toml(trained / runfolder.RUN_TOML))
    model = load(Path(settings.model), settings)  # no adapter was ever put on it
    spoken = prompt.load(Path(settings.model))
    records = [Record(**line) for line in runfolder.read_lines(trained / runfolder.HELD_OUT)][:5]
    bare = generate(model, spoken, records, sampling_of(settings), settings.generation_batch, lambda done, tokens: None)
    before = answers_in(trained / runfolder.ANSWERS_BEFORE)
    after = answers_in(trained / runfolder.ANSWERS_AFTER)
    assert [a.text for a in bare] == [j.answer.text for j in before]
    assert [a.thought for a in bare] == [j.answer.thought for j in before]
    assert [a.text + a.thought for a in bare] != [j.answer.text + j.answer.thought for j in after]
    losses = held_out_losses(model, [spoken.scored(record) for record in records], settings.row_tokens)
    assert [j.held_out_loss_sum for j in before] == pytest.approx([loss for loss, _ in losses], rel=1e-5)
    assert [j.held_out_tokens for j in before] == [tokens for _, tokens in losses]


def test_comparing_again_finds_the_same(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = result_of(trained)
    sides = [said(trained / name) for name in (runfolder.ANSWERS_BEFORE, runfolder.ANSWERS_AFTER)]
    assert buke(["compare", str(trained), "--json", "--lang", "en"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again == result_of(trained)
    assert [said(trained / name) for name in (runfolder.ANSWERS_BEFORE, runfolder.ANSWERS_AFTER)] == sides
    for side in ("before", "after"):
        for key in PROMISED - {"held_out_loss"}:
            assert again[side][key] == first[side][key], (side, key)
        assert again[side]["held_out_loss"] == pytest.approx(first[side]["held_out_loss"], rel=1e-5)


def test_the_comparison_as_a_table(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert buke(["compare", str(trained), "--questions", "2", "--grader", "none", "--lang", "en"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("2 held-out questions, grader none: before -> after")
    assert "unscored: 2 -> 2   +0.000 [" in "\n".join(out)
    assert len(out) == 1 + len(PROMISED | BESIDES)
    assert buke(["compare", str(trained), "--lang", "zh"]) == 0
    assert "答对: " in capsys.readouterr().out


# --- graders


RECORDS = [Record.make(lesson["Question"], lesson["Complex_CoT"], lesson["Response"], "f:1") for lesson in lessons(3)]


def answer(text: str) -> Answer:
    return Answer("x", "", text, Ending.STOPPED, True, False, 1, 1, 0.1)


def test_auto_takes_the_grader_that_fits_the_references() -> None:
    settings, _ = make({})
    assert grader_of(settings, RECORDS).name == "number"
    letters = [Record.make("q", "t", f"The answer is {letter}.", "f:1") for letter in "ABC"]
    assert grader_of(settings, letters).name == "choice"
    prose = [Record.make("q", "t", "Rest, and come back in a week if it has not passed.", "f:1")]
    assert grader_of(settings, prose).name == "none"
    assert grader_of(settings, prose)(prose[0], answer("whatever")) is Verdict.UNSCORED


def test_a_grader_that_was_asked_for_is_taken() -> None:
    number = grader_of(make({"grader": "number"})[0], RECORDS)
    assert number(RECORDS[0], answer("7 * 1 = 7, so it is 7.")) is Verdict.RIGHT
    assert number(RECORDS[0], answer("It is 8.")) is Verdict.WRONG
    assert number(RECORDS[0], answer("")) is Verdict.NO_ANSWER
    pattern = grader_of(make({"grader": "regex", "grader_pattern": r"is (\d+)"})[0], RECORDS)
    assert pattern(RECORDS[0], answer("Surely it is 7!")) is Verdict.RIGHT


def test_a_file_of_ones_own_grades_only_where_it_is_named(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from pathlib import Path\n"
        "Path(__file__).with_name('ran').touch()\n"
        "def grade(question, reference, answer):\n    return 'times 1' in question\n"
    )
    assert buke(["compare", str(trained), "--json", "--grader-file", str(file), "--lang", "en"]) == 0
    assert not (tmp_path / "ran").exists()  # --grader is still auto
    assert json.loads(capsys.readouterr().out)["grader"] == "number"
    own = ["--grader", "python", "--grader-file", str(file)]
    assert buke(["compare", str(trained), "--json", *own, "--lang", "en"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (tmp_path / "ran").exists()
    assert result["grader"] == "python"
    questions = [Record(**line).question for line in runfolder.read_lines(trained / runfolder.HELD_OUT)][:5]
    expected = [Verdict.RIGHT if "times 1" in question else Verdict.WRONG for question in questions]
    for name in (runfolder.ANSWERS_BEFORE, runfolder.ANSWERS_AFTER):
        judged = answers_in(trained / name)
        wanted = [Verdict.NO_ANSWER if not j.answer.text else v for j, v in zip(judged, expected, strict=True)]
        assert [j.verdict for j in judged] == wanted


# --- figures and files


def judged(verdict: Verdict, loss: float | None = 2.0, tokens: int = 4, thought: int = 10) -> Judged:
    return Judged(
        Answer("x", "t", "a", Ending.STOPPED, True, False, thought, 6, 0.5), verdict, False, 0.25, loss, tokens
    )


def test_a_side_is_summed_up_in_counts_and_means() -> None:
    side = [judged(Verdict.RIGHT, 2.0, 4, 10), judged(Verdict.WRONG, 4.0, 2, 20), judged(Verdict.UNSCORED, 0.0, 0, 30)]
    found = compare.summary(side)
    assert (found["right"], found["wrong"], found["no_answer"], found["unscored"]) == (1, 1, 0, 1)
    assert (found["closed"], found["looped"], found["stopped"]) == (3, 0, 3)
    assert (found["thought_tokens_mean"], found["answer_tokens_mean"]) == (20, 6)
    assert found["held_out_loss"] == 1.0  # 6 nats over 6 tokens, and not the mean of means
    assert compare.summary([judged(Verdict.RIGHT), judged(Verdict.RIGHT, None)])["held_out_loss"] is None


def test_the_differences_are_after_minus_before() -> None:
    before, after = [judged(Verdict.WRONG)] * 4, [judged(Verdict.RIGHT, 1.0, 4, 8)] * 4
    found = compare.differences(before, after)
    assert found["right"] is not None
    assert found["right"].mean == 1
    assert found["wrong"] is not None
    assert found["wrong"].mean == -1
    assert found["thought_tokens_mean"] is not None
    assert found["thought_tokens_mean"].mean == -2
    assert found["held_out_loss"] is not None
    assert found["held_out_loss"].mean == pytest.approx(-0.25)
    assert compare.differences(before, [judged(Verdict.RIGHT, None)] * 4)["held_out_loss"] is None


def test_answers_come_back_as_they_were_written(tmp_path: Path) -> None:
    side = [judged(Verdict.RIGHT), judged(Verdict.NO_ANSWER, None)]
    runfolder.write_lines(tmp_path / "a.jsonl", side)
    assert answers_in(tmp_path / "a.jsonl") == side
    assert answers_in(tmp_path / "none.jsonl") == []


def test_answers_that_were_drawn_otherwise_are_not_those_of_the_run(tmp_path: Path) -> None:
    settings, _ = make({})
    side = [judged(Verdict.RIGHT)]
    compare.write(tmp_path, side, side, grader_of(settings, RECORDS), settings)
    assert compare.known(tmp_path, runfolder.ANSWERS_AFTER, settings) == side
    other, _ = make({"thought_budget": 7})
    assert compare.known(tmp_path, runfolder.ANSWERS_AFTER, other) == []


# --- what cannot be compared


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("at", range(1, 14))
def test_both_sides_and_the_comparison_are_new_at_once_or_none_is(at: int, trained: Path, tmp_path: Path) -> None:
    before = compare.answers_in(trained / runfolder.ANSWERS_BEFORE)
    settings, _ = make(read_toml(trained / runfolder.RUN_TOML))
    names = (runfolder.ANSWERS_BEFORE, runfolder.ANSWERS_AFTER, runfolder.COMPARISON)
    with on(Faulty(at, failing(errno.ENOSPC))), suppress(OSError):
        compare.write(tmp_path, before, before, grader("none", []), settings)
    there = [(tmp_path / name).exists() for name in names]
    assert not there[-1]  # it says nothing of answers that are not its own
    assert not any(there) or at > 10  # three files opened, written and synced, the last one removed; then renamed
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def refused(run: Path, changes: dict[str, Any] | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        compare.reopen(run, changes or {}, lambda line: None)
    return caught.value


def test_a_run_without_adapter_or_questions_cannot_be_compared(copy: Path) -> None:
    (copy / runfolder.HELD_OUT).write_text("")
    assert "held no records out" in refused(copy).message
    (copy / runfolder.ADAPTER).rename(copy / "away")
    refusal = refused(copy)
    assert "no adapter yet" in refusal.message
    assert "--resume" in refusal.hint


def test_another_prompt_than_the_one_learned_is_refused(copy: Path) -> None:
    text = (copy / runfolder.RUN_TOML).read_text(encoding="utf-8")
    (copy / runfolder.RUN_TOML).write_text(text.replace('system = ""', 'system = "Be brief."'), encoding="utf-8")
    assert "another prompt" in refused(copy).message


def test_a_damaged_or_foreign_adapter_is_refused(copy: Path) -> None:
    weights = copy / runfolder.ADAPTER / "adapter_model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-10])
    assert "this adapter is not whole" in refused(copy).message
    assert "adapter_model.safetensors: cut off" in refused(copy).details[0]
    weights.write_bytes(data)
    text = (copy / runfolder.RUN_TOML).read_text(encoding="utf-8")
    (copy / runfolder.RUN_TOML).write_text(text.replace("rank = 16", "rank = 8"), encoding="utf-8")
    assert "does not fit" in refused(copy).message


def test_a_change_that_does_not_hold_is_refused_under_its_flag(copy: Path) -> None:
    assert refused(copy, {"thought_budget": "0"}).details == (
        "--thought-budget: '0' is not valid: it has to be at least 1",
    )
