"""A run planned before it starts."""

from __future__ import annotations

from buke.model import Model
from buke.plan import Step
from buke.train.step import Ranks, optimizer_for, take_step


def stepper(model: Model) -> Step:
    """What takes an optimizer step of a run with a model, for the plan to follow."""
    optimizer = optimizer_for(model.trained().values(), 1e-3, 0.0)
    return lambda model, rows: take_step(model, rows, optimizer, 1.0, Ranks())
