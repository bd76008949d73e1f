"""One optimizer step: the loss is a sum over learned tokens and a count, divided once, whatever rows hold it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """What came of a step.

    loss_sum and grad_norm are None where they were not finite; then the step was not taken, and ``fault`` is the
    example to blame where one by itself is enough. scale: the loss scale it was computed with.
    """

    loss_sum: float | None
    tokens: int
    grad_norm: float | None
    scale: float = 1.0
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
    scale: float = 1.0,
    between: Callable[[], None] = lambda: None,
) -> Outcome:
    """Gradient of the mean loss over all learned tokens of the rows, clipped to norm ``clip``; one optimizer step.

    scale: factor on the loss for half precision (Micikevicius et al. 2018, section 3.2), taken out of the gradient
    again. Where it alone makes the gradient overflow, the step is computed anew with half of it.
    between: called after each row; what it raises ends the step, untaken.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    count = torch.tensor(float(sum(model.targets(row) for row in rows)), dtype=torch.float64)
    ranks.sum([count])
    tokens = int(count)
    while True:
        loss_sum = _gradients(model, rows, scale / max(tokens, 1), between)
        if ranks.count > 1:  # a process without a row in this step has to join in all the same
            for p in parameters:
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        grads = [p.grad for p in parameters if p.grad is not None]
        ranks.sum([loss_sum, *grads])
        if scale != 1:
            torch._foreach_div_(grads, scale)
        norm = float(nn.utils.clip_grad_norm_(parameters, clip))
        finite_loss, finite_norm = math.isfinite(float(loss_sum)), math.isfinite(norm)
        if scale <= 1 or finite_norm or not finite_loss:
            break
        scale /= 2
        optimizer.zero_grad(set_to_none=True)
    if finite_loss and finite_norm:
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    fault = None if finite_loss and finite_norm else find_fault(model, rows, parameters)
    return Outcome(float(loss_sum) if finite_loss else None, tokens, norm if finite_norm else None, scale, fault)


def _gradients(model: Model, rows: Sequence[Row], factor: float, between: Callable[[], None]) -> Tensor:
    """Add the gradient of ``factor`` times the summed loss of the rows; return that sum in nats (float64, unscaled)."""
    loss_sum = torch.zeros((), dtype=torch.float64)
    for row in rows:
        row_loss, _ = model.loss_sum(row)
        (row_loss * factor).backward()
        loss_sum += row_loss.detach().double().cpu()
        del row_loss  # with its graph
        between()
    return loss_sum


def find_fault(model: Model, rows: Sequence[Row], parameters: Sequence[nn.Parameter] = ()) -> Example | None:
    """The first example whose own loss, or else whose own gradient, is not finite; None where each by itself is."""
    with model.evaluating():
        for row in rows:
            for example, (loss, _) in zip(row.examples, model.loss_sums(row), strict=True):
                if not math.isfinite(loss):
                    return example
    for example in [example for row in rows for example in row.examples] if parameters else []:
        model.loss_sum(Row((example,)))[0].backward()
        finite = all(bool(p.grad.isfinite().all()) for p in parameters if p.grad is not None)
        for p in parameters:
            p.grad = None
        if not finite:
            return example
    return None


def optimizer_for(
    parameters: Mapping[str, nn.Parameter], learning_rate: float, weight_decay: float, plus: float = 1.0
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) over the adapter.

    plus: learning rate of the B matrices, which start at zero, relative to that of the rest (Hayou et al. 2024, LoRA+);
    each group carries its own as ``share``.
    """
    sides: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for name, parameter in parameters.items():
        sides["lora_B" in name and plus != 1].append(parameter)
    groups = [{"params": side, "share": plus if fast else 1.0} for fast, side in sides.items() if side]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.999), weight_decay=weight_decay)


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
