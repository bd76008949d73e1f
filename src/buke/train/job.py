"""A run from settings: read, split, encode, load, train; everything it learns about itself goes into the run folder."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
import torch

import buke
from buke import hub, prompt, runfolder
from buke.checkpoint import Progress
from buke.config import Settings, make, read_toml, to_toml
from buke.encoded import Lessons
from buke.intake import FileInfo
from buke.model import Model
from buke.model import load as load_model
from buke.pack import step_count
from buke.plan import FIRST_STEPS, Plan, Watch
from buke.prompt import Prompt
from buke.records import Example, Finding, HeldOut, Record, Severity, Step
from buke.runfolder import sha256_of
from buke.train.ahead import config_in, plan_lessons
from buke.train.lessons import LENGTH, lessons_of, read_all
from buke.train.loop import Event, Loop, Saved, Tightened
from buke.words import Refusal, language, t

LOWER_SHARE = 0.5  # of the disk that is free, for what the layers that do not learn make of the records
SCORINGS = 10  # of the held-out part in a run, about
HASHED = (".safetensors", ".json")  # files of a model folder that decide what it computes
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

    def events(self) -> Iterator[Event]:
        """Train. Each event is on disk before it is passed on; at the end the best adapter is written and loaded.

        A resumed run that was trained already gives no events.
        """
        if "result" in self.notes:
            self.model.load_adapter(self.run / runfolder.ADAPTER)
            return
        if self.resumed:
            self.loop.resume()
            self._forget_after(self.loop.progress)
        for event in self.loop.events():
            self._record(event)
            self._pace_known(event)
            yield event
        self._keep()

    def save(self) -> Saved:
        """Write a checkpoint now, for an interrupted run."""
        return self.loop.save()

    def adapter_notes(self) -> dict[str, Any]:
        """What stands beside the adapter: the base and the prompt it belongs to."""
        return {"buke": buke.__version__, "base": self.notes["model"], "prompt": self.notes["prompt"]}

    def _record(self, event: Event) -> None:
        if self.loop.ranks.index:
            return
        if isinstance(event, Tightened):  # a run taken up again begins with this
            self.settings = self.settings.model_copy(update=event.changes)
            self.reasons |= dict.fromkeys(event.changes, t("train.why_tightened", step=event.step))
            runfolder.write_text(self.run / runfolder.RUN_TOML, to_toml(self.settings, self.reasons))
        if isinstance(event, Step):
            runfolder.append_line(self.run / runfolder.STEPS, event)
        elif isinstance(event, HeldOut):
            runfolder.append_line(self.run / runfolder.EVAL, event)

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
        """Once the first steps are taken, correct the time that was planned."""
        if not isinstance(event, Step) or event.step != FIRST_STEPS or self.loop.ranks.index:
            return
        steps = runfolder.read_lines(self.run / runfolder.STEPS)
        tokens, seconds = (sum(step[name] for step in steps) for name in ("all_tokens", "seconds"))
        self.plan = self.plan.corrected(len(steps), tokens, seconds)
        runfolder.write_json(self.run / runfolder.PLAN, self.plan)

    def _forget_after(self, progress: Progress) -> None:
        """Drop the lines a crash left after the checkpoint; those steps and scorings are done again."""
        for name, last in ((runfolder.STEPS, progress.step), (runfolder.EVAL, progress.scored)):
            lines = [line for line in runfolder.read_lines(self.run / name) if line["step"] <= last]
            runfolder.write_lines(self.run / name, lines)

    def _keep(self) -> None:
        if self.loop.ranks.index:
            return
        self.model.lower = None  # its room on the disk is free again
        adapter = self.run / runfolder.ADAPTER
        part = adapter.with_name(f".{adapter.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        self.model.save_adapter(part, self.adapter_notes(), self.loop.best)
        shutil.rmtree(adapter, ignore_errors=True)
        part.replace(adapter)  # a folder of this name is whole
        self.model.load_adapter(adapter)
        p = self.loop.progress
        self.notes["result"] = {
            "steps": p.step, "of": self.loop.steps, "best_step": p.best_step, "seconds": p.seconds,
        }  # fmt: skip
        runfolder.write_json(self.run / runfolder.MANIFEST, self.notes)

    def finish(self) -> None:
        """Write the manifest for the last time: trained, and asked where it was to be asked."""
        self.note_measured()
        self.notes["finished"] = _now()
        runfolder.write_json(self.run / runfolder.MANIFEST, self.notes)


def prepare(settings: Settings, reasons: dict[str, str], runs: Path, say: Say, *, run: Path | None = None) -> Job:
    """Everything up to the first step. Nothing is written before data, model and settings are known to hold.

    run: an unfinished run to go on with; its folder holds the settings given here.
    Raises Refusal for whatever the user has to mend.
    """
    needs(settings)
    if "-" in settings.data:
        raise Refusal(t("train.stdin"), t("train.stdin_hint"))
    name = settings.name or _name(settings)
    if run is None:
        runfolder.check_free(runs, name)
    say(t("train.reading"))
    folder, reads = hub.ready(settings.model), None
    if folder is None:  # what takes long or may fail: the user's own files are looked at before
        reads = read_all(settings)
        folder = hub.resolve(settings.model, say)
    asked = settings
    settings, reasons = resolve(_anchored(settings), reasons, folder)
    tutorial = settings.length if settings.recipe == "tutorial" else None
    spoken = prompt.load(folder, chat_template=settings.chat_template, system=settings.system, tutorial=tutorial)
    found = asked.model_copy(update={"length": settings.length})  # findings name the files as the user did
    lessons = lessons_of(found, spoken, reads)
    settings, reasons = pace(settings, reasons, len(lessons.train))
    plan = plan_lessons(settings, reasons, folder, lessons, runs, refuse=run is None)
    settings, reasons = plan.settle(settings, reasons)
    say(t("train.loading", model=settings.model))
    model = load_model(folder, settings)
    model.add_adapter(settings)
    if model.fast is None:
        say(t("train.plain_road", name=type(model.base).__name__))
    model.keep_activations(settings.activations, bool(settings.recompute))
    settings, reasons = _lower_cache(settings, reasons, model, lessons, runs)
    notes = _manifest(settings, lessons.files, model, spoken)
    if run is None:
        run = runfolder.create(runs, name)
        _write_start(run, settings, reasons, _data(lessons, spoken), notes, lessons.records, plan)
        resumed = False
    else:
        notes, resumed = _same(run, notes), True
    chars = sum(len(record.thought) + len(record.answer) for record in lessons.records)
    if settings.lower_cache:
        model.keep_lower(run, lambda why: say(t("train.lower_full", run=run, why=why)))
    loop = Loop(model, settings, lessons.train, lessons.held_out, run, settings.row_tokens, chars)
    return Job(run, settings, reasons, spoken, model, lessons.records, loop, plan, notes, resumed)


def _anchored(settings: Settings) -> Settings:
    """Paths made absolute, so that the run can be taken up from another folder."""
    files = {name: getattr(settings, name) for name in ("chat_template", "grader_file", "held_out_file")}
    found: dict[str, Any] = {name: str(Path(path).resolve()) for name, path in files.items() if path}
    found["data"] = [str(Path(path).resolve()) for path in settings.data]
    if Path(settings.model).exists():
        found["model"] = str(Path(settings.model).resolve())
    return settings.model_copy(update=found)


def needs(settings: Settings) -> None:
    """Refuse settings that name no data or no model."""
    if not settings.data or not settings.model:
        raise Refusal(t("train.no_data") if not settings.data else t("train.no_model"), t("train.needs_hint"))


def resume(run: Path, runs: Path, say: Say) -> Job:
    """An interrupted run, with the settings in its folder."""
    settings, reasons = make(read_toml(run / runfolder.RUN_TOML))
    return prepare(settings, reasons, runs, say, run=run)


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


def _manifest(settings: Settings, files: list[FileInfo], model: Model, spoken: Prompt) -> dict[str, Any]:
    folder = model.folder
    names = ("torch", "transformers", "peft", "safetensors", "tokenizers", "numpy")
    return {
        "buke": buke.__version__,
        "packages": {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}},
        "machine": _machine(model),
        "seed": settings.seed,
        "model": {
            "name": settings.model,
            "folder": str(folder.resolve()),
            "architecture": type(model.base).__name__,
            "parameters": model.parameters,
            "precision": model.precision,
            "sha256": {path.name: sha256_of(path) for path in sorted(folder.glob("*")) if path.suffix in HASHED},
        },
        "data": [{"path": file.path, "bytes": file.bytes, "sha256": file.sha256} for file in files],
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


def _machine(model: Model) -> dict[str, Any]:
    device = torch.cuda.get_device_name() if model.device.type == "cuda" else model.device.type
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "device": device,
    }


def _write_start(
    run: Path,
    settings: Settings,
    reasons: dict[str, str],
    data: dict[str, Any],
    notes: dict[str, Any],
    held: list[Record],
    plan: Plan,
) -> None:
    runfolder.write_text(run / runfolder.RUN_TOML, to_toml(settings, reasons))
    runfolder.write_json(run / runfolder.DATA, data)
    runfolder.write_json(run / runfolder.MANIFEST, notes)
    runfolder.write_lines(run / runfolder.HELD_OUT, held)
    runfolder.write_json(run / runfolder.PLAN, plan)


def _same(run: Path, notes: dict[str, Any]) -> dict[str, Any]:
    """The run's own manifest, where data, prompt and base are still those it was started with."""
    old = runfolder.read_json(run / runfolder.MANIFEST)
    if not isinstance(old, dict):
        raise Refusal(t("train.no_manifest", run=run))
    if old.get("finished"):
        raise Refusal(t("train.finished", run=run), t("train.finished_hint", run=run))
    pairs = {
        "data": ([d["sha256"] for d in old["data"]], [d["sha256"] for d in notes["data"]]),
        "prompt": (old["prompt"]["fingerprint"], notes["prompt"]["fingerprint"]),
        "model": (old["model"]["sha256"], notes["model"]["sha256"]),
    }
    if changed := [t(f"train.part_{part}") for part, (was, now) in pairs.items() if was != now]:
        raise Refusal(t("train.changed", run=run, what=", ".join(changed)), t("train.changed_hint"))
    return old


def _name(settings: Settings) -> str:
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(settings.data[0]).stem)[:40].strip("-")
    return stamped(stem or "run")


def stamped(stem: str) -> str:
    """A name for a run: what it is about, and when it began."""
    return f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
