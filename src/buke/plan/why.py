"""Why a way was chosen: what the next better value of each setting that was left open would have taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from buke.model.loading import RESIDENT, WIDE, has_tiles, width_of
from buke.plan.choose import KNOWN, ROW_OF_CARD, Fit, Task, Tried, least, ways_of
from buke.plan.trace import NO_END, Trace
from buke.runfolder import amount
from buke.words import t


def reasons(task: Task, fit: Fit, tried: Sequence[Tried], budget: int) -> dict[str, str]:
    """The reason of each setting that was left open. tried: what was followed; nothing is for the reasons' sake."""
    s = task.settings
    found = {
        "precision": _precision(task) if s.precision == "auto" else "",
        "weights": _weights(task, fit, tried, budget) if s.weights == "auto" else "",
        "activations": _activations(fit, tried) if s.activations == "auto" else "",
        "recompute": _recompute(fit, tried) if s.recompute is None else "",
        "row_tokens": _rows(fit, tried) if fit.row_tokens != s.row_tokens else "",
        "generation_batch": _questions(task, fit) if s.questions else "",
    }
    return {name: text for name, text in found.items() if text}


def _precision(task: Task) -> str:
    if task.device != "cpu":
        return t("plan.why_card_bf16" if task.precision == "bf16" else "plan.why_no_bf16")
    if task.precision == "bf16":
        return t("plan.why_tiles")
    width = width_of(task.config)
    return t("plan.why_narrow", width=width) if width < WIDE and has_tiles() else t("plan.why_no_tiles")


def _weights(task: Task, fit: Fit, tried: Sequence[Tried], budget: int) -> str:
    ways = list(ways_of(task))
    names = list(dict.fromkeys(way.weights for way, _ in ways))  # in the order in which they are preferred
    mine, known = fit.way.weights, fit.trace
    if mine == names[0] != "resident":
        return t("plan.why_large", size=amount(4 * (known.parameters + known.head)), most=amount(RESIDENT))
    if mine == names[0]:
        return t("plan.why_resident", size=amount(_size(known)))
    if mine == "nf4":
        ample = ways_of(replace(task, host=NO_END))
        streamed = KNOWN.weights(task, next(way for way, _ in ample if way.streamed))
        return t("plan.why_nf4", size=amount(streamed.file), host=amount(task.host))
    better = names[names.index(mine) - 1]
    way = next(way for way, _ in ways if way.weights == better)
    needed = least(task, way)
    if needed <= budget:
        others = [each for each in tried if each.way.weights == better]
        if task.device != "cuda":  # there ways with other activations come later
            others = [each for each in others if _keep(each) == _keep(fit)]
        needed = min(each.needed for each in others)
    return t(f"plan.why_not_{better}", size=amount(_size(KNOWN.weights(task, way))), needed=amount(needed))


def _size(known: Trace) -> int:
    return known.parts["frozen"] + known.parts["embedding"]


def _keep(of: Fit | Tried) -> tuple[str, bool]:
    return of.way.activations, of.way.recompute


def _activations(fit: Fit, tried: Sequence[Tried]) -> str:
    if fit.way.recompute:
        return t("plan.why_inputs")
    return t("plan.why_full") if fit.way.activations == "full" else _not_kept(fit, tried)


def _recompute(fit: Fit, tried: Sequence[Tried]) -> str:
    return _not_kept(fit, tried) if fit.way.recompute else t("plan.why_kept", kind=fit.way.activations)


def _not_kept(fit: Fit, tried: Sequence[Tried]) -> str:
    """What it would take to keep more of the activations, with rows as large or smaller; the least of it."""
    more = [
        each for each in tried
        if each.way.weights == fit.way.weights and each.row_tokens <= fit.row_tokens
        and not each.way.recompute and _keep(each) != _keep(fit)
    ]  # fmt: skip
    if not more:
        return ""
    best = min(more, key=lambda each: each.needed)
    return t("plan.why_not_kept", kind=best.way.activations, needed=amount(best.needed), rows=best.row_tokens)


def _rows(fit: Fit, tried: Sequence[Tried]) -> str:
    if fit.way.tokens < fit.row_tokens:
        return t("plan.why_one_row", tokens=fit.way.tokens)
    if fit.row_tokens == ROW_OF_CARD:
        return t("plan.why_most_rows")
    more = [each for each in tried if each.row_tokens == 2 * fit.row_tokens and each.way.weights == fit.way.weights]
    if not more:
        return ""
    return t("plan.why_not_rows", rows=more[0].row_tokens, needed=amount(min(each.needed for each in more)))


def _questions(task: Task, fit: Fit) -> str:
    asked = min(task.settings.generation_batch, task.settings.questions)
    if fit.generation_batch == asked:
        return ""
    needed = fit.asking + (asked - fit.generation_batch) * fit.question
    return t("plan.why_fewer", asked=asked, needed=amount(needed))
