"""Cross-entropy of a frozen head, without ever holding all logits.

Axes: N learned tokens, B tokens of a block, V vocabulary, D model width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LOGITS_AT_ONCE = 2**24  # elements of the largest block of logits: 64 MB in float32
WIDE_AT_ONCE = 2**24  # elements of a head kept in 16 bit that are widened at once


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum of the cross-entropies of hidden @ weight.T against targets, a block of tokens at a time.

    The weight is frozen, so the gradient by the hidden states is formed in the forward pass, block by block, and only
    scaled in the backward pass: logits of more than one block never exist.
    """

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        grad_ND = torch.zeros_like(hidden_ND) if ctx.needs_input_grad[0] else None
        block = max(1, min(len(hidden_ND), LOGITS_AT_ONCE // len(weight_VD)))
        buffer_BV = hidden_ND.new_empty(block, len(weight_VD)) if len(hidden_ND) else hidden_ND
        for start in range(0, len(hidden_ND), block):
            hidden_BD, target_B1 = hidden_ND[start : start + block], targets_N[start : start + block, None]
            logits_BV = _logits(hidden_BD, weight_VD, buffer_BV[: len(hidden_BD)])
            total -= logits_BV.gather(1, target_B1).sum()
            if grad_ND is None:
                total += logits_BV.logsumexp(-1).sum()
                continue
            most_B = logits_BV.amax(-1)
            torch.softmax(logits_BV, -1, out=logits_BV)  # now probabilities; that of the likeliest is 1 / sum of exp
            total += (most_B - logits_BV.amax(-1).log()).sum()
            logits_BV.scatter_add_(1, target_B1, torch.full_like(target_B1, -1.0, dtype=logits_BV.dtype))
            for part, wide_PD in _parts(weight_VD, hidden_BD.dtype):
                grad_ND[start : start + block].addmm_(logits_BV[:, part].to(hidden_BD.dtype), wide_PD)
        if grad_ND is not None:
            ctx.save_for_backward(grad_ND)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (grad_ND,) = ctx.saved_tensors
        return grad_ND * grad.to(grad_ND.dtype), None, None


def _logits(hidden_BD: Tensor, weight_VD: Tensor, buffer_BV: Tensor) -> Tensor:
    """Logits in float32; in the buffer where the hidden states are float32."""
    for part, wide_PD in _parts(weight_VD, hidden_BD.dtype):
        torch.mm(hidden_BD, wide_PD.T, out=buffer_BV[:, part])
    return buffer_BV.float()


def _parts(weight_VD: Tensor, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    """The head in the format of the hidden states: whole where it is kept so, else some of the vocabulary at once."""
    if weight_VD.dtype == dtype:
        yield slice(None), weight_VD
        return
    step = max(1, WIDE_AT_ONCE // weight_VD.shape[1])
    for start in range(0, len(weight_VD), step):
        yield slice(start, start + step), weight_VD[start : start + step].to(dtype)


def linear_cross_entropy(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
    """Summed cross-entropy in nats (float32 scalar) of a frozen head; 0 where there is no token.

    The head may be kept in another format than the hidden states are in.
    """
    loss: Tensor = _LinearCrossEntropy.apply(hidden_ND, weight_VD, targets_N)  # type: ignore[no-untyped-call]
    return loss


def linear_cross_entropy_plain(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
    """What ``linear_cross_entropy`` means."""
    return F.cross_entropy((hidden_ND @ weight_VD.to(hidden_ND.dtype).T).float(), targets_N, reduction="sum")
