"""The Llama family (Llama, Qwen2, Qwen3, Mistral) through our own layers, on the tensors of transformers and PEFT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from peft.tuners.lora import Linear as PeftLinear
from torch import Tensor, nn

from buke.kernels import Arena, Layer, Linear, Place, decoder_layer

FAMILY = ("LlamaDecoderLayer", "Qwen2DecoderLayer", "Qwen3DecoderLayer", "MistralDecoderLayer")


@dataclass
class Fast:
    """A base model's decoder as a list of our layers. keep: what a layer keeps for the backward pass, see Place."""

    base: Any
    layers: dict[bool, list[Layer]]  # with the adapter and without
    keep: str = "all"
    arena: Arena = field(default_factory=Arena)

    def hidden(self, ids_1T: Tensor, places_1T: Tensor, starts: Sequence[int], adapted: bool) -> Tensor:
        """Hidden states before the head, (T, D)."""
        decoder = self.base.get_decoder()
        x_TD = decoder.embed_tokens(ids_1T)[0]
        cos_1TE, sin_1TE = decoder.rotary_emb(x_TD, places_1T)
        place = Place(cos_1TE[0], sin_1TE[0], starts, self.arena, self.keep)
        for number, layer in enumerate(self.layers[adapted]):
            x_TD = decoder_layer(x_TD, layer, number, place)
        self.arena.give_back()  # the head needs the room
        return decoder.norm(x_TD)  # type: ignore[no-any-return]


def fast_of(base: Any) -> Fast | None:
    """The fast road of a base model that ran once through ``attend``, which tells the window of each layer's attention.

    None where it has none: it is of another family, or dropout or trained biases ask for what our layers do not do.
    """
    modules = getattr(base.get_decoder(), "layers", ())
    if not modules or any(type(module).__name__ not in FAMILY for module in modules):
        return None
    if base.config.get_text_config().hidden_act != "silu":
        return None
    for part in (part for module in modules for part in module.modules() if isinstance(part, PeftLinear)):
        bias = part.base_layer.bias
        if not isinstance(part.lora_dropout["default"], nn.Identity) or (bias is not None and bias.requires_grad):
            return None
    return Fast(base, {adapted: [_layer(module, adapted) for module in modules] for adapted in (True, False)})


def _layer(module: Any, adapted: bool) -> Layer:
    attention, mlp = module.self_attn, module.mlp
    parts = {name: getattr(attention, f"{name}_proj") for name in "qkvo"}
    parts |= {name: getattr(mlp, f"{name}_proj") for name in ("gate", "up", "down")}
    linears = {name: _linear(part, adapted) for name, part in parts.items()}
    first, second = module.input_layernorm, module.post_attention_layernorm
    q_norm, k_norm = (getattr(attention, name, None) for name in ("q_norm", "k_norm"))
    return Layer(
        first.weight, second.weight, **linears, head_width=attention.head_dim, scale=attention.scaling,
        epsilon=first.variance_epsilon, window=attention.window,
        q_norm_E=None if q_norm is None else q_norm.weight, k_norm_E=None if k_norm is None else k_norm.weight,
    )  # fmt: skip


def _linear(part: Any, adapted: bool) -> Linear:
    if not isinstance(part, PeftLinear):
        return Linear(part.weight, part.bias)
    base = part.base_layer
    if not adapted:
        return Linear(base.weight, base.bias)  # type: ignore[arg-type]
    a, b = part.lora_A["default"].weight, part.lora_B["default"].weight
    return Linear(base.weight, base.bias, a, b, part.scaling["default"])  # type: ignore[arg-type]


def activation_bytes(base: Any, tokens: int, rank: int, kind: str) -> int:
    """What the layers keep of a row of so many tokens for the backward pass. kind: ``full``, ``half`` or ``byte``."""
    config = base.config.get_text_config()
    width, heads = config.hidden_size, config.num_attention_heads
    inner, head = getattr(config, "intermediate_size", None) or 4 * width, getattr(config, "head_dim", None)
    queries, keys = (count * (head or width // heads) for count in (heads, _key_heads(config)))
    whole = queries + keys + 7 * rank  # queries, keys, and what the adapters make of the inputs
    narrow = keys + queries + 2 * width  # values, what attention found, the inputs of both halves
    bits = {"full": (32, 32), "half": (16, 16), "byte": (16, 8.5)}[kind]  # 8.5: with the scales
    each = 32 * whole + bits[0] * narrow + bits[1] * 2 * inner
    return int(tokens * config.num_hidden_layers * each / 8)


def _key_heads(config: Any) -> int:
    return int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
