"""A run while it trains: every event goes into its folder before anybody sees it, and at its end the adapter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

from torch import Tensor

from buke import checkpoint, runfolder
from buke.checkpoint import Progress
from buke.config import Settings, to_toml
from buke.model import Model
from buke.plan import FIRST_STEPS, Plan, Watch, trim
from buke.prompt import Prompt
from buke.records import HeldOut, Record, Step
from buke.train import manifest
from buke.train.loop import Event, Left, Loop, NotLogged, NotSaved, Resumed, Saved, Tightened
from buke.words import Refusal, t

KINDS: dict[str, type[Step] | type[HeldOut]] = {runfolder.STEPS: Step, runfolder.EVAL: HeldOut}
"""What a line of these files is."""


@dataclass
class Job:
    """A run about to start or to go on."""

    run: Path
    settings: Settings
    reasons: dict[str, str]
    prompt: Prompt
    model: Model
    held_out: list[Record]
    loop: Loop
    plan: Plan
    notes: dict[str, Any] = field(default_factory=dict)  # the manifest
    resumed: bool = False

    def __post_init__(self) -> None:
        limit = self.plan.memory["budget"] if self.settings.memory else None
        self.watch = self.loop.watch = Watch(self.model.device.type, limit)
        names = (runfolder.STEPS, runfolder.EVAL, runfolder.EVENTS)
        self.lines = {name: runfolder.Lines(self.run / name) for name in names}
        self.loop.flush = self._flush

    def events(self) -> Iterator[Event]:
        """Train. Each event is on disk before it is passed on; at the end the best adapter is written and loaded.

        A resumed run that was trained already takes no step, unless its adapter is lost and no checkpoint has it.
        """
        if "result" in self.notes and self._adapter_back():
            if damaged := self._forget_after(math.inf, math.inf):
                yield from self._told(Resumed(self.loop.progress.step, lines=damaged))
            return
        if self.resumed:
            resumed, p = self.loop.resume(), self.loop.progress
            yield from self._told(replace(resumed, lines=self._forget_after(p.step, p.scored)))
        for event in self.loop.events():
            if isinstance(event, Tightened):
                self._tightened(event)
            yield from self._told(event)
            self._pace_known(event)
        self.loop.optimizer.state.clear()  # the adapter is read, and the questions that follow asked, in its room
        self.model.release()
        trim()
        self._keep()

    def course(self) -> Iterator[Step | HeldOut]:
        """The steps and scorings that are written down."""
        for name, kind in KINDS.items():
            known = {each.name for each in fields(kind)}
            for line in runfolder.read_lines(self.run / name):
                yield kind(**{key: value for key, value in line.items() if key in known})

    def save(self) -> Saved | NotSaved:
        """Write a checkpoint now, for an interrupted run."""
        return self.loop.save()

    def _flush(self) -> None:
        """Write the lines that wait. Raises OSError where the disk still does not take them."""
        for lines in self.lines.values():
            lines.flush()

    def release(self) -> None:
        """Give the run folder back to other processes."""
        runfolder.unlock(self.run)

    def adapter_notes(self) -> dict[str, Any]:
        """What stands beside the adapter: the base and the prompt it belongs to."""
        return {name: self.notes[name] for name in ("buke", "prompt", "started")} | {"base": self.notes["model"]}

    def _told(self, event: Event) -> Iterator[Event]:
        """An event once it is on disk, after a word about the disk where it does not take it."""
        if line := self._line(event):
            name, value = line
            if why := self.lines[name].add(value):
                yield NotLogged(self.loop.progress.step, name, why)
        yield event

    def _line(self, event: Event) -> tuple[str, Any] | None:
        """The file an event is written down in, and its line there; None for what is seen in the folder anyway."""
        if self.loop.ranks.index or isinstance(event, (Saved, Left)):
            return None
        if isinstance(event, Step):
            return runfolder.STEPS, event
        if isinstance(event, HeldOut):
            return runfolder.EVAL, event
        return runfolder.EVENTS, {"at": now(), "event": type(event).__name__, **runfolder.plain(event)}

    def _tightened(self, event: Tightened) -> None:
        """Let a run that is taken up again begin with what memory ran out for."""
        self.settings = self.settings.model_copy(update=event.changes)
        self.reasons |= dict.fromkeys(event.changes, t("train.why_tightened", step=event.step))
        self.notes["settings"] |= event.changes
        if not self.loop.ranks.index:
            with suppress(OSError):  # a full disk ends nothing that can go on
                runfolder.write_text(self.run / runfolder.RUN_TOML, to_toml(self.settings, self.reasons))
                runfolder.write_json(self.run / runfolder.MANIFEST, self.notes)

    def note_measured(self) -> None:
        """Write into plan.json, beside what was planned, what the run took so far."""
        if self.loop.ranks.index:
            return
        steps = runfolder.read_lines(self.run / runfolder.STEPS)
        self.plan.measured.update(
            peak=self.watch.most(), training_seconds=round(self.loop.progress.seconds, 1),
            tokens=sum(step["all_tokens"] for step in steps),
            disk=sum(path.stat().st_size for path in self.run.rglob("*") if path.is_file()),
        )  # fmt: skip
        runfolder.write_json(self.run / runfolder.PLAN, self.plan)

    def _pace_known(self, event: Event) -> None:
        """Once the first steps are taken, correct the time that was planned. A full disk is no fault."""
        if not isinstance(event, Step) or event.step != FIRST_STEPS or self.loop.ranks.index:
            return
        steps = runfolder.read_lines(self.run / runfolder.STEPS)
        tokens, seconds = (sum(step[name] for step in steps) for name in ("all_tokens", "seconds"))
        if not tokens or not seconds:  # the disk took none of the lines so far
            return
        self.plan = self.plan.corrected(len(steps), tokens, seconds)
        with suppress(OSError):
            runfolder.write_json(self.run / runfolder.PLAN, self.plan)

    def _forget_after(self, step: float, scored: float) -> tuple[str, ...]:
        """Drop the lines a crash left after the checkpoint, for those steps and scorings are done again, and damaged
        ones; return the places of these."""
        damaged: list[str] = []
        for name, last in ((runfolder.STEPS, step), (runfolder.EVAL, scored)):
            path = self.run / name
            lines = runfolder.read_lines(path, damaged)
            whole = [line for line in lines if _is(KINDS[name], line)]
            damaged += [str(path)] * (len(lines) - len(whole))
            runfolder.write_lines(path, [line for line in whole if line["step"] <= last])
        return tuple(damaged)

    def _adapter_back(self) -> bool:
        """Load the adapter of a trained run, made again where it is lost. False where no checkpoint has it: then the
        steps after the newest one are to be taken again."""
        result = self.notes["result"]
        if not manifest.adapter_whole(self.run, self.notes):
            if not (best := checkpoint.best_of(self.run, result["best_step"])):
                del self.notes["result"]
                return False
            self._write_adapter(best)
        self.model.load_adapter(self.run / runfolder.ADAPTER)
        self.loop.progress = Progress(result["steps"], best_step=result["best_step"], seconds=result["seconds"])
        return True

    def _write_adapter(self, state: dict[str, Tensor]) -> None:
        """Write the adapter, whole or not at all, and note the hashes of the run's files."""
        with runfolder.new_folder(self.run / runfolder.ADAPTER) as part:  # a folder of this name is whole
            self.model.save_adapter(part, self.adapter_notes(), state)
        was, self.notes["files"] = self.notes.get("files") or {}, manifest.own_files(self.run)
        weights = f"{runfolder.ADAPTER}/{manifest.WEIGHTS}"
        if was.get(weights) != self.notes["files"][weights]:
            runfolder.disk.remove(self.run / runfolder.ANSWERS_AFTER)  # of another adapter

    def _keep(self) -> None:
        """Write the best adapter and the result. Raises OSError where the disk does not take them."""
        if self.loop.ranks.index:
            return
        self.model.lower = None  # its room on the disk is free again
        if not (self.run / runfolder.RUN_TOML).is_file():
            self._rescue()
        self._flush()
        self._write_adapter(self.loop.best)
        self.model.load_adapter(self.run / runfolder.ADAPTER)
        p = self.loop.progress
        self.notes["result"] = {
            "steps": p.step, "of": self.loop.steps, "best_step": p.best_step, "seconds": p.seconds,
        }  # fmt: skip
        runfolder.write_json(self.run / runfolder.MANIFEST, self.notes)

    def _rescue(self) -> NoReturn:
        """Write the adapter of a run whose folder is gone beside it, and say so."""
        folder = self.run.with_name(runfolder.free_name(self.run.parent, self.run.name))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with runfolder.new_folder(folder) as part:
            self.model.save_adapter(part / runfolder.ADAPTER, self.adapter_notes(), self.loop.best)
        raise Refusal(t("train.run_gone", run=self.run), t("train.run_gone_hint", adapter=folder / runfolder.ADAPTER))

    def finish(self) -> None:
        """Write the manifest for the last time: trained, and asked where it was to be asked."""
        self.note_measured()
        self.notes["finished"] = now()
        self.notes["files"] = manifest.own_files(self.run)
        runfolder.write_json(self.run / runfolder.MANIFEST, self.notes)


def _is(kind: type[Step] | type[HeldOut], line: Any) -> bool:
    """Whether a value is an object with the numbers of a step or a scoring, None where that may be."""
    needed = [each for each in fields(kind) if each.default is MISSING]
    return isinstance(line, dict) and all(
        isinstance(line.get(each.name), (int, float)) or ("None" in str(each.type) and line.get(each.name, 0) is None)
        for each in needed
    )


def now() -> str:
    """The time, as it is written down."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
