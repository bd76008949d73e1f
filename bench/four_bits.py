"""Weights in four bits (NF4) on the CPU against bfloat16 widened in parts: how fast each is made and comes back, and a
product.

    python bench/four_bits.py [--tokens 1024] [--shape 8960 1536] [--json]      (pip install bitsandbytes)

Ways take turns. GB/s counts what is written in float32, so that the formats can be compared; GFLOP/s are those of
x W^T, making the weight included.
"""

from __future__ import annotations

import argparse
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

from buke.kernels import Arena, FourBits, Weight  # noqa: E402
from buke.kernels.linear import widened  # noqa: E402

TURNS, WEIGHTS = 9, 6


def ways(tokens: int, outputs: int, inputs: int) -> dict[str, tuple[Callable[[int], Any], float]]:
    """Name -> what to do with weight number i, and its GB or GFLOP."""
    wide = [torch.randn(outputs, inputs) * 0.02 for _ in range(WEIGHTS)]
    half, four, arena = [w.bfloat16() for w in wide], [FourBits.of(w, torch.device("cpu")) for w in wide], Arena()
    x, out = torch.randn(tokens, inputs), torch.empty(tokens, outputs)
    far = (four[0].rows(0, outputs, torch.float32) - wide[0]).norm() / wide[0].norm()
    print(f"NF4 is {float(far):.3f} of the weight's norm away from it", file=sys.stderr)

    def widen(weight: Weight) -> None:
        for _ in widened(weight, x, arena):
            pass

    def product(weight: Weight) -> None:
        for part, wide_PI in widened(weight, x, arena):
            torch.mm(x, wide_PI.T, out=out[:, part])

    size, work = 4e-9 * outputs * inputs, 2e-9 * tokens * outputs * inputs
    return {
        "bfloat16 widened in parts, GB/s written": (lambda i: widen(half[i]), size),
        "NF4 widened in parts, GB/s written": (lambda i: widen(four[i]), size),
        "rounded to NF4, GB/s read": (lambda i: FourBits.of(wide[i], torch.device("cpu")), size),
        "product with float32, GFLOP/s": (lambda i: product(wide[i]), work),
        "product with bfloat16 widened in parts, GFLOP/s": (lambda i: product(half[i]), work),
        "product with NF4 widened in parts, GFLOP/s": (lambda i: product(four[i]), work),
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
