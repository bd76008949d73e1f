"""A decoder layer of the Llama family (Llama, Qwen2, Qwen3, Mistral) with LoRA, and its plain twin.

Axes: T tokens of a row, D model width, H query heads, E width of a head, O outputs of a linear layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from buke.kernels.attention import record_attention_plain
from buke.kernels.four_bits import whole
from buke.kernels.linear import lora_linear_plain
from buke.kernels.parts import Layer, Linear, Place
from buke.kernels.work import Work


def decoder_layer(x_TD: Tensor, layer: Layer, number: int, place: Place) -> Tensor:
    """One layer over a row of records, (T, D) -> (T, D). number: of the layer, under which it keeps what it needs."""
    y: Tensor = _DecoderLayer.apply(x_TD, layer, number, place, *layer.adapters)  # type: ignore[no-untyped-call]
    return y


def decoder_layer_plain(x_TD: Tensor, layer: Layer, number: int, place: Place) -> Tensor:
    """What ``decoder_layer`` means."""

    def linear(one: Linear, x: Tensor) -> Tensor:
        weight_OI, bias_O = whole(one.weight_OI, x), None if one.bias_O is None else one.bias_O.to(x.dtype)
        if one.a_RI is None or one.b_OR is None:
            return F.linear(x, weight_OI, bias_O)
        return lora_linear_plain(x, weight_OI, bias_O, one.a_RI, one.b_OR, one.scale)

    def heads_first(x_TO: Tensor, norm_E: Tensor | None = None, turn: bool = True) -> Tensor:
        x_HTE = x_TO.view(len(x_TO), -1, layer.head_width).transpose(0, 1)
        if norm_E is not None:
            x_HTE = _rms_norm_plain(x_HTE, norm_E, layer.epsilon)
        if not turn:
            return x_HTE
        one, two = x_HTE.chunk(2, -1)
        return x_HTE * place.cos_TE + torch.cat([-two, one], -1) * place.sin_TE

    n_TD = _rms_norm_plain(x_TD, layer.norm1_D, layer.epsilon)
    q_HTE = heads_first(linear(layer.q, n_TD), layer.q_norm_E)
    k_KTE = heads_first(linear(layer.k, n_TD), layer.k_norm_E)
    v_KTE = heads_first(linear(layer.v, n_TD), turn=False)
    found_HTE = record_attention_plain(q_HTE, k_KTE, v_KTE, place.starts, layer.scale, layer.window)
    h_TD = x_TD + linear(layer.o, found_HTE.transpose(0, 1).reshape(len(x_TD), -1))
    n_TD = _rms_norm_plain(h_TD, layer.norm2_D, layer.epsilon)
    return h_TD + linear(layer.down, F.silu(linear(layer.gate, n_TD)) * linear(layer.up, n_TD))


def _rms_norm_plain(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)).to(x.dtype)


class _DecoderLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TD: Tensor, layer: Layer, number: int, place: Place, *adapters: Tensor) -> Tensor:
        learns = any(ctx.needs_input_grad)
        layer = place.at_hand(layer, number, number + 1)
        work = Work(layer, place, number, x_TD, place.keep if learns else "input")
        y_TD = work.forward(x_TD)
        if learns:
            # adapters: so that a change in place is noticed; x where it is not kept in fewer bits
            ctx.save_for_backward(None if "x" in work.packed else x_TD, *adapters)
            work.let_go()
            ctx.work, ctx.turn = work, place.arena.turn(number)
        return y_TD

    @staticmethod
    def backward(ctx: Any, dy_TD: Tensor) -> tuple[Any, ...]:
        x_TD, *_ = ctx.saved_tensors
        work, ctx.work = ctx.work, None  # what is kept goes with it, though the loss may live on
        if work is None or ctx.turn != work.place.arena.turn_of(work.number):
            raise RuntimeError("another row went through this layer before the backward pass of this one")
        work.layer = work.place.at_hand(work.layer, work.number, work.number - 1)
        dx_TD, grads = work.backward(x_TD, dy_TD, ctx.needs_input_grad[0])
        return dx_TD, None, None, None, *grads
