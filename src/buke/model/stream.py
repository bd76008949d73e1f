"""Frozen weights that stay in the file they are read from, in 16 bit, and are widened where they are used."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PARTS = 2**24  # elements of a weight widened at once


def stream(base: Any, dtype: torch.dtype) -> None:
    """Let every layer of a base model whose weights are kept in another format compute in ``dtype``.

    The weights are never written, so the system may drop their pages and read them again; what is small (norms, biases)
    is widened once.
    """
    for module in base.modules():
        if isinstance(module, nn.Linear):
            module.forward = _widening(module)  # type: ignore[method-assign]
            if module.bias is not None:
                module.bias.data = module.bias.data.to(dtype)
        elif isinstance(module, nn.Embedding):
            module.forward = _embedding(module, dtype)  # type: ignore[method-assign]
        else:
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)


def _widening(module: nn.Linear) -> Any:
    def forward(x: Tensor) -> Tensor:
        if x.dtype == module.weight.dtype:
            return F.linear(x, module.weight, module.bias)
        step = max(1, PARTS // module.in_features)
        parts = [F.linear(x, part.to(x.dtype)) for part in module.weight.split(step)]
        y = parts[0] if len(parts) == 1 else torch.cat(parts, -1)
        return y if module.bias is None else y + module.bias

    return forward


def _embedding(module: nn.Embedding, dtype: torch.dtype) -> Any:
    return lambda ids: F.embedding(ids, module.weight).to(dtype)
