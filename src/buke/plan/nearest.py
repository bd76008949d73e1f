"""A way that fits, or a refusal with the plan nearest to what was asked for that does."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from buke.config import typed
from buke.plan.choose import Fit, Task, Tried, first_fit, measure, ways_of
from buke.plan.trace import TooMuch
from buke.runfolder import amount
from buke.words import Refusal, t

COMPUTED: dict[str, Any] = {
    "activations": "auto",
    "recompute": None,
    "weights": "auto",
    "row_tokens": 1024,
    "generation_batch": 40,
}
LENGTHS = (256, 512, 768, 1024, 1536, 2048, 3072)  # tokens of the longest record that are tried in place of too many
THOUGHTS = (1024, 512, 256, 128)  # tokens of a thought that is asked for, likewise
RANK, TARGETS = 4, "q_proj,v_proj"  # of the smallest adapter that is proposed
NEAR = 0.01  # of the memory, left: what is free when the flags are typed is not what is free now
Changes = dict[str, Any]  # of settings


def choose(task: Task, budget: int) -> tuple[Fit, list[Tried]]:
    """The first way that fits into ``budget`` bytes, and all that were followed to find it.

    Raises Refusal with the nearest plan that fits, where none of the ways that the user left open does.
    """
    fit, seen = first_fit(task, budget)
    if fit.needed > budget:
        raise refusal(task, budget, fit)
    return fit, seen


def refusal(task: Task, budget: int, fit: Fit) -> Refusal:
    """That not even ``fit`` does; which flags would, and how much memory."""
    message = t("plan.no_room", needed=amount(fit.needed), budget=amount(budget))
    enough = amount(fit.needed * 1.02 + 5e6).replace(" ", "")  # one word on a command line
    flags = nearest(task, int(budget * (1 - NEAR)))
    hint = t("plan.nearest" if flags else "plan.needs_more", flags=flags, needed=enough)
    return Refusal(message, hint, figures={"needed": fit.needed, "budget": budget, "fits": flags})


def nearest(task: Task, budget: int) -> str:
    """Flags, for the same command, of the nearest plan that fits; "" where none of those tried does.

    First what was chosen of how it is computed gives way, then which layers learn, the length of records, and the
    size of the adapter.
    """
    mine = {name: free for name, free in COMPUTED.items() if task.chosen(name) and getattr(task.settings, name) != free}
    open_ = _but(replace(task, fixed=task.fixed - frozenset(mine)), mine)
    for changes in _candidates(open_, budget):
        if (asking := _asked(open_, changes, budget)) is not None:
            found = changes | asking
            own = _forced(first_fit(_but(open_, found), budget)[0], mine) if mine else []
            return " ".join([*own, *(" ".join(typed(name, value)) for name, value in found.items())])
    return ""


def _candidates(task: Task, budget: int) -> Iterator[Changes]:
    """Settings in place of those of a task, those that give up least first; nothing where all together do not fit."""
    kinds, lengths = _kinds(task), [length for length in LENGTHS if length < task.longest]
    cuts: list[Changes] = [*({"length": length, "overlong": "shorten"} for length in lengths), {}]
    if _asked(task, kinds[-1] | cuts[0], budget) is None:
        return
    yield from kinds[:2]
    for kind in kinds:
        tries = [kind | cut for cut in cuts]
        if _asked(task, tries[0], budget) is not None:
            yield tries[bisect_left(tries, True, key=lambda changes: _asked(task, changes, budget) is None) - 1]


def _kinds(task: Task) -> list[Changes]:
    """What may be learned in place of what was asked for, each with what stands before it."""
    s, found = task.settings, list[Changes]([{}])
    if s.dropout:  # our own layers do without
        found = [{"dropout": 0.0}]
    if s.from_run is None:  # its adapter stays as it is
        if s.layers == "all":
            found.append(found[-1] | {"layers": "upper"})
        few: Changes = {"targets": TARGETS} if s.targets == "all-linear" else {}
        found.append(found[-1] | few | {"rank": min(RANK, s.rank)})
    return found


def _asked(task: Task, changes: Changes, budget: int) -> Changes | None:
    """What has to change besides, of the questions, so that a task with changes fits; None where it does not at all."""
    task = _but(task, changes)
    try:
        fit = measure(task, *list(ways_of(task))[-1], budget, budget)
    except (Refusal, TooMuch):  # or an architecture without layers of these names
        return None
    if fit.training > budget:
        return None
    tries: list[Changes] = [{"thought_budget": most} for most in THOUGHTS if most < task.settings.thought_budget]
    for more in ({}, *tries, {"questions": 0}):
        if measure(_but(task, more), fit.way, fit.row_tokens, budget).needed <= budget:
            return more
    return None


def _but(task: Task, changes: Mapping[str, Any]) -> Task:
    """A task with other settings, and records no longer than they say."""
    most = changes.get("length") or task.longest
    lengths, scored = ([min(length, most) for length in each] for each in (task.lengths, task.scored))
    settings = task.settings.model_copy(update=dict(changes))
    return replace(task, settings=settings, lengths=lengths, scored=scored)


def _forced(fit: Fit, names: Iterable[str]) -> list[str]:
    """Flags in place of those that were chosen of how it is computed."""
    way = fit.way
    found = {
        "activations": way.activations, "recompute": way.recompute, "weights": way.weights,
        "row_tokens": fit.row_tokens, "generation_batch": fit.generation_batch,
    }  # fmt: skip
    return [" ".join(typed(name, found[name])) for name in names]
