"""A run that is never lost: killed, interrupted, without room, with more data, it ends as if nothing had been."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftConfig
from safetensors.torch import load_file

from buke import checkpoint, cli, compare, runfolder
from buke.cli import road
from buke.cli.view import Figures
from buke.config import MAY_CHANGE, Settings, make, read_toml
from buke.model import Model, loading
from buke.records import HeldOut, Step
from buke.train import begin as jobs
from buke.train import loop as loops
from buke.train.job import Job
from buke.train.loop import NotLogged, NotSaved, Resumed, Saved, Slow, Stopped
from buke.train.pace import Deadline, Pace
from buke.words import Refusal
from faults import Faulty, failing, on, reached, start, wait_for
from tiny import lessons, write_lessons

pytestmark = pytest.mark.slow  # together they take longer than a first look may

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = f"adapter/{checkpoint.WEIGHTS}"
SETTINGS: dict[str, Any] = {
    "device": "cpu", "batch": 4, "accumulation": 2, "epochs": 2.5, "dropout": 0.1, "learning_rate": 1e-2, "seed": 3,
    "row_tokens": 128, "eval_every": 4, "save_every": 3, "patience": 0, "questions": 0,
}  # fmt: skip
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX sends them")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_lessons(tmp_path / "lessons.jsonl", 40)


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The adapter of a run that nothing broke."""
    folder = tmp_path_factory.mktemp("whole")
    values = SETTINGS | {"data": [str(write_lessons(folder / "lessons.jsonl", 40))], "model": str(base)}
    job = jobs.prepare(*make(values, {}), folder / "runs", lambda line: None)
    list(job.events())
    return adapter_of(job)


@pytest.fixture
def begin(base: Path, data: Path, tmp_path: Path) -> Callable[..., Job]:
    def prepared(name: str | None = "run", said: list[str] | None = None, how: Any = None, **given: Any) -> Job:
        values = SETTINGS | {"data": [str(data)], "model": str(base)} | given | ({"name": name} if name else {})
        say = (lambda line: None) if said is None else said.append
        return jobs.prepare(*make(values, {key: f"--{key}" for key in given}), tmp_path / "runs", say, **(how or {}))

    return prepared


def line_of(base: Path, data: Path, tmp_path: Path, *more: str) -> list[str]:
    """A command line with the same settings."""
    flags = [word for name, value in SETTINGS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return ["train", str(data), "--model", str(base), *flags, "--runs", str(tmp_path / "runs"), "--lang", "en", *more]


def adapter_of(job: Job) -> bytes:
    return (job.run / WEIGHTS).read_bytes()


def until(job: Job, step: int) -> None:
    """Train up to a step, and stop there as a crash does."""
    for event in job.events():
        if isinstance(event, Step) and event.step == step:
            return


# --- kill -9


def test_ten_kills_lose_no_more_than_one_interval(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("kills", ROOT / "bench" / "kills.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    sys.modules["kills"] = bench
    spec.loader.exec_module(bench)
    found = bench.kill_runs(10, 1, tmp_path, ("plain",))
    assert found.kills >= 10
    assert 0 < found.equal == found.runs
    assert found.most_lost <= found.interval


def test_an_event_that_a_crash_cut_off_spoils_none_after_it(begin: Callable[..., Job]) -> None:
    broken = begin()
    until(broken, 7)
    (broken.run / runfolder.EVENTS).write_text('{"event": "Slow"}\n{"event": "Sl', encoding="utf-8")
    broken.release()
    again = jobs.resume(broken.run, lambda line: None)
    list(again.events())
    lines = (broken.run / runfolder.EVENTS).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines[:2]] == ["Slow", "Resumed"]


def test_the_same_command_goes_on_with_the_unfinished_run_and_says_so(begin: Callable[..., Job], whole: bytes) -> None:
    broken = begin(None)
    until(broken, 8)
    said: list[str] = []
    again = begin(None, said, log_every=5)
    assert again.run == broken.run
    assert any("going on with it" in line for line in said)
    events = list(again.events())
    assert events[0] == Resumed(6)
    assert adapter_of(again) == whole
    assert again.settings.log_every == 5
    assert "log_every = 5  # --log-every, when the run was taken up" in (again.run / runfolder.RUN_TOML).read_text()
    again.finish()
    third = begin("third")  # a finished run is not gone on with
    assert third.run != again.run


def test_a_run_keeps_the_precision_it_began_with(begin: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "WIDE", 1)
    monkeypatch.setattr(loading, "has_tiles", lambda: True)
    whole = begin("whole")
    list(whole.events())
    broken = begin("broken")
    until(broken, 8)
    monkeypatch.setattr(loading, "has_tiles", lambda: False)  # as on another machine
    again = jobs.resume(broken.run, lambda line: None)
    list(again.events())
    assert again.settings.precision == json.loads((again.run / runfolder.MANIFEST).read_text())["model"]["precision"]
    assert again.settings.precision == "bf16"
    assert adapter_of(again) == adapter_of(whole)
    other = begin("other")
    list(other.events())
    assert adapter_of(other) != adapter_of(whole)  # float32 would have been another


@pytest.mark.parametrize("other", [{"rank": 4}, {"batch": 2}, {"seed": 4}])
def test_other_settings_are_another_run(other: dict[str, Any], begin: Callable[..., Job]) -> None:
    until(begin("first"), 3)
    said: list[str] = []
    with pytest.raises(Refusal, match="exists already"):
        begin("first", said, **other)
    assert not any("going on" in line for line in said)
    assert not begin("second", said, **other).resumed


def test_anew_starts_another_run(begin: Callable[..., Job]) -> None:
    first = begin(None)
    until(first, 3)
    second = begin("second", how={"anew": True})
    assert second.run != first.run
    assert not second.resumed


def test_a_changed_micro_batch_goes_on_and_gives_the_same(begin: Callable[..., Job]) -> None:
    whole = begin("whole", dropout=0.0)
    list(whole.events())
    broken = begin("broken", dropout=0.0)
    until(broken, 8)
    again = jobs.resume(broken.run, lambda line: None, {"row_tokens": "64", "batch": "2", "accumulation": 4})
    assert (again.settings.batch, again.settings.accumulation, again.settings.row_tokens) == (2, 4, 64)
    list(again.events())
    other = load_file(again.run / WEIGHTS)
    for name, tensor in load_file(whole.run / WEIGHTS).items():
        torch.testing.assert_close(other[name], tensor, rtol=0, atol=1e-6)
    assert make(read_toml(again.run / runfolder.RUN_TOML))[0].row_tokens == 64  # for the next time too


def test_what_decides_the_result_cannot_change_on_the_way(begin: Callable[..., Job]) -> None:
    job = begin()
    until(job, 3)
    with pytest.raises(Refusal, match="cannot change on the way") as caught:
        jobs.resume(job.run, lambda line: None, {"learning_rate": 1e-3, "batch": 3})
    assert caught.value.details == ("--learning-rate", "--batch × --accumulation has to stay 8, not 6")
    assert "--row-tokens" in caught.value.hint


# --- data that was added to


def added(data: Path, count: int) -> None:
    with open(data, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(lesson) + "\n" for lesson in lessons(40 + count)[40:])


def test_records_that_were_added_leave_the_choice_to_the_user(
    begin: Callable[..., Job], data: Path, whole: bytes
) -> None:
    broken = begin("broken")
    until(broken, 8)
    added(data, 30)
    smaller = partial(jobs.resume, broken.run, lambda line: None, {"row_tokens": "64"})
    for goes_on in (lambda: jobs.resume(broken.run, lambda line: None), lambda: begin("broken"), smaller):
        with pytest.raises(Refusal, match="changed since the run was started: the data") as caught:
            goes_on()
        assert ("--old-records --row-tokens 64" in caught.value.hint) == (goes_on is smaller)
        for choice in ("--old-records", "--anew --name broken-2", "--from"):
            assert choice in caught.value.hint
    again = begin("broken", how={"old_records": True})
    assert [e.id for e in again.loop.train] == [e.id for e in broken.loop.train]
    assert [r.id for r in again.held_out] == [r.id for r in broken.held_out]
    until(again, 10)
    third = jobs.resume(broken.run, lambda line: None)  # the choice holds, as long as the files stay
    list(third.events())
    assert adapter_of(third) == whole
    assert begin("broken-2", how={"anew": True}).run != third.run


def test_data_that_became_other_data_is_a_new_run(begin: Callable[..., Job], data: Path) -> None:
    first = begin(None)
    until(first, 3)
    data.write_text("".join(json.dumps(lesson) + "\n" for lesson in lessons(50)[10:]), encoding="utf-8")
    said: list[str] = []
    second = begin("second", said)
    assert second.run != first.run
    with pytest.raises(Refusal, match="records that the run began with are no longer in the data"):
        jobs.resume(first.run, lambda line: None, old_records=True)


# --- a disk that fails


def calls_of_a_run(begin: Callable[..., Job]) -> tuple[int, bytes]:
    begin("warm")  # its lessons are in the cache afterwards
    with on(Faulty()) as disk:
        job = begin("whole")
        road.walk(job, road.View())
    assert isinstance(disk, Faulty)
    return disk.calls, adapter_of(job)


@pytest.mark.parametrize(("number", "forever"), [(errno.ENOSPC, True), (errno.EIO, False), (errno.EACCES, True)])
def test_a_fault_anywhere_in_a_run_stops_it_by_a_refusal_or_not_at_all(
    number: int, forever: bool, begin: Callable[..., Job], tmp_path: Path
) -> None:
    calls, whole = calls_of_a_run(begin)
    for at in (calls // 3, calls * 2 // 3, calls - 20, calls - 7, calls - 1):  # report and end among them
        name, run = f"at-{at}", tmp_path / "runs" / f"at-{at}"
        with on(Faulty(at, failing(number), forever)), suppress(Refusal):
            road.walk(begin(name), road.View())
        with suppress(Refusal):  # finished, but for a page that is there already
            road.walk(begin(name), road.View())  # a new run, an unfinished one, or one that only has to be asked
        assert runfolder.read_json(run / runfolder.MANIFEST)["finished"], at
        assert (run / WEIGHTS).read_bytes() == whole, at
        assert (run / runfolder.REPORT).is_file(), at
        left = [path.name for path in run.rglob("*") if path.name.endswith((runfolder.PART, runfolder.ASIDE))]
        assert left == [], at


def test_a_checkpoint_that_finds_no_room_is_said_once_and_tried_again(begin: Callable[..., Job]) -> None:
    whole = begin("whole", epochs=4)
    list(whole.events())
    job = begin("full", epochs=4)
    events: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        for event in job.events():
            events.append(event)
            if isinstance(event, Step) and event.step == 4:
                patch.setattr(runfolder, "disk", Faulty(1, failing(errno.ENOSPC), forever=True))
            if isinstance(event, Step) and event.step == 10:
                patch.undo()
    told = [event for event in events if isinstance(event, (Saved, NotSaved))]
    kinds = [(type(event), event.step) for event in told]
    assert kinds == [(Saved, 3), (NotSaved, 6), (NotSaved, 9), (Saved, 12), (Saved, 15)]
    assert [event.last for event in told if isinstance(event, NotSaved)] == [3, 3]
    unlogged = [event.file for event in events if isinstance(event, NotLogged)]
    assert sorted(unlogged) == [runfolder.EVAL, runfolder.EVENTS, runfolder.STEPS]  # each once
    failed = [event for event in told if isinstance(event, NotSaved)]
    assert [(event.step, event.again) for event in failed] == [(6, False), (9, True)]
    assert "are needed" in failed[0].reason
    assert "are missing" in failed[0].reason
    texts = [road.news(event) for event in told]
    assert sum("could not be written" in text for text in texts) == 1
    assert sum("written again" in text for text in texts) == 1
    assert adapter_of(job) == adapter_of(whole)
    steps = [line["step"] for line in runfolder.read_lines(job.run / runfolder.STEPS)]
    assert steps == list(range(1, job.loop.steps + 1))  # the lines waited for the disk


def test_of_a_folder_that_goes_while_it_trains_the_adapter_is_saved_beside_it(
    begin: Callable[..., Job], whole: bytes
) -> None:
    job, said = begin("a"), list[str]()

    def train() -> None:
        for event in job.events():
            said.append(road.news(event))
            if isinstance(event, Step) and event.step == 4:
                job.run.rename(job.run.with_name("elsewhere"))

    with pytest.raises(Refusal, match="was deleted, moved or emptied while it trained") as caught:
        train()
    assert "no whole one is there" in "".join(said)
    saved = job.run.with_name("a-2") / WEIGHTS
    assert str(saved.parent) in caught.value.hint
    assert saved.read_bytes() == whole
    assert not job.run.exists()


def test_lines_that_waited_for_room_go_before_the_checkpoint(
    begin: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, plain = begin(), runfolder.append_line
    monkeypatch.setattr(runfolder, "append_line", lambda *_: failing(errno.ENOSPC)())
    for event in job.events():
        if isinstance(event, Step) and event.step == 3:
            monkeypatch.setattr(runfolder, "append_line", plain)
        if isinstance(event, Saved):
            break  # as a kill does
    assert [line["step"] for line in runfolder.read_lines(job.run / runfolder.STEPS)] == [1, 2, 3]
    assert [line["step"] for line in runfolder.read_lines(job.run / runfolder.EVAL)] == [0]
    monkeypatch.setattr(runfolder, "append_line", lambda *_: failing(errno.EACCES)())
    assert isinstance(job.loop.save(), Saved)  # a log that stays shut costs no step


def test_an_adapter_is_written_by_the_disk_alone_and_peft_reads_it(begin: Callable[..., Job]) -> None:
    class Noting(Faulty):
        def rename(self, old: Path, new: Path) -> None:
            renamed.append(new.name)
            super().rename(old, new)

    job, renamed = begin(targets="up_proj,q_proj,v_proj,down_proj"), list[str]()
    with on(Noting()):
        job._write_adapter(job.model.adapter_state())
    folder = job.run / runfolder.ADAPTER
    assert {path.name for path in folder.iterdir()} < set(renamed)
    theirs, ours = job.model.peft.peft_config["default"].to_dict(), PeftConfig.from_pretrained(str(folder)).to_dict()
    assert ours == theirs | {"peft_version": ours["peft_version"]}
    named = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["target_modules"]
    assert named == sorted(theirs["target_modules"])  # a set: in each process it would be another order


def test_an_adapter_that_finds_no_room_is_a_refusal_and_only_it_is_done_again(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line, run = line_of(base, data, tmp_path, "--name", "a"), tmp_path / "runs" / "a"
    with on(Faulty()) as disk:
        plain = Job._keep

        def keep(self: Job) -> None:
            monkeypatch.setattr(runfolder, "disk", Faulty(1, failing(errno.ENOSPC), forever=True))
            plain(self)

        monkeypatch.setattr(Job, "_keep", keep)
        assert cli.run(line) == 2
        monkeypatch.setattr(Job, "_keep", plain)
        monkeypatch.setattr(runfolder, "disk", disk)
    said = capsys.readouterr().err
    assert f"error: {run}: could not be written: No space left on device" in said
    assert "are free" in said
    assert f"hint: mend that, then go on where it stopped: buke train --resume {run}" in said
    assert checkpoint.newest(run) == 9
    assert cli.run(["train", "--resume", str(run), "--lang", "en"]) == 0
    assert runfolder.read_json(run / runfolder.MANIFEST)["finished"]


def test_a_run_that_cannot_be_begun_leaves_nothing(begin: Callable[..., Job], tmp_path: Path) -> None:
    for at in range(1, 12):
        with (
            on(Faulty(at, failing(errno.ENOSPC), forever=True)),
            pytest.raises(Refusal, match="cannot be made: No space left"),
        ):
            begin(f"at-{at}")
    assert list((tmp_path / "runs").iterdir()) == []


# --- one process a run


@POSIX
def test_a_run_belongs_to_one_process_and_a_dead_one_holds_nothing(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, run = line_of(base, data, tmp_path, "--name", "held"), tmp_path / "runs" / "held"
    process = start(line, tmp_path / "log", slow=0.2)
    wait_for(lambda: reached(run) >= 1)
    for other in (["train", "--resume", str(run), "--lang", "en"], line):
        assert cli.run(other) == 2
        said = capsys.readouterr().err
        assert f"process {process.pid} is working on this run" in said
        assert "wait until it has ended" in said
    assert process.exitcode is None
    process.kill()
    process.join()
    assert (run / runfolder.LOCK).exists()  # a stale one
    assert cli.run(line) == 0
    assert not (run / runfolder.LOCK).exists()


def test_a_lock_of_another_machine_or_of_an_older_process_of_this_number(tmp_path: Path) -> None:
    runfolder.lock(tmp_path)
    mine = json.loads((tmp_path / runfolder.LOCK).read_text())
    runfolder.lock(tmp_path)  # this process's own
    parent = {"pid": os.getppid(), "began": 1.0, "host": mine["host"]}  # a living number, but another process's
    for stale in (parent, {"pid": 2**22 + 1, "began": mine["began"], "host": mine["host"]}, {}, [], None):
        (tmp_path / runfolder.LOCK).write_text("" if stale is None else json.dumps(stale))
        runfolder.lock(tmp_path)
        assert json.loads((tmp_path / runfolder.LOCK).read_text()) == mine
    (tmp_path / runfolder.LOCK).write_text(json.dumps(mine | {"host": "elsewhere"}))
    with pytest.raises(Refusal, match="on elsewhere is working on this run") as caught:
        runfolder.lock(tmp_path)
    assert str(tmp_path / runfolder.LOCK) in caught.value.hint
    runfolder.unlock(tmp_path / "nowhere")


# --- asked to end


@POSIX
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), ("SIGHUP", 129)])
def test_a_signal_saves_after_the_running_step_and_the_same_command_goes_on(
    sent: Any, code: int, base: Path, data: Path, tmp_path: Path, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    line, run = line_of(base, data, tmp_path, "--name", "a", "--save-every", "100"), tmp_path / "runs" / "a"
    process = start(line, tmp_path / "log", slow=0.1)
    wait_for(lambda: reached(run) >= 3)
    assert process.pid is not None
    os.kill(process.pid, getattr(signal, sent) if isinstance(sent, str) else sent)
    process.join(30)
    assert process.exitcode == code
    said = (tmp_path / "log").read_text(encoding="utf-8")
    assert checkpoint.newest(run) == reached(run)  # nothing is done again
    assert f"Stopped after step {reached(run)}; nothing is lost" in said
    assert "Traceback" not in said
    assert cli.run(line) == 0
    said = capsys.readouterr().err
    assert "Going on after step" in said
    assert (run / WEIGHTS).read_bytes() == whole
    figures = Figures(0, 0)  # the loss that is shown is that of an unbroken run
    for step in runfolder.read_lines(run / runfolder.STEPS):
        figures.add(Step(**step))
    shown = re.findall(r"^step +(\d+)/.* loss ([\d.]+)", said, re.MULTILINE)
    assert shown
    assert {f"{loss:.3f}" for step, loss in figures.smoothed if str(step) == shown[0][0]} == {shown[0][1]}


@POSIX
def test_a_second_ctrl_c_leaves_at_once(base: Path, data: Path, tmp_path: Path) -> None:
    line, run = line_of(base, data, tmp_path, "--name", "a"), tmp_path / "runs" / "a"
    process = start(line, tmp_path / "log", slow=20)
    wait_for(lambda: bool(runfolder.read_lines(run / runfolder.EVAL)))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    wait_for(lambda: "Ctrl-C again" in (tmp_path / "log").read_text(encoding="utf-8"))
    assert process.exitcode is None
    os.kill(process.pid, signal.SIGINT)
    process.join(10)  # less than the step
    assert process.exitcode == 130
    assert "Traceback" not in (tmp_path / "log").read_text(encoding="utf-8")
    assert not (run / runfolder.LOCK).exists()


@POSIX
@pytest.mark.parametrize(("how", "code"), [("save", 129), ("continue", 0)])
def test_a_terminal_that_is_closed(how: str, code: int, base: Path, data: Path, tmp_path: Path) -> None:
    master, slave = os.openpty()
    line = line_of(base, data, tmp_path, "--name", "a", "--save-every", "100", "--on-hangup", how)
    process = start(line, tmp_path / "log", slow=0.1, terminal=os.ttyname(slave))
    closing = threading.Event()
    reader = threading.Thread(target=drain, args=(master, closing))  # as a terminal reads what it is to show
    reader.start()
    run = tmp_path / "runs" / "a"
    try:
        wait_for(lambda: reached(run) >= 3)
    finally:
        os.close(slave)
        closing.set()
        reader.join()
    process.join(30)
    assert process.exitcode == code
    if how == "save":
        assert checkpoint.newest(run) == reached(run) < 12
    else:
        assert runfolder.read_json(run / runfolder.MANIFEST)["finished"]


@POSIX
@pytest.mark.parametrize(
    ("how", "sent", "code"), [("continue", "SIGHUP", 0), ("save", "SIGHUP", 129), ("save", "SIGTERM", 143)]
)
def test_what_ends_a_run_counts_while_its_model_is_loaded_too(
    how: str, sent: str, code: int, base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = jobs.prepare

    def sent_first(*given: Any, **named: Any) -> Job:
        os.kill(os.getpid(), getattr(signal, sent))
        return prepare(*given, **named)

    monkeypatch.setattr(jobs, "prepare", sent_first)
    assert cli.run(line_of(base, data, tmp_path, "--name", "a", "--on-hangup", how)) == code
    assert (tmp_path / "runs").exists() == (code == 0)


def test_the_time_of_a_run_is_counted_from_the_command_on(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, began = jobs.prepare, []
    monkeypatch.setattr(road, "Deadline", lambda *given: began.append(given) or Deadline(*given))
    monkeypatch.setattr(jobs, "prepare", lambda *given, **named: began.append("loading") or prepare(*given, **named))
    assert cli.run(line_of(base, data, tmp_path, "--name", "a", "--max-hours", "1")) == 0
    assert began == [(None, 1.0), "loading"]


def drain(master: int, closing: threading.Event) -> None:
    """Read a terminal until it is to be closed, and close it."""
    while not closing.is_set():
        if select.select([master], [], [], 0.05)[0]:
            with suppress(OSError):
                os.read(master, 1 << 16)
    os.close(master)


def test_hours_and_a_time_of_day_end_a_run_with_0_and_say_how_to_go_on(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = line_of(base, data, tmp_path, "--name", "a")
    assert cli.run([*line, "--max-hours", "1e-9", "--json"]) == 0
    out, err = capsys.readouterr()
    run = tmp_path / "runs" / "a"
    assert json.loads(out) == {"run": str(run), "step": 0, "of": 12}
    assert f"buke train --resume {run}" in err
    assert cli.run([*line, "--max-hours", "1"]) == 0
    assert runfolder.read_json(run / runfolder.MANIFEST)["finished"]
    assert cli.run([*line, "--stop-at", "25:00"]) == 2
    assert "--stop-at: '25:00' is not valid: write a time of day such as 07:00" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("began", "at", "moments"),
    [
        ("22:30", "07:00", {"23:59": False, "+06:59": False, "+07:00": True, "+09:00": True}),
        ("06:59", "7:00", {"06:59": False, "07:00": True}),
        ("07:00", "07:00", {"07:00": False, "+06:59": False, "+07:00": True}),
    ],
)
def test_a_time_of_day_is_the_next_one_on_the_wall(began: str, at: str, moments: dict[str, bool]) -> None:
    def moment(text: str) -> datetime:
        hour, minute = map(int, text.lstrip("+").split(":"))
        return datetime(2026, 3, 1 + text.startswith("+"), hour, minute)

    now = [moment(began)]
    deadline = Deadline(at, None, wall=lambda: now[0])
    for text, over in moments.items():
        now[0] = moment(text)
        assert deadline.passed() is over, text


def test_hours_are_counted_by_a_clock_that_nobody_sets() -> None:
    wall, clock = [datetime(2026, 1, 1)], [0.0]
    deadline = Deadline(None, 2, wall=lambda: wall[0], clock=lambda: clock[0])
    wall[0] = datetime(2027, 1, 1)  # the machine slept, or its clock was set
    assert not deadline.passed()
    clock[0] = 7200.0
    assert deadline.passed()
    assert not Deadline(None, None).passed()


def test_a_scoring_that_is_left_is_done_again(begin: Callable[..., Job], whole: bytes) -> None:
    job = begin("left")
    asked = [False]
    job.loop.leaving = lambda: asked[0]
    for event in job.events():
        if isinstance(event, Step) and event.step == 4:
            asked[0] = True  # while the held-out part is scored
        elif asked[0]:
            assert not isinstance(event, HeldOut)
            job.save()
            break
    again = jobs.resume(job.run, lambda line: None)
    events = list(again.events())
    assert isinstance(events[1], HeldOut)
    assert events[1].step == 4
    assert adapter_of(again) == whole


# --- what is not finite


def bad_weights(job: Job, bad: Any) -> None:
    """A frozen weight that only one record's token reads: a row of the embedding."""
    others = {token for example in (*job.loop.train, *job.loop.held_out) if example is not bad for token in example.ids}
    tokens = set(bad.ids) - others
    assert tokens
    job.model.base.get_input_embeddings().weight.data[tokens.pop()] = torch.nan


@pytest.mark.parametrize("dropout", [0.0, 0.1])  # our own layers, and those of transformers
def test_a_weight_that_is_not_a_number_skips_the_steps_that_read_it_and_names_the_record(
    dropout: float, begin: Callable[..., Job], data: Path
) -> None:
    with open(data, "a", encoding="utf-8") as file:
        file.write(json.dumps({"Question": "What is ж?", "Complex_CoT": "жжж.", "Response": "ж."}) + "\n")
    job = begin(dropout=dropout, held_out=0.05, eval_every=100)
    bad = next((e for e in job.loop.train if e.source.endswith(":41")), None)
    assert bad is not None
    bad_weights(job, bad)
    skipped = [event for event in job.events() if isinstance(event, Step) and event.skipped]
    assert len(skipped) in (2, 3)  # once an epoch
    assert all(bad.source in event.skipped for event in skipped)
    assert all(bool(tensor.isfinite().all()) for tensor in load_file(job.run / WEIGHTS).values())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_broken_adapter_stops_the_run_after_three_steps_with_the_best_kept(
    value: float, dropout: float, begin: Callable[..., Job]
) -> None:
    job = begin(dropout=dropout, save_every=100)
    kinds: list[type] = []
    for event in job.events():
        kinds.append(type(event))
        if isinstance(event, HeldOut) and event.step == 4:
            next(iter(job.model.trained().values())).data[0, 0] = value
    assert kinds[-4:] == [Step, Step, Step, Stopped]
    assert job.loop.progress.best_step <= 4
    assert all(bool(tensor.isfinite().all()) for tensor in load_file(job.run / WEIGHTS).values())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_activation_that_is_not_finite_costs_one_step(
    value: float, begin: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, calls = begin(), [0]
    plain = Model.hidden

    def hidden(self: Model, *given: Any) -> torch.Tensor:
        out = plain(self, *given)
        calls[0] += out.requires_grad
        return out * value if calls[0] == 5 and out.requires_grad else out

    monkeypatch.setattr(Model, "hidden", hidden)
    skipped = [event for event in job.events() if isinstance(event, Step) and event.skipped]
    assert len(skipped) == 1
    assert "the step as a whole" in skipped[0].skipped  # no record is to blame
    assert job.loop.progress.step == job.loop.steps
    assert all(bool(tensor.isfinite().all()) for tensor in load_file(job.run / WEIGHTS).values())


# --- slow steps


def test_a_slow_spell_is_said_once() -> None:
    pace = Pace()
    assert [pace.slow(1.0, 100) for _ in range(6)] == [0.0] * 6
    assert pace.slow(10.0, 1000) == 0  # longer records, not slower
    assert pace.slow(3.1, 100) == pytest.approx(3.1)
    assert [pace.slow(4.0, 100), pace.slow(9.0, 100)] == [0, 0]  # the same spell
    assert pace.slow(1.0, 100) == 0
    assert pace.slow(5.0, 100) == pytest.approx(5)  # another


def test_a_slow_step_is_an_event_and_a_line(begin: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    job, now = begin(), [0.0]
    plain = loops.take_step

    def timed(model: Any, rows: Any, *given: Any) -> Any:
        now[0] += sum(map(len, rows)) * (1.0 if job.loop.progress.step in (8, 9) else 0.01)
        return plain(model, rows, *given)

    monkeypatch.setattr(loops, "take_step", timed)
    monkeypatch.setattr(loops.time, "monotonic", lambda: now[0])
    slow = [event for event in job.events() if isinstance(event, Slow)]
    assert [(event.step, round(event.times)) for event in slow] == [(9, 100)]
    assert "step 9 took" in road.news(slow[0])
    written = runfolder.read_lines(job.run / runfolder.EVENTS)
    assert [(line["event"], line["step"]) for line in written] == [("Slow", 9)]


# --- damage is said aloud, and costs no more than it hit


def hurt(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def test_a_run_whose_checkpoints_are_all_damaged_begins_again_in_its_folder(
    begin: Callable[..., Job], whole: bytes
) -> None:
    broken = begin()
    until(broken, 8)
    folders = sorted((broken.run / runfolder.CHECKPOINTS).iterdir(), reverse=True)
    for folder in folders:
        hurt(folder / checkpoint.OPTIMIZER)
    again = begin()
    events = list(again.events())
    assert events[0] == Resumed(0, tuple(folders))
    said = road.news(events[0])
    assert all(f"{folder}: this checkpoint is damaged" in said for folder in folders)
    assert "begins again at step 0" in said
    assert adapter_of(again) == whole
    for name, steps in ((runfolder.STEPS, range(1, 13)), (runfolder.EVAL, range(0, 13, 4))):
        assert [line["step"] for line in runfolder.read_lines(again.run / name)] == list(steps)


def test_damaged_lines_of_the_log_are_taken_out_and_said_and_so_is_another_machine(
    begin: Callable[..., Job], whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = begin()
    until(broken, 8)
    steps, scorings = (broken.run / name for name in (runfolder.STEPS, runfolder.EVAL))
    lines = steps.read_bytes().splitlines(keepends=True)
    steps.write_bytes(
        b"".join(
            [*lines[:2], lines[2].replace(b'"', b"\xff"), *lines[3:5], lines[5].replace(b"loss", b"moss"), *lines[6:]]
        )
    )
    scorings.write_bytes(b"\0\0\n" + scorings.read_bytes())
    monkeypatch.setattr("buke.train.manifest.code", lambda: "other")
    monkeypatch.setattr("torch.get_num_threads", lambda: 7)
    said: list[str] = []
    again = begin(said=said)
    (line,) = [line for line in said if line.startswith("Not as when the run began")]
    assert "threads 1 → 7, code " in line
    events = list(again.events())
    assert events[0] == Resumed(6, lines=(f"{steps}:3", str(steps), f"{scorings}:1"))
    assert f"{steps}:3: this line is damaged" in road.news(events[0])
    assert [line["step"] for line in runfolder.read_lines(steps)] == [1, 2, 4, 5, *range(7, 13)]
    assert adapter_of(again) == whole


@pytest.mark.parametrize("first", [False, True])  # the best is that after the last checkpoint, or the first
def test_a_lost_adapter_is_made_again_from_a_checkpoint(
    first: bool, begin: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = count(1)
    if first:
        monkeypatch.setattr(
            loops, "held_out_losses", lambda _, held_out, *__: [(float(next(scored)), 1)] * len(held_out)
        )
    job = begin(dropout=0.0)
    list(job.events())
    assert job.loop.progress.best_step == (0 if first else 12)
    assert job.model.arena.bytes == 0  # nothing of training is left when the questions are asked
    assert job.model.fast is not None
    assert job.model.fast.arena.bytes == 0
    assert not job.loop.optimizer.state
    job.finish()
    was, said = adapter_of(job), list[str]()
    hurt(job.run / WEIGHTS)
    (job.run / runfolder.ANSWERS_AFTER).touch()
    again = begin(said=said, dropout=0.0)
    assert any("the adapter of this trained run is damaged or missing" in line for line in said)
    taken = [event.step for event in again.events() if isinstance(event, Step)]
    assert taken == ([] if first else [10, 11, 12])
    assert adapter_of(again) == was
    assert (job.run / runfolder.ANSWERS_AFTER).exists()
    again.notes["files"][WEIGHTS] = "another"
    again._write_adapter(again.model.adapter_state())
    assert not (job.run / runfolder.ANSWERS_AFTER).exists()  # they were another adapter's
    again.finish()
    assert [line["step"] for line in runfolder.read_lines(job.run / runfolder.STEPS)] == list(range(1, 13))
    with pytest.raises(Refusal, match="this run is finished"):
        jobs.resume(job.run, said.append)
    (job.run / WEIGHTS).unlink()
    for folder in (job.run / runfolder.CHECKPOINTS).iterdir():
        hurt(folder / checkpoint.OPTIMIZER)
    with pytest.raises(Refusal, match="no checkpoint is whole") as caught:
        jobs.resume(job.run, said.append)
    assert "--again" in caught.value.hint


def test_steps_skipped_in_a_row_are_counted_across_two_sessions(begin: Callable[..., Job]) -> None:
    job = begin(save_every=1)
    for event in job.events():
        if isinstance(event, HeldOut) and event.step == 4:
            next(iter(job.model.trained().values())).data[0, 0] = torch.nan
        if isinstance(event, Saved) and event.step == 6:
            break
    again = jobs.resume(job.run, lambda line: None)
    assert [type(event) for event in again.events()] == [Resumed, Step, Stopped]


def test_answers_of_a_side_that_was_broken_off_are_kept(
    begin: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    how = {"questions": 6, "held_out": 0.2, "generation_batch": 2, "thought_budget": 8, "answer_budget": 8, "epochs": 1}
    asked: list[str] = []
    plain = compare.batches

    def noted(model: Model, spoken: Any, records: Any, *given: Any) -> Any:
        for group in plain(model, spoken, records, *given):
            asked.extend(answer.id for answer in group)
            yield group

    monkeypatch.setattr(compare, "batches", noted)
    said: list[str] = []
    monkeypatch.setattr(road.View, "say", lambda view, text: said.append(text))
    road.walk(begin("whole", how={"anew": True}, **how), road.View())
    once = sorted(asked)
    assert len(once) == 12
    asked.clear()
    run = begin("broken", how={"anew": True}, **how).run
    for file in (runfolder.ANSWERS_BEFORE, runfolder.ANSWERS_AFTER):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Deadline, "passed", lambda _, path=run / file: bool(runfolder.read_lines(path)))
            with pytest.raises(SystemExit) as left:
                road.walk(jobs.resume(run, said.append), road.View())
        assert left.value.code == 0
        assert said[-1].startswith("The time is up: stopped after step ")
        assert len(runfolder.read_lines(run / file)) == 2
        with open(run / file, "a") as lines:
            lines.write('{"answer": {}}\n{"answer')  # damaged, and torn
    road.walk(jobs.resume(run, said.append), road.View())
    assert sorted(asked) == once  # each question once a side
    for name in (runfolder.ANSWERS_BEFORE, runfolder.ANSWERS_AFTER):
        sides = [compare.answers_in(tmp_path / "runs" / each / name) for each in ("whole", "broken")]
        texts = [[(j.answer.id, j.answer.thought, j.answer.text) for j in side] for side in sides]
        assert texts[0] == texts[1]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    said = road.news(Resumed(3, (tmp_path / "000006",)))
    assert f"{tmp_path / '000006'}: this checkpoint is damaged" in said
    assert "Going on after step 3." in said


def test_what_may_change_is_a_setting() -> None:
    assert set(MAY_CHANGE) < set(Settings.model_fields)


def test_a_run_taken_up_keeps_its_rows_however_little_memory_is_free_now(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "data": [str(data)], "model": str(base), "name": "tight", "device": "cpu", "questions": 0, "epochs": 1,
        "row_tokens": 512,
    }  # fmt: skip
    job = jobs.prepare(*make(values, {key: f"--{key}" for key in values}), tmp_path / "runs", lambda line: None)
    job.release()
    monkeypatch.setattr("buke.plan.outlook.free_bytes", lambda device: 1)
    again = jobs.resume(job.run, lambda line: None, {"log_every": 5})
    kept = ("row_tokens", "activations", "recompute", "weights", "generation_batch")
    assert [getattr(again.settings, name) for name in kept] == [getattr(job.settings, name) for name in kept]
    assert again.plan.memory["needed"] > again.plan.memory["budget"] > 0  # what is free is still watched for
    noted = runfolder.read_json(job.run / runfolder.MANIFEST)["settings"]
    assert noted["log_every"] == 5  # so that verify and --again go by what holds now
    again.release()


def test_a_folder_left_of_a_run_in_the_making_is_no_run(tmp_path: Path) -> None:
    left = tmp_path / ".a.99999.part"
    left.mkdir()
    (left / runfolder.RUN_TOML).write_text("")
    assert runfolder.runs_in(tmp_path) == []
