"""What this machine can do: products of the shapes of a model, attention, widening of 16-bit weights, memory.

    python bench/roofline.py [--model DIR] [--tokens 1024] [--json]

Each figure is the best and the median of several turns; all kinds take turns. Products are cold: each takes another
weight, as in a model. GFLOP/s count one multiplication and one addition as two.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from buke import hub  # noqa: E402
from buke.kernels import Arena  # noqa: E402
from buke.kernels.attention import Attention  # noqa: E402

TURNS, WEIGHTS = 7, 8


def product(tokens: int, inputs: int, outputs: int) -> tuple[Callable[[], None], float]:
    """x W^T of several weights in turn, and its GFLOP."""
    weights = [torch.randn(outputs, inputs) for _ in range(max(1, min(WEIGHTS, 2**27 // (inputs * outputs))))]
    x, out = torch.randn(tokens, inputs), torch.empty(tokens, outputs)

    def run() -> None:
        for weight in weights:
            torch.mm(x, weight.T, out=out)

    return run, 2e-9 * tokens * inputs * outputs * len(weights)


def kinds(config: dict[str, int], tokens: int) -> dict[str, tuple[Callable[[], None], float]]:
    """What is timed: name -> what to run, and its GFLOP or GB."""
    width, inner, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    head, keys = config.get("head_dim") or width // heads, config["num_key_value_heads"]
    a, b, out = (torch.randn(2048, 2048) for _ in range(3))
    q, k, v, g = (torch.randn(tokens, n, head) for n in (heads, keys, keys, heads))
    found, grads = torch.empty_like(q), [torch.empty_like(x) for x in (q, k, v)]
    attention = Attention((0, tokens), head**-0.5, None, Arena())
    once = 2e-9 * tokens**2 * heads * head  # causal: half of two products
    narrow, wide = torch.randn(2**25).bfloat16(), torch.empty(2**22)
    one, two = torch.randn(2**26), torch.empty(2**26)

    def widen() -> None:
        for part in narrow.split(len(wide)):
            wide.copy_(part)

    return {
        "products, 2048 x 2048 x 2048, GFLOP/s": (lambda: torch.mm(a, b, out=out), 2e-9 * 2048**3),
        f"products, {tokens} x {width} x {inner}, GFLOP/s": product(tokens, width, inner),
        f"products, {tokens} x {inner} x {width}, GFLOP/s": product(tokens, inner, width),
        f"products, {tokens} x {width} x {width}, GFLOP/s": product(tokens, width, width),
        f"products, {tokens} x {width} x vocabulary, GFLOP/s": product(tokens // 4, width, config["vocab_size"]),
        "attention forward, GFLOP/s": (lambda: attention.forward(q, k, v, found), once),
        "attention backward, GFLOP/s": (lambda: attention.backward(g, q, k, v, found, *grads), 2 * once),
        "widening bfloat16 in the cache, GB/s read": (widen, 2e-9 * len(narrow)),
        "copying, GB/s read and written": (lambda: two.copy_(one), 8e-9 * len(one)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder (default: the built-in SmolLM2-135M)")
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    folder = given.model or hub.resolve("embedded")
    timed = kinds(json.loads((folder / "config.json").read_text()), given.tokens)
    rates: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(TURNS + 1):
        for name, (run, amount) in timed.items():
            start = time.perf_counter()
            run()
            if turn:
                rates[name].append(amount / (time.perf_counter() - start))
    told = {name: [round(max(own), 1), round(statistics.median(own), 1)] for name, own in rates.items()}
    if given.json:
        print(json.dumps(told))
    else:
        print(f"{'best':>8}{'median':>8}")
        for name, (best, median) in told.items():
            print(f"{best:8}{median:8}  {name}")


if __name__ == "__main__":
    main()
