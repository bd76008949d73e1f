"""A run from settings: read, split, encode, load, train; everything it learns about itself goes into the run folder."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import buke
from buke import checkpoint, hub, prompt, runfolder
from buke.checkpoint import Progress
from buke.config import MAY_CHANGE, Settings, make, read_toml, to_toml
from buke.encoded import Lessons
from buke.model import Model, check_four_bits, choose_device, config_in
from buke.model import load as load_model
from buke.pack import step_count
from buke.plan import FIRST_STEPS, Plan, Watch, trim
from buke.prompt import Prompt
from buke.records import Example, Finding, HeldOut, Record, Severity, Step
from buke.train import manifest
from buke.train.ahead import plan_lessons
from buke.train.earlier import Earlier, earlier_of, taken_over, without_held_out
from buke.train.lessons import LENGTH, Ids, lessons_of, read_all
from buke.train.loop import Event, Left, Loop, NotLogged, NotSaved, Resumed, Saved, Tightened
from buke.train.resuming import (
    added,
    check_same,
    chosen_ids,
    fingerprint,
    is_same_data,
    may_go_on,
    note_changes,
    taken_up,
    unfinished,
    unfinished_manifest,
)
from buke.words import Refusal, language, t

LOWER_SHARE = 0.5  # of the disk that is free, for what the layers that do not learn make of the records
SCORINGS = 10  # of the held-out part in a run, about
FIGURES = {runfolder.STEPS: ("step", "tokens", "all_tokens", "seconds"), runfolder.EVAL: ("step", "tokens")}
"""Numbers that a line of these files has to have."""
Say = Callable[[str], None]


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
        kinds: dict[str, type[Step] | type[HeldOut]] = {runfolder.STEPS: Step, runfolder.EVAL: HeldOut}
        for name, kind in kinds.items():
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
        return runfolder.EVENTS, {"at": _now(), "event": type(event).__name__, **runfolder.plain(event)}

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
            whole = [line for line in lines if _has(line, FIGURES[name])]
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
        self._flush()
        self._write_adapter(self.loop.best)
        self.model.load_adapter(self.run / runfolder.ADAPTER)
        p = self.loop.progress
        self.notes["result"] = {
            "steps": p.step, "of": self.loop.steps, "best_step": p.best_step, "seconds": p.seconds,
        }  # fmt: skip
        runfolder.write_json(self.run / runfolder.MANIFEST, self.notes)

    def finish(self) -> None:
        """Write the manifest for the last time: trained, and asked where it was to be asked."""
        self.note_measured()
        self.notes["finished"] = _now()
        self.notes["files"] = manifest.own_files(self.run)
        runfolder.write_json(self.run / runfolder.MANIFEST, self.notes)


def prepare(
    settings: Settings,
    reasons: dict[str, str],
    runs: Path,
    say: Say,
    *,
    anew: bool = False,
    old_records: bool = False,
    more: dict[str, Any] | None = None,
) -> Job:
    """Everything up to the first step. Nothing is written before data, model and settings are known to hold.

    An unfinished run with the same settings and data is gone on with, unless ``anew``.
    old_records: what ``resume`` does with it. more: for the manifest.
    Raises Refusal for whatever the user has to mend.
    """
    if earlier := earlier_of(settings, runs):
        settings, reasons = taken_over(settings, reasons, earlier)
    needs(settings)
    if "-" in settings.data:
        raise Refusal(t("train.stdin"), t("train.stdin_hint"))
    asked = fingerprint(_anchored(settings))
    if not anew and (run := unfinished(_anchored(settings), runs, say, old_records)):
        say(t("train.going_on", run=run))
        said = {name for name in MAY_CHANGE if reasons.get(name, "default") != "default"}
        return resume(run, say, {name: getattr(settings, name) for name in said}, old_records=old_records)
    name = settings.name or _name(settings)
    runfolder.check_free(runs, name)
    say(t("train.reading"))
    found = _find(settings, reasons, runs, say, earlier)
    notes = _manifest(found) | {"asked": asked} | (more or {})
    run = runs / name
    with runfolder.creating(runs, name) as part:
        _write_start(part, found, notes)
    return _job(run, found, notes, resumed=False, say=say)


def resume(run: Path, say: Say, changes: dict[str, Any] | None = None, *, old_records: bool = False) -> Job:
    """An interrupted run, with the settings in its folder and changes to those that may change.

    old_records: of files that were added to, learn only the records the run began with.
    Raises Refusal where another process has the run, and where data, prompt or base are no longer its own.
    """
    runfolder.lock(run)
    try:
        for folder in (run, run / runfolder.CHECKPOINTS):
            runfolder.sweep(folder)
        settings, reasons = taken_up(run, changes or {})
        old, only = unfinished_manifest(run, say), None
        if not is_same_data(old, settings):
            if not may_go_on(old, settings, old_records):
                raise added(run, settings.name)
            only = chosen_ids(run)
        say(t("train.reading"))
        found = _find(settings, reasons, run.parent, say, earlier_of(settings, run.parent), only, refuse=False)
        now = _manifest(found)
        check_same(run, old, now, found.lessons)
        if what := manifest.unlike(old, now):
            say(t("train.unlike", what=what))
        with runfolder.mending(run, t("train.mend_hint", run=run)):
            if only is not None:
                old["added_to"] = [each["sha256"] for each in now["data"]]
            old["settings"] = now["settings"]  # with what was changed for this session
            runfolder.write_json(run / runfolder.MANIFEST, old)
            note_changes(run, found.settings, reasons)
        return _job(run, found, old, resumed=True, say=say)
    except BaseException:
        runfolder.unlock(run)
        raise


@dataclass
class Found:
    """What settings lead to: lessons, a prompt, and a model with an adapter on it."""

    settings: Settings  # every value computed
    reasons: dict[str, str]
    prompt: Prompt
    lessons: Lessons
    model: Model
    plan: Plan
    earlier: Earlier | None  # the run whose adapter is the start


def _find(
    settings: Settings, reasons: dict[str, str], runs: Path, say: Say, earlier: Earlier | None,
    only: Ids | None = None, *, refuse: bool = True,
) -> Found:  # fmt: skip
    """Read the records, load the model, and compute every setting left open.

    refuse: whether a run is refused that is not planned to fit; one that is taken up again goes on.
    """
    folder, reads = hub.ready(settings.model), None
    if folder is None:  # what takes long or may fail: the user's own files are looked at before
        reads = read_all(settings)
        folder = hub.resolve(settings.model, say)
    if earlier:
        hub.check_adapter(earlier.adapter, folder)
    asked = settings
    settings, reasons = resolve(_anchored(settings), reasons, folder)
    tutorial = settings.length if settings.recipe == "tutorial" else None
    spoken = prompt.load(folder, chat_template=settings.chat_template, system=settings.system, tutorial=tutorial)
    found = asked.model_copy(update={"length": settings.length})  # findings name the files as the user did
    lessons = lessons_of(found, spoken, reads, only)
    lessons = without_held_out(lessons, earlier) if earlier else lessons
    settings, reasons = pace(settings, reasons, len(lessons.train))
    plan = plan_lessons(settings, reasons, folder, lessons, runs, refuse=refuse)
    settings, reasons = plan.settle(settings, reasons)
    model = _model(folder, settings, earlier, say)
    model.keep_activations(settings.activations, bool(settings.recompute))
    settings, reasons = _lower_cache(settings, reasons, model, lessons, runs)
    return Found(settings, reasons, spoken, lessons, model, plan, earlier)


def _job(run: Path, found: Found, notes: dict[str, Any], resumed: bool, say: Say) -> Job:
    lessons, s, model = found.lessons, found.settings, found.model
    chars = sum(len(record.thought) + len(record.answer) for record in lessons.records)
    if s.lower_cache:
        model.keep_lower(run, lambda why: say(t("train.lower_full", run=run, why=why)))
    loop = Loop(model, s, lessons.train, lessons.held_out, run, s.row_tokens, chars)
    loop.earlier = [found.prompt.scored(record) for record in found.earlier.records] if found.earlier else []
    return Job(run, s, found.reasons, found.prompt, model, lessons.records, loop, found.plan, notes, resumed)


def _model(folder: Path, settings: Settings, earlier: Earlier | None, say: Say) -> Model:
    """The base model with a new adapter, or with that of the run to go on from."""
    say(t("train.loading", model=settings.model))
    model = load_model(folder, settings)
    model.add_adapter(settings)
    if earlier:
        model.load_adapter(earlier.adapter)
    if model.fast is None:
        say(t("train.plain_road", name=type(model.base).__name__))
    return model


def _anchored(settings: Settings) -> Settings:
    """Paths made absolute, so that the run can be taken up from another folder."""
    files = {name: getattr(settings, name) for name in ("chat_template", "grader_file", "held_out_file")}
    found: dict[str, Any] = {name: str(Path(path).resolve()) for name, path in files.items() if path}
    found["data"] = [str(Path(path).resolve()) for path in settings.data]
    if Path(settings.model).exists():
        found["model"] = str(Path(settings.model).resolve())
    return settings.model_copy(update=found)


def needs(settings: Settings) -> None:
    """Refuse settings that name no data or no model, or need a library that is not here."""
    if not settings.data or not settings.model:
        raise Refusal(t("train.no_data") if not settings.data else t("train.no_model"), t("train.needs_hint"))
    if settings.weights == "nf4":
        check_four_bits()


def again(run: Path, name: str | None, runs: Path, say: Say, *, anew: bool = False) -> Job:
    """A new run with exactly the settings of a trained one, which is to be held against it. One that was broken off is
    gone on with, unless ``anew``.

    Raises Refusal where that one has no adapter yet, and where what it was computed on is not here.
    """
    notes = manifest.manifest_of(run)
    if "result" not in notes:
        raise Refusal(t("compare.no_adapter", run=run), t("compare.no_adapter_hint", run=run))
    begun = None if anew else _begun(run, name, runs)
    given = notes.get("settings") or read_toml(run / runfolder.RUN_TOML)
    given = given | dict.fromkeys(("stop_at", "max_hours"))  # it is to come to its end
    given |= {"name": name or stamped(f"{run.name[:60]}-again")}
    settings, reasons = make(given, dict.fromkeys(given, f"--again {run}"))
    try:
        choose_device(settings)
    except Refusal as refusal:
        raise Refusal(refusal.message, t("train.again_device_hint", run=run)) from None
    for part in manifest.ingredients(run, notes):
        if part.state != manifest.SAME:
            say(t("train.again_part", part=part.name, state=t(f"train.state_{part.state}"), what=part.what))
    if begun:
        say(t("train.going_on", run=begun))
        return resume(begun, say)
    return prepare(settings, reasons, runs, say, anew=True, more={"again": str(run.resolve())})


def _begun(run: Path, name: str | None, runs: Path) -> Path | None:
    """The newest unfinished run that repeats another one; None where there is none."""
    for begun in [runs / name] if name else runfolder.runs_in(runs):
        with suppress(Refusal):  # a damaged run is none to go on with
            notes = runfolder.read_json(begun / runfolder.MANIFEST)
            repeats = isinstance(notes, dict) and notes.get("again") == str(run.resolve())
            if repeats and not notes.get("finished"):
                return begun
    return None


def resolve(settings: Settings, reasons: dict[str, str], folder: Path) -> tuple[Settings, dict[str, str]]:
    """Fill in what follows from the model's config: the longest record and the learning rate."""
    return resolve_from(settings, reasons, config_in(folder), str(folder / "config.json"))


def resolve_from(
    settings: Settings, reasons: dict[str, str], config: Mapping[str, Any], source: str
) -> tuple[Settings, dict[str, str]]:
    """As ``resolve``, from what a config.json says. source: its name, for an error."""
    reasons = dict(reasons)
    found: dict[str, int | float] = {}
    places = int(config.get("max_position_embeddings") or LENGTH)
    if settings.length is None:
        found["length"] = min(LENGTH, places)
        reasons["length"] = t("train.why_length", places=places)
    elif settings.length > places:
        raise Refusal(
            t("train.too_long", length=settings.length, places=places), t("train.too_long_hint", places=places)
        )
    for name, most in (("thought_budget", places // 2), ("answer_budget", places // 4)):
        if getattr(settings, name) > most:  # prompt, thought and answer share the model's places
            found[name] = most
            reasons[name] = t("train.why_length", places=places)
    if settings.learning_rate is None:
        if "hidden_size" not in config:
            missing = t("hub.no_key", name=source, key="hidden_size")
            raise Refusal(missing, t("model.architecture_hint"))
        width = int(config["hidden_size"])
        found["learning_rate"] = learning_rate_for(width)
        reasons["learning_rate"] = t("train.why_rate", width=width)
    return settings.model_copy(update=found), reasons


def learning_rate_for(width: int) -> float:
    """Peak learning rate of LoRA for a model of hidden size ``width``: 5e-4 at 2,000, falling as the 0.78th power.

    The form and the exponent follow Schulman and Thinking Machines Lab, "LoRA Without Regret" (2025).
    """
    return float(f"{5e-4 * (2000 / width) ** 0.78:.2g}")


def pace(settings: Settings, reasons: dict[str, str], count: int) -> tuple[Settings, dict[str, str]]:
    """How often to score and to save, from the length of the run."""
    per_step = settings.batch * settings.accumulation
    if count < per_step:
        raise Refusal(t("train.too_few", count=count, per_step=per_step), t("train.too_few_hint"))
    total = step_count(count, per_step, settings.epochs)
    every = settings.eval_every or max(1, round(total / SCORINGS))
    found = {"eval_every": every, "save_every": settings.save_every or every}
    why = t("train.why_pace", steps=total)
    return settings.model_copy(update=found), reasons | {name: why for name in found if getattr(settings, name) is None}


def _lower_cache(
    settings: Settings, reasons: dict[str, str], model: Model, lessons: Lessons, runs: Path
) -> tuple[Settings, dict[str, str]]:
    """Whether what the lower layers make of records is kept, where the user left it open."""
    size = model.lower_bytes(sum(map(len, [*lessons.train, *lessons.held_out])))
    if settings.lower_cache and not size:
        raise Refusal(t("train.no_lower"), t("train.no_lower_hint"))
    if settings.lower_cache is not None:
        return settings, reasons
    free = runfolder.free_bytes(runs)
    keep = 0 < size <= LOWER_SHARE * free and settings.epochs > 1
    why = t("train.why_lower", size=hub.amount(size), free=hub.amount(free)) if size else t("train.why_no_lower")
    return settings.model_copy(update={"lower_cache": keep}), reasons | {"lower_cache": why}


def _data(lessons: Lessons, spoken: Prompt) -> dict[str, Any]:
    """data.json: what was read, what was kept, what is learned."""
    examples = [*lessons.train, *lessons.held_out]
    lengths = sorted(map(len, examples))
    findings: tuple[list[Finding], list[Finding]] = [], []  # of records kept, of records left out
    for finding in lessons.findings:
        findings[finding.severity is Severity.ERROR or finding.kind in ("duplicate", "leak")].append(finding)
    width = -(-lengths[-1] // 16)
    return {
        "files": lessons.files,
        "read": lessons.read,
        "kept": len(examples),
        "dropped": findings[True],
        "warnings": findings[False],
        "train": len(lessons.train),
        "held_out": len(lessons.held_out),
        "train_ids": [example.id for example in lessons.train],
        "held_out_ids": [example.id for example in lessons.held_out],
        "tokens": {
            "all": sum(map(len, lessons.train)),
            "learned": sum(example.learned for example in lessons.train),
            "longest": lengths[-1],
            "median": int(statistics.median(lengths)),
            "histogram": [
                [top, sum(top - width < n <= top for n in lengths)] for top in range(width, width * 17, width)
            ],
        },
        "end_learned": sum(_learns_to_end(example, spoken) for example in examples),
    }


def _learns_to_end(example: Example, spoken: Prompt) -> bool:
    """Whether the end token follows the answer and is learned there. Cut records and the tutorial's text have none."""
    place = example.bounds[2]
    return place < len(example) and example.ids[place] == spoken.end and example.learn[place]


def _manifest(found: Found) -> dict[str, Any]:
    settings, model, spoken = found.settings, found.model, found.prompt
    folder = model.folder
    origin = {"from": found.earlier.notes()} if found.earlier else {}
    return origin | {
        "buke": buke.__version__,
        "code": manifest.code(),
        "packages": manifest.packages(settings.weights == "nf4"),
        "machine": manifest.machine(torch.cuda.get_device_name() if model.device.type == "cuda" else model.device.type),
        "threads": torch.get_num_threads(),  # in which sums are split
        "seed": settings.seed,
        "settings": settings.model_dump() | {"device": model.device.type, "precision": model.precision},
        "model": {
            "name": settings.model,
            "folder": str(folder.resolve()),
            "architecture": type(model.base).__name__,
            "parameters": model.parameters,
            "precision": model.precision,
            "sha256": hub.hashes(folder),
        },
        "data": [
            {"path": str(Path(file.path).resolve()), "bytes": file.bytes, "sha256": file.sha256}
            for file in found.lessons.files
        ],
        "prompt": {
            "fingerprint": spoken.fingerprint,
            "template": spoken.template,
            "end_token": spoken.tokens.decode([spoken.end]),
        },
        "language": language(),
        "started": _now(),
        "finished": None,
    }


def size(parameters: int) -> str:
    """A count of parameters as people write it: 135M, 1.8B."""
    return f"{parameters / 1e6:.0f}M" if parameters < 1e9 else f"{parameters / 1e9:.1f}B"


def _write_start(run: Path, found: Found, notes: dict[str, Any]) -> None:
    runfolder.write_text(run / runfolder.RUN_TOML, to_toml(found.settings, found.reasons))
    runfolder.write_json(run / runfolder.DATA, _data(found.lessons, found.prompt))
    runfolder.write_json(run / runfolder.MANIFEST, notes)
    runfolder.write_lines(run / runfolder.HELD_OUT, found.lessons.records)
    runfolder.write_json(run / runfolder.PLAN, found.plan)


def _has(line: Any, figures: Sequence[str]) -> bool:
    """Whether a value is an object with these numbers."""
    return isinstance(line, dict) and all(isinstance(line.get(name), (int, float)) for name in figures)


def _name(settings: Settings) -> str:
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(settings.data[0]).stem)[:40].strip("-")
    return stamped(stem or "run")


def stamped(stem: str) -> str:
    """A name for a run: what it is about, and when it began."""
    return f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
