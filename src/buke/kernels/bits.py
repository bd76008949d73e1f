"""Activations that wait in fewer bits than they are computed in.

Axes: T tokens of a row, P tokens of a part of it, I width, G groups of it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from buke.kernels.arena import Arena

GROUP = 64  # neighbours that share a scale in eight bits: a large value costs only them their precision


class Packed:
    """A (T, I) activation in 16 bits (bfloat16), or in 8: whole numbers times a scale for every GROUP of a token.

    An error of 8 bits is at most 1/254 of the largest value of its group. What was written can be read in parts.
    """

    def __init__(self, arena: Arena, name: str, like_TI: Tensor, bits: int, owner: int | None = None) -> None:
        tokens, width = like_TI.shape
        self.group = GROUP if width % GROUP == 0 else width
        kind = torch.int8 if bits == 8 else torch.bfloat16
        self.values_TI = arena.take(name, tokens, width, like=like_TI, dtype=kind, owner=owner)
        self.scales_TG = None
        if bits == 8:
            groups, wide = width // self.group, torch.float32  # a scale of 16 bits makes 128 of 127, in int8 -128
            self.scales_TG = arena.take(f"{name} scales", tokens, groups, like=like_TI, dtype=wide, owner=owner)
        self.arena = arena

    def write(self, x_PI: Tensor, rows: slice = slice(None)) -> None:
        """Keep these rows."""
        if self.scales_TG is None:
            self.values_TI[rows].copy_(x_PI)
            return
        scales_PG, x_PGI = self.scales_TG[rows], x_PI.view(len(x_PI), -1, self.group)
        whole_PGI = torch.abs(x_PGI, out=self.arena.take("whole", *x_PGI.shape, like=x_PI))
        scales_PG.copy_(whole_PGI.amax(-1)).div_(127).clamp_min_(1e-30)
        torch.div(x_PGI, scales_PG[..., None], out=whole_PGI).round_()
        self.values_TI[rows].view(x_PGI.shape).copy_(whole_PGI)

    def read(self, out_PI: Tensor, rows: slice = slice(None)) -> Tensor:
        """What these rows were, into ``out_PI``."""
        out_PI.copy_(self.values_TI[rows])
        if self.scales_TG is not None:
            out_PI.view(len(out_PI), -1, self.group).mul_(self.scales_TG[rows][..., None])
        return out_PI
