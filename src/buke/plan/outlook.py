"""A plan as people and plan.json see it: what was chosen and why, and what it takes of memory, time and disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from buke.config import Settings, bytes_of
from buke.kernels import library_here
from buke.pack import rows, step_count
from buke.plan.choose import CUDA_CONTEXT, FREE_SHARE, Fit, Task
from buke.plan.machine import free_bytes, products_per_second
from buke.plan.nearest import choose
from buke.plan.trace import NO_END
from buke.plan.why import reasons
from buke.runfolder import amount
from buke.words import Refusal, t

EFFICIENCY = 0.6  # of a product's speed, that a whole step reaches; docs/performance.md
ASKING_EFFICIENCY = 0.25  # the same of answers to some questions at once
SMALL_FILES = 10_000_000  # bytes of report, curve, answers and lists, about
FIRST_STEPS = 3  # after which the time is known better
LOWER_SHARE = 0.5  # of the disk that is free, for what the layers that do not learn make of the records
CHOSEN = ("precision", "weights", "activations", "recompute", "row_tokens", "generation_batch")


@dataclass(frozen=True)
class Plan:
    """How a run is to be computed. Sizes in bytes, times in seconds.

    chosen: settings with their value; why: the reason of each that was computed; given: where the others are from.
    measured: what the run took.
    """

    model: str
    device: str
    precision: str
    chosen: dict[str, Any]
    why: dict[str, str]
    rows: dict[str, Any]
    memory: dict[str, Any]
    time: dict[str, Any]
    disk: dict[str, Any]
    assumed: list[str]
    given: dict[str, str] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)

    def settle(self, settings: Settings, reasons: dict[str, str]) -> tuple[Settings, dict[str, str]]:
        """The settings with what was chosen, and why."""
        return settings.model_copy(update={name: self.chosen[name] for name in CHOSEN}), reasons | self.why

    def corrected(self, steps: int, tokens: int, seconds: float) -> Plan:
        """With the time of the whole training as the first steps let expect it."""
        speed = tokens / max(seconds, 1e-9)
        found = {"measured_after_steps": steps, "tokens_per_second_measured": round(speed, 1),
                 "training_seconds_corrected": round(self.rows["tokens"] / speed)}  # fmt: skip
        return replace(self, time=self.time | found)


def budget(settings: Settings, device: str, held: int) -> tuple[int, str]:
    """Bytes that a run may take where it computes, this process included, and where that is from."""
    if settings.memory:
        return bytes_of(settings.memory), f"--memory {settings.memory}"
    free = free_bytes(device)
    if device == "cuda" and not free:
        raise Refusal(t("plan.which_card"), t("plan.which_card_hint"))
    taken = CUDA_CONTEXT if device == "cuda" else held
    return taken + int(FREE_SHARE * free), t("plan.of_free", free=amount(free), share=f"{FREE_SHARE:.0%}")


def look_ahead(task: Task, examples: Any, disk_free: int, lower: int, assumed: list[str], refuse: bool = True) -> Plan:
    """Choose, and work out what it takes. Raises Refusal where nothing fits into memory or on the disk.

    examples: what is learned, as rows are packed of it. lower: bytes of what layers that do not learn make of them.
    refuse: whether a plan is refused that does not fit; a run taken up again goes on as it is.
    """
    room, source = budget(task.settings, task.device, task.held)
    searched = room
    try:
        fit, tried = choose(task, room)
    except Refusal:
        if refuse:
            raise
        fit, tried = choose(task, searched := NO_END)
    if refuse and task.settings.lower_cache and fit.trace.learning_share == 1:
        raise _no_lower(fit.trace.plain)
    if refuse and fit.trace.file > task.host:
        sizes = {"needed": amount(fit.trace.file), "free": amount(task.host)}
        raise Refusal(t("plan.no_host", **sizes), t("plan.no_host_hint"))
    s = task.settings
    packed = rows(examples, s.batch, fit.row_tokens)
    steps = step_count(len(examples), s.batch * s.accumulation, s.epochs)
    tokens = round(sum(task.lengths) * s.epochs)
    lower *= fit.trace.learning_share < 1 and keeps_lower(s, lower, disk_free)
    disk = _disk(fit, s, disk_free, lower)
    if refuse and disk["needed"] > disk_free:
        spared = disk["checkpoints"] * (s.keep - 1) // (s.keep + 1)
        fewer = t("plan.no_disk_keep") if disk["needed"] - spared <= disk_free else ""
        hint = t("plan.no_disk_hint", fewer=fewer)
        raise Refusal(t("plan.no_disk", needed=amount(disk["needed"]), free=amount(disk_free)), hint)
    memory = {
        "budget": room, "source": source, "needed": fit.needed, "training": fit.training, "asking": fit.asking,
        "parts": fit.parts, "file": fit.trace.file,
    }  # fmt: skip
    shape = {
        "longest": task.longest, "rows": len(packed), "rows_per_step": round(len(packed) / max(steps / s.epochs, 1), 1),
        "steps": steps, "records_per_step": s.batch * s.accumulation, "tokens": tokens,
    }  # fmt: skip
    return Plan(
        s.model,
        task.device,
        task.precision,
        _chosen(task, fit),
        reasons(task, fit, tried, searched),
        shape,
        memory,
        _time(task, fit, tokens),
        disk,
        [*assumed, *_assumed(task, fit)],
    )


def keeps_lower(settings: Settings, size: int, free: int) -> bool:
    """Whether what layers below the adapters make of the records is kept. size: its bytes; free: those of the disk."""
    if settings.lower_cache is not None:
        return settings.lower_cache
    return 0 < size <= LOWER_SHARE * free and settings.epochs > 1


def _no_lower(plain: str) -> Refusal:
    """That nothing can be kept of the layers below the adapters. plain: why the layers are not our own, if so."""
    if plain:
        return Refusal(t("model.only_fast", what="--lower-cache", why=plain), t("plan.no_lower_fast_hint"))
    return Refusal(t("plan.no_lower"), t("plan.no_lower_hint"))


def _assumed(task: Task, fit: Fit) -> Iterator[str]:
    """What a plan takes for granted."""
    if task.device == "cuda":
        yield t("plan.assumed_cuda", context=amount(CUDA_CONTEXT))
        if fit.way.streamed:
            yield t("plan.assumed_host", size=amount(fit.trace.file))
    if fit.way.four_bits and not library_here():
        yield t("plan.needs_library", extra="nf4")


def _chosen(task: Task, fit: Fit) -> dict[str, Any]:
    settings = task.settings
    # the kind stays what was asked for where layers are computed again: then only their inputs wait
    kind = settings.activations if fit.way.recompute and settings.activations != "auto" else fit.way.activations
    return {
        "precision": task.precision,
        "weights": fit.way.weights,
        "activations": kind,
        "recompute": fit.way.recompute,
        "row_tokens": fit.row_tokens,
        "generation_batch": fit.generation_batch if settings.questions else settings.generation_batch,
        "layers": settings.layers,
        "length": settings.length,
    }


def _time(task: Task, fit: Fit, tokens: int) -> dict[str, Any]:
    """Seconds, from the speed of products of this model's shapes; nothing for a card that was not asked."""
    if task.device != "cpu":
        return {"tokens_per_second": None, "training_seconds": None, "asking_seconds_at_most": None}
    s, config = task.settings, task.config
    width = int(config["hidden_size"])
    rate = _rate(width, int(config.get("intermediate_size") or 4 * width))
    share = fit.trace.learning_share
    parameters, head = fit.trace.parameters, fit.trace.head
    passes = 1 + share * (2 if fit.way.recompute else 1)
    squares = sum(n * n for n in task.lengths) / max(sum(task.lengths), 1)  # keys that a token sees, twice
    keys = _queries(config) * int(config["num_hidden_layers"])
    operations = 2 * parameters * passes + 4 * head + 2 * keys * squares * (1 + 2.5 * share)
    speed = EFFICIENCY * rate / operations
    answers = 2 * min(s.questions, len(task.scored)) * (s.thought_budget + s.answer_budget)
    asked = answers * 2 * (parameters + head) / (ASKING_EFFICIENCY * rate)
    return {
        "products_per_second": round(rate), "tokens_per_second": round(speed, 1),
        "training_seconds": round(tokens / speed), "asking_seconds_at_most": round(asked),
    }  # fmt: skip


@cache
def _rate(width: int, inner: int) -> float:
    return products_per_second(width, inner, 0.8 if width >= 256 else 0.02)


def _queries(config: Mapping[str, Any]) -> int:
    """Width of all query heads together."""
    heads = int(config.get("num_attention_heads") or 1)
    return heads * int(config.get("head_dim") or config["hidden_size"] // heads)


def _disk(fit: Fit, settings: Settings, free: int, lower: int) -> dict[str, int]:
    """Bytes of a run folder: checkpoints with adapter, optimizer and best adapter, one of them being written."""
    one = fit.trace.adapter
    found = {"checkpoints": 4 * one * (settings.keep + 1), "adapter": 2 * one, "report": SMALL_FILES, "lower": lower}
    return {**found, "needed": sum(found.values()), "free": free}
