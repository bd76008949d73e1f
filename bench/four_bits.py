"""Weights in four bits (NF4) on the CPU against bfloat16 widened in parts: how fast each comes back, and a product.

    python bench/four_bits.py [--tokens 1024] [--shape 8960 1536] [--json]      (pip install bitsandbytes)

Ways take turns. GB/s counts what is written in float32, so that the formats can be compared; GFLOP/s are those of
x W^T, making the weight included. NF4: blocks of 64, scales in float32 (Dettmers et al. 2023, without double
quantisation).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from buke.kernels import Arena  # noqa: E402
from buke.kernels.linear import WIDE_AT_ONCE, widened  # noqa: E402

TURNS, BLOCK, WEIGHTS = 9, 64, 6


class FourBits:
    """A weight in NF4, as bitsandbytes packs it: rows lie one after the other, so that some of them are a slice."""

    def __init__(self, weight_OI: torch.Tensor) -> None:
        from bitsandbytes import functional

        packed, state = functional.quantize_4bit(
            weight_OI, blocksize=BLOCK, quant_type="nf4", compress_statistics=False
        )
        self.shape = weight_OI.shape
        self.packed_OI = packed.view(self.shape[0], self.shape[1] // 2)
        self.scales_OG = state.absmax.view(self.shape[0], self.shape[1] // BLOCK)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Some outputs in float32."""
        scales = self.scales_OG[start:stop].reshape(-1)
        shape = (min(stop, self.shape[0]) - start, self.shape[1])
        wide: torch.Tensor = torch.ops.bitsandbytes.dequantize_4bit(
            self.packed_OI[start:stop].reshape(-1, 1), scales, BLOCK, "nf4", shape, torch.float32
        )
        return wide

    def rows_into(self, start: int, stop: int, out_PI: torch.Tensor) -> torch.Tensor:
        """The same in a buffer, which the public operation does not take on the CPU: its C function does."""
        from bitsandbytes.cextension import lib

        packed, scales = self.packed_OI[start:stop], self.scales_OG[start:stop]
        pointers = (ctypes.c_void_p(x.data_ptr()) for x in (packed, scales, out_PI))
        sizes = (ctypes.c_longlong(x) for x in (BLOCK, len(packed), self.shape[1]))
        lib.cdequantize_blockwise_cpu_nf4_fp32(*pointers, *sizes)
        return out_PI[: len(packed)]


def ways(tokens: int, outputs: int, inputs: int) -> dict[str, tuple[Callable[[int], Any], float]]:
    """Name -> what to do with weight number i, and its GB or GFLOP."""
    wide = [torch.randn(outputs, inputs) * 0.02 for _ in range(WEIGHTS)]
    half, four, arena = [w.bfloat16() for w in wide], [FourBits(w) for w in wide], Arena()
    x, out, step = torch.randn(tokens, inputs), torch.empty(tokens, outputs), max(1, WIDE_AT_ONCE // inputs)
    far = (four[0].rows(0, outputs) - wide[0]).norm() / wide[0].norm()
    print(f"NF4 is {float(far):.3f} of the weight's norm away from it", file=sys.stderr)

    def product(i: int) -> None:
        torch.mm(x, wide[i].T, out=out)

    def widen(i: int) -> None:
        for _ in widened(half[i], x, arena):
            pass

    def widened_product(i: int) -> None:
        for part, weight in widened(half[i], x, arena):
            torch.mm(x, weight.T, out=out[:, part])

    def parts(i: int) -> None:
        for start in range(0, outputs, step):
            four[i].rows(start, start + step)

    def parts_product(i: int) -> None:
        for start in range(0, outputs, step):
            torch.mm(x, four[i].rows(start, start + step).T, out=out[:, start : start + step])

    buffer = torch.empty(step, inputs)
    assert torch.equal(four[0].rows_into(0, step, buffer), four[0].rows(0, step))

    def buffered(i: int) -> None:
        for start in range(0, outputs, step):
            four[i].rows_into(start, start + step, buffer)

    def buffered_product(i: int) -> None:
        for start in range(0, outputs, step):
            weight = four[i].rows_into(start, start + step, buffer)
            torch.mm(x, weight.T, out=out[:, start : start + step])

    size, work = 4e-9 * outputs * inputs, 2e-9 * tokens * outputs * inputs
    return {
        "bfloat16 widened in parts, GB/s written": (widen, size),
        "NF4 whole, GB/s written": (lambda i: four[i].rows(0, outputs), size),
        "NF4 in parts, GB/s written": (parts, size),
        "NF4 in parts into a buffer, GB/s written": (buffered, size),
        "product with float32, GFLOP/s": (product, work),
        "product with bfloat16 widened in parts, GFLOP/s": (widened_product, work),
        "product with NF4 whole, GFLOP/s": (lambda i: torch.mm(x, four[i].rows(0, outputs).T, out=out), work),
        "product with NF4 in parts, GFLOP/s": (parts_product, work),
        "product with NF4 in parts into a buffer, GFLOP/s": (buffered_product, work),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--shape", type=int, nargs=2, default=[8960, 1536], help="outputs and inputs of the weight")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    timed = ways(given.tokens, *given.shape)
    rates: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(TURNS + 1):
        for name, (run, amount) in timed.items():
            start = time.perf_counter()
            run(turn % WEIGHTS)
            if turn:
                rates[name].append(amount / (time.perf_counter() - start))
    told = {name: [round(f(own), 1) for f in (statistics.median, min, max)] for name, own in rates.items()}
    if given.json:
        print(json.dumps(told))
    else:
        for name, (median, least, most) in told.items():
            print(f"{median:8} ({least} to {most})  {name}")


if __name__ == "__main__":
    main()
