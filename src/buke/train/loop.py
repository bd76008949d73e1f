"""The course of a run: steps, scorings of the held-out part, checkpoints, early stop, the best adapter kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from buke import checkpoint
from buke.checkpoint import Progress
from buke.config import Settings
from buke.model import Model
from buke.pack import longest_row, rows, step_count, steps
from buke.plan import Watch, ran_out, trim
from buke.records import Example, HeldOut, Row, Step
from buke.runfolder import reason
from buke.train.pace import Pace
from buke.train.step import Outcome, Ranks, optimizer_for, rate_at, take_step
from buke.words import Refusal, t

T = TypeVar("T")

FP16_SCALE = 65536.0  # of the loss at the start, in half precision
SKIPS_ALLOWED = 3  # steps in a row that were not finite, before the run stops


@dataclass(frozen=True)
class Saved:
    """A checkpoint was written."""

    step: int
    folder: Path
    after_failure: bool = False  # the one before could not be written


@dataclass(frozen=True)
class NotSaved:
    """A checkpoint could not be written; the next is tried all the same."""

    step: int
    reason: str
    again: bool = False  # whether the one before failed too
    last: int = 0  # steps taken before the newest whole one; 0 where there is none


@dataclass(frozen=True)
class NotLogged:
    """A line could not be written; it waits, and goes before the next one of its file."""

    step: int
    file: str
    reason: str


@dataclass(frozen=True)
class Resumed:
    """A run goes on.

    damaged: newer checkpoints that were not whole and so were passed over; lines: places of damaged lines of its log.
    """

    step: int
    damaged: tuple[Path, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Slow:
    """A step took several times as long as the ones before, tokens counted; said once until one is quick again."""

    step: int
    seconds: float
    times: float  # as long as usual


@dataclass(frozen=True)
class Stopped:
    """The run stopped before its last step."""

    step: int
    reason: str


@dataclass(frozen=True)
class Tightened:
    """Memory ran out in a step; it is done again, and what follows, with these settings."""

    step: int
    changes: dict[str, Any]

    @property
    def words(self) -> str:
        """The changes as flags."""
        tokens = self.changes.get("row_tokens")
        return t("plan.less_rows", tokens=tokens) if tokens else t("plan.again")


@dataclass(frozen=True)
class Left:
    """A scoring was left half-way because ``leaving`` said so; it begins anew where the iteration goes on."""

    step: int


Event = Step | HeldOut | Saved | NotSaved | NotLogged | Resumed | Slow | Stopped | Left | Tightened


@dataclass
class Loop:
    """One run's training. Iterate ``events()``; afterwards ``best`` holds the adapter to keep.

    settings: every value computed (``learning_rate``, ``eval_every``, ``save_every`` are not None).
    chars: characters of the held-out thoughts and answers.
    """

    model: Model
    settings: Settings
    train: Sequence[Example]
    held_out: Sequence[Example]
    run: Path
    row_tokens: int
    chars: int = 0
    ranks: Ranks = field(default_factory=Ranks.joined)
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] = field(default_factory=dict)
    base_losses: list[tuple[float, int]] = field(default_factory=list)  # of the base on held_out, where known already
    best_losses: list[tuple[float, int]] = field(default_factory=list)  # of the best adapter on held_out
    watch: Watch | None = None  # of the memory, where it has a limit
    tightened: list[Tightened] = field(default_factory=list)  # not passed on yet
    earlier: Sequence[Example] = ()  # held out by the run that this one goes on from; scored, never learned
    pace: Pace = field(default_factory=Pace)
    flush: Callable[[], None] = lambda: None  # writes what waits of the log, for no checkpoint is to be ahead of it
    learning: bool = False  # whether a row is computed that can be computed again in smaller ones
    unsaved: bool = False  # whether the last checkpoint could not be written
    leaving: Callable[[], bool] = lambda: False  # asked while scoring, which may take long: whether to leave it

    def __post_init__(self) -> None:
        s = self.settings
        self.optimizer = optimizer_for(self.model.trained(), float(s.learning_rate or 0), s.weight_decay, s.lora_plus)
        self.steps = step_count(len(self.train), s.batch * s.accumulation, s.epochs)
        if self.model.precision == "fp16":
            self.progress.scale = FP16_SCALE

    def resume(self) -> Resumed:
        """Take up the newest whole checkpoint of the run; begin again where there is none."""
        found = checkpoint.restore(self.run, self.model.trained(), self.optimizer)
        self.progress, self.best = found.progress or self.progress, found.best
        return Resumed(self.progress.step, found.damaged)

    def save(self) -> Saved | NotSaved:
        """Write a checkpoint of the state as it is between two steps. A disk that does not take it stops nothing."""
        p, parameters = self.progress, self.model.trained()
        again = self.unsaved
        with suppress(OSError):  # a log that is not written is no reason to lose the steps
            self.flush()
        try:
            folder = checkpoint.save(self.run, p, parameters, self.optimizer, self.best, self.settings.keep)
        except OSError as error:
            self.unsaved = True
            needed = checkpoint.size(parameters, self.optimizer, self.best)
            return NotSaved(p.step, reason(error, self.run, needed), again, checkpoint.newest(self.run))
        self.unsaved = False
        return Saved(p.step, folder, again)

    def events(self) -> Iterator[Event]:
        """Everything that happens, in order. Stopping the iteration between two events loses nothing after ``save``."""
        self._forget()  # what the questions before took
        with self.model.watched(self._glance):
            yield from self._events()

    def _events(self) -> Iterator[Event]:
        s, p = self.settings, self.progress
        first = p.step
        batches = steps(
            self.train, batch=s.batch, accumulation=s.accumulation, epochs=s.epochs, seed=s.seed,
            row_tokens=self.row_tokens, first=first, rank=self.ranks.index, ranks=self.ranks.count,
        )  # fmt: skip
        if first < self.steps:
            self._enough(self._try_longest)
            yield from self._told()
        while True:
            if self._scoring_due():
                if (score := self._score()) is None:
                    yield Left(p.step)
                    continue
                yield score
            if stopped := self._stopped():
                yield stopped
                break
            if first < p.step < self.steps and p.step % int(s.save_every or 1) == 0 and self.ranks.index == 0:
                yield self.save()
            if (step_rows := next(batches, None)) is None:
                break
            step = self._step(step_rows)
            yield from self._told()
            yield step
            if times := self.pace.slow(step.seconds, step.all_tokens):
                yield Slow(step.step, step.seconds, times)
        if not self.held_out:
            last = self.model.adapter_state()
            if all(bool(tensor.isfinite().all()) for tensor in last.values()):
                self.best, p.best_step = last, p.step
        if not self.best:
            raise Refusal(t("train.never_finite"), t("train.never_finite_hint"))

    def _scoring_due(self) -> bool:
        """Whether the held-out part is to be scored now. Asked again on resuming, so that no scoring is left out."""
        p = self.progress
        due = p.step == self.steps or p.step % int(self.settings.eval_every or 1) == 0
        return bool(self.held_out or self.earlier) and due and p.scored < p.step and p.skipped_in_a_row < SKIPS_ALLOWED

    def _stopped(self) -> Stopped | None:
        """Why the run ends here, where it ends before its last step."""
        patience, p = self.settings.patience, self.progress
        if p.skipped_in_a_row == SKIPS_ALLOWED:
            return Stopped(p.step, t("train.not_finite", count=SKIPS_ALLOWED))
        if patience and p.waited >= patience and p.step < self.steps:
            return Stopped(p.step, t("train.early", count=p.waited))
        return None

    def _step(self, step_rows: list[Row]) -> Step:
        s, p = self.settings, self.progress
        rate = rate_at(p.step, self.steps, float(s.learning_rate or 0), s.schedule, s.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self.model.base.train()
        start = time.monotonic()
        outcome = self._enough(lambda: self._take(step_rows))
        p.scale = outcome.scale
        seconds = time.monotonic() - start
        p.step += 1
        p.seconds += seconds
        p.skipped_in_a_row = 0 if outcome.taken else p.skipped_in_a_row + 1
        seen = min(p.step * s.batch * s.accumulation / len(self.train), s.epochs)
        tokens = sum(map(len, step_rows))
        return Step(
            p.step, seen, outcome.loss_sum, outcome.tokens, tokens, rate, outcome.grad_norm, seconds, _why(outcome)
        )

    def _take(self, step_rows: list[Row]) -> Outcome:
        s = self.settings
        examples = [example for row in step_rows for example in row.examples]
        packed = rows(examples, s.batch, self.row_tokens)  # as they came, unless memory ran out meanwhile
        return take_step(self.model, packed, self.optimizer, s.clip, self.ranks, self.progress.scale, self._check)

    def _try_longest(self) -> None:
        """Compute the longest row there can be and drop its gradient, so that memory runs out now and not in hours."""
        longest = longest_row(self.train, self.settings.batch, self.row_tokens)
        self.model.base.train()
        with torch.random.fork_rng(self._cards()):
            loss, _ = self.model.loss_sum(longest)
            loss.backward()
        del loss
        self.optimizer.zero_grad(set_to_none=True)
        self._check()

    def _enough(self, act: Callable[[], T]) -> T:
        """What ``act`` gives, done again with less memory where that runs out. Raises Refusal where nothing more can be
        saved."""
        while True:
            states = [torch.get_rng_state(), *map(torch.cuda.get_rng_state, self._cards())]
            self.learning = True
            try:
                return act()
            except (MemoryError, RuntimeError, OSError) as error:
                if self.ranks.count > 1 or not ran_out(error):
                    raise
            finally:
                self.learning = False
            torch.set_rng_state(states[0])
            for card, state in zip(self._cards(), states[1:], strict=True):
                torch.cuda.set_rng_state(state, card)
            self._tighten()

    def _tighten(self) -> None:
        """Smaller rows, and where they hold one record each, activations computed again."""
        self.optimizer.zero_grad(set_to_none=True)
        step = self.progress.step + 1
        if self.row_tokens > max(map(len, self.train)):
            self.row_tokens //= 2
            changes: dict[str, Any] = {"row_tokens": self.row_tokens}
        elif not self.settings.recompute:
            self.model.keep_activations("full", True)
            changes = {"recompute": True}
        else:
            raise Refusal(t("plan.exhausted", step=step), t("plan.exhausted_hint"))
        self.settings = self.settings.model_copy(update=changes)
        self.model.release()
        trim()
        self._forget()
        self.tightened.append(Tightened(step, changes))

    def _told(self) -> Iterator[Tightened]:
        while self.tightened:
            yield self.tightened.pop(0)

    def _check(self) -> None:
        """Raise MemoryError where this process has taken more than it may, or the next row will."""
        if self.watch is not None and self.watch.over():
            raise MemoryError

    def _glance(self, more: int) -> None:
        """As ``_check``, within a row, before so many bytes more are taken; 0: of what the watch has seen by itself."""
        if self.learning and self.watch is not None and (self.watch.over(more) if more else self.watch.noticed):
            raise MemoryError

    def _forget(self) -> None:
        if self.watch is not None:
            self.watch.forget()

    def _cards(self) -> list[int]:
        device = self.model.device
        return [device.index or 0] if device.type == "cuda" else []

    def _score(self) -> HeldOut | None:
        """Held-out loss; a better one makes this adapter the best. None where it was left half-way."""
        start, p = time.monotonic(), self.progress
        known = self.base_losses if p.step == 0 and len(self.base_losses) == len(self.held_out) else []
        sums = known or held_out_losses(self.model, self.held_out, self.row_tokens, self.leaving)
        earlier = held_out_losses(self.model, self.earlier, self.row_tokens, self.leaving) if self.earlier else []
        if (len(sums), len(earlier)) < (len(self.held_out), len(self.earlier)) and self.leaving():
            return None
        (total, tokens), (earlier_total, earlier_tokens) = _finite_sum(sums), _finite_sum(earlier)
        p.scored = p.step
        loss = None if total is None else total / max(tokens, 1)
        best = loss is not None and (p.best_loss is None or loss < p.best_loss)
        if best:
            p.best_loss, p.best_step, p.waited = loss, p.step, 0
            self.best, self.best_losses = self.model.adapter_state(), sums
        elif self.held_out:
            p.waited += 1
        return HeldOut(p.step, total, tokens, self.chars, time.monotonic() - start, best, earlier_total, earlier_tokens)


def _finite_sum(sums: Sequence[tuple[float, int]]) -> tuple[float | None, int]:
    """Sum of losses and count of tokens; None where nothing was scored, or not with a finite loss."""
    total = sum(loss for loss, _ in sums)
    return total if sums and math.isfinite(total) else None, sum(count for _, count in sums)


def held_out_losses(
    model: Model, examples: Sequence[Example], row_tokens: int, leaving: Callable[[], bool] = lambda: False
) -> list[tuple[float, int]]:
    """For each example its summed loss in nats and its count of learned tokens, without gradients or dropout.

    leaving: asked before each row; where it says yes, only what was scored so far comes back.
    """
    sums: list[tuple[float, int]] = []
    with model.evaluating():
        for row in rows(examples, len(examples), row_tokens):
            if leaving():
                break
            sums += model.loss_sums(row)
    return sums


def _why(outcome: Outcome) -> str:
    if outcome.taken:
        return ""
    what = t("train.loss") if outcome.loss_sum is None else t("train.gradient")
    where = outcome.fault.source if outcome.fault else t("train.whole_step")
    return t("train.skipped", what=what, where=where)
