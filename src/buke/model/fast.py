"""The Llama family (Llama, Qwen2, Qwen3, Mistral) through our own layers, on the tensors of transformers and PEFT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from peft.tuners.lora import Linear as PeftLinear
from torch import Tensor, nn

from buke.kernels import Arena, Following, Layer, Linear, Place, Remembering, Work, decoder_layer, rows_to_add
from buke.kernels.attention import Attention
from buke.model.ahead import Ahead
from buke.model.stream import weight_of
from buke.pack import groups

ROW = 1024  # tokens of prompts read at once
FAMILY = ("LlamaDecoderLayer", "Qwen2DecoderLayer", "Qwen3DecoderLayer", "MistralDecoderLayer")


@dataclass
class Fast:
    """A base model's decoder as a list of our layers. keep: what a layer keeps for the backward pass, see Place."""

    base: Any
    layers: dict[bool, list[Layer]]  # with the adapter and without
    keep: str = "all"
    arena: Arena = field(default_factory=Arena)
    ahead: Ahead | None = None  # where the frozen weights are not where they are used

    @property
    def bring(self) -> Callable[[Layer, int, int], Layer] | None:
        """What brings a layer's weights, where they are not where they are used."""
        return None if self.ahead is None else self.ahead.at_hand

    @property
    def first(self) -> int:
        """The first layer that learns; what is below it makes the same of a record for ever."""
        return next((number for number, layer in enumerate(self.layers[True]) if layer.adapters), 0)

    def hidden(
        self, ids_1T: Tensor, places_1T: Tensor, starts: Sequence[int], adapted: bool, below_TD: Tensor | None = None
    ) -> Tensor:
        """Hidden states before the head, (T, D). below_TD: those below the first layer that learns, where known."""
        decoder = self.base.get_decoder()
        known = 0 if below_TD is None else self.first
        x_TD = decoder.embed_tokens(ids_1T)[0] if below_TD is None else below_TD
        cos_1TE, sin_1TE = decoder.rotary_emb(x_TD, places_1T)
        place = Place(cos_1TE[0], sin_1TE[0], starts, self.arena, self.keep, self.bring)
        for number, layer in enumerate(self.layers[adapted][known:], known):
            x_TD = decoder_layer(x_TD, layer, number, place)
        self.arena.give_back()  # the head needs the room
        return decoder.norm(x_TD)  # type: ignore[no-any-return]

    def below(self, ids: Sequence[int]) -> Tensor:
        """Hidden states (T, D) of one record below the first layer that learns."""
        with torch.no_grad():
            return self._without_gradient(ids, range(len(ids)), (0, len(ids)), True, own=slice(self.first))

    def begin(self, prompts: Sequence[Sequence[int]], store: Any, adapted: bool) -> Tensor:
        """Hidden states (B, D) of the last token of each prompt; no padding is computed.

        store.put(layer, first question, starts, keys, values) gets what is to be kept of the prompts of a row.
        """
        found, first = [], 0
        for own in groups(prompts, len(prompts), ROW):
            starts = [0, *accumulate(map(len, own))]

            def attention(
                number: int, layer: Layer, place: Place, starts: Sequence[int] = starts, first: int = first
            ) -> Remembering:
                keep = partial(store.put, number, first, starts)
                return Remembering(starts, layer.scale, layer.window, place.arena, keep)

            places = [at for ids in own for at in range(len(ids))]
            x_TD = self._without_gradient([i for ids in own for i in ids], places, starts, adapted, attention)
            found.append(x_TD[[stop - 1 for stop in starts[1:]]])
            first += len(own)
        return self.base.get_decoder().norm(torch.cat(found))  # type: ignore[no-any-return]

    def go_on(self, token_B: Tensor, places_B: Tensor, seen_BL: Tensor, store: Any, adapted: bool) -> Tensor:
        """Hidden states (B, D) of one more token a question. store.update appends keys and values and returns all."""

        def attention(number: int, layer: Layer, place: Place) -> Following:
            return Following(seen_BL, layer.scale, layer.window, lambda k, v: store.update(k, v, number))

        x_BD = self._without_gradient(token_B, places_B, (0, len(token_B)), adapted, attention)
        return self.base.get_decoder().norm(x_BD)  # type: ignore[no-any-return]

    def _without_gradient(
        self, ids: Sequence[int] | Tensor, places: Sequence[int] | Tensor, starts: Sequence[int], adapted: bool,
        attention: Callable[[int, Layer, Place], Attention | Following] | None = None, own: slice = slice(None),
    ) -> Tensor:  # fmt: skip
        """The layers over tokens (T, D), with an attention of the caller's if there is one. own: which of them."""
        decoder = self.base.get_decoder()
        like = self.layers[adapted][0].norm1_D  # the embedding's rows may be elsewhere
        count, device = len(ids), like.device
        if not isinstance(ids, Tensor):  # prompts and records, of any length; no attention is computed of what is added
            more = rows_to_add(count, like.dtype, device)
            ids, places = [*ids, *[ids[0]] * more], [*places, *[0] * more]
        x_TD: Tensor = decoder.embed_tokens(torch.as_tensor(ids, device=device)[None])[0]
        cos_1TE, sin_1TE = decoder.rotary_emb(x_TD, torch.as_tensor(places, device=device)[None])
        place = Place(cos_1TE[0], sin_1TE[0], starts, self.arena, bring=self.bring)
        for number, layer in enumerate(self.layers[adapted][own]):
            own_attention = attention and attention(number, layer, place)
            layer = place.at_hand(layer, number, (number + 1) % len(self.layers[adapted]))
            x_TD = Work(layer, place, number, x_TD, attention=own_attention).forward(x_TD)
        return x_TD[:count]


def fast_of(base: Any, ahead: Ahead | None = None) -> Fast | None:
    """The fast road of a base model that ran once through ``attend``, which tells the window of each layer's attention.

    None where it has none: it is of another family, or dropout or trained biases ask for what our layers do not do.
    """
    modules = getattr(base.get_decoder(), "layers", ())
    if not modules or any(type(module).__name__ not in FAMILY for module in modules):
        return None
    if base.config.get_text_config().hidden_act != "silu":
        return None
    adapted = [part for module in modules for part in module.modules() if isinstance(part, PeftLinear)]
    if any(not isinstance(part.lora_dropout["default"], nn.Identity) for part in adapted):
        return None
    # a bias may learn in layers that have no adapter, too
    if adapted and any(p.requires_grad and "lora_" not in name for name, p in base.named_parameters()):
        return None
    layers = {adapted: [_layer(module, adapted) for module in modules] for adapted in (True, False)}
    return Fast(base, layers, ahead=ahead)


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
        return Linear(weight_of(part), part.bias)
    base = part.base_layer
    if not adapted:
        return Linear(weight_of(base), base.bias)  # type: ignore[arg-type]
    a, b = part.lora_A["default"].weight, part.lora_B["default"].weight
    return Linear(weight_of(base), base.bias, a, b, part.scaling["default"])  # type: ignore[arg-type]
