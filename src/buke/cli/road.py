"""The whole road of ``buke train``: before, lessons, after, report. The demo walks the same one."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from buke import compare, report, runfolder
from buke.cli.plan import line as plan_line
from buke.cli.view import View, clock, number, view_for
from buke.compare import Progress
from buke.config import Settings
from buke.grade import Grader
from buke.records import HeldOut, Judged, Step
from buke.train import job as jobs
from buke.train.job import Job
from buke.train.loop import Saved, Stopped, Tightened
from buke.words import t


class Interrupt:
    """Ctrl-C: the first asks for a stop between two steps, the second stops at once."""

    def __init__(self, view: View) -> None:
        self.asked = False
        self.view = view

    def _on_signal(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self.view.say(t("cli.stopping"))

    @contextmanager
    def caught(self) -> Iterator[None]:
        """While inside, Ctrl-C sets ``asked``."""
        old = signal.signal(signal.SIGINT, self._on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, old)


def train(runs: Path, given: tuple[Settings, dict[str, str]] | None, resume: str, as_json: bool) -> None:
    """``buke train``: a new run from settings, or an old one taken up again."""
    if given is None:
        view = view_for()
        job = jobs.resume(runfolder.find(runs, resume), runs, view.say)
        view.log_every = job.settings.log_every
    else:
        view = view_for(given[0].log_every)
        compare.grader_of(given[0], [])  # refuse a grader that cannot work before anything is written
        job = jobs.prepare(*given, runs, view.say)
    result = walk(job, view)
    print(json.dumps(result, ensure_ascii=False) if as_json else summary(job, result, runs))


def walk(job: Job, view: View) -> dict[str, Any]:
    """Before, training, after, report; returns what was found, as ``--json`` prints it."""
    job.watch.start()
    _introduce(job, view)
    judge = compare.grader_of(job.settings, job.held_out)
    before = _before(job, judge, view)
    if len(before) == len(job.held_out):  # the loop need not score the base again
        known = [(j.held_out_loss_sum, j.held_out_tokens) for j in before]
        job.loop.base_losses = [(loss, count) for loss, count in known if loss is not None]
    began = time.monotonic()
    _lessons(job, view)
    seconds = time.monotonic() - began
    result: dict[str, Any] = {"run": str(job.run), "training_seconds": round(seconds, 1)}
    records = asked_of(job.held_out, job.settings.questions)
    if records:
        losses = job.loop.best_losses[: len(records)]
        after = _ask(job, records, judge, view, t("cli.asking_after"), adapter=True, losses=losses)
        result["comparison"] = runfolder.plain(compare.write(job.run, before, after, judge, job.settings))
    job.watch.stop()
    job.finish()
    result["manifest"] = job.notes["result"]
    report.write_curve(job.run)
    report.write_report(job.run)
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
    view.say(t("cli.model_line", name=job.settings.model, size=jobs.size(job.model.parameters), where=where))


def _before(job: Job, judge: Grader, view: View) -> list[Judged]:
    """The base model's answers, or those a resumed run has already."""
    records = asked_of(job.held_out, job.settings.questions)
    known = compare.answers_in(job.run / runfolder.ANSWERS_BEFORE)
    if not records or len(known) == len(records):
        return known
    before = _ask(job, records, judge, view, t("cli.asking_before"), adapter=False)
    runfolder.write_lines(job.run / runfolder.ANSWERS_BEFORE, before)
    return before


def _ask(
    job: Job, records: list[Any], judge: Grader, view: View, what: str, *, adapter: bool, losses: Any = ()
) -> list[Judged]:
    with view.asking(what):
        tell: Progress = lambda done, tokens: view.asked(done, len(records), tokens)  # noqa: E731
        return compare.ask(
            job.model, job.prompt, records, job.settings, judge, adapter=adapter, losses=losses, progress=tell
        )


def _lessons(job: Job, view: View) -> None:
    """Train, show, and on Ctrl-C save between two steps and leave with 130."""
    interrupt = Interrupt(view)
    stopped: Stopped | None = None
    with interrupt.caught(), view.training(job.loop.steps, job.settings.epochs):
        for event in job.events():
            if isinstance(event, (Step, HeldOut)):
                view.event(event)
            elif isinstance(event, Stopped):
                stopped = event
            elif isinstance(event, Tightened):
                view.say(t("plan.tightened", step=event.step, what=event.words))
            if interrupt.asked and not isinstance(event, Saved) and job.loop.progress.step:
                job.save()
            if interrupt.asked:
                break
    if interrupt.asked:
        view.say(t("cli.saved", step=job.loop.progress.step, run=job.run))
        sys.exit(130)
    if stopped:
        view.say(stopped.reason)


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
            t("cli.loss", before=number(before["held_out_loss"]), after=number(after["held_out_loss"])),
        ]
    run = job.run
    lines += [
        "",
        t("cli.see_report", file=run / runfolder.REPORT),
        t("cli.see_curve", file=run / runfolder.CURVE),
        t("cli.see_adapter", folder=run / runfolder.ADAPTER),
    ]
    return "\n".join(lines)


def compare_again(runs: Path, name: str, questions: int, changes: dict[str, Any], as_json: bool) -> None:
    """``buke compare``: ask a finished run's held-out questions again, before and after."""
    run = runfolder.find(runs, name)
    view = view_for()
    model, spoken, records, settings = compare.reopen(run, changes, view.say)
    records = asked_of(records, questions or settings.questions or len(records))
    judge = compare.grader_of(settings, records)
    sides = []
    for adapter, what in ((False, t("cli.asking_before")), (True, t("cli.asking_after"))):
        with view.asking(what):
            tell: Progress = lambda done, tokens: view.asked(done, len(records), tokens)  # noqa: E731
            sides.append(compare.ask(model, spoken, records, settings, judge, adapter=adapter, progress=tell))
    result = runfolder.plain(compare.write(run, sides[0], sides[1], judge, settings))
    report.write_report(run)
    print(json.dumps(result, ensure_ascii=False) if as_json else table(result))


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
