"""A decoder layer at work on one row: forward, what is kept, and backward by hand.

What is dear is kept for the backward pass, what is cheap is computed again: norms, rotations, SiLU times up, the
probabilities of attention. All of it lies in buffers that are used again.

Axes: T tokens of a row, P tokens of a part of it, D model width, F width of the feed-forward part, H query heads, K key
heads, E width of a head, I and O inputs and outputs of a linear layer, R ranks of a group of adapters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from buke.kernels.arena import in_own_pages
from buke.kernels.attention import Attention, Following
from buke.kernels.bits import Packed
from buke.kernels.linear import add_product, widened
from buke.kernels.parts import Layer, Linear, Place

PART = 2**19  # elements that an elementwise pass works on at once, so that the next pass finds them in the cache
PART_OF_CARD = 2**24  # on a card each pass costs a call
BITS = {  # queries and keys stay whole: their rounding would go into an exponent
    "half": {"x": 16, "v": 16, "found": 16, "h": 16, "gate": 16, "up": 16},
    "byte": {"x": 16, "v": 16, "found": 16, "h": 16, "gate": 8, "up": 8},
}


class Work:
    """One layer at work on one row. ``kept`` holds what the backward pass needs, by name."""

    def __init__(
        self,
        layer: Layer,
        place: Place,
        number: int,
        like: Tensor,
        keep: str = "input",
        attention: Attention | Following | None = None,
    ) -> None:
        self.layer, self.place, self.number, self.keep = layer, place, number, keep
        self.like = like.detach().new_empty(0)  # of its format, without holding it
        self.attention = attention or Attention(place.starts, layer.scale, layer.window, place.arena)
        self.bits = BITS.get(keep, {})
        self.kept: dict[str, Tensor] = {}
        self.packed: dict[str, Packed] = {}

    # memory

    def take(self, name: str, *shape: int) -> Tensor:
        """A buffer that all layers share."""
        return self.place.arena.take(name, *shape, like=self.like)

    def fresh(self, *shape: int) -> Tensor:
        """Memory that the one who gets it owns."""
        return in_own_pages(*shape, dtype=self.like.dtype, device=self.like.device)

    def own(self, name: str, *shape: int) -> Tensor:
        """A buffer that this layer keeps, or, where it keeps that in fewer bits or not at all, one that all share."""
        stays = self.keep != "input" and name not in self.bits
        owner = self.number if stays else None
        self.kept[name] = self.place.arena.take(name, *shape, like=self.like, owner=owner)
        return self.kept[name]

    def put_away(self, name: str, x_PI: Tensor, rows: slice = slice(None), like_TI: Tensor | None = None) -> None:
        """Keep rows of what was computed in fewer bits, where it is to be kept so."""
        if name not in self.bits:
            return
        if name not in self.packed:
            like_TI = x_PI if like_TI is None else like_TI
            self.packed[name] = Packed(self.place.arena, name, like_TI, self.bits[name], self.number)
        self.packed[name].write(x_PI, rows)

    def bring(self, name: str, x_TI: Tensor) -> Tensor:
        """What was put away, in a shared buffer; ``x_TI`` itself, which is of its shape, where nothing was."""
        return self.packed[name].read(self.take(name, *x_TI.shape)) if name in self.packed else x_TI

    def let_go(self) -> None:
        """Hold no buffer that layers share between forward and backward, so that what is given back goes."""
        if self.keep == "input":
            self.kept.clear()  # all of it is computed again
            if isinstance(self.attention, Attention):
                self.attention.flash = ()
        self.kept |= {name: packed.values_TI for name, packed in self.packed.items() if name in self.kept}  # a shape

    # the layer

    def forward(self, x_TD: Tensor, whole: bool = True) -> Tensor:
        """(T, D) -> (T, D). whole: with its last product, which the backward pass does not need."""
        layer, count = self.layer, len(x_TD)
        self.put_away("x", x_TD)
        n_TD = self.norm(x_TD, layer.norm1_D)
        self.project("q k v", (layer.q, layer.k, layer.v), n_TD)
        self.put_away("v", self.kept["v"])
        q_THE, k_TKE, v_TKE = self.heads(fresh=True)
        found_TO = self.own("found", count, layer.o.weight_OI.shape[1])
        self.attention.forward(q_THE, k_TKE, v_TKE, found_TO.view(q_THE.shape))
        self.put_away("found", found_TO)
        h_TD = self.own("h", *x_TD.shape)
        self.project("o", (layer.o,), found_TO, outs=[h_TD], base=x_TD)
        self.put_away("h", h_TD)
        n_TD = self.norm(h_TD, layer.norm2_D)
        gate_TF, up_TF = self.project("gate up", (layer.gate, layer.up), n_TD)
        act_TF = self.act(gate_TF, up_TF)
        y_TD = self.fresh(*x_TD.shape) if whole else None
        self.project("down", (layer.down,), act_TF, outs=[y_TD], base=h_TD)
        return y_TD if y_TD is not None else x_TD

    def backward(self, x_TD: Tensor | None, dy_TD: Tensor, needs_dx: bool) -> tuple[Tensor | None, list[Tensor]]:
        """(gradient by x, gradients by the adapters in the order of ``Layer.adapters``). x: None where put away."""
        layer, kept, count = self.layer, self.kept, len(dy_TD)
        x_TD = self.bring("x", dy_TD) if x_TD is None else x_TD
        if self.keep == "input":
            self.forward(x_TD, whole=False)
        h_TD = self.bring("h", kept["h"])
        dgate_TF, dup_TF, down = self.act_backward(dy_TD)
        n_TD = self.norm(h_TD, layer.norm2_D)
        dn_TD = self.take("dn", *x_TD.shape)
        gate_up = self.project_backward("gate up", (layer.gate, layer.up), n_TD, [dgate_TF, dup_TF], dn_TD)
        dh_TD = self.norm_backward(dn_TD, h_TD, layer.norm2_D, dy_TD, self.take("dh", *x_TD.shape))

        found_TO = self.bring("found", kept["found"])
        kept["v"] = self.bring("v", kept["v"])
        dfound_TO = self.take("dfound", *found_TO.shape)
        o = self.project_backward("o", (layer.o,), found_TO, [dh_TD], dfound_TO)
        q_THE, k_TKE, v_TKE = self.heads(fresh=False)
        grads = [self.take(name, *x.shape) for name, x in (("dq", q_THE), ("dk", k_TKE), ("dv", v_TKE))]
        assert isinstance(self.attention, Attention)
        self.attention.backward(dfound_TO.view(q_THE.shape), q_THE, k_TKE, v_TKE, found_TO.view(q_THE.shape), *grads)
        for name, grad, norm_E in (("q", grads[0], layer.q_norm_E), ("k", grads[1], layer.k_norm_E)):
            self.turn(grad, back=True)
            if norm_E is not None:
                before = kept[name].view(grad.shape)
                self.norm_backward(grad, before, norm_E, None, grad)
        n_TD = self.norm(x_TD, layer.norm1_D)
        flat = [grad.view(count, -1) for grad in grads]
        qkv = self.project_backward("q k v", (layer.q, layer.k, layer.v), n_TD, flat, dn_TD if needs_dx else None)
        dx_TD = self.fresh(*x_TD.shape) if needs_dx else None
        if dx_TD is not None:
            self.norm_backward(dn_TD, x_TD, layer.norm1_D, dh_TD, dx_TD)
        return dx_TD, [*qkv, *o, *gate_up, *down]

    # the feed-forward part

    def act(self, gate_TF: Tensor, up_TF: Tensor) -> Tensor:
        """SiLU(gate) times up (Shazeer 2020); in the place of gate where that is kept otherwise."""
        act_TF = gate_TF if "gate" in self.bits else self.take("act", *gate_TF.shape)
        for rows in self.parts(gate_TF):
            self.put_away("gate", gate_TF[rows], rows, gate_TF)
            self.put_away("up", up_TF[rows], rows, up_TF)
            torch.ops.aten.silu.out(gate_TF[rows], out=act_TF[rows])
            act_TF[rows].mul_(up_TF[rows])
        return act_TF

    def act_backward(self, dy_TD: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Gradients by gate, by up, and by the adapter of down."""
        down, shape = self.layer.down, self.kept["gate"].shape
        free = "gate" in self.packed  # the shared buffers of gate and up, which were put away
        dact_TF, dup_TF = self.take("gate" if free else "dact", *shape), self.take("up" if free else "act", *shape)
        dlow_TR, db = self.low_backward("down", (down,), [dy_TD], dact_TF)
        wide = torch.promote_types(dact_TF.dtype, torch.float32)
        da_RF = None if dlow_TR is None else dact_TF.new_zeros(dlow_TR.shape[1], shape[1], dtype=wide)
        for rows in self.parts(dact_TF):
            dact_PF = dact_TF[rows]
            gate_PF, up_PF = (self.part(name, rows) for name in ("gate", "up"))
            silu_PF = torch.ops.aten.silu.out(gate_PF, out=self.take("silu part", *dact_PF.shape))
            if da_RF is not None and dlow_TR is not None:
                act_PF = torch.mul(silu_PF, up_PF, out=self.take("act part", *dact_PF.shape))
                add_product(da_RF, dlow_TR[rows].T, act_PF)
            torch.mul(silu_PF, dact_PF, out=dup_TF[rows])
            torch.ops.aten.silu_backward.grad_input(dact_PF.mul_(up_PF), gate_PF, grad_input=dact_PF)
        return dact_TF, dup_TF, [] if da_RF is None else _paired((down,), da_RF, db)

    def part(self, name: str, rows: slice) -> Tensor:
        """Rows of what was kept."""
        x_PI = self.kept[name][rows]
        return self.packed[name].read(self.take(f"{name} part", *x_PI.shape), rows) if name in self.packed else x_PI

    def parts(self, x: Tensor) -> Iterator[slice]:
        """Rows, as many as an elementwise pass works on at once."""
        most = PART_OF_CARD if x.is_cuda or self.place.arena.card else PART
        step = max(1, most * len(x) // max(1, x.numel()))
        return (slice(start, start + step) for start in range(0, len(x), step))

    # linear layers with adapters

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
        added = base if base is not None else one.bias_O
        for part, weight_OI in widened(one.weight_OI, x_TI, self.place.arena):
            out = out_TO[:, part]
            if added is None:
                torch.mm(x_TI, weight_OI.T, out=out)
            else:
                torch.addmm(added[..., part].to(x_TI.dtype), x_TI, weight_OI.T, out=out)
        if base is not None and one.bias_O is not None:
            out_TO.add_(one.bias_O)

    def project_backward(
        self, group: str, linears: Sequence[Linear], x_TI: Tensor, dys: Sequence[Tensor], dx_TI: Tensor | None
    ) -> list[Tensor]:
        """Write the gradient by the input into ``dx_TI``; return those by A and B of each adapter."""
        dlow_TR, db = self.low_backward(group, linears, dys, dx_TI)
        return [] if dlow_TR is None else _paired(linears, dlow_TR.T @ x_TI, db)

    def low_backward(
        self, group: str, linears: Sequence[Linear], dys: Sequence[Tensor], dx_TI: Tensor | None
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Write the gradient by the input into ``dx_TI``; return that by x A^T of all adapters, and those by each B."""
        adapted = [one.a_RI for one in linears if one.a_RI is not None]
        dlow_TR = self.take("dlow", len(dys[0]), sum(len(a) for a in adapted))
        low_TR, at, first, db = self.kept.get(f"low {group}"), 0, True, []
        for one, dy_TO in zip(linears, dys, strict=True):
            for part, weight_OI in widened(one.weight_OI, dy_TO, self.place.arena) if dx_TI is not None else ():
                assert dx_TI is not None
                torch.addmm(dx_TI, dy_TO[:, part], weight_OI, beta=0 if first else 1, out=dx_TI)
                first = False
            if one.a_RI is None or one.b_OR is None or low_TR is None:
                continue
            own = slice(at, at + len(one.a_RI))
            dlow = dlow_TR[:, own]
            torch.addmm(dlow, dy_TO, one.b_OR.to(dy_TO.dtype), beta=0, alpha=one.scale, out=dlow)
            db.append((dy_TO.T @ low_TR[:, own]).mul_(one.scale).to(one.b_OR.dtype))
            at = own.stop
        if adapted and dx_TI is not None:
            dx_TI.addmm_(dlow_TR, _joined(adapted, dx_TI.dtype))
        return (dlow_TR if adapted else None), db

    # norms and rotations

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

    def norm(self, x: Tensor, weight: Tensor, name: str = "n") -> Tensor:
        """RMS norm over the last axis (Zhang and Sennrich 2019), by parts: of 16 bits torch makes 32 to multiply."""
        out = self.take(name, *x.shape)
        for rows in self.parts(x):
            torch.mul(x[rows], self.inverse_rms(x[rows]), out=out[rows]).mul_(weight)
        return out

    def inverse_rms(self, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        inverse: Tensor = norm.square_().div_(x.shape[-1]).add_(self.layer.epsilon).rsqrt_()
        return inverse

    def norm_backward(self, dn: Tensor, x: Tensor, weight: Tensor, added: Tensor | None, out: Tensor) -> Tensor:
        """Gradient of RMS norm by its input, r (g - x r^2 <g, x> / D), plus ``added``, into ``out`` (it may be dn)."""
        for rows in self.parts(x):
            x_P, g_P, out_P = x[rows], dn[rows].mul_(weight), out[rows]
            r = self.inverse_rms(x_P)
            part = self.take("dot", *x_P.shape)
            dot = torch.mul(g_P, x_P, out=part).sum(-1, keepdim=True, dtype=torch.float32)
            dot.mul_(r.pow(3)).div_(x.shape[-1])
            torch.mul(g_P, r.to(g_P.dtype), out=out_P).sub_(torch.mul(x_P, dot.to(x.dtype), out=part))
            if added is not None:
                out_P.add_(added[rows])
        return out


def _joined(matrices: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    return (matrices[0] if len(matrices) == 1 else torch.cat(list(matrices))).to(dtype)


def _paired(linears: Sequence[Linear], da_RI: Tensor, db: Sequence[Tensor]) -> list[Tensor]:
    """Gradients by A and B of each adapter, in order."""
    adapted = [one.a_RI for one in linears if one.a_RI is not None]
    da = da_RI.to(adapted[0].dtype).split([len(a) for a in adapted])
    return [grad for pair in zip(da, db, strict=True) for grad in pair]
