"""A run planned before it starts, from its lessons and its model's config.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from buke import runfolder
from buke.config import Settings
from buke.encoded import Lessons
from buke.machine import free_memory
from buke.model import Model, choose_device, choose_precision, config_in, kept_in, width_of
from buke.plan import FREE_SHARE, NO_END, Plan, Step, Task, look_ahead, own_bytes
from buke.records import Example
from buke.train.step import Ranks, optimizer_for, take_step

LEFT_OPEN = ("default", "")  # what a setting's source says where nobody chose it


def stepper(model: Model) -> Step:
    """What takes an optimizer step of a run with a model, for the plan to follow."""
    optimizer = optimizer_for(model.trained(), 1e-3, 0.0)
    return lambda model, rows: take_step(model, rows, optimizer, 1.0, Ranks())


def plan_lessons(
    settings: Settings, reasons: dict[str, str], folder: Path, lessons: Lessons, runs: Path, *, refuse: bool = True
) -> Plan:
    """The plan of a run whose lessons are read and whose model is in a folder."""
    config = config_in(folder)
    prompt = max((example.bounds[0] for example in lessons.held_out), default=0)
    return plan(
        settings, reasons, config, (lessons.train, lessons.held_out), prompt, runs, refuse=refuse, file=kept_in(folder)
    )


def plan(
    settings: Settings, reasons: dict[str, str], config: Mapping[str, Any],
    examples: tuple[Sequence[Example], Sequence[Example]], prompt: int, runs: Path, *,
    assumed: Sequence[str] = (), refuse: bool = True, file: str = "bf16",
) -> Plan:  # fmt: skip
    """The plan of a run. examples: to learn from, and held out. prompt: tokens of the longest.
    file: the format of the model's files."""
    device, precision = device_of(settings, width_of(config))
    open_ = {name for name, source in reasons.items() if source in LEFT_OPEN}
    fixed = frozenset(reasons) - open_ if refuse else frozenset(Settings.model_fields)  # a run taken up stays as it is
    lengths, scored = [list(map(len, each)) for each in examples]
    # how much memory the machine of another card has is not known
    host = int(FREE_SHARE * free_memory()) if torch.cuda.is_available() else NO_END
    task = Task(config, settings, fixed, lengths, scored, prompt, device, precision, own_bytes(), stepper, file, host)
    lower = (sum(lengths) + sum(scored)) * int(config["hidden_size"]) * (4 if precision == "fp32" else 2)
    free = runfolder.free_bytes(runs)
    found = look_ahead(task, examples[0], free, lower, list(assumed), refuse)
    return replace(found, given={name: reasons.get(name, "") for name in found.chosen if name not in found.why})


def device_of(settings: Settings, width: int) -> tuple[str, str]:
    """Where and in which format a run computes; a card that is not here is taken to have bfloat16."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        return "cuda", "bf16" if settings.precision == "auto" else settings.precision
    device = choose_device(settings)
    return device.type, choose_precision(settings, device, width)
