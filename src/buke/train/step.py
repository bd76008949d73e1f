"""One optimizer step: the loss is a sum over learned tokens and a count, divided once, whatever rows hold it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from buke.model import Model
from buke.records import Example, Row


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is. Sums over processes are sums over their rows."""

    index: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> Ranks:
        """The process group's word, where one was started; else the only process."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())
        return cls()

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Add each tensor over all processes, in place."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)


@dataclass(frozen=True)
class Outcome:
    """loss_sum and grad_norm are None where not finite; then the step was not taken and ``fault`` says where."""

    loss_sum: float | None
    tokens: int
    grad_norm: float | None
    fault: Example | None = None

    @property
    def taken(self) -> bool:
        return self.loss_sum is not None and self.grad_norm is not None


def take_step(
    model: Model,
    rows: Sequence[Row],
    optimizer: torch.optim.Optimizer,
    clip: float,
    ranks: Ranks,
    scaler: torch.amp.GradScaler | None = None,
) -> Outcome:
    """Gradient of the mean loss over all learned tokens of the rows, clipped to norm ``clip``; one optimizer step."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    loss_sum, tokens = torch.zeros((), dtype=torch.float64), 0
    for row in rows:
        row_loss, row_tokens = model.loss_sum(row)
        (scaler.scale(row_loss) if scaler else row_loss).backward()
        loss_sum += row_loss.detach().double().cpu()
        tokens += row_tokens
    totals = torch.tensor([float(loss_sum), float(tokens)], dtype=torch.float64)
    if ranks.count > 1:  # a process without a row in this step has to join in all the same
        for p in parameters:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    grads = [p.grad for p in parameters if p.grad is not None]
    ranks.sum([totals, *grads])
    total_loss, total_tokens = float(totals[0]), int(totals[1])
    if scaler:
        scaler.unscale_(optimizer)
    torch._foreach_div_(grads, max(total_tokens, 1))
    norm = float(nn.utils.clip_grad_norm_(parameters, clip))
    finite_loss, finite_norm = math.isfinite(total_loss), math.isfinite(norm)
    if finite_loss and (finite_norm or scaler):
        _advance(optimizer, scaler)
    optimizer.zero_grad(set_to_none=True)
    fault = None if finite_loss and finite_norm else find_fault(model, rows)
    return Outcome(total_loss if finite_loss else None, total_tokens, norm if finite_norm else None, fault)


def _advance(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None) -> None:
    if scaler:  # leaves the step out by itself where fp16 overflowed, and lowers the scale
        scaler.step(optimizer)
        scaler.update()
    else:
        optimizer.step()


def find_fault(model: Model, rows: Sequence[Row]) -> Example | None:
    """The first example whose own loss is not finite; None where each by itself is."""
    with model.evaluating():
        for row in rows:
            for example, (loss, _) in zip(row.examples, model.loss_sums(row), strict=True):
                if not math.isfinite(loss):
                    return example
    return None


def optimizer_for(parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) over the adapter."""
    return torch.optim.AdamW(list(parameters), lr=learning_rate, betas=(0.9, 0.999), weight_decay=weight_decay)


def rate_at(step: int, steps: int, peak: float, schedule: str, warmup: float) -> float:
    """Learning rate of step ``step`` (from 0) of ``steps``: a linear rise over the warm-up share, then the schedule.

    cosine and linear fall to 0 just after the last step; constant stays.
    """
    rising = math.ceil(steps * warmup)
    if step < rising:
        return peak * (step + 1) / (rising + 1)
    done = (step - rising) / max(steps - rising, 1)
    fall = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return peak * fall[schedule]
