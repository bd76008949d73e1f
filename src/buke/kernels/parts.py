"""What a decoder layer is made of, and where a row is computed.

Axes: T tokens of a row, D model width, E width of a head, I and O inputs and outputs of a linear layer, R rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from buke.kernels.arena import Arena
from buke.kernels.four_bits import Weight


@dataclass(frozen=True)
class Linear:
    """A frozen linear layer, with its adapter where it has one."""

    weight_OI: Weight  # in the format it is kept in; widened to that of the activations where it is used
    bias_O: Tensor | None = None
    a_RI: Tensor | None = None
    b_OR: Tensor | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Layer:
    """The parts of a decoder layer."""

    norm1_D: Tensor
    norm2_D: Tensor
    q: Linear
    k: Linear
    v: Linear
    o: Linear
    gate: Linear
    up: Linear
    down: Linear
    head_width: int
    scale: float
    epsilon: float
    window: int | None = None
    q_norm_E: Tensor | None = None  # Qwen3
    k_norm_E: Tensor | None = None

    @property
    def linears(self) -> tuple[Linear, ...]:
        return (self.q, self.k, self.v, self.o, self.gate, self.up, self.down)

    @property
    def adapters(self) -> list[Tensor]:
        """A and B of each linear layer that has them, in order."""
        return [
            x for one in self.linears if one.a_RI is not None and one.b_OR is not None for x in (one.a_RI, one.b_OR)
        ]


@dataclass(frozen=True)
class Place:
    """Where a row is computed: the rotation of each token, the records' borders, memory, and what is kept.

    keep: what waits for the backward pass: ``all``; ``half``, most of it in bfloat16; ``byte``, the widest of it in
    eight bits; or ``input``: only what goes into a layer, which is computed again.
    bring: gives layer ``number`` with its weights at hand, where they are not; told which layer comes after it.
    """

    cos_TE: Tensor
    sin_TE: Tensor
    starts: Sequence[int]
    arena: Arena
    keep: str = "all"
    bring: Callable[[Layer, int, int], Layer] | None = None

    def at_hand(self, layer: Layer, number: int, then: int) -> Layer:
        """A layer with its weights where they are used."""
        return self.bring(layer, number, then) if self.bring else layer
