"""Memory that is used again, so that the same pages serve every layer and every step."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
from collections.abc import Callable, Mapping
from contextlib import suppress

import torch
from torch import Tensor

OWN_PAGES = 2**18  # bytes
MMAP_THRESHOLD = -3  # its number for mallopt of the GNU C library
HELD = 2**27  # bytes that may stay where nobody needs them before the next row
POPULATE = getattr(mmap, "MAP_POPULATE", 0)  # the pages come now: a third faster, and a look at the memory sees them
PRIVATE: dict[str, int] = {} if os.name == "nt" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | POPULATE}


class Arena:
    """Named buffers, each as large as was ever asked for. What is taken under a name ends when it is taken again.

    Large blocks that are freed go back to the system, and cost a page fault for every 4 kB when they come again.
    """

    def __init__(self, card: bool = False, look: Callable[[int], None] = lambda _: None) -> None:
        self.card = card  # whether tensors without data stand for those of a card
        self.look = look  # called with the bytes of each new buffer before it is made, and with 0 between layers
        self._store: dict[tuple[int | None, str, torch.dtype], Tensor] = {}
        self._turns: dict[int, int] = {}

    def take(
        self, name: str, *shape: int, like: Tensor, dtype: torch.dtype | None = None, owner: int | None = None
    ) -> Tensor:
        """An uninitialised tensor of this shape, on the device of ``like`` and, unless said otherwise, of its dtype.

        owner: whose name it is; None for what all share.
        """
        key, count = (owner, name, dtype or like.dtype), math.prod(shape)
        have = self._store.get(key)
        if have is None or have.numel() < count or have.device != like.device:
            self._store.pop(key, None)
            have = None  # given back before the larger one is asked for
            self.look(count * key[2].itemsize)
            with torch.inference_mode(False):  # scoring makes it, training uses it
                have = self._store[key] = in_own_pages(count, dtype=key[2], device=like.device)
        return have[:count].view(shape)

    def give_back(self) -> None:
        """Give back what all share, where it is much."""
        if self.shared_bytes > HELD:
            self._store = {key: tensor for key, tensor in self._store.items() if key[0] is not None}

    def turn(self, number: int) -> int:
        """Say that what layer ``number`` kept is now of another row; a name for that state."""
        self.look(0)
        self._turns[number] = self._turns.get(number, 0) + 1
        return self._turns[number]

    def turn_of(self, number: int) -> int:
        """The name of the state that layer ``number`` is in."""
        self.look(0)
        return self._turns.get(number, 0)

    @property
    def held(self) -> Mapping[tuple[int | None, str, torch.dtype], Tensor]:
        """The buffers there are, by owner, name and format."""
        return self._store

    @property
    def bytes(self) -> int:
        """What is held."""
        return sum(tensor.nbytes for tensor in self._store.values())

    @property
    def shared_bytes(self) -> int:
        """What of it is nobody's own."""
        return sum(tensor.nbytes for (owner, *_), tensor in self._store.items() if owner is None)


def in_own_pages(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """An uninitialised tensor; where it is large and the CPU's, in pages of its own, which go back when it goes.

    The C allocator would keep them: for later, or because something small that lives on was put between two of them.
    """
    count = math.prod(shape)
    size = count * dtype.itemsize
    if device.type != "cpu" or size < OWN_PAGES:
        return torch.empty(*shape, dtype=dtype, device=device)
    return torch.frombuffer(mmap.mmap(-1, size, **PRIVATE), dtype=dtype, count=count).view(shape)


def free_at_once() -> None:
    """Let the C library, where it can, give back at once what is freed of tensors that we do not allocate ourselves.

    Else it raises by itself the size from which it does, up to 32 MB, and what it keeps lies in pieces: a step
    on the plain road took a quarter more memory, and no less time.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, OWN_PAGES)
