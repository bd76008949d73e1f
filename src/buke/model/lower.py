"""What the layers below the first adapter make of each record: they do not learn, so once is enough for all epochs."""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from buke.records import Example, Row
from buke.words import of_system


@dataclass
class Lower:
    """Hidden states (T, D) of examples below layer ``first``, in a nameless file that goes when the process does.

    Each example is computed alone, so that its states do not depend on the row it is met in and a run that is taken up
    again finds the same bytes. compute: hidden states of one example. full: called once, with the reason, where the
    disk takes no more; what is not in the file is computed each time.
    """

    folder: Path
    compute: Callable[[Example], Tensor]
    full: Callable[[str], None]
    writing: bool = True
    places: dict[str, tuple[int, int]] = field(default_factory=dict)  # of an example: its first byte and its tokens
    file: Any = None

    def of(self, row: Row, out_TD: Tensor) -> Tensor:
        """Hidden states of a row, written into ``out_TD``."""
        for example, (start, stop) in zip(row.examples, pairwise(row.starts), strict=True):
            if self.places.get(example.id, (0, 0))[1] == len(example):
                out_TD[start:stop] = self._read(self.places[example.id][0], out_TD[start:stop])
            else:
                out_TD[start:stop] = self.compute(example)
                self._write(example, out_TD[start:stop])
        return out_TD

    def _read(self, offset: int, like_TD: Tensor) -> Tensor:
        found_TD = torch.empty(like_TD.shape, dtype=like_TD.dtype)
        self.file.seek(offset)
        left = found_TD.view(torch.uint8).numpy().reshape(-1).data
        while left and (count := self.file.readinto(left)):
            left = left[count:]
        if left:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return found_TD

    def _write(self, example: Example, hidden_TD: Tensor) -> None:
        if not self.writing:
            return
        try:
            if self.file is None:
                self.file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115
                weakref.finalize(self, self.file.close)  # it lives as long as this
            offset = self.file.seek(0, 2)
            left = hidden_TD.detach().cpu().contiguous().view(torch.uint8).numpy().reshape(-1).data
            while left:  # a disk may take a part
                left = left[self.file.write(left) :]
        except OSError as error:
            self.writing = False
            self.full(of_system(error))
        else:
            self.places[example.id] = (offset, len(example))
