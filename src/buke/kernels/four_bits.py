"""Frozen weights in four bits: NF4 of QLoRA (Dettmers et al. 2023, appendix E), packed by bitsandbytes.

Axes: O and I outputs and inputs of a linear layer, B bytes of two weights each, G groups of 64 weights.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from buke.kernels.arena import in_own_pages

GROUP = 64  # weights that share a scale
AT_ONCE = 2**18  # weights rounded at once: what comes and goes stays in the cache
LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634,
    0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
BOUNDS = [(torch.tensor(one) + torch.tensor(other)).item() / 2 for one, other in pairwise(LEVELS)]


def library_here() -> bool:
    """Whether bitsandbytes is installed."""
    return importlib.util.find_spec("bitsandbytes") is not None


@dataclass(frozen=True, eq=False)
class FourBits:
    """A weight (O, I) in four bits. Weights lie row after row, two in a byte, the first in its upper half."""

    packed_B: Tensor  # uint8
    scales_G: Tensor  # float32: the largest magnitude of each group
    shape: tuple[int, int]

    @classmethod
    def of(cls, weight_OI: Tensor, device: torch.device) -> FourBits:
        """Round a weight to four bits, on the device where it is to stay. On ``meta``, its shapes."""
        shape = (weight_OI.shape[0], weight_OI.shape[1])
        if device.type == "meta":
            count = -(-math.prod(shape) // GROUP)
            packed_B = torch.empty(count * GROUP // 2, dtype=torch.uint8, device=device)
            return cls(packed_B, torch.empty(count, device=device), shape)
        groups = _in_groups(weight_OI)
        packed_G = in_own_pages(len(groups), GROUP // 2, dtype=torch.uint8, device=device)
        scales_G = in_own_pages(len(groups), dtype=torch.float32, device=device)
        for start in range(0, len(groups), AT_ONCE // GROUP):
            part = slice(start, start + AT_ONCE // GROUP)
            packed_G[part], scales_G[part] = _rounded(groups[part].to(device))
        return cls(packed_G.view(-1), scales_G, shape)

    def __len__(self) -> int:
        return self.shape[0]

    def numel(self) -> int:
        """How many weights."""
        return math.prod(self.shape)

    def rows(self, start: int, stop: int, dtype: torch.dtype) -> Tensor:
        """Outputs from ``start`` to before ``stop``, widened. start: a multiple of ``unit``."""
        inputs = self.shape[1]
        shape = (min(stop, self.shape[0]) - start, inputs)
        if self.packed_B.is_meta:
            return torch.empty(shape, dtype=dtype, device="meta")
        own = slice(start * inputs // GROUP, -(-(start + shape[0]) * inputs // GROUP))
        packed_B1 = self.packed_B[own.start * GROUP // 2 : own.stop * GROUP // 2, None]
        # bitsandbytes 0.50 takes each row to begin a group, on the CPU
        asked = shape if inputs % GROUP == 0 else (own.stop - own.start, GROUP)
        _library()
        wide: Tensor = torch.ops.bitsandbytes.dequantize_4bit(packed_B1, self.scales_G[own], GROUP, "nf4", asked, dtype)
        return wide.view(-1)[: math.prod(shape)].view(shape)

    @property
    def unit(self) -> int:
        """Rows after which a group ends."""
        return GROUP // math.gcd(GROUP, self.shape[1])

    def parts(self, dtype: torch.dtype, most: int) -> Iterator[tuple[slice, Tensor]]:
        """All outputs, widened, about ``most`` weights at once."""
        step = max(1, most // self.shape[1] // self.unit) * self.unit
        for start in range(0, len(self), step):
            yield slice(start, start + step), self.rows(start, start + step, dtype)


Weight = Tensor | FourBits


def whole(weight_OI: Weight, like: Tensor) -> Tensor:
    """A weight in the format of what it meets."""
    return weight_OI.rows(0, len(weight_OI), like.dtype) if isinstance(weight_OI, FourBits) else weight_OI.to(like)


def elements(parameter: Tensor) -> int:
    """How many weights a parameter holds, be it packed."""
    return parameter.numel() * (2 if parameter.dtype == torch.uint8 else 1)


def widened_plain(weight: FourBits) -> Tensor:
    """What a weight stands for, (O, I) in float32."""
    halves_B2 = torch.stack([weight.packed_B >> 4, weight.packed_B & 15], -1)
    levels = torch.tensor(LEVELS, device=weight.packed_B.device)[halves_B2.long()]
    values = levels.view(-1, GROUP) * weight.scales_G[:, None]
    return values.view(-1)[: weight.numel()].view(weight.shape)


def four_bits_plain(weight_OI: Tensor) -> FourBits:
    """What ``FourBits.of`` means: the nearest of sixteen levels, times the largest magnitude of 64 weights."""
    groups = _in_groups(weight_OI.float())
    scales_G = groups.abs().amax(-1)
    levels = torch.tensor(LEVELS)
    nearest = torch.bucketize(groups / scales_G.clamp(min=1e-30)[:, None], (levels[1:] + levels[:-1]) / 2)
    pairs_B2 = nearest.view(-1, 2)
    packed_B = (pairs_B2[:, 0] << 4 | pairs_B2[:, 1]).to(torch.uint8)
    return FourBits(packed_B, scales_G, (weight_OI.shape[0], weight_OI.shape[1]))


def _rounded(groups: Tensor) -> tuple[Tensor, Tensor]:
    """Packed bytes (G, 32) and scales of groups (G, 64)."""
    if groups.device.type != "cpu":
        _library()
        packed_B1, scales_G = torch.ops.bitsandbytes.quantize_4bit(groups, GROUP, "nf4", torch.uint8)
        return packed_B1.view(-1, GROUP // 2), scales_G
    # to the bit what bitsandbytes does there, in a third of the time: it searches among the bounds
    scales_G = groups.abs().amax(-1).float()
    ratio = groups.float() / scales_G.clamp(min=1e-30)[:, None]
    level = torch.zeros(ratio.shape, dtype=torch.uint8)
    for bound in BOUNDS:
        level += ratio > bound
    return level[:, ::2] << 4 | level[:, 1::2], scales_G


def _in_groups(weight_OI: Tensor) -> Tensor:
    """(G, 64), filled up with zeros."""
    flat = weight_OI.reshape(-1)
    return F.pad(flat, (0, -len(flat) % GROUP)).view(-1, GROUP)


@cache
def _library() -> None:
    """Have bitsandbytes' operations. It says what it could not fetch from a hub; nobody asked it to."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import bitsandbytes  # noqa: F401
