"""Attention within each record of a row, and its backward pass.

On the CPU it is computed in blocks of queries by matrix products that reach the speed of large ones; on a card that has
it by one call of flash attention for all records of a row; elsewhere by scaled_dot_product_attention, each by itself.

Axes: T tokens of a row, H query heads, K key heads, E width of a head, U tokens of a row times the query heads that
share a key head, Q those of a block, L keys that a block may see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
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
    masked = window is not None and max(b - a for a, b in pairwise(starts)) > window  # flash takes no mask
    if q_HTE.shape[0] != k_KTE.shape[0] and not _shares_keys(q_HTE, masked):
        k_KTE, v_KTE = (x.repeat_interleave(len(q_HTE) // len(x), 0) for x in (k_KTE, v_KTE))
    for start, stop in pairwise(starts):
        q, k, v = (x[None, :, start:stop] for x in (q_HTE, k_KTE, v_KTE))
        mask = None if window is None or stop - start <= window else _causal_mask(stop - start, window, q.device)
        parts.append(
            F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
            )[0]
        )
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _shares_keys(q: Tensor, masked: bool) -> bool:
    """Whether torch has a kernel for query heads that share a key head which does not hold all scores at once.

    On a card only flash attention is one; without it 4,096 tokens in float32 took 3.2 GB more, and twice the time.
    """
    return not q.is_cuda or (_has_flash(q) and not masked)


def _has_flash(x: Tensor) -> bool:
    """Whether a card computes flash attention of heads (..., E): Ampere and later, 16 bit, E <= 256 (Dao 2023)."""
    if not x.is_cuda or x.element_size() != 2 or x.shape[-1] > 256 or x.shape[-1] % 8:
        return False
    return torch.cuda.get_device_capability(x.device) >= (8, 0) and torch.backends.cuda.is_flash_attention_available()


@lru_cache(maxsize=8)
def _borders(starts: tuple[int, ...], device: torch.device) -> Tensor:
    """Offsets of the records where the kernel reads them; the same for every layer of a row."""
    with torch.inference_mode(False):  # scoring makes them, training may use them
        return torch.tensor(starts, dtype=torch.int32, device=device)


def record_attention_plain(
    q_HTE: Tensor, k_KTE: Tensor, v_KTE: Tensor, starts: Sequence[int], scale: float, window: int | None = None
) -> Tensor:
    """What ``record_attention`` means: one softmax over the row under a block-diagonal causal mask."""
    length, groups = q_HTE.shape[1], q_HTE.shape[0] // k_KTE.shape[0]
    borders = torch.tensor(starts[1:-1], device=q_HTE.device, dtype=torch.long)
    record_T = torch.bucketize(torch.arange(length, device=q_HTE.device), borders, right=True)
    allowed_TT = (record_T[:, None] == record_T[None, :]) & _causal_mask(length, window or length, q_HTE.device)
    k_HTE, v_HTE = k_KTE.repeat_interleave(groups, 0), v_KTE.repeat_interleave(groups, 0)
    scores_HTT = (q_HTE @ k_HTE.transpose(1, 2)).float() * scale
    return scores_HTT.masked_fill(~allowed_TT, float("-inf")).softmax(-1).to(v_HTE.dtype) @ v_HTE


def cached_attention(
    query: Tensor, key: Tensor, value: Tensor, seen: Tensor, scale: float, window: int | None
) -> Tensor:
    """Attention of queries (B, H, Q, E) over kept keys and values, (B, K, L, E) each; seen: (B, 1, Q, L).

    One query a question is folded into the key heads, so that no key is repeated.
    """
    queries, keys = query.shape[2], key.shape[2]
    if window is not None and keys > window:
        back = torch.arange(keys - queries, keys, device=key.device)[:, None] - torch.arange(keys, device=key.device)
        seen = seen & (back < window)
    if queries == 1 and query.shape[1] != key.shape[1]:
        folded = query.reshape(query.shape[0], key.shape[1], -1, query.shape[-1])
        out = F.scaled_dot_product_attention(folded, key, value, attn_mask=seen, scale=scale)
        return out.reshape(query.shape)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, scale=scale, enable_gqa=query.shape[1] != key.shape[1]
    )


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
        self.longest = longest
        self.flash: tuple[Tensor, ...] = ()  # what flash attention leaves for its backward pass

    def forward(self, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor, out_THE: Tensor) -> None:
        """Write what each query finds into ``out_THE``."""
        if _has_flash(q_THE):
            out, *self.flash = torch.ops.aten._flash_attention_forward(
                q_THE, k_TKE, v_TKE, *self._records(q_THE.device), 0.0, True, False, **self._limits()
            )
            out_THE.copy_(out)
            return
        if not self._by_hand(q_THE):
            out_THE.copy_(self._by_record(q_THE, k_TKE, v_TKE))
            return
        key_heads = k_TKE.shape[1]
        q_KUE, k_KTE, v_KTE = (
            self._by_head(x, key_heads, name) for x, name in ((q_THE, "q"), (k_TKE, "k"), (v_TKE, "v"))
        )
        found_KUE = self.arena.take("attention.out", *q_KUE.shape, like=q_KUE)
        for queries, keys, first in self._blocks(q_KUE.shape[1] // len(q_THE)):
            for head in range(key_heads):
                p_QL = self._probabilities(q_KUE[head, queries], k_KTE[head, keys], first)
                torch.mm(p_QL, v_KTE[head, keys], out=found_KUE[head, queries])
        _from_heads(found_KUE, out_THE)

    def backward(
        self, dout_THE: Tensor, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor, out_THE: Tensor,
        dq_THE: Tensor, dk_TKE: Tensor, dv_TKE: Tensor,
    ) -> None:  # fmt: skip
        """Write the gradients by queries, keys and values; the probabilities are computed again (Dao et al. 2022)."""
        if _has_flash(q_THE):
            sums, state, unused, _ = self.flash
            given = (dout_THE, q_THE, k_TKE, v_TKE, out_THE, sums, *self._records(q_THE.device), 0.0, True)
            found = torch.ops.aten._flash_attention_backward(*given, state, unused, **self._limits())
            for into, grad in zip((dq_THE, dk_TKE, dv_TKE), found, strict=True):
                into.copy_(grad)
            self.flash = ()
            return
        if not self._by_hand(q_THE):
            self._backward_by_autograd(dout_THE, q_THE, k_TKE, v_TKE, dq_THE, dk_TKE, dv_TKE)
            return
        key_heads, take = k_TKE.shape[1], self.arena.take
        named = ((q_THE, "q"), (k_TKE, "k"), (v_TKE, "v"), (dout_THE, "dout"))
        q_KUE, k_KTE, v_KTE, dout_KUE = (self._by_head(x, key_heads, name) for x, name in named)
        dq_KUE = take("attention.out", *q_KUE.shape, like=q_KUE)
        each_THE = dq_KUE.view(q_THE.shape).copy_(dout_THE).mul_(out_THE)  # summed before the buffer is used again
        dot_KU1 = self._by_head(each_THE.sum(-1, keepdim=True), key_heads, "dot")
        dk_KTE, dv_KTE = (take(f"attention.d{x}", *k_KTE.shape, like=k_KTE).zero_() for x in "kv")
        for queries, keys, first in self._blocks(q_KUE.shape[1] // len(q_THE)):
            for head in range(key_heads):
                q_QE, k_LE = q_KUE[head, queries], k_KTE[head, keys]
                p_QL = self._probabilities(q_QE, k_LE, first)
                dv_KTE[head, keys].addmm_(p_QL.T, dout_KUE[head, queries])
                dp_QL = torch.mm(
                    dout_KUE[head, queries], v_KTE[head, keys].T, out=take("attention.dp", *p_QL.shape, like=p_QL)
                )
                dp_QL.sub_(dot_KU1[head, queries]).mul_(p_QL)
                dq_QE = dq_KUE[head, queries]
                torch.addmm(dq_QE, dp_QL, k_LE, beta=0, alpha=self.scale, out=dq_QE)
                dk_KTE[head, keys].addmm_(dp_QL.T, q_QE, alpha=self.scale)
        for d_KTE, d_THE in ((dq_KUE, dq_THE), (dk_KTE, dk_TKE), (dv_KTE, dv_TKE)):
            _from_heads(d_KTE, d_THE)

    def _records(self, device: torch.device) -> tuple[Tensor, Tensor, int, int]:
        borders = _borders(tuple(self.starts), device)
        return borders, borders, self.longest, self.longest

    def _limits(self) -> dict[str, float | int | None]:
        window = {} if self.window is None else {"window_size_left": self.window - 1, "window_size_right": 0}
        return {"scale": self.scale, **window}

    def _by_hand(self, x: Tensor) -> bool:
        """Whether attention is computed block by block: on the CPU, for which meta stands where a step is planned.

        bfloat16 is widened: PyTorch's own backward pass takes twice as long, and scores keep their precision.
        """
        cpu = x.device.type == "cpu" or (x.is_meta and not self.arena.card)
        return cpu and x.dtype in (torch.float32, torch.bfloat16)

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

    def _blocks(self, groups: int) -> Iterator[tuple[slice, slice, int]]:
        """Blocks of about BLOCK queries, of nearly the same size: queries (U), the keys that one of them sees (T), and
        at which of these keys the queries begin. groups: query heads that share a key head."""
        for start, stop in pairwise(self.starts):
            count = max(1, round((stop - start) / BLOCK))
            edges = [start + (stop - start) * i // count for i in range(count + 1)]
            for a, b in pairwise(edges):
                seen = start if self.window is None else max(start, a - self.window + 1)
                yield slice(a * groups, b * groups), slice(seen, b), a - seen

    def _by_head(self, x_THE: Tensor, key_heads: int, name: str) -> Tensor:
        """(T, H, E) -> (K, U, E), float32: what belongs to a key head lies together, by tokens, then query heads."""
        tokens, heads, width = x_THE.shape
        shape = (key_heads, tokens, heads // key_heads, width)
        x_KTGE = self.arena.take(f"attention.{name}", *shape, like=x_THE, dtype=torch.float32)
        x_KTGE.copy_(x_THE.view(tokens, key_heads, -1, width).transpose(0, 1))
        return x_KTGE.view(key_heads, -1, width)

    def _probabilities(self, q_QE: Tensor, k_LE: Tensor, first: int) -> Tensor:
        """Softmax over keys 0 to L, of the queries at the places ``first`` to L."""
        last = len(k_LE)
        p_QL = self.arena.take("attention.p", len(q_QE), last, like=q_QE)
        torch.addmm(p_QL, q_QE, k_LE.T, beta=0, alpha=self.scale, out=p_QL)
        queries = last - first
        p = p_QL.view(queries, -1, last)
        if self.window is None:
            above = torch.full((queries, queries), float("-inf"), device=p.device).triu_(1)
            p[..., first:].add_(above[:, None])
        else:
            place = torch.arange(last, device=p.device)
            back = place[first:, None] - place
            p.masked_fill_(((back < 0) | (back >= self.window))[:, None], float("-inf"))
        return torch.softmax(p_QL, -1, out=p_QL)


def _from_heads(x_KUE: Tensor, out_THE: Tensor) -> None:
    """(K, U, E) -> (T, H, E), the inverse of ``_by_head``."""
    tokens, _, width = out_THE.shape
    out_THE.view(tokens, len(x_KUE), -1, width).copy_(x_KUE.view(len(x_KUE), tokens, -1, width).transpose(0, 1))


class Remembering(Attention):
    """Attention of a row of prompts whose keys and values are handed on, to be kept for what follows."""

    def __init__(
        self,
        starts: Sequence[int],
        scale: float,
        window: int | None,
        arena: Arena,
        keep: Callable[[Tensor, Tensor], None],
    ) -> None:
        super().__init__(starts, scale, window, arena)
        self.keep = keep

    def forward(self, q_THE: Tensor, k_TKE: Tensor, v_TKE: Tensor, out_THE: Tensor) -> None:
        """As ``Attention`` does, after handing on keys and values."""
        self.keep(k_TKE, v_TKE)
        super().forward(q_THE, k_TKE, v_TKE, out_THE)


class Following:
    """Attention of one token a question over what was kept of it. update: append (B, K, 1, E) each, return all."""

    def __init__(
        self,
        seen_BL: Tensor,
        scale: float,
        window: int | None,
        update: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    ) -> None:
        self.seen_BL, self.scale, self.window, self.update = seen_BL, scale, window, update

    def forward(self, q_BHE: Tensor, k_BKE: Tensor, v_BKE: Tensor, out_BHE: Tensor) -> None:
        """Write what each question's token finds into ``out_BHE``."""
        keys, values = self.update(k_BKE[:, :, None], v_BKE[:, :, None])
        seen = self.seen_BL[:, None, None]
        out_BHE.copy_(cached_attention(q_BHE[:, :, None], keys, values, seen, self.scale, self.window)[:, :, 0])
