"""Frozen weights that stay where they are read to, or in four bits, and are widened or copied to a card where they are
used.

For the CPU they stay in their file; for a card, in memory of the machine that the card can read from. In four bits, the
layers are in the memory that computes; embedding and head stay in 16 bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from buke.kernels import FourBits, Weight, frozen_linear
from buke.model.ahead import Ahead, ahead_of, readable


def stream(
    base: Any, dtype: torch.dtype, device: torch.device, ahead: bool = False, four_bits: bool = False
) -> Ahead | None:
    """Let every layer of a base model whose weights are kept in another format, or elsewhere, compute in ``dtype`` on
    ``device``.

    On the CPU the weights are never written, so the system may drop their pages and read them again; what is small
    (norms, biases) is widened once. ahead: whether a card has room for the head, and for two layers at once, which
    what is returned then brings there. four_bits: whether the layers' weights are rounded, and stay on the device.
    """
    head = base.get_output_embeddings()
    if ahead or (four_bits and device.type == "cuda"):  # the head is read twice for every block of logits
        head.weight.data = head.weight.data.to(device, dtype)
    found = ahead_of(base, device) if ahead else None
    for module in base.modules():
        if isinstance(module, nn.Linear):
            module.forward = _widening(module)  # type: ignore[method-assign]
            if four_bits and module is not head:
                _round(module, device)
            elif found is None:
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
        weight.data = readable(weight.numel(), weight.data).view(weight.shape).copy_(weight.data)


def _round(module: nn.Linear, device: torch.device) -> None:
    """Keep a linear layer's weight in four bits."""
    found = FourBits.of(module.weight.data, device)
    module.weight = nn.Parameter(found.packed_B, requires_grad=False)
    module.register_buffer("scales", found.scales_G, persistent=False)


def weight_of(module: Any) -> Weight:
    """The weight of a linear layer, (O, I), as it is kept."""
    scales = getattr(module, "scales", None)
    if scales is None:
        return module.weight  # type: ignore[no-any-return]
    return FourBits(module.weight, scales, (module.out_features, module.in_features))


def _widening(module: nn.Linear) -> Any:
    return lambda x: frozen_linear(x, weight_of(module), module.bias)


def _embedding(module: nn.Embedding, dtype: torch.dtype, device: torch.device) -> Any:
    return lambda ids: F.embedding(ids.to(module.weight.device), module.weight).to(device, dtype)
