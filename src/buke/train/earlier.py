"""Going on with the adapter of an earlier run on new data, with an eye on what it forgets."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buke import runfolder
from buke.config import Settings, make, read_toml
from buke.encoded import Lessons
from buke.records import Finding, Record
from buke.runfolder import sha256_of
from buke.train.manifest import WEIGHTS, of_trained, place_of
from buke.words import Refusal, of_system, t

KEPT = ("rank", "alpha", "rslora", "bias", "targets", "layers")  # what an adapter cannot change once it is made
TAKEN = ("model", "system", "chat_template", *KEPT)  # what is the earlier run's where the user says nothing


@dataclass(frozen=True)
class Earlier:
    """A finished run whose adapter is the start of another. records: its held-out part."""

    run: Path
    records: list[Record]

    @property
    def adapter(self) -> Path:
        """Its adapter's folder."""
        return self.run / runfolder.ADAPTER

    def notes(self) -> dict[str, Any]:
        """What the new run's manifest says of it."""
        return {
            "run": str(self.run),
            "adapter_sha256": sha256_of(self.adapter / WEIGHTS),
            "held_out_sha256": sha256_of(self.run / runfolder.HELD_OUT),
            "held_out": len(self.records),
        }


def earlier_of(settings: Settings, runs: Path, noted: dict[str, Any] | None = None) -> Earlier | None:
    """The run to go on from, where the settings name one. Raises Refusal where it has no adapter yet.

    noted: what a manifest says of it. Where it is no longer at its place, the run with its adapter is it.
    """
    if settings.from_run is None:
        return None
    run = place_of(noted, runs) if noted else runfolder.find(runs, settings.from_run).resolve()
    if run is None:
        raise Refusal(t("train.from_gone", run=settings.from_run), t("train.from_gone_hint", runs=runs))
    of_trained(run)
    held_out = run / runfolder.HELD_OUT
    if not held_out.is_file():
        why = of_system(FileNotFoundError(errno.ENOENT, ""))
        raise Refusal(t("runfolder.damaged", place=held_out, why=why), t("runfolder.damaged_hint"))
    try:
        return Earlier(run, [Record.read(line) for line in runfolder.read_lines(held_out)])
    except TypeError as error:  # a line that is no record
        raise Refusal(t("runfolder.damaged", place=held_out, why=error), t("runfolder.damaged_hint")) from None


def taken_over(settings: Settings, reasons: dict[str, str], earlier: Earlier) -> tuple[Settings, dict[str, str]]:
    """The settings with what has to be as in the earlier run.

    Raises Refusal naming every setting that was given and is another there.
    """
    old, _ = make(read_toml(earlier.run / runfolder.RUN_TOML))
    given = {name for name in TAKEN if reasons.get(name, "default") != "default"}
    differing = tuple(
        t("train.from_differs", place=reasons[name], name=name, was=getattr(old, name), now=getattr(settings, name))
        for name in KEPT
        if name in given and getattr(old, name) != getattr(settings, name)
    )
    if differing:
        raise Refusal(t("train.from_other", run=earlier.run), t("train.from_other_hint"), differing)
    found: dict[str, Any] = {name: getattr(old, name) for name in TAKEN if name not in given}
    why = t("train.why_from", run=earlier.run.name)
    found["from_run"] = str(earlier.run)
    return settings.model_copy(update=found), reasons | dict.fromkeys([n for n in found if n != "from_run"], why)


def without_held_out(lessons: Lessons, earlier: Earlier) -> Lessons:
    """The lessons without the records that the earlier run held out: learned, they would hide what is forgotten."""
    held = {record.id for record in earlier.records}
    told = [
        Finding(example.source, "leak", t("train.from_leak", run=earlier.run.name))
        for example in lessons.train
        if example.id in held
    ]
    if not told:
        return lessons
    train = [example for example in lessons.train if example.id not in held]
    if not train:
        raise Refusal(t("train.none_left"), t("train.from_none_left_hint"), tuple(map(str, told[:20])))
    return Lessons(train, lessons.held_out, lessons.records, [*lessons.findings, *told], lessons.files, lessons.read)
