"""Frozen weights that stay where they are read to, and are widened or copied to a card where they are used.

For the CPU they stay in their file; for a card, in memory of the machine that the card can read from.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from buke.model.ahead import Ahead, ahead_of

PARTS = 2**24  # elements of a weight widened at once


def stream(base: Any, dtype: torch.dtype, device: torch.device, ahead: bool = False) -> Ahead | None:
    """Let every layer of a base model whose weights are kept in another format, or elsewhere, compute in ``dtype`` on
    ``device``.

    On the CPU the weights are never written, so the system may drop their pages and read them again; what is small
    (norms, biases) is widened once. ahead: whether a card has room for the head, and for two layers at once, which
    what is returned then brings there.
    """
    if ahead:  # the head is read twice for every block of logits
        head = base.get_output_embeddings().weight
        head.data = head.data.to(device, dtype)
    found = ahead_of(base, device) if ahead else None
    for module in base.modules():
        if isinstance(module, nn.Linear):
            module.forward = _widening(module)  # type: ignore[method-assign]
            if found is None:
                _reachable(module.weight, device)
            if module.bias is not None:
                module.bias = nn.Parameter(module.bias.to(device, dtype), requires_grad=False)
        elif isinstance(module, nn.Embedding):
            module.forward = _embedding(module, dtype, device)  # type: ignore[method-assign]
        else:
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, nn.Parameter(parameter.to(device, dtype), requires_grad=False))
            for name, buffer in list(module.named_buffers(recurse=False)):
                setattr(module, name, buffer.to(device))
    return found


def _reachable(weight: Tensor, device: torch.device) -> None:
    """Let a card read a weight by itself, while it computes: pages that the system may not move."""
    if device.type == "cuda" and weight.device.type == "cpu":
        weight.data = weight.data.pin_memory()


def _widening(module: nn.Linear) -> Any:
    def forward(x: Tensor) -> Tensor:
        if (x.dtype, x.device) == (module.weight.dtype, module.weight.device):
            return F.linear(x, module.weight, module.bias)
        step = max(1, PARTS // module.in_features)
        parts = [F.linear(x, part.to(x)) for part in module.weight.split(step)]
        y = parts[0] if len(parts) == 1 else torch.cat(parts, -1)
        return y if module.bias is None else y + module.bias

    return forward


def _embedding(module: nn.Embedding, dtype: torch.dtype, device: torch.device) -> Any:
    return lambda ids: F.embedding(ids.to(module.weight.device), module.weight).to(device, dtype)
