"""Room `kernels`: the costly computations of a step, each beside the plain twin that says what it means.

Axes: N learned tokens, T tokens of a row, V vocabulary, D model width, H query heads, K key heads, E width of a head,
I and O inputs and outputs of a linear layer, R rank.
"""

from buke.kernels.arena import Arena, free_at_once
from buke.kernels.attention import (
    Following,
    Remembering,
    cached_attention,
    record_attention,
    record_attention_plain,
)
from buke.kernels.four_bits import FourBits, Weight, elements, library_here
from buke.kernels.layer import decoder_layer, decoder_layer_plain
from buke.kernels.linear import ALIKE, frozen_linear, lora_linear, lora_linear_plain, rows_to_add
from buke.kernels.loss import linear_cross_entropy, linear_cross_entropy_plain
from buke.kernels.parts import Layer, Linear, Place
from buke.kernels.work import Work

__all__ = [
    "ALIKE", "Arena", "Following", "FourBits", "Layer", "Linear", "Place", "Remembering", "Weight", "Work",
    "cached_attention", "decoder_layer", "decoder_layer_plain", "elements", "free_at_once", "frozen_linear",
    "library_here", "linear_cross_entropy", "linear_cross_entropy_plain", "lora_linear", "lora_linear_plain",
    "record_attention", "record_attention_plain", "rows_to_add",
]  # fmt: skip
