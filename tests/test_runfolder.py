"""The run folder: names that can be runs, files that are whole or absent, lines that survive a crash."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buke import runfolder, words
from buke.records import Answer, Ending, Finding, HeldOut, Judged, Record, Severity, Step, Turn, Verdict
from buke.words import Refusal
from faults import Faulty, failing, on

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


# --- names and places


@pytest.mark.parametrize("name", ["a", "run-1", "补课 第一次", "v1.2+x", "_", "9" * 100])
def test_a_run_is_made_and_found_by_name_and_by_path(name: str, tmp_path: Path) -> None:
    run = runfolder.create(tmp_path / "deep" / "runs", name)
    assert run == tmp_path / "deep" / "runs" / name
    assert run.is_dir()
    (run / runfolder.RUN_TOML).write_text("")
    assert runfolder.find(tmp_path / "deep" / "runs", name) == run
    assert runfolder.find(tmp_path / "elsewhere", str(run)) == run


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../up", "-x", ".hidden", "a\\b", "a.", "a ", "x" * 101, "a\nb", "a:b"]
)
def test_a_name_that_is_no_folder_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be the name of a run") as caught:
        runfolder.create(tmp_path / "runs", name)
    assert caught.value.hint
    assert not (tmp_path / "runs").exists()


def test_a_taken_name_is_refused_and_what_is_there_stays(tmp_path: Path) -> None:
    run = runfolder.create(tmp_path, "a")
    (run / "x").write_text("kept")
    with pytest.raises(Refusal, match="exists already") as caught:
        runfolder.create(tmp_path, "a")
    assert "--name a-2" in caught.value.hint
    assert (run / "x").read_text() == "kept"


@pytest.mark.parametrize(("finished", "goes_on"), [(None, True), ("now", False)])
def test_only_an_unfinished_run_is_proposed_to_be_gone_on_with(
    finished: str | None, goes_on: bool, tmp_path: Path
) -> None:
    run = runfolder.create(tmp_path, "a")
    runfolder.create(tmp_path, "a-2")
    runfolder.write_json(run / runfolder.MANIFEST, {"finished": finished})
    with pytest.raises(Refusal, match="exists already") as caught:
        runfolder.create(tmp_path, "a")
    assert "--name a-3" in caught.value.hint
    assert (f"--resume {run}" in caught.value.hint) is goes_on


def test_a_dead_lock_that_cannot_be_taken_away_is_the_disk_s_fault(tmp_path: Path) -> None:
    run = runfolder.create(tmp_path, "a")
    held = {"pid": 2**22 + 1, "began": 0, "host": platform.node()}  # more than a process number can be
    (run / runfolder.LOCK).write_text(json.dumps(held))
    with on(Faulty(2, failing(errno.EROFS), forever=True)), pytest.raises(Refusal, match="Read-only file system"):
        runfolder.lock(run)
    runfolder.lock(run)
    runfolder.unlock(run)


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for runs in (tmp_path / "runs", tmp_path / "runs" / "below"):
        with pytest.raises(Refusal, match=os.strerror(errno.ENOTDIR)) as caught:
            runfolder.create(runs, "a")
        assert "--runs" in caught.value.hint


@pytest.mark.skipif(os.name != "posix", reason="rights of folders as POSIX has them")
@pytest.mark.skipif(ROOT, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(Refusal, match=os.strerror(errno.EACCES)):
            runfolder.create(tmp_path / "runs", "a")
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_runs_are_listed_newest_first_and_an_unknown_one_names_them(tmp_path: Path) -> None:
    for age, name in enumerate(("old", "middle", "new")):
        run = runfolder.create(tmp_path, name)
        (run / runfolder.RUN_TOML).write_text("")
        os.utime(run / runfolder.RUN_TOML, (1000 + age, 1000 + age))
    (tmp_path / "no-run").mkdir()
    assert [run.name for run in runfolder.runs_in(tmp_path)] == ["new", "middle", "old"]
    assert runfolder.runs_in(tmp_path / "nowhere") == []
    with pytest.raises(Refusal, match="there is no such run") as caught:
        runfolder.find(tmp_path, "nwe")
    assert caught.value.hint == "runs here: new, middle, old"


# --- files


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.json"
    runfolder.write_json(path, {"a": 1})

    def broken(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", broken)
        with pytest.raises(OSError, match="full"):
            runfolder.write_json(path, {"a": 2})
    assert runfolder.read_json(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["f.json"]  # no part is left behind


def test_a_line_written_half_is_taken_back_and_waits_for_the_next(tmp_path: Path) -> None:
    lines = runfolder.Lines(tmp_path / "steps.jsonl")
    assert lines.add({"step": 1}) == ""
    with on(Faulty(2, failing(errno.ENOSPC))):  # opened, then full half-way through the line
        assert "No space left" in lines.add({"step": 2})
    assert (tmp_path / "steps.jsonl").read_text() == '{"step": 1}\n'
    assert lines.add({"step": 3}) == ""
    assert [line["step"] for line in runfolder.read_lines(tmp_path / "steps.jsonl")] == [1, 2, 3]


def test_a_line_torn_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for torn, left in (
        (b'{"a": 1}\n{"a": 2', [1]),
        (b'{"a": 1}\n\0\0', [1]),
        (b'{"a"', []),
        (b"", []),
        (b'{"a": 1}\n', [1]),
    ):
        path.write_bytes(torn)
        runfolder.append_line(path, {"a": 9})
        assert [line["a"] for line in runfolder.read_lines(path)] == [*left, 9]


def test_a_number_that_is_none_is_never_written_as_one(tmp_path: Path) -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            runfolder.write_json(tmp_path / "f.json", {"loss": value})
        with pytest.raises(ValueError, match="JSON"):
            runfolder.append_line(tmp_path / "f.jsonl", [value])
    assert not (tmp_path / "f.json").exists()
    runfolder.append_line(tmp_path / "f.jsonl", {"loss": None})
    assert runfolder.read_lines(tmp_path / "f.jsonl") == [{"loss": None}]


def test_a_last_line_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    for number in range(3):
        runfolder.append_line(path, {"step": number})
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"step": 3, "los')
    assert [line["step"] for line in runfolder.read_lines(path)] == [0, 1, 2]
    path.write_text('{"step": 0')
    assert runfolder.read_lines(path) == []
    assert runfolder.read_lines(tmp_path / "none") == []
    assert runfolder.read_json(tmp_path / "none") is None


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", b"[" * 100_000])
def test_a_damaged_file_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=r"manifest\.json: the file is damaged: .") as caught:
        runfolder.read_json(path)
    assert caught.value.hint


def test_a_damaged_line_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_bytes(b'{"step": 1}\n\n{"step"\n{"step": 3}\n')
    with pytest.raises(Refusal, match=r"steps\.jsonl:3: the file is damaged"):
        runfolder.read_lines(path)
    path.write_bytes(b'{"step": "\xff"}\n{"step": 2}\n')
    with pytest.raises(Refusal, match=r"steps\.jsonl:1: the file is damaged"):
        runfolder.read_lines(path)
    damaged: list[str] = []
    assert runfolder.read_lines(path, damaged) == [{"step": 2}]
    assert damaged == [f"{path}:1"]


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000  # more than one block
    (tmp_path / "x").write_bytes(content)
    assert runfolder.sha256_of(tmp_path / "x") == hashlib.sha256(content).hexdigest()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
HALF = st.text(st.characters(codec=None), max_size=4)  # lone surrogates among them


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.lists(JSON | HALF, max_size=4))
def test_lines_come_back_as_they_went(values: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    runfolder.write_lines(path, values)
    assert runfolder.read_lines(path) == values
    path.unlink()
    for value in values:
        runfolder.append_line(path, value)
    assert runfolder.read_lines(path) == values
    for value in values:
        runfolder.write_json(path, value)
        assert runfolder.read_json(path) == value


def test_what_travels_is_written_in_plain_json(tmp_path: Path) -> None:
    answer = Answer("id", "t", "a", Ending.STOPPED, True, False, 3, 4, 0.5)
    judged = Judged(answer, Verdict.NO_ANSWER, False, 0.5, None, 7)
    record = Record.make("问", "思", "答", "f:1", "系", (Turn("q", "", "a"),))
    step = Step(1, 0.5, None, 9, 20, 1e-4, None, 0.1, "why")
    values = [
        judged,
        record,
        step,
        Finding("f:1", "k", "m", severity=Severity.WARNING),
        {"path": tmp_path, "t": (1, 2)},
    ]
    runfolder.write_lines(tmp_path / "x.jsonl", values)
    text = (tmp_path / "x.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0]["answer"]["ending"] == "stopped"
    assert (lines[0]["verdict"], lines[0]["held_out_loss_sum"]) == ("no_answer", None)
    assert Record.read(lines[1]) == record
    assert "问" in text
    assert Step(**lines[2]) == step
    assert lines[3]["severity"] == "warning"
    assert lines[4] == {"path": str(tmp_path), "t": [1, 2]}
    assert HeldOut(0, 6.0, 3, 9, 0.1).loss == 2.0
    assert step.loss is None


def test_the_system_s_errors_are_said_in_the_language_of_the_rest(tmp_path: Path) -> None:
    words.set_language("zh")
    try:
        with pytest.raises(Refusal) as told, runfolder.mending(tmp_path / "run", "how"):
            (tmp_path / "run" / "file").write_bytes(b"")
        assert "没有这个文件" in told.value.message
        assert "移走" in told.value.hint  # there is nothing to go on with
        assert runfolder.reason(OSError(errno.ENOSPC, "No space left on device"), tmp_path).startswith("磁盘已满")
        assert runfolder.reason(OSError(errno.EXDEV, "Cross-device link"), tmp_path) == "Cross-device link"
    finally:
        words.set_language("en")
