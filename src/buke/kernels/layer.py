"""A decoder layer of the Llama family (Llama, Qwen2, Qwen3, Mistral) with LoRA, forward and backward by hand.

What is dear is kept for the backward pass, what is cheap is computed again: norms, rotations, SiLU times up, the
probabilities of attention. All of it lies in buffers that are used again.

Axes: T tokens of a row, D model width, F width of the feed-forward part, H query heads, K key heads, E width of a head,
I and O inputs and outputs of a linear layer, R rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from buke.kernels.arena import Arena
from buke.kernels.attention import Attention, record_attention_plain
from buke.kernels.linear import lora_linear_plain

HALVED = ("v", "found", "h", "gate", "up")  # queries and keys stay whole: their rounding would go into an exponent


@dataclass(frozen=True)
class Linear:
    """A frozen linear layer, with its adapter where it has one."""

    weight_OI: Tensor  # in the format it is kept in; widened to that of the activations where it is used
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

    keep: ``all``, ``half`` (HALVED in bfloat16), or ``input``: only what goes into a layer, which is computed again.
    """

    cos_TE: Tensor
    sin_TE: Tensor
    starts: Sequence[int]
    arena: Arena
    keep: str = "all"


def decoder_layer(x_TD: Tensor, layer: Layer, number: int, place: Place) -> Tensor:
    """One layer over a row of records, (T, D) -> (T, D). number: of the layer, under which it keeps what it needs."""
    y: Tensor = _DecoderLayer.apply(x_TD, layer, number, place, *layer.adapters)  # type: ignore[no-untyped-call]
    return y


def decoder_layer_plain(x_TD: Tensor, layer: Layer, number: int, place: Place) -> Tensor:
    """What ``decoder_layer`` means."""

    def linear(one: Linear, x: Tensor) -> Tensor:
        weight_OI, bias_O = one.weight_OI.to(x.dtype), None if one.bias_O is None else one.bias_O.to(x.dtype)
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
        work = _Work(layer, place, number, x_TD, place.keep if learns else "input")
        y_TD = work.forward(x_TD)
        if learns:
            work.put_away()
            ctx.save_for_backward(x_TD, *adapters)  # adapters: so that a change in place is noticed
            ctx.work, ctx.turn = work, place.arena.turn(number)
        return y_TD

    @staticmethod
    def backward(ctx: Any, dy_TD: Tensor) -> tuple[Any, ...]:
        x_TD, *_ = ctx.saved_tensors
        if ctx.turn != ctx.work.place.arena.turn_of(ctx.work.number):
            raise RuntimeError("another row went through this layer before the backward pass of this one")
        dx_TD, grads = ctx.work.backward(x_TD, dy_TD, ctx.needs_input_grad[0])
        return dx_TD, None, None, None, *grads


Low = Tensor | None  # x A^T of the linear layers of a group that have an adapter, side by side: (T, R of all)


class _Work:
    """One layer at work on one row. ``kept`` holds what the backward pass needs, by name."""

    def __init__(self, layer: Layer, place: Place, number: int, like: Tensor, keep: str) -> None:
        self.layer, self.place, self.number, self.like, self.keep = layer, place, number, like, keep
        self.attention = Attention(place.starts, layer.scale, layer.window, place.arena)
        self.kept: dict[str, Tensor] = {}

    # memory

    def take(self, name: str, *shape: int) -> Tensor:
        """A buffer that all layers share."""
        return self.place.arena.take(name, *shape, like=self.like)

    def own(self, name: str, *shape: int) -> Tensor:
        """A buffer that this layer keeps, or, where it keeps less than all, one that all layers share."""
        stays = self.keep == "all" or (self.keep == "half" and name not in HALVED)
        self.kept[name] = self.take(f"{self.number}.{name}" if stays else name, *shape)
        return self.kept[name]

    def put_away(self) -> None:
        """After the forward pass: keep in bfloat16 what lies in shared buffers and is to be kept so."""
        for name in HALVED if self.keep == "half" else ():
            full = self.kept[name]
            half = self.place.arena.take(f"{self.number}.{name}", *full.shape, like=full, dtype=torch.bfloat16)
            self.kept[name] = half.copy_(full)

    def bring(self, x_TD: Tensor) -> None:
        """Before the backward pass: have everything in buffers again."""
        for name in HALVED if self.keep == "half" else ():
            self.kept[name] = self.take(name, *self.kept[name].shape).copy_(self.kept[name])
        if self.keep == "input":
            self.forward(x_TD, whole=False)

    def wide(self, weight_OI: Tensor) -> Tensor:
        """A frozen weight in the format of the activations; from a shared buffer where it is kept in another."""
        return weight_OI if weight_OI.dtype == self.like.dtype else self.take("wide", *weight_OI.shape).copy_(weight_OI)

    # the layer

    def forward(self, x_TD: Tensor, whole: bool = True) -> Tensor:
        """(T, D) -> (T, D). whole: with its last product, which the backward pass does not need."""
        layer, count = self.layer, len(x_TD)
        n_TD = self.norm(x_TD, layer.norm1_D)
        self.project("q k v", (layer.q, layer.k, layer.v), n_TD)
        q_THE, k_TKE, v_TKE = self.heads(fresh=True)
        found_TO = self.own("found", count, layer.o.weight_OI.shape[1])
        self.attention.forward(q_THE, k_TKE, v_TKE, found_TO.view(q_THE.shape))
        h_TD = self.own("h", *x_TD.shape)
        self.project("o", (layer.o,), found_TO, outs=[h_TD], base=x_TD)
        n_TD = self.norm(h_TD, layer.norm2_D)
        gate_TF, up_TF = self.project("gate up", (layer.gate, layer.up), n_TD)
        act_TF = self.silu(gate_TF).mul_(up_TF)
        y_TD = torch.empty_like(x_TD) if whole else None
        self.project("down", (layer.down,), act_TF, outs=[y_TD], base=h_TD)
        return y_TD if y_TD is not None else x_TD

    def backward(self, x_TD: Tensor, dy_TD: Tensor, needs_dx: bool) -> tuple[Tensor | None, list[Tensor]]:
        """(gradient by x, gradients by the adapters in the order of ``Layer.adapters``)."""
        self.bring(x_TD)
        layer, kept, count = self.layer, self.kept, len(x_TD)
        gate_TF, up_TF, h_TD = kept["gate"], kept["up"], kept["h"]
        silu_TF = self.silu(gate_TF)
        act_TF = torch.mul(silu_TF, up_TF, out=self.take("act", *up_TF.shape))
        dact_TF = self.take("dact", *up_TF.shape)
        down = self.project_backward("down", (layer.down,), act_TF, [dy_TD], dact_TF)
        dup_TF = silu_TF.mul_(dact_TF)
        dgate_TF = up_TF.mul_(dact_TF)
        torch.ops.aten.silu_backward.grad_input(dgate_TF, gate_TF, grad_input=dgate_TF)
        n_TD = self.norm(h_TD, layer.norm2_D)
        dn_TD = self.take("dn", *x_TD.shape)
        gate_up = self.project_backward("gate up", (layer.gate, layer.up), n_TD, [dgate_TF, dup_TF], dn_TD)
        dh_TD = self.norm_backward(dn_TD, h_TD, layer.norm2_D, dy_TD, self.take("dh", *x_TD.shape))

        found_TO = kept["found"]
        dfound_TO = self.take("dfound", *found_TO.shape)
        o = self.project_backward("o", (layer.o,), found_TO, [dh_TD], dfound_TO)
        q_THE, k_TKE, v_TKE = self.heads(fresh=False)
        grads = [self.take(name, *x.shape) for name, x in (("dq", q_THE), ("dk", k_TKE), ("dv", v_TKE))]
        self.attention.backward(dfound_TO.view(q_THE.shape), q_THE, k_TKE, v_TKE, found_TO.view(q_THE.shape), *grads)
        for name, grad, norm_E in (("q", grads[0], layer.q_norm_E), ("k", grads[1], layer.k_norm_E)):
            self.turn(grad, back=True)
            if norm_E is not None:
                before = kept[name].view(grad.shape)
                self.norm_backward(grad, before, norm_E, None, grad)
        n_TD = self.norm(x_TD, layer.norm1_D)
        flat = [grad.view(count, -1) for grad in grads]
        qkv = self.project_backward("q k v", (layer.q, layer.k, layer.v), n_TD, flat, dn_TD if needs_dx else None)
        dx_TD = torch.empty_like(x_TD) if needs_dx else None
        if dx_TD is not None:
            self.norm_backward(dn_TD, x_TD, layer.norm1_D, dh_TD, dx_TD)
        return dx_TD, [*qkv, *o, *gate_up, *down]

    # its pieces

    def project(
        self,
        group: str,
        linears: Sequence[Linear],
        x_TI: Tensor,
        outs: Sequence[Tensor | None] = (),
        base: Tensor | None = None,
    ) -> list[Tensor]:
        """x W^T + b + s (x A^T) B^T of linear layers with the same input, added to ``base`` where there is one."""
        adapted = [one.a_RI for one in linears if one.a_RI is not None]
        low_TR = None
        if adapted:
            low_TR = self.own(f"low {group}", len(x_TI), sum(len(a) for a in adapted))
            torch.mm(x_TI, _joined(adapted, x_TI.dtype).T, out=low_TR)
        names, at = group.split(), 0
        found: list[Tensor] = []
        for i, one in enumerate(linears):
            out_TO = outs[i] if outs else self.own(names[i], len(x_TI), len(one.weight_OI))
            if out_TO is None:
                continue  # only what the backward pass needs of it was asked for
            self.product(x_TI, one, out_TO, base)
            if one.a_RI is not None and one.b_OR is not None and low_TR is not None:
                part = low_TR[:, at : at + len(one.a_RI)]
                out_TO.addmm_(part, one.b_OR.T.to(x_TI.dtype), alpha=one.scale)
                at += len(one.a_RI)
            found.append(out_TO)
        return found

    def product(self, x_TI: Tensor, one: Linear, out_TO: Tensor, base: Tensor | None) -> None:
        """x W^T, plus what is given, in one product."""
        weight = self.wide(one.weight_OI)
        added = base if base is not None else one.bias_O
        if added is None:
            torch.mm(x_TI, weight.T, out=out_TO)
        else:
            torch.addmm(added.to(x_TI.dtype), x_TI, weight.T, out=out_TO)
        if base is not None and one.bias_O is not None:
            out_TO.add_(one.bias_O)

    def project_backward(
        self, group: str, linears: Sequence[Linear], x_TI: Tensor, dys: Sequence[Tensor], dx_TI: Tensor | None
    ) -> list[Tensor]:
        """Write the gradient by the input into ``dx_TI``; return those by A and B of each adapter."""
        adapted = [one.a_RI for one in linears if one.a_RI is not None]
        ranks = [len(a) for a in adapted]
        dlow_TR = self.take("dlow", len(x_TI), sum(ranks))
        low_TR, at, db = self.kept.get(f"low {group}"), 0, []
        for i, (one, dy_TO) in enumerate(zip(linears, dys, strict=True)):
            if dx_TI is not None and i == 0:
                torch.mm(dy_TO, self.wide(one.weight_OI), out=dx_TI)
            elif dx_TI is not None:
                dx_TI.addmm_(dy_TO, self.wide(one.weight_OI))
            if one.a_RI is None or one.b_OR is None or low_TR is None:
                continue
            part = slice(at, at + len(one.a_RI))
            dlow = dlow_TR[:, part]
            torch.addmm(dlow, dy_TO, one.b_OR.to(dy_TO.dtype), beta=0, alpha=one.scale, out=dlow)
            db.append((dy_TO.T @ low_TR[:, part]).mul_(one.scale).to(one.b_OR.dtype))
            at = part.stop
        if not adapted:
            return []
        if dx_TI is not None:
            dx_TI.addmm_(dlow_TR, _joined(adapted, x_TI.dtype))
        da = (dlow_TR.T @ x_TI).to(adapted[0].dtype).split(ranks)
        return [grad for pair in zip(da, db, strict=True) for grad in pair]

    def heads(self, fresh: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values by heads, normed where the layer does that, and turned. fresh: not turned yet."""
        found = []
        for name, norm_E in (("q", self.layer.q_norm_E), ("k", self.layer.k_norm_E)):
            x_THE = self.kept[name].view(len(self.kept[name]), -1, self.layer.head_width)
            if norm_E is not None:
                x_THE = self.norm(x_THE, norm_E, f"{name} normed")
            if fresh or norm_E is not None:
                self.turn(x_THE)
            found.append(x_THE)
        return found[0], found[1], self.kept["v"].view(len(self.kept["v"]), -1, self.layer.head_width)

    def turn(self, x_THE: Tensor, back: bool = False) -> None:
        """Rotate the pairs of a head in place by the angle of their place (Su et al. 2021), or back."""
        half, sign = x_THE.shape[-1] // 2, 1 if back else -1
        cos, sin = (table[:, None, :half] for table in (self.place.cos_TE, self.place.sin_TE))
        one, two = x_THE[..., :half], x_THE[..., half:]
        was = self.take("turn", *one.shape).copy_(one)
        one.mul_(cos).addcmul_(two, sin, value=sign)
        two.mul_(cos).addcmul_(was, sin, value=-sign)

    def silu(self, gate_TF: Tensor) -> Tensor:
        out = self.take("silu", *gate_TF.shape)
        torch.ops.aten.silu.out(gate_TF, out=out)
        return out

    def norm(self, x: Tensor, weight: Tensor, name: str = "n") -> Tensor:
        """RMS norm over the last axis (Zhang and Sennrich 2019)."""
        out = torch.mul(x, self.inverse_rms(x), out=self.take(name, *x.shape))
        return out.mul_(weight)

    def inverse_rms(self, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        inverse: Tensor = norm.square_().div_(x.shape[-1]).add_(self.layer.epsilon).rsqrt_()
        return inverse

    def norm_backward(self, dn: Tensor, x: Tensor, weight: Tensor, added: Tensor | None, out: Tensor) -> Tensor:
        """Gradient of RMS norm by its input, r (g - x r^2 <g, x> / D), plus ``added``, into ``out`` (it may be dn)."""
        r = self.inverse_rms(x)
        g = dn.mul_(weight)
        dot = torch.mul(g, x, out=self.take("dot", *x.shape)).sum(-1, keepdim=True, dtype=torch.float32)
        dot.mul_(r.pow(3)).div_(x.shape[-1])
        if added is None:
            torch.mul(g, r, out=out)
        else:
            torch.addcmul(added, g, r.to(g.dtype), out=out)
        return out.addcmul_(x, dot.to(x.dtype), value=-1)


def _joined(matrices: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    return (matrices[0] if len(matrices) == 1 else torch.cat(list(matrices))).to(dtype)
