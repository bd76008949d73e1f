"""A run from settings: read, split, encode, plan, load; what it was made of is written into its folder."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import buke
from buke import hub, prompt, runfolder
from buke.config import MAY_CHANGE, Settings, make, read_toml, to_toml
from buke.encoded import Lessons
from buke.model import Model, choose_device
from buke.model import load as load_model
from buke.plan import Plan, keeps_lower
from buke.prompt import Prompt
from buke.records import Example, Finding, Severity
from buke.train import manifest
from buke.train.ahead import plan_lessons
from buke.train.earlier import Earlier, earlier_of, taken_over, without_held_out
from buke.train.job import Job, now
from buke.train.lessons import Ids, lessons_of, read_all
from buke.train.loop import Loop
from buke.train.resuming import (
    added,
    check_same,
    chosen_ids,
    fingerprint,
    flags_anew,
    is_same_data,
    may_go_on,
    note_changes,
    taken_up,
    unfinished,
    unfinished_manifest,
)
from buke.train.settle import needs, pace, resolve
from buke.words import Refusal, language, t

Say = Callable[[str], None]


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
    changes = {name: getattr(settings, name) for name in MAY_CHANGE if reasons.get(name, "default") != "default"}
    if not anew and (run := unfinished(_anchored(settings), runs, say, old_records, changes)):
        say(t("train.going_on", run=run, anew=flags_anew(run, settings.name)))
        return resume(run, say, changes, old_records=old_records)
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
                raise added(run, settings.name, changes or {})
            only = chosen_ids(run)
        earlier = earlier_of(settings, run.parent, old.get("from"))
        say(t("train.reading"))
        found = _find(settings, reasons, run.parent, say, earlier, only, refuse=False)
        new = _manifest(found)
        check_same(run, old, new, found.lessons)
        if what := manifest.unlike(old, new):
            say(t("train.unlike", what=what))
        with runfolder.mending(run, t("train.mend_hint", run=run)):
            if only is not None:
                old["added_to"] = [each["sha256"] for each in new["data"]]
            old["settings"] = new["settings"]  # with what was changed for this session
            runfolder.write_json(run / runfolder.MANIFEST, old)
            note_changes(run, found.settings, reasons)
        return _job(run, found, old, resumed=True, say=say)
    except BaseException:
        runfolder.unlock(run)
        raise


def again(run: Path, name: str | None, runs: Path, say: Say, *, anew: bool = False) -> Job:
    """A new run with exactly the settings of a trained one, which is to be held against it. One that was broken off is
    gone on with, unless ``anew``.

    Raises Refusal where that one has no adapter yet, and where what it was computed on is not here.
    """
    notes = manifest.of_trained(run)
    begun = None if anew else _begun(run, name, runs)
    given = notes.get("settings") or read_toml(run / runfolder.RUN_TOML)
    given = given | dict.fromkeys(("stop_at", "max_hours"))  # it is to come to its end
    if was := earlier_of(make(given)[0], runs, notes.get("from")):
        given["from_run"] = str(was.run)
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
        say(t("train.going_on", run=begun, anew=flags_anew(begun, name)))
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
        say(t("train.plain_road", why=model.plain))
    return model


def _lower_cache(
    settings: Settings, reasons: dict[str, str], model: Model, lessons: Lessons, runs: Path
) -> tuple[Settings, dict[str, str]]:
    """Whether what the lower layers make of records is kept, where the user left it open."""
    size = model.lower_bytes(sum(map(len, [*lessons.train, *lessons.held_out])))
    if settings.lower_cache is not None:
        return settings, reasons
    free = runfolder.free_bytes(runs)
    keep = keeps_lower(settings, size, free)
    why = t("train.why_lower", size=hub.amount(size), free=hub.amount(free)) if size else t("train.why_no_lower")
    return settings.model_copy(update={"lower_cache": keep}), reasons | {"lower_cache": why}


def _anchored(settings: Settings) -> Settings:
    """Paths made absolute, so that the run can be taken up from another folder."""
    files = {name: getattr(settings, name) for name in ("chat_template", "grader_file", "held_out_file")}
    found: dict[str, Any] = {name: str(Path(path).resolve()) for name, path in files.items() if path}
    found["data"] = [str(Path(path).resolve()) for path in settings.data]
    if Path(settings.model).exists():
        found["model"] = str(Path(settings.model).resolve())
    return settings.model_copy(update=found)


def _name(settings: Settings) -> str:
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(settings.data[0]).stem)[:40].strip("-")
    return stamped(stem or "run")


def stamped(stem: str) -> str:
    """A name for a run: what it is about, and when it began."""
    return f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"


def _write_start(run: Path, found: Found, notes: dict[str, Any]) -> None:
    runfolder.write_text(run / runfolder.RUN_TOML, to_toml(found.settings, found.reasons))
    runfolder.write_json(run / runfolder.DATA, _data(found.lessons, found.prompt))
    runfolder.write_json(run / runfolder.MANIFEST, notes)
    runfolder.write_lines(run / runfolder.HELD_OUT, found.lessons.records)
    runfolder.write_json(run / runfolder.PLAN, found.plan)


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
        "started": now(),
        "finished": None,
    }
