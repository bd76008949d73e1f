"""A frozen linear layer with its adapter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from buke.kernels.arena import Arena
from buke.kernels.four_bits import FourBits, Weight, whole

ALIKE = 64  # rows of a bfloat16 product on the CPU are a multiple of this
WIDE_AT_ONCE = 2**22  # elements of a weight kept in another format that are widened at once: 16 MB in float32
WIDE_ON_CARD = 2**25  # the same of weights in four bits on a card, where each part costs calls


def rows_to_add(count: int, dtype: torch.dtype, device: torch.device) -> int:
    """Rows that a product of ``count`` rows should have more.

    On the CPU oneDNN writes a program for each shape of bfloat16 products, which takes longer than the product and
    stays in memory: with rows of any length the process grew by 35 MB a step.
    """
    return -count % ALIKE if dtype == torch.bfloat16 and device.type == "cpu" else 0


def widened(weight_OI: Weight, like: Tensor, arena: Arena) -> Iterator[tuple[slice, Tensor]]:
    """A frozen weight in the format and on the device of activations ``like``: whole where it is kept so, else some of
    its outputs at once.

    A part lies in a buffer that the next part takes: small enough to be read from the cache.
    """
    if isinstance(weight_OI, FourBits):
        yield from weight_OI.parts(like.dtype, WIDE_ON_CARD if like.is_cuda or arena.card else WIDE_AT_ONCE)
        return
    if weight_OI.dtype == like.dtype and weight_OI.device == like.device:
        yield slice(None), weight_OI
        return
    parts = -(-weight_OI.numel() // WIDE_AT_ONCE)
    step = max(1, -(-len(weight_OI) // max(parts, 1)))
    for start in range(0, len(weight_OI), step):
        part = weight_OI[start : start + step]
        yield slice(start, start + step), arena.take("wide", *part.shape, like=like).copy_(part, non_blocking=True)


def add_product(sum_AB: Tensor, a_AC: Tensor, b_CB: Tensor) -> None:
    """Add a product in place; ``sum_AB`` may be wider than its factors, for many roundings to 16 bits would add up."""
    if sum_AB.dtype == a_AC.dtype:
        sum_AB.addmm_(a_AC, b_CB)
    else:
        sum_AB.add_(a_AC @ b_CB)


class _FrozenLinear(torch.autograd.Function):
    """x W^T + b, which keeps W in the format it is in and not as it was widened."""

    @staticmethod
    def forward(ctx: Any, x_TI: Tensor, weight_OI: Weight, bias_O: Tensor | None) -> Tensor:
        ctx.weight_OI = weight_OI
        parts = [x_TI @ wide_PI.T for _, wide_PI in widened(weight_OI, x_TI, Arena())]
        y_TO = parts[0] if len(parts) == 1 else torch.cat(parts, -1)
        return y_TO if bias_O is None else y_TO.add_(bias_O)

    @staticmethod
    def backward(ctx: Any, dy_TO: Tensor) -> tuple[Tensor | None, ...]:
        dx_TI = None
        if ctx.needs_input_grad[0]:
            for part, wide_PI in widened(ctx.weight_OI, dy_TO, Arena()):
                dy_TP = dy_TO[:, part]
                dx_TI = dy_TP @ wide_PI if dx_TI is None else dx_TI.addmm_(dy_TP, wide_PI)
        return dx_TI, None, dy_TO.sum(0) if ctx.needs_input_grad[2] else None


def frozen_linear(x: Tensor, weight_OI: Weight, bias_O: Tensor | None) -> Tensor:
    """A frozen linear layer whose weight may be in another format. x: (..., I) -> (..., O)."""
    y_TO: Tensor = _FrozenLinear.apply(x.reshape(-1, x.shape[-1]), weight_OI, bias_O)  # type: ignore[no-untyped-call]
    return y_TO.view(*x.shape[:-1], y_TO.shape[-1])


class _LoraLinear(torch.autograd.Function):
    """x W^T + b + s (x A^T) B^T, with products added in place and the input kept once for both halves."""

    @staticmethod
    def forward(
        ctx: Any, x_TI: Tensor, weight_OI: Weight, bias_O: Tensor | None, a_RI: Tensor, b_OR: Tensor, scale: float
    ) -> Tensor:
        low_TR = x_TI @ a_RI.T.to(x_TI.dtype)
        y_TO = F.linear(x_TI, whole(weight_OI, x_TI), bias_O)  # kept in its own format, widened where it is used
        y_TO.addmm_(low_TR, b_OR.T.to(x_TI.dtype), alpha=scale)
        ctx.save_for_backward(x_TI, low_TR, a_RI, b_OR)
        ctx.scale, ctx.weight_OI = scale, weight_OI  # which is frozen
        return y_TO

    @staticmethod
    def backward(ctx: Any, dy_TO: Tensor) -> tuple[Tensor | None, ...]:
        x_TI, low_TR, a_RI, b_OR = ctx.saved_tensors
        dlow_TR = (dy_TO @ b_OR.to(dy_TO.dtype)).mul_(ctx.scale)
        dx_TI = None
        if ctx.needs_input_grad[0]:
            dx_TI = dy_TO @ whole(ctx.weight_OI, dy_TO)
            dx_TI.addmm_(dlow_TR, a_RI.to(dy_TO.dtype))
        da_RI = (dlow_TR.T @ x_TI).to(a_RI.dtype)
        db_OR = (dy_TO.T @ low_TR).mul_(ctx.scale).to(b_OR.dtype)
        dbias_O = dy_TO.sum(0) if ctx.needs_input_grad[2] else None
        return dx_TI, None, dbias_O, da_RI, db_OR, None


def lora_linear(
    x: Tensor, weight_OI: Weight, bias_O: Tensor | None, a_RI: Tensor, b_OR: Tensor, scale: float
) -> Tensor:
    """A frozen linear layer plus its low-rank update (Hu et al. 2021, eq. 3). x: (..., I) -> (..., O)."""
    y_TO: Tensor = _LoraLinear.apply(x.reshape(-1, x.shape[-1]), weight_OI, bias_O, a_RI, b_OR, scale)  # type: ignore[no-untyped-call]
    return y_TO.view(*x.shape[:-1], y_TO.shape[-1])


def lora_linear_plain(
    x: Tensor, weight_OI: Tensor, bias_O: Tensor | None, a_RI: Tensor, b_OR: Tensor, scale: float
) -> Tensor:
    """What ``lora_linear`` means."""
    return F.linear(x, weight_OI, bias_O) + scale * F.linear(F.linear(x, a_RI.to(x.dtype)), b_OR.to(x.dtype))
