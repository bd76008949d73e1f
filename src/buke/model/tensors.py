"""Tensors -> the bytes of a safetensors file."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from buke.runfolder import Piece

KINDS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.uint8: "U8",
}  # fmt: skip


def safetensors_of(tensors: Mapping[str, Tensor]) -> Iterator[Piece]:
    """A safetensors file in pieces, so that the tensors are in memory once: the length of a header, the header (name ->
    type, shape, first and last byte), the bytes of each tensor (safetensors 0.x, "Format")."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # each so stands where it may
    for name in names:
        tensor, start = tensors[name], place
        place += tensor.nbytes
        header[name] = {"dtype": KINDS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, place]}
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for name in names:
        flat = tensors[name].detach().cpu().contiguous().reshape(-1)
        yield flat.view(torch.uint8).numpy().data
