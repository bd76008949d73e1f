"""Attention within each record of a row, and its backward pass.

On the CPU it is computed in blocks of queries by matrix products that reach the speed of large ones; elsewhere by
scaled_dot_product_attention. Axes: T tokens of a row, H query heads, K key heads, E width of a head, L keys of a
record, Q queries of a block times the query heads that share a key head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from buke.kernels.arena import Arena

BLOCK = 128  # queries at once: more waste products above the diagonal, fewer are small products


def record_attention(
    q_HTE: Tensor, k_KTE: Tensor, v_KTE: Tensor, starts: Sequence[int], scale: float, window: int | None = None
) -> Tensor:
    """Causal attention in which the tokens of a record see only that record. Returns (H, T, E).

    starts: offsets of the records, with T as the last. window: how many tokens back a token sees, None for all.
    One call of scaled_dot_product_attention a record: no mask over the whole row is ever made.
    """
    parts = []
    for start, stop in pairwise(starts):
        q, k, v = (x[None, :, start:stop] for x in (q_HTE, k_KTE, v_KTE))
        mask = None if window is None or stop - start <= window else _causal_mask(stop - start, window, q.device)
        parts.append(
            F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
            )[0]
        )
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def record_attention_plain(
    q_HTE: Tensor, k_KTE: Tensor, v_KTE: Tensor, starts: Sequence[int], scale: float, window: int | None = None
) -> Tensor:
    """What ``record_attention`` means: one softmax over the row under a block-diagonal causal mask."""
    length, groups = q_HTE.shape[1], q_HTE.shape[0] // k_KTE.shape[0]
    record_T = torch.bucketize(torch.arange(length, device=q_HTE.device), q_HTE.new_tensor(starts[1:-1]), right=True)
    allowed_TT = (record_T[:, None] == record_T[None, :]) & _causal_mask(length, window or length, q_HTE.device)
    k_HTE, v_HTE = k_KTE.repeat_interleave(groups, 0), v_KTE.repeat_interleave(groups, 0)
    scores_HTT = (q_HTE @ k_HTE.transpose(1, 2)).float() * scale
    return scores_HTT.masked_fill(~allowed_TT, float("-inf")).softmax(-1).to(v_HTE.dtype) @ v_HTE


def _causal_mask(length: int, window: int, device: torch.device) -> Tensor:
    """True where a query (row) may see a key (column): itself and the ``window - 1`` tokens before it."""
    place = torch.arange(length, device=device)
    back_TT = place[:, None] - place[None, :]
    return (back_TT >= 0) & (back_TT < window)


class Attention:
    """Forward and backward of ``record_attention`` on tensors laid out as products leave them: (T, heads, E)."""

    def __init__(self, starts: Sequence[int], scale: float, window: int | None, arena: Arena) -> None:
        longest = max(b - a for a, b in pairwise(starts))
        self.starts, self.scale, self.arena = starts, scale, arena
        self.window = window if window is not None and longest > window else None

    def forward(self, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor, out_THE: Tensor) -> None:
        """Write what each query finds into ``out_THE``."""
        if q_THE.device.type != "cpu" or q_THE.dtype != torch.float32:
            out_THE.copy_(self._by_record(q_THE, k_TKE, v_TKE))
            return
        for start, stop in pairwise(self.starts):
            k_KLE, v_KLE = (x[start:stop].transpose(0, 1) for x in (k_TKE, v_TKE))
            for a, b in self._blocks(stop - start):
                q_KQE = self._fold(q_THE[start + a : start + b], k_KLE.shape[0], "attention.q")
                p_KQL = self._probabilities(q_KQE, k_KLE[:, :b], a)
                found_KQE = self.arena.take("attention.out", *q_KQE.shape, like=q_THE)
                torch.bmm(p_KQL, v_KLE[:, :b], out=found_KQE)
                _unfold(found_KQE, out_THE[start + a : start + b])

    def backward(
        self, dout_THE: Tensor, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor, out_THE: Tensor,
        dq_THE: Tensor, dk_TKE: Tensor, dv_TKE: Tensor,
    ) -> None:  # fmt: skip
        """Write the gradients by queries, keys and values; the probabilities are computed again (Dao et al. 2022)."""
        if q_THE.device.type != "cpu" or q_THE.dtype != torch.float32:
            self._backward_by_autograd(dout_THE, q_THE, k_TKE, v_TKE, dq_THE, dk_TKE, dv_TKE)
            return
        take, key_heads = self.arena.take, k_TKE.shape[1]
        for start, stop in pairwise(self.starts):
            k_KLE, v_KLE = (x[start:stop].transpose(0, 1) for x in (k_TKE, v_TKE))
            dk_KLE = take("attention.dk", *k_KLE.shape, like=q_THE).zero_()
            dv_KLE = take("attention.dv", *k_KLE.shape, like=q_THE).zero_()
            for a, b in self._blocks(stop - start):
                part = slice(start + a, start + b)
                q_KQE = self._fold(q_THE[part], key_heads, "attention.q")
                dout_KQE = self._fold(dout_THE[part], key_heads, "attention.dout")
                p_KQL = self._probabilities(q_KQE, k_KLE[:, :b], a)
                dv_KLE[:, :b].baddbmm_(p_KQL.transpose(1, 2), dout_KQE)
                dp_KQL = take("attention.dp", *p_KQL.shape, like=q_THE)
                torch.bmm(dout_KQE, v_KLE[:, :b].transpose(1, 2), out=dp_KQL)
                dot_KQ = self._fold((dout_THE[part] * out_THE[part]).sum(-1, keepdim=True), key_heads, "attention.dot")
                dp_KQL.sub_(dot_KQ).mul_(p_KQL)
                found_KQE = take("attention.out", *q_KQE.shape, like=q_THE)
                torch.baddbmm(found_KQE, dp_KQL, k_KLE[:, :b], beta=0, alpha=self.scale, out=found_KQE)
                _unfold(found_KQE, dq_THE[part])
                dk_KLE[:, :b].baddbmm_(dp_KQL.transpose(1, 2), q_KQE, alpha=self.scale)
            dk_TKE[start:stop].copy_(dk_KLE.transpose(0, 1))
            dv_TKE[start:stop].copy_(dv_KLE.transpose(0, 1))

    def _backward_by_autograd(
        self, dout_THE: Tensor, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor, *grads: Tensor
    ) -> None:
        own = [x.detach().requires_grad_() for x in (q_THE, k_TKE, v_TKE)]
        with torch.enable_grad():
            out = self._by_record(*own)
        for given, found in zip(grads, torch.autograd.grad(out, own, dout_THE), strict=True):
            given.copy_(found)

    def _by_record(self, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor) -> Tensor:
        q_HTE, k_KTE, v_KTE = (x.transpose(0, 1) for x in (q_THE, k_TKE, v_TKE))
        return record_attention(q_HTE, k_KTE, v_KTE, self.starts, self.scale, self.window).transpose(0, 1)

    def _blocks(self, length: int) -> Iterator[tuple[int, int]]:
        """Blocks of about BLOCK queries, of nearly the same size."""
        count = max(1, round(length / BLOCK))
        edges = [length * i // count for i in range(count + 1)]
        return pairwise(edges)

    def _fold(self, x_THE: Tensor, key_heads: int, name: str) -> Tensor:
        """(queries, H, E) -> (K, Q, E): the query heads of a key head lie under each other."""
        queries, heads, width = x_THE.shape
        folded = self.arena.take(name, key_heads, heads // key_heads, queries, width, like=x_THE)
        folded.copy_(x_THE.view(queries, key_heads, -1, width).permute(1, 2, 0, 3))
        return folded.view(key_heads, -1, width)

    def _probabilities(self, q_KQE: Tensor, k_KLE: Tensor, first: int) -> Tensor:
        """Softmax over the keys 0 to L of the queries ``first`` to L."""
        key_heads, folded, _ = q_KQE.shape
        last = k_KLE.shape[1]
        p_KQL = self.arena.take("attention.p", key_heads, folded, last, like=q_KQE)
        torch.baddbmm(p_KQL, q_KQE, k_KLE.transpose(1, 2), beta=0, alpha=self.scale, out=p_KQL)
        queries = last - first
        p = p_KQL.view(key_heads, folded // queries, queries, last)
        if self.window is None:
            above = torch.full((queries, queries), float("-inf"), device=p.device).triu_(1)
            p[..., first:].add_(above)
        else:
            seen = _causal_mask(last, self.window, p.device)[first:]
            p.masked_fill_(~seen, float("-inf"))
        return torch.softmax(p_KQL, -1, out=p_KQL)


def _unfold(x_KQE: Tensor, out_THE: Tensor) -> None:
    """(K, Q, E) -> (queries, H, E), the inverse of folding."""
    queries, heads, width = out_THE.shape
    key_heads = x_KQE.shape[0]
    out_THE.view(queries, key_heads, heads // key_heads, width).copy_(
        x_KQE.view(key_heads, heads // key_heads, queries, width).permute(2, 0, 1, 3)
    )
