"""Cross-entropy of a frozen head, without ever holding all logits.

Axes: N learned tokens, B tokens of a block, V vocabulary, D model width.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from buke.kernels.arena import Arena
from buke.kernels.linear import ALIKE, add_product, rows_to_add, widened

LOGITS_AT_ONCE = 2**24  # elements of the largest block of logits: 64 MB in float32
LOGITS_AT_ONCE_WIDENED = 3 * 2**24  # where the head has to be widened anew for every block
ORDERED_AT_ONCE = 2**23  # elements of a bfloat16 head in a product on the CPU


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum of the cross-entropies of hidden @ weight.T + bias against targets, a block of tokens at a time.

    The weight is frozen, so the gradient by the hidden states is formed in the forward pass, block by block, and only
    scaled in the backward pass: logits of more than one block never exist.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, arena: Arena, bias_V: Tensor | None
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        wide = torch.promote_types(hidden_ND.dtype, torch.float32)
        count = len(hidden_ND)
        # rows that are added are computed and never looked at
        hidden_ND = F.pad(hidden_ND, (0, 0, 0, rows_to_add(count, hidden_ND.dtype, hidden_ND.device)))
        grad_ND = torch.zeros_like(hidden_ND, dtype=wide) if ctx.needs_input_grad[0] else None
        grad_V = torch.zeros_like(bias_V) if bias_V is not None and ctx.needs_input_grad[4] else None
        blocks = _blocks(hidden_ND, weight_VD)
        largest = max((rows.stop - rows.start for rows in blocks), default=0)
        buffer_BV = arena.take("logits", largest, len(weight_VD), like=hidden_ND)
        for rows in blocks:
            hidden_BD, target_B1 = hidden_ND[rows], targets_N[rows, None]
            all_BV = _logits(hidden_BD, weight_VD, bias_V, arena, buffer_BV[: len(hidden_BD)])
            logits_BV = all_BV[: len(target_B1)]
            total -= logits_BV.gather(1, target_B1).sum()
            if grad_ND is None:
                total += logits_BV.logsumexp(-1).sum()
                continue
            most_B = logits_BV.amax(-1)
            torch.softmax(logits_BV, -1, out=logits_BV)  # now probabilities; that of the likeliest is 1 / sum of exp
            total += (most_B - logits_BV.amax(-1).log()).sum()
            logits_BV.scatter_add_(1, target_B1, torch.full_like(target_B1, -1.0, dtype=logits_BV.dtype))
            if grad_V is not None:
                grad_V += logits_BV.sum(0)
            for part, wide_PD in _parts(weight_VD, hidden_BD, arena):
                add_product(grad_ND[rows], all_BV[:, part].to(hidden_BD.dtype), wide_PD)
        arena.give_back()  # the backward pass needs the room
        if grad_ND is not None:
            ctx.save_for_backward(grad_ND[:count], grad_V)
            ctx.dtype = hidden_ND.dtype
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_ND, grad_V = ctx.saved_tensors
        by_bias = None if grad_V is None else grad_V * grad.to(grad_V.dtype)
        return (grad_ND * grad.to(grad_ND.dtype)).to(ctx.dtype), None, None, None, by_bias


def _blocks(hidden_ND: Tensor, weight_VD: Tensor) -> list[slice]:
    """Blocks of tokens of nearly the same size: few, since each reads the whole head."""
    at_once = (
        LOGITS_AT_ONCE
        if (weight_VD.dtype, weight_VD.device) == (hidden_ND.dtype, hidden_ND.device)
        else LOGITS_AT_ONCE_WIDENED
    )
    count = -(-len(hidden_ND) * len(weight_VD) // at_once)
    alike = ALIKE if len(hidden_ND) % ALIKE == 0 else 1
    edges = [len(hidden_ND) // alike * i // max(count, 1) * alike for i in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def _parts(weight_VD: Tensor, like: Tensor, arena: Arena) -> Iterator[tuple[slice, Tensor]]:
    """Parts of the head, as they are or widened. oneDNN orders a bfloat16 weight anew for each product on the CPU: of a
    whole head that would be half a gigabyte (R1-Distill-Qwen-1.5B)."""
    for part, wide_PD in widened(weight_VD, like, arena):
        if part.stop is not None or like.dtype != torch.bfloat16 or like.device.type != "cpu":
            yield part, wide_PD
            continue
        step = max(1, ORDERED_AT_ONCE // wide_PD.shape[1])
        for start in range(0, len(wide_PD), step):
            yield slice(start, start + step), wide_PD[start : start + step]


def _logits(hidden_BD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, arena: Arena, logits_BV: Tensor) -> Tensor:
    """Logits in float32; in the buffer where the hidden states are float32."""
    for part, wide_PD in _parts(weight_VD, hidden_BD, arena):
        torch.mm(hidden_BD, wide_PD.T, out=logits_BV[:, part])
    logits_BV = logits_BV.float()
    return logits_BV if bias_V is None else logits_BV.add_(bias_V)


def linear_cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, arena: Arena | None = None, bias_V: Tensor | None = None
) -> Tensor:
    """Summed cross-entropy in nats (float32 scalar) of a frozen head; 0 where there is no token.

    The head may be kept in another format than the hidden states are in. arena: memory for the logits. bias_V: the
    head's bias where it has one, which may learn where the hidden states do.
    """
    given = (hidden_ND, weight_VD, targets_N, arena or Arena(), bias_V)
    loss: Tensor = _LinearCrossEntropy.apply(*given)  # type: ignore[no-untyped-call]
    return loss


def linear_cross_entropy_plain(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, bias_V: Tensor | None = None
) -> Tensor:
    """What ``linear_cross_entropy`` means."""
    logits_NV = (hidden_ND @ weight_VD.to(hidden_ND.dtype).T).float()
    return F.cross_entropy(logits_NV if bias_V is None else logits_NV + bias_V, targets_N, reduction="sum")
