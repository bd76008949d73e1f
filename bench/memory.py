"""Where the memory of a training goes: libraries, weights, adapter and optimizer, activations, shared buffers, logits.

    python bench/memory.py [--model DIR] [--tokens 1024] [--activations full|half|byte] [--recompute] [--json]

One step over one row of random tokens. Parts are counted from the tensors that are alive at their peak; beside them
stands what the system says of the process (Linux).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from buke import hub  # noqa: E402
from buke.config import make  # noqa: E402
from buke.model import load  # noqa: E402
from buke.records import Example, Row  # noqa: E402
from buke.train.step import Ranks, optimizer_for, take_step  # noqa: E402


def status() -> dict[str, float]:
    """GB: resident now, what of it is no file's, and the most that was ever resident."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e9 for line in lines if line.endswith("kB")}
    return {"resident": values["VmRSS"], "anonymous": values["RssAnon"], "peak": values["VmHWM"]}


def main() -> None:
    """Take a step and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder (default: the built-in SmolLM2-135M)")
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--activations", choices=("full", "half", "byte"), default="full")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    libraries = status()["anonymous"]
    folder = given.model or hub.resolve("embedded")
    settings, _ = make({"model": str(folder), "rank": 16, "alpha": 32, "device": "cpu"})
    model = load(folder, settings)
    model.add_adapter(settings)
    model.keep_activations(given.activations, given.recompute)
    assert model.fast is not None
    optimizer = optimizer_for(model.trained(), 2e-4, 0.0)
    rng, learned = random.Random(0), given.tokens * 15 // 100
    ids = tuple(rng.randrange(100, len(model.head)) for _ in range(given.tokens))
    flags = (False,) * learned + (True,) * (given.tokens - learned)
    example = Example("0", "", ids, flags, (learned, learned, 0, given.tokens))
    for _ in range(2):
        take_step(model, [Row((example,))], optimizer, 1.0, Ranks())
    trained = sum(parameter.nbytes for parameter in model.trained().values())
    frozen = {p.untyped_storage().data_ptr(): p.nbytes for p in model.base.parameters() if not p.requires_grad}
    arena, config = model.fast.arena, model.base.config.get_text_config()
    inputs = 4 * given.tokens * config.hidden_size * config.num_hidden_layers  # of the layers, kept by autograd
    inputs *= given.recompute or given.activations == "full"
    told = {
        "libraries": libraries,
        "frozen weights": sum(frozen.values()) / 1e9,
        "adapter, its gradient, optimizer": 4 * trained / 1e9,
        "activations kept": (arena.bytes - arena.shared_bytes + inputs) / 1e9,
        "buffers that layers share": arena.shared_bytes / 1e9,
        "logits": model.arena.bytes / 1e9,
        **{f"process: {name}": value for name, value in status().items()},
    }
    told = {name: round(value, 3) for name, value in told.items()}
    print(json.dumps(told) if given.json else "\n".join(f"{value:8.2f} GB  {name}" for name, value in told.items()))


if __name__ == "__main__":
    main()
