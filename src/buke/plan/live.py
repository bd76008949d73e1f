"""Every storage that lives while code runs: how many bytes at once, at most, and in which part of a step."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from buke.kernels import Arena

_SCALAR, _COPY = torch.ops.aten._local_scalar_dense.default, torch.ops.aten._to_copy.default
_FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_backward.default
_SDPA = nn.functional.scaled_dot_product_attention
Round = Callable[[int], int]


@dataclass(frozen=True)
class Stretch:
    """A part of a step between two marks, in bytes relative to what lived at its start. at_peak: what ``Live.ask`` said
    when the most lived."""

    name: str
    layer: int
    peak: int
    end: int
    at_peak: tuple[int, ...]


class Live(TorchDispatchMode):
    """While on, counts the bytes of storages from where an operation first returns them until they are freed.

    Works on real tensors and on meta tensors, of which values that Python asks for are made up. size: what the
    allocator makes of a storage's bytes. ask: figures to note where the most lives.
    """

    def __init__(self, size: Round = lambda count: count, ask: Callable[[], tuple[int, ...]] = lambda: ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.size, self.ask = size, ask
        self.now = self.most = self.start = 0
        self.at_peak: tuple[int, ...] = ()
        self.stretches: list[Stretch] = []
        self.marked: Callable[[], None] = lambda: None  # called after each mark
        self._known: dict[int, Any] = {}
        self._outside: set[int] = set()

    def count(self, tensor: Tensor) -> None:
        """Count a tensor's storage from now on."""
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._known or key in self._outside:
            return
        size = self.size(storage.nbytes())

        def gone(_: object, key: int = key, size: int = size) -> None:
            self.now -= size
            self._known.pop(key, None)

        self._known[key] = weakref.ref(storage, gone)
        self.now += size
        self.held()

    def held(self, besides: int = 0) -> None:
        """Note the peak. besides: bytes that an operation takes inside itself."""
        if self.now + besides > self.most:
            self.most, self.at_peak = self.now + besides, self.ask()

    def leave_out(self, tensor: Tensor) -> None:
        """Never count a tensor that lives for ever: it lies somewhere else."""
        self._outside.add(id(tensor.untyped_storage()))

    def mark(self, name: str, layer: int = 0) -> None:
        """End a stretch here and begin the next."""
        self.stretches.append(Stretch(name, layer, self.most - self.start, self.now - self.start, self.at_peak))
        self.begin()
        self.marked()

    def begin(self) -> None:
        """Begin a stretch here."""
        self.start = self.most = self.now
        self.at_peak = self.ask()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is _SCALAR and args[0].is_meta:
            return 1.0 if args[0].dtype.is_floating_point else 1
        if func is _COPY and args[0].is_meta and kwargs.get("device") == torch.device("cpu"):
            return torch.ones(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        if (name := _written(func)) and (into := kwargs.get(name, args[0])).is_meta:
            return into
        out = func(*args, **kwargs)
        if func is _FLASH_BACKWARD and (query := args[1]).element_size() == 2:
            # a card's kernel sums dq in float32, and dk and dv a query head (FlashAttention 2, mha_bwd)
            shared = query.shape[1] != args[2].shape[1]
            self.held(sum(map(self.size, [4 * query.numel(), *[query.nbytes] * 2 * shared])))
        for leaf in (out,) if isinstance(out, Tensor) else tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.count(leaf)
        return out


@cache
def _written(func: Any) -> str | None:
    """The argument that an operation writes into and returns, if that is all it does: without data, nothing then."""
    if torch.Tag.inplace_view in func.tags:
        return None
    given, back = (
        [x for x in side if x.alias_info is not None and x.alias_info.is_write]
        for side in (func._schema.arguments, func._schema.returns)
    )
    return given[0].name if len(given) == len(back) == len(func._schema.returns) == 1 else None


class Marking(Arena):
    """An arena that marks where each layer's forward pass ends and its backward pass begins."""

    def __init__(self, live: Live, card: bool) -> None:
        super().__init__(card)
        self.live = live

    def turn(self, number: int) -> int:
        """As in any arena, after a mark."""
        self.live.mark("forward", number)
        return super().turn(number)

    def turn_of(self, number: int) -> int:
        """As in any arena, after a mark."""
        self.live.mark("backward", number)
        return super().turn_of(number)


def _attention(query: Tensor, key: Tensor, value: Tensor, *given: Any, **named: Any) -> Tensor:
    """On meta tensors, attention as the kernels of CPU and GPU do it, without a matrix of all scores."""
    if not query.is_meta:
        return _SDPA(query, key, value, *given, **named)
    flash = torch.ops.aten._scaled_dot_product_flash_attention
    return flash(query, key, value, 0.0, True, False, scale=named.get("scale"))[0]  # type: ignore[no-any-return]


@contextmanager
def following(live: Live) -> Iterator[None]:
    """While inside, ``live`` counts. Attention is put in by name: a function mode is off in a backward pass."""
    functional: Any = nn.functional
    with live:
        functional.scaled_dot_product_attention = _attention
        try:
            yield
        finally:
            functional.scaled_dot_product_attention = _SDPA


def cuda_size(count: int) -> int:
    """What PyTorch's CUDA allocator takes for so many bytes: blocks of 512 bytes, and above 10 MB segments of 2 MB."""
    block = 512 if count <= 10 * 2**20 else 2 * 2**20
    return -(-count // block) * block
