"""The whole road of ``buke train``: before, lessons, after, report. The demo walks the same one."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from buke import checkpoint, compare, report, runfolder
from buke.cli.plan import line as plan_line
from buke.cli.view import View, clock, number, view_for
from buke.compare import Progress
from buke.config import Settings
from buke.grade import Grader
from buke.records import HeldOut, Judged, Step
from buke.train import begin as jobs
from buke.train import manifest
from buke.train.job import Job
from buke.train.loop import Event, NotLogged, NotSaved, Resumed, Saved, Slow, Stopped, Tightened
from buke.train.pace import Deadline
from buke.train.resuming import taken_up
from buke.words import t

SHOW_CURSOR = b"\x1b[?25h"


class Leaving:
    """What asks a run to end before its end: Ctrl-C, SIGTERM, a closed terminal, the time that was set.

    While it trains, the first asks for a checkpoint after the running step and the second leaves at once; at other
    times, when no more can be lost than the questions of one batch, the first does.
    """

    def __init__(self, view: View, settings: Settings) -> None:
        self.view = view
        self.on_hangup = settings.on_hangup
        self.deadline = Deadline(settings.stop_at, settings.max_hours)
        self.signal = 0  # the one that asked
        self.training = False
        self.told = False  # how the run can be taken up again

    def wanted(self) -> bool:
        """Whether to save and leave now."""
        return bool(self.signal) or self.deadline.passed()

    @property
    def code(self) -> int:
        """The exit code: 128 and the signal's number, as shells have it; 0 where the time was up."""
        return 128 + self.signal if self.signal else 0

    def _on_signal(self, which: int, _: Any) -> None:
        if which == getattr(signal, "SIGHUP", None):
            _without_terminal()
            if self.on_hangup == "continue":
                return
        if self.signal or not self.training:
            raise KeyboardInterrupt if which == signal.SIGINT else SystemExit(128 + which)
        self.signal = which
        self.view.say(t("cli.stopping") if which == signal.SIGINT else t("cli.ending"))

    @contextmanager
    def heard(self) -> Iterator[None]:
        """While inside, signals come here. One that was to be ignored, as ``nohup`` asks, stays so."""
        names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # Windows and the others each have three of them
        old = {
            getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in names if hasattr(signal, name)
        }
        if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
            old = {}
        heard = {which: handler for which, handler in old.items() if handler is not signal.SIG_IGN}
        for which in heard:
            signal.signal(which, self._on_signal)
        try:
            yield
        finally:
            for which, handler in heard.items():
                signal.signal(which, handler)


def _without_terminal() -> None:
    """Let what is written to a terminal that is closed go nowhere, for writing to it is an error."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        if _is_terminal(stream):
            with suppress(OSError):
                os.write(stream, SHOW_CURSOR)  # if it is not closed after all
            os.dup2(nowhere, stream)
    os.close(nowhere)


def _is_terminal(stream: int) -> bool:
    """Whether a file descriptor is a terminal, one that was closed included."""
    try:
        return stat.S_ISCHR(os.fstat(stream).st_mode)
    except OSError:
        return False


def train(
    runs: Path,
    given: tuple[Settings, dict[str, str]] | None,
    resume: str,
    as_json: bool,
    changes: dict[str, Any] | None = None,
    *,
    anew: bool = False,
    old_records: bool = False,
) -> int:
    """``buke train``: a new run from settings, or an old one taken up again, with changes to its settings.

    Returns what ``train_again`` does.
    """
    view = view_for()
    if given is None:
        run = runfolder.find(runs, resume)
        settings, _ = taken_up(run, changes or {})
        start = partial(jobs.resume, run, view.say, changes, old_records=old_records)
    else:
        settings, _ = given
        compare.grader_of(settings, [])  # refuse a grader that cannot work before anything is written
        start = partial(jobs.prepare, *given, runs, view.say, anew=anew, old_records=old_records)
    return _to_the_end(start, Leaving(view, settings), runs, as_json)


def train_again(runs: Path, name: str, new: str | None, as_json: bool, *, anew: bool = False) -> int:
    """``buke train --again``: a run once more in a new folder; 0 where the adapters agree byte for byte, else 1."""
    view, run = view_for(), runfolder.find(runs, name)
    on_hangup = (manifest.manifest_of(run).get("settings") or {}).get("on_hangup", "save")
    leaving = Leaving(view, Settings(on_hangup=on_hangup))
    return _to_the_end(partial(jobs.again, run, new, runs, view.say, anew=anew), leaving, runs, as_json)


def _to_the_end(start: Callable[[], Job], leaving: Leaving, runs: Path, as_json: bool) -> int:
    """Walk, and print what was found. 1 where the run repeats another and their adapters differ, else 0."""
    try:
        with leaving.heard():  # while a model is loaded, too
            job = start()
            leaving.view.log_every = job.settings.log_every
            result = walk(job, leaving.view, leaving)
    except SystemExit as end:
        if as_json and not end.code:  # the time was up
            print(json.dumps({"run": str(job.run), "step": job.loop.progress.step, "of": job.loop.steps}))
        raise
    print(json.dumps(result, ensure_ascii=False) if as_json else summary(job, result, runs))
    return int("again" in result and not result["again"]["same"])


def walk(job: Job, view: View, leaving: Leaving | None = None) -> dict[str, Any]:
    """Before, training, after, report; returns what was found, as ``--json`` prints it.

    leaving: what has counted the time since before the model was loaded.
    Raises SystemExit where it is left before its end; the run can then be taken up again.
    """
    leaving = leaving or Leaving(view, job.settings)
    job.loop.leaving = leaving.wanted
    try:
        with leaving.heard(), runfolder.mending(job.run, t("train.mend_hint", run=job.run)):
            return _walked(job, view, leaving)
    except (KeyboardInterrupt, SystemExit):
        if not leaving.told and not job.notes["finished"]:
            view.say(t("cli.go_on", run=job.run))
        raise
    finally:
        job.release()


def _walked(job: Job, view: View, leaving: Leaving) -> dict[str, Any]:
    job.watch.start()
    _introduce(job, view)
    judge = compare.grader_of(job.settings, job.held_out)
    job.notes["settings"]["grader"] = judge.name  # what auto has come to
    records = asked_of(job.held_out, job.settings.questions)
    ask = partial(_ask, job, records, judge, view, leaving)
    before = ask(runfolder.ANSWERS_BEFORE, t("cli.asking_before"), adapter=False)
    if len(before) == len(job.held_out) and not job.settings.from_run:  # the loop need not score the base again
        known = [(j.held_out_loss_sum, j.held_out_tokens) for j in before]
        job.loop.base_losses = [(loss, count) for loss, count in known if loss is not None]
    began = time.monotonic()
    _lessons(job, view, leaving)
    seconds = time.monotonic() - began
    result: dict[str, Any] = {"run": str(job.run), "training_seconds": round(seconds, 1)}
    if records:
        losses = job.loop.best_losses[: len(records)]
        after = ask(runfolder.ANSWERS_AFTER, t("cli.asking_after"), adapter=True, losses=losses)
        result["comparison"] = runfolder.plain(compare.write(job.run, before, after, judge, job.settings))
    report.write_curve(job.run)
    report.write_report(job.run)  # a finished run is not gone on with, so what a kill from here on leaves is whole
    job.watch.stop()
    job.finish()
    report.write_report(job.run)  # now with the time of its end
    result["manifest"] = job.notes["result"]
    if of := job.notes.get("again"):
        where = manifest.parting(Path(of), job.run)
        result["again"] = {"run": of, "same": not where, "where": where}
    return result


def asked_of(records: Sequence[Any], questions: int) -> list[Any]:
    """The held-out records that are asked: the first so many."""
    return list(records[:questions])


def _introduce(job: Job, view: View) -> None:
    data = runfolder.read_json(job.run / runfolder.DATA)
    view.say(t("cli.run_folder", run=job.run))
    figures = {
        "kept": data["kept"], "read": data["read"], "train": data["train"], "held_out": data["held_out"],
        "learned": data["tokens"]["learned"], "end": data["end_learned"], "longest": data["tokens"]["longest"],
    }  # fmt: skip
    view.say(t("cli.data_line", **figures))
    left_out = [f"  {line['source']}: {line['message']}" for line in data["dropped"]]
    for line in left_out[:10]:
        view.say(line)
    if len(left_out) > 10:
        view.say(t("cli.more_dropped", count=len(left_out) - 10, file=job.run / runfolder.DATA))
    where = f"{job.model.device.type} {job.model.precision}"
    view.say(plan_line(job.plan))
    view.say(t("cli.model_line", name=job.settings.model, size=size(job.model.parameters), where=where))


def size(parameters: int) -> str:
    """A count of parameters as people write it: 135M, 1.8B."""
    return f"{parameters / 1e6:.0f}M" if parameters < 1e9 else f"{parameters / 1e9:.1f}B"


def _ask(
    job: Job, records: list[Any], judge: Grader, view: View, leaving: Leaving, file: str, what: str, *,
    adapter: bool, losses: Any = (),
) -> list[Judged]:  # fmt: skip
    """The answers of one side. Those a run that is taken up again has already are not asked for a second time."""
    had = {judged.answer.id: judged for judged in compare.known(job.run, file, job.settings)}
    known = [had[record.id] for record in records if record.id in had]
    lines = runfolder.Lines(job.run / file)

    def tell(done: int, tokens: int) -> None:
        view.asked(len(known) + done, len(records), tokens)
        if leaving.wanted():
            _leave(job, view, leaving, None)

    ask = partial(compare.ask, job.model, job.prompt, records, job.settings, judge, adapter=adapter, known=known)
    if len(known) == len(records):
        return ask()
    runfolder.write_lines(lines.path, known)  # and nothing else
    with view.asking(what):
        side = ask(losses=losses, progress=tell, keep=lines.add)
    runfolder.write_lines(lines.path, side)  # in the order of the records
    return side


def _lessons(job: Job, view: View, leaving: Leaving) -> None:
    """Train and show. Where it is to end before its end, save between two steps and leave."""
    stopped: Stopped | None = None
    leaving.training = True
    with view.training(job.loop.steps, job.settings.epochs):
        for event in job.events():
            if isinstance(event, (Step, HeldOut)):
                view.event(event)
            elif isinstance(event, Stopped):
                stopped = event
            elif said := news(event):
                view.say(said)
            if isinstance(event, Resumed):
                view.recall(job.course())
            if left := leaving.wanted():
                break
        else:
            left = leaving.wanted()  # while the adapter was written, which is on the disk now
        trained = "result" in job.notes
        unsaved = left and not trained and job.loop.progress.step and not isinstance(event, Saved)
        saved = job.save() if unsaved else None
    if left:
        _leave(job, view, leaving, saved)
    leaving.training = False
    if stopped:
        view.say(stopped.reason)


def news(event: Event) -> str:
    """What is said of an event besides the figures; "" where that is nothing."""
    if isinstance(event, NotSaved) and not event.again:
        before = t("cli.saved_before", last=event.last) if event.last else t("cli.none_before")
        return t("cli.not_saved", step=event.step, why=event.reason, before=before)
    if isinstance(event, NotLogged):
        return t("cli.not_logged", step=event.step, file=event.file, why=event.reason)
    if isinstance(event, Saved) and event.after_failure:
        return t("cli.saved_again", step=event.step)
    if isinstance(event, Tightened):
        return t("plan.tightened", step=event.step, what=event.words)
    if isinstance(event, Slow):
        return t("cli.slow", step=event.step, seconds=f"{event.seconds:.1f}", times=f"{event.times:.1f}")
    if isinstance(event, Resumed):
        lines = [t("cli.damaged", folder=folder) for folder in event.damaged]
        lines += [t("cli.damaged_line", place=place) for place in event.lines]
        again = event.damaged and not event.step
        return "\n".join([*lines, t("cli.begun_again") if again else t("cli.resumed", step=event.step)])
    return ""


def _leave(job: Job, view: View, leaving: Leaving, saved: Saved | NotSaved | None) -> NoReturn:
    """Say where the run stands and how to go on, and end the process."""
    leaving.told, step = True, job.loop.progress.step
    if isinstance(saved, NotSaved):
        view.say(t("cli.left_unsaved", step=step, why=saved.reason, last=checkpoint.newest(job.run), run=job.run))
        sys.exit(leaving.code or 2)
    view.say(t("cli.saved" if leaving.signal else "cli.time_is_up", step=step, of=job.loop.steps, run=job.run))
    sys.exit(leaving.code)


def summary(job: Job, result: dict[str, Any], runs: Path) -> str:
    """What a beginner reads at the end."""
    lines = ["", t("cli.done", time=clock(result["training_seconds"]))]
    found = result.get("comparison")
    if found:
        before, after, n = found["before"], found["after"], found["records"]
        if found["grader"] != "none":
            lines.append(t("cli.right", before=before["right"], after=after["right"], n=n))
        lines += [
            t("cli.closed", before=before["closed"], after=after["closed"], n=n),
            t("cli.thinks", before=f"{before['thought_tokens_mean']:.0f}", after=f"{after['thought_tokens_mean']:.0f}"),
            t("cli.loss", n=n, before=number(before["held_out_loss"]), after=number(after["held_out_loss"])),
        ]
    run = job.run
    lines += [*_forgotten(run), *_agreed(result)]
    lines += [
        "",
        t("cli.see_report", file=run / runfolder.REPORT),
        t("cli.see_curve", file=run / runfolder.CURVE),
        t("cli.see_adapter", folder=run / runfolder.ADAPTER),
    ]
    return "\n".join(lines)


def _forgotten(run: Path) -> list[str]:
    """What the held-out part of the earlier run says of a run that went on from it."""
    scored = [line for line in runfolder.read_lines(run / runfolder.EVAL) if line.get("earlier_tokens")]
    if not scored:
        return []
    kept = [line for line in scored if line["best"]][-1:] or scored[-1:]
    ends = [line["earlier_loss_sum"] for line in (scored[0], kept[0])]
    before, after = (None if end is None else end / scored[0]["earlier_tokens"] for end in ends)
    return [t("cli.earlier_loss", before=number(before), after=number(after))]


def _agreed(result: dict[str, Any]) -> list[str]:
    """Whether a run that was repeated gave the same adapter."""
    if not (told := result.get("again")):
        return []
    return [t("cli.again_same", run=told["run"]) if told["same"] else t("cli.again_other", **told)]


def compare_again(runs: Path, name: str, questions: int, changes: dict[str, Any], as_json: bool) -> None:
    """``buke compare``: ask a finished run's held-out questions again, before and after."""
    run = runfolder.find(runs, name)
    view = view_for()
    runfolder.lock(run)
    try:
        result = _compared(run, questions, changes, view)
    finally:
        runfolder.unlock(run)
    print(json.dumps(result, ensure_ascii=False) if as_json else table(result))


def _compared(run: Path, questions: int, changes: dict[str, Any], view: View) -> dict[str, Any]:
    """Ask, and write both sides, what comes of them and the page."""
    runfolder.sweep(run)
    model, spoken, records, settings = compare.reopen(run, changes, view.say)
    records = asked_of(records, questions or settings.questions or len(records))
    judge = compare.grader_of(settings, records)
    sides = []
    for adapter, what in ((False, t("cli.asking_before")), (True, t("cli.asking_after"))):
        with view.asking(what):
            tell: Progress = lambda done, tokens: view.asked(done, len(records), tokens)  # noqa: E731
            sides.append(compare.ask(model, spoken, records, settings, judge, adapter=adapter, progress=tell))
    result: dict[str, Any] = runfolder.plain(compare.write(run, sides[0], sides[1], judge, settings))
    report.write_report(run)
    return result


def table(result: dict[str, Any]) -> str:
    """The comparison as lines of text, for a terminal or a pipe."""
    lines = [t("cli.table_head", n=result["records"], grader=result["grader"])]
    for key, before in result["before"].items():
        after, change = result["after"][key], result["difference"].get(key)
        span = "" if change is None else f"   {change['mean']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"
        shown = [
            number(value) if isinstance(value, float) or value is None else str(value) for value in (before, after)
        ]
        lines.append(f"{t(f'cli.key_{key}')}: {shown[0]} -> {shown[1]}{span}")
    return "\n".join(lines)
