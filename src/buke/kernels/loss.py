"""Cross-entropy of a frozen head, without ever holding all logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LOGITS_AT_ONCE = 2**24  # elements of the largest logits block: 64 MB in float32


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
