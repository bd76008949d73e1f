"""Frozen weights of the layers, copied to a card one layer ahead of where they are used.

Each layer's weights lie end to end in memory of the machine that the card reads by itself. On the card there are two
buffers: while one layer is computed, the next one's weights are copied into the other, on a stream of their own. The
backward pass comes from the other side: it finds the last two layers there, and what of a layer it computes again uses
the same copy.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from buke.kernels import Layer
from buke.kernels.arena import in_own_pages

SLOTS = 2
APART = 256  # elements: a weight begins where products read it fast


class Lane(Protocol):
    """Where copies go on beside the computing."""

    def copy(self, into: Tensor, block: Tensor) -> Any:
        """Copy once what was asked of the card before this is done; what to wait for."""

    def wait(self, copied: Any) -> None:
        """Let what is computed from now on wait for a copy."""


class CardLane:
    """A stream beside the one that computes."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)

    def copy(self, into: Tensor, block: Tensor) -> Any:
        """As ``Lane`` says."""
        self.stream.wait_stream(torch.cuda.current_stream(into.device))
        with torch.cuda.stream(self.stream):
            into.copy_(block, non_blocking=True)
            return self.stream.record_event()

    def wait(self, copied: Any) -> None:
        """As ``Lane`` says."""
        torch.cuda.current_stream().wait_event(copied)


class InOrder:
    """Stands in for a card's stream where there is none: a copy is over when it was asked for."""

    def copy(self, into: Tensor, block: Tensor) -> Any:
        """Copy now."""
        into.copy_(block)

    def wait(self, copied: Any) -> None:
        """Nothing to wait for."""


@dataclass
class Ahead:
    """The weights of all layers, and which of them are at hand. blocks: of each layer, on the machine."""

    blocks: list[Tensor]
    device: torch.device
    lane: Lane
    early: bool = True  # False, the plain twin: a layer's weights are copied when it comes
    slots: list[Tensor] = field(default_factory=list)
    holds: list[int | None] = field(default_factory=lambda: [None] * SLOTS)
    copied: list[Any] = field(default_factory=lambda: [None] * SLOTS)
    used: int = 0  # the slot of the layer that was asked for last
    copies: int = 0

    def at_hand(self, layer: Layer, number: int, then: int) -> Layer:
        """Layer ``number`` with its weights where they are used. then: the layer that comes after it."""
        if number not in self.holds:
            self._copy(number)
        self.used = self.holds.index(number)
        self.lane.wait(self.copied[self.used])
        if self.early and then not in self.holds and 0 <= then < len(self.blocks):
            self._copy(then)
        slot = self.slots[self.used]
        own = {
            name: replace(one, weight_OI=_same_place(one.weight_OI, slot))
            for name in ("q", "k", "v", "o", "gate", "up", "down")
            for one in [getattr(layer, name)]
        }
        return replace(layer, **own)

    def _copy(self, number: int) -> None:
        """Into the slot that was not used last: what used it before was asked of the card already."""
        if not self.slots:
            largest = max(self.blocks, key=len)
            with torch.inference_mode(False):  # scoring makes them, training uses them
                self.slots = [torch.empty_like(largest, device=self.device) for _ in range(SLOTS)]
        slot, block = 1 - self.used, self.blocks[number]
        self.holds[slot] = None  # until the copy was asked for
        self.copied[slot] = self.lane.copy(self.slots[slot][: len(block)], block)
        self.holds[slot] = number
        self.copies += 1


def _same_place(weight_OI: Tensor, slot: Tensor) -> Tensor:
    """What stands in a slot at the place where a weight stands in its block (or, once at hand, stood in a slot)."""
    at = weight_OI.storage_offset()
    return slot[at : at + weight_OI.numel()].view(weight_OI.shape)


def ahead_of(base: Any, device: torch.device, lane: Lane | None = None) -> Ahead | None:
    """Lay the weights of each layer's products end to end. None where they are of several formats."""
    layers = getattr(base.get_decoder(), "layers", ())
    weights: list[list[Tensor]] = [
        [part.weight for part in layer.modules() if isinstance(part, nn.Linear)] for layer in layers
    ]
    if not weights or len({weight.dtype for own in weights for weight in own}) != 1:
        return None
    lane = lane or (CardLane(device) if device.type == "cuda" else InOrder())
    return Ahead([_block(own) for own in weights], device, lane)


def _block(weights: Sequence[Tensor]) -> Tensor:
    """One tensor that holds them all from now on."""
    sizes = [-(-weight.numel() // APART) * APART for weight in weights]
    block = readable(sum(sizes), weights[0])
    at = 0
    for weight, size in zip(weights, sizes, strict=True):
        own = block[at : at + weight.numel()].view(weight.shape)
        weight.data = own.copy_(weight.data)
        at += size
    return block


def readable(count: int, like: Tensor) -> Tensor:
    """Memory that a card reads by itself: pages that the system may not move.

    torch's own pinned memory is rounded up to a power of two, for the layers of a 7B almost twice what is needed.
    """
    if like.device.type != "cpu" or not torch.cuda.is_available():
        return in_own_pages(count, dtype=like.dtype, device=like.device)
    size = count * like.element_size()
    pages = in_own_pages(size, dtype=torch.uint8, device=like.device)
    owner = (ctypes.c_char * size).from_buffer(pages.numpy().data)  # of the pages; it goes before they do
    place, runtime = pages.data_ptr(), torch.cuda.cudart()
    if int(runtime.cudaHostRegister(place, size, 0)) == 0:  # else copies are slower, and no less right
        weakref.finalize(owner, runtime.cudaHostUnregister, place).atexit = False
    else:  # the refusal is kept, and would be told as the fault of what is computed next
        with suppress(RuntimeError, AssertionError):
            torch.zeros(1, device="cuda")
            torch.cuda.synchronize()
    return torch.frombuffer(owner, dtype=like.dtype)
