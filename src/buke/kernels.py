"""Room `kernels`: the costly computations of a step, each followed by the plain twin that says what it means.

Axes: N learned tokens, T tokens of a row, V vocabulary, D model width, H query heads, K key heads, E width of a head,
I and O inputs and outputs of a linear layer, R rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LOGITS_AT_ONCE = 2**24  # elements of the largest logits block: 64 MB in float32


# cross-entropy of the head


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum of the cross-entropies of hidden @ weight.T against targets, a block of tokens at a time.

    The weight is frozen, so the gradient by the hidden states is formed in the forward pass, block by block, and only
    scaled in the backward pass: logits of more than one block never exist.
    """

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        grad_ND = torch.empty_like(hidden_ND) if hidden_ND.requires_grad or ctx.needs_input_grad[0] else None
        block = max(1, LOGITS_AT_ONCE // weight_VD.shape[0])
        for start in range(0, hidden_ND.shape[0], block):
            part = slice(start, start + block)
            logits_NV = (hidden_ND[part] @ weight_VD.T).float()
            target_N1 = targets_N[part, None]
            norm_N1 = logits_NV.logsumexp(-1, keepdim=True)
            total += (norm_N1 - logits_NV.gather(1, target_N1)).sum()
            if grad_ND is not None:
                logits_NV.sub_(norm_N1).exp_()  # now probabilities
                logits_NV.scatter_add_(1, target_N1, torch.full_like(target_N1, -1.0, dtype=logits_NV.dtype))
                grad_ND[part] = logits_NV.to(weight_VD.dtype) @ weight_VD
        if grad_ND is not None:
            ctx.save_for_backward(grad_ND)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (grad_ND,) = ctx.saved_tensors
        return grad_ND * grad.to(grad_ND.dtype), None, None


def linear_cross_entropy(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
    """Summed cross-entropy in nats (float32 scalar) of a frozen head; 0 where there is no token."""
    loss: Tensor = _LinearCrossEntropy.apply(hidden_ND, weight_VD, targets_N)  # type: ignore[no-untyped-call]
    return loss


def linear_cross_entropy_plain(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
    """What ``linear_cross_entropy`` means."""
    return F.cross_entropy((hidden_ND @ weight_VD.T).float(), targets_N, reduction="sum")


# a frozen linear layer with its adapter


class _LoraLinear(torch.autograd.Function):
    """x W^T + b + s (x A^T) B^T, with products added in place and the input kept once for both halves."""

    @staticmethod
    def forward(
        ctx: Any, x_TI: Tensor, weight_OI: Tensor, bias_O: Tensor | None, a_RI: Tensor, b_OR: Tensor, scale: float
    ) -> Tensor:
        low_TR = x_TI @ a_RI.T.to(x_TI.dtype)
        y_TO = F.linear(x_TI, weight_OI, bias_O)
        y_TO.addmm_(low_TR, b_OR.T.to(x_TI.dtype), alpha=scale)
        ctx.save_for_backward(x_TI, low_TR, weight_OI, a_RI, b_OR)
        ctx.scale = scale
        return y_TO

    @staticmethod
    def backward(ctx: Any, dy_TO: Tensor) -> tuple[Tensor | None, ...]:
        x_TI, low_TR, weight_OI, a_RI, b_OR = ctx.saved_tensors
        dlow_TR = (dy_TO @ b_OR.to(dy_TO.dtype)).mul_(ctx.scale)
        dx_TI = None
        if ctx.needs_input_grad[0]:
            dx_TI = dy_TO @ weight_OI
            dx_TI.addmm_(dlow_TR, a_RI.to(dy_TO.dtype))
        da_RI = (dlow_TR.T @ x_TI).to(a_RI.dtype)
        db_OR = (dy_TO.T @ low_TR).mul_(ctx.scale).to(b_OR.dtype)
        dbias_O = dy_TO.sum(0) if ctx.needs_input_grad[2] else None
        return dx_TI, None, dbias_O, da_RI, db_OR, None


def lora_linear(
    x: Tensor, weight_OI: Tensor, bias_O: Tensor | None, a_RI: Tensor, b_OR: Tensor, scale: float
) -> Tensor:
    """A frozen linear layer plus its low-rank update (Hu et al. 2021, eq. 3). x: (..., I) -> (..., O)."""
    y_TO: Tensor = _LoraLinear.apply(x.reshape(-1, x.shape[-1]), weight_OI, bias_O, a_RI, b_OR, scale)  # type: ignore[no-untyped-call]
    return y_TO.view(*x.shape[:-1], y_TO.shape[-1])


def lora_linear_plain(
    x: Tensor, weight_OI: Tensor, bias_O: Tensor | None, a_RI: Tensor, b_OR: Tensor, scale: float
) -> Tensor:
    """What ``lora_linear`` means."""
    return F.linear(x, weight_OI, bias_O) + scale * F.linear(F.linear(x, a_RI.to(x.dtype)), b_OR.to(x.dtype))


# attention within each record of a row


def record_attention(
    q_HTE: Tensor, k_KTE: Tensor, v_KTE: Tensor, starts: Sequence[int], scale: float, window: int | None = None
) -> Tensor:
    """Causal attention in which the tokens of a record see only that record. Returns (H, T, E).

    starts: offsets of the records, with T as the last. window: how many tokens back a token sees, None for all.
    One call of scaled_dot_product_attention a record: no mask over the whole row is ever made.
    """
    parts = []
    for start, stop in pairwise(starts):
        q, k, v = (x[None, :, start:stop] for x in (q_HTE, k_KTE, v_KTE))
        mask = None if window is None or stop - start <= window else _causal_mask(stop - start, window, q.device)
        parts.append(
            F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
            )[0]
        )
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def record_attention_plain(
    q_HTE: Tensor, k_KTE: Tensor, v_KTE: Tensor, starts: Sequence[int], scale: float, window: int | None = None
) -> Tensor:
    """What ``record_attention`` means: one softmax over the row under a block-diagonal causal mask."""
    length, groups = q_HTE.shape[1], q_HTE.shape[0] // k_KTE.shape[0]
    record_T = torch.bucketize(torch.arange(length, device=q_HTE.device), q_HTE.new_tensor(starts[1:-1]), right=True)
    allowed_TT = (record_T[:, None] == record_T[None, :]) & _causal_mask(length, window or length, q_HTE.device)
    k_HTE, v_HTE = k_KTE.repeat_interleave(groups, 0), v_KTE.repeat_interleave(groups, 0)
    scores_HTT = (q_HTE @ k_HTE.transpose(1, 2)).float() * scale
    return scores_HTT.masked_fill(~allowed_TT, float("-inf")).softmax(-1).to(v_HTE.dtype) @ v_HTE


def _causal_mask(length: int, window: int, device: torch.device) -> Tensor:
    """True where a query (row) may see a key (column): itself and the ``window - 1`` tokens before it."""
    place = torch.arange(length, device=device)
    back_TT = place[:, None] - place[None, :]
    return (back_TT >= 0) & (back_TT < window)
