"""A layer of ours against its plain twin, and against that twin through torch.compile: forward and backward.

    python bench/compiled.py [--tokens 967] [--split 450] [--json]      (torch.compile wants a C++ compiler)

The shape of a layer of SmolLM2-135M with LoRA of rank 16, one row of two records. The ways take turns, each with the
weights of several layers one after the other, as in a model. Quoted are milliseconds a layer, and the seconds that
compiling took.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from step import spread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from buke.kernels import Arena, Layer, Linear, Place, decoder_layer, decoder_layer_plain  # noqa: E402

WIDTH, INNER, HEADS, KEYS, HEAD, RANK = 576, 1536, 9, 3, 64, 16
TURNS, LAYERS = 7, 4


def linear(outputs: int, inputs: int) -> Linear:
    """Frozen, with an adapter that learns."""
    a, b = torch.randn(RANK, inputs) * 0.02, torch.randn(outputs, RANK) * 0.02
    return Linear(torch.randn(outputs, inputs) * 0.02, None, a.requires_grad_(), b.requires_grad_(), 2.0)


def layer() -> Layer:
    """One layer."""
    shapes = {
        "q": (HEADS * HEAD, WIDTH),
        "k": (KEYS * HEAD, WIDTH),
        "v": (KEYS * HEAD, WIDTH),
        "o": (WIDTH, HEADS * HEAD),
    }
    shapes |= {"gate": (INNER, WIDTH), "up": (INNER, WIDTH), "down": (WIDTH, INNER)}
    linears = {name: linear(*shape) for name, shape in shapes.items()}
    ones = torch.ones(WIDTH)
    return Layer(ones, ones, **linears, head_width=HEAD, scale=HEAD**-0.5, epsilon=1e-6)


Way = Callable[[torch.Tensor, Layer, int, Place], torch.Tensor]


def turn(way: Way, layers: list[Layer], place: Place, x_TD: torch.Tensor) -> float:
    """Seconds of a layer, forward and backward."""
    began = time.perf_counter()
    for number, each in enumerate(layers):
        y_TD = way(x_TD, each, number, place)
        torch.autograd.grad(y_TD.sum(), [x_TD, *each.adapters])
    return (time.perf_counter() - began) / len(layers)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=967)
    parser.add_argument("--split", type=int, default=450, help="where the second record begins")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    angle = torch.cat([torch.rand(given.tokens, HEAD // 2)] * 2, 1)
    place = Place(angle.cos(), angle.sin(), (0, given.split, given.tokens), Arena())
    layers, x_TD = [layer() for _ in range(LAYERS)], torch.randn(given.tokens, WIDTH).requires_grad_()
    compiled: Way = torch.compile(decoder_layer_plain)
    ways: dict[str, Way] = {
        "ours": decoder_layer,
        "plain": decoder_layer_plain,
        "plain, compiled": lambda x, layer, number, place: compiled(x, layer, 0, place),  # or it is compiled for each
    }
    first = {name: turn(way, layers, place, x_TD) for name, way in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            times[name].append(1e3 * turn(way, layers, place, x_TD))
    told = {f"{name}, ms": spread(own) for name, own in times.items()}
    told["compiling, s"] = {"once": round(first["plain, compiled"] * LAYERS, 1)}
    print(json.dumps(told) if given.json else "\n".join(f"{name}: {value}" for name, value in told.items()))


if __name__ == "__main__":
    main()
