"""Taking a run up again: which run a command means, and whether data, prompt and base are still those of its start."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from buke import checkpoint, runfolder
from buke.config import MAY_CHANGE, Settings, changed_toml, make, read_toml, typed
from buke.encoded import Lessons
from buke.train.lessons import hashes_of
from buke.train.manifest import adapter_whole, manifest_of
from buke.words import Refusal, quoted, t

Say = Callable[[str], None]


def fingerprint(settings: Settings) -> str:
    """SHA-256 over what the user asked for: two commands with the same one mean the same run on the same data.

    settings: with absolute paths. Defaults do not count, nor does what may change between two sessions.
    """
    aside = {"name", *MAY_CHANGE}
    asked = {
        name: getattr(settings, name)
        for name, field in Settings.model_fields.items()
        if name not in aside and getattr(settings, name) != field.default
    }
    asked["records in a step"] = settings.batch * settings.accumulation
    return runfolder.seal_of(asked)


def unfinished(
    settings: Settings, runs: Path, say: Say, old_records: bool = False, changes: Mapping[str, Any] = {}
) -> Path | None:
    """The newest unfinished run that was started with these settings on this data; None where there is none.

    Of a run whose files were only added to, Refusal names the choices, unless the choice was ``old_records``; one whose
    files are others is said and left.
    """
    asked = fingerprint(settings)
    named = [runs / settings.name] if settings.name else []
    for run in named or runfolder.runs_in(runs):
        notes: Any = None
        with suppress(Refusal):  # a damaged run is none to go on with
            notes = runfolder.read_json(run / runfolder.MANIFEST)
        if not isinstance(notes, dict) or notes.get("asked") != asked or _ended(run, notes):
            continue
        if is_same_data(notes, settings) or may_go_on(notes, settings, old_records):
            return run
        if _only_added(notes, settings):
            raise added(run, settings.name, changes)
        say(t("train.other_data", run=run))
    return None


def _only_added(old: dict[str, Any], settings: Settings) -> bool:
    """Whether each file of a run is still the beginning of one of that name."""
    paths = [Path(path) for path, _ in hashes_of(settings)]
    return all(
        any(_begins_with(path, each["bytes"], each["sha256"]) for path in paths if path.name == Path(each["path"]).name)
        for each in old["data"]
    )


def _begins_with(path: Path, count: int, digest: str) -> bool:
    """Whether the first bytes of a file have this SHA-256."""
    found = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while count > 0 and (block := file.read(min(count, 1 << 20))):
                found.update(block)
                count -= len(block)
    except OSError:
        return False
    return count == 0 and found.hexdigest() == digest


def added(run: Path, name: str | None, changes: Mapping[str, Any]) -> Refusal:
    """What is said where a run's files are no longer those it was started with: its choices. name, changes: as said."""
    what, anew = t("train.part_data"), flags_anew(run, name)
    flags = "".join(f" {quoted(*typed(key, value))}" for key, value in changes.items())
    return Refusal(t("train.changed", run=run, what=what), t("train.data_choices", run=run, anew=anew, flags=flags))


def flags_anew(run: Path, name: str | None) -> str:
    """The flags that begin another run in place of going on with this one. name: as it was asked."""
    return "--anew" + (f" --name {quoted(runfolder.free_name(run.parent, name))}" if name else "")


def taken_up(run: Path, changes: dict[str, Any]) -> tuple[Settings, dict[str, str]]:
    """A run's settings with changes, and the reasons of these. Raises Refusal naming every change that is none of a
    session's."""
    text = read_toml(run / runfolder.RUN_TOML)
    old, _ = make(text)
    flags = {name: f"--{name.replace('_', '-')}" for name in changes}
    new, _ = make(text | changes, flags)
    changed = {name for name in changes if getattr(old, name) != getattr(new, name)}
    wrong = sorted(flags[name] for name in changed if name not in MAY_CHANGE)
    if new.batch * new.accumulation != old.batch * old.accumulation:
        wrong += [t("train.product", was=old.batch * old.accumulation, now=new.batch * new.accumulation)]
    if wrong:
        allowed = ", ".join(f"--{name.replace('_', '-')}" for name in MAY_CHANGE)
        raise Refusal(t("train.settled", run=run), t("train.settled_hint", allowed=allowed), tuple(wrong))
    return new, {name: t("train.why_again", flag=flags[name]) for name in changed}


def note_changes(run: Path, settings: Settings, reasons: dict[str, str]) -> None:
    """Write what was set anew into run.toml, for every later session."""
    if reasons:
        path = run / runfolder.RUN_TOML
        runfolder.write_text(path, changed_toml(path.read_text(encoding="utf-8"), settings, reasons))


def _ended(run: Path, notes: dict[str, Any]) -> bool:
    """Whether nothing is left to do: the run is finished, and its adapter whole or not to be had again."""
    return bool(notes.get("finished")) and (adapter_whole(run, notes) or not checkpoint.newest(run))


def unfinished_manifest(run: Path, say: Say) -> dict[str, Any]:
    """The manifest of a run with something left to do, be it that its adapter has to be made again.

    Raises Refusal for any other, and where there is no manifest.
    """
    old = manifest_of(run)
    whole = "result" not in old or adapter_whole(run, old)
    if _ended(run, old):
        if not whole:
            raise Refusal(t("train.adapter_gone", run=run), t("train.adapter_gone_hint", run=run))
        raise Refusal(t("train.finished", run=run), t("train.finished_hint", run=run))
    if not whole:
        say(t("train.adapter_lost", run=run))
        old["finished"] = None
    return old


def is_same_data(old: dict[str, Any], settings: Settings) -> bool:
    """Whether the run's files are those it was started with."""
    return [each["sha256"] for each in old["data"]] == [digest for _, digest in hashes_of(settings)]


def may_go_on(old: dict[str, Any], settings: Settings, old_records: bool) -> bool:
    """Whether the old records alone are to be learned of changed files: said now, or before of these very files."""
    return old_records or old.get("added_to") == [digest for _, digest in hashes_of(settings)]


def chosen_ids(run: Path) -> tuple[list[str], list[str]]:
    """Ids of the records a run learns and of those it holds out, in order. Raises Refusal where they are not noted."""
    data = runfolder.read_json(run / runfolder.DATA)
    if not isinstance(data, dict) or "train_ids" not in data:
        raise Refusal(t("train.no_ids", run=run), t("train.changed_hint"))
    return data["train_ids"], data["held_out_ids"]


def check_same(run: Path, old: dict[str, Any], notes: dict[str, Any], lessons: Lessons) -> None:
    """Raise Refusal where prompt or base are not those a run was started with, or its records are not all there."""
    start, started = (each.get("from") or {} for each in (old, notes))
    pairs = {
        "prompt": (old["prompt"]["fingerprint"], notes["prompt"]["fingerprint"]),
        "model": (old["model"]["sha256"], notes["model"]["sha256"]),
        "from": (start.get("adapter_sha256"), started.get("adapter_sha256")),
        "from_held_out": (start.get("held_out_sha256"), started.get("held_out_sha256")),
    }
    if changed := [t(f"train.part_{part}") for part, (was, now) in pairs.items() if was != now]:
        raise Refusal(t("train.changed", run=run, what=", ".join(changed)), t("train.changed_hint"))
    train, held_out = chosen_ids(run)
    if [[e.id for e in part] for part in (lessons.train, lessons.held_out)] != [train, held_out]:
        raise Refusal(t("train.changed", run=run, what=t("train.part_data")), t("train.changed_hint"))
