"""Memory as it is planned against memory as it is: each setting in a process of its own.

    python bench/plan.py [--model DIR] [--only NUMBER ...] [--json >> docs/memory.jsonl]

Two steps of two rows of random tokens on the CPU; the peak is of memory that is no file's (Linux). A row of 16 tokens
comes first, as records of all lengths come in a run.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

SETTINGS: list[dict[str, Any]] = [
    {"tokens": 256},
    {"tokens": 1024},
    {"tokens": 2048},
    {"tokens": 512, "rank": 4},
    {"tokens": 512, "rank": 128},
    {"tokens": 1024, "activations": "half"},
    {"tokens": 1024, "activations": "byte"},
    {"tokens": 2048, "activations": "byte"},
    {"tokens": 1024, "recompute": True},
    {"tokens": 2048, "recompute": True},
    {"tokens": 512, "weights": "streamed"},
    {"tokens": 1024, "weights": "streamed", "activations": "byte"},
    {"tokens": 1024, "weights": "streamed", "recompute": True},
    {"tokens": 512, "weights": "nf4"},
    {"tokens": 1024, "weights": "nf4", "recompute": True},
    {"tokens": 2048, "weights": "nf4", "activations": "byte"},
    {"tokens": 1024, "layers": "upper"},
    {"tokens": 512, "targets": "q_proj,v_proj"},
    {"tokens": 512, "dropout": 0.05},
    {"tokens": 512, "precision": "bf16"},
    {"tokens": 2048, "precision": "bf16"},
    {"tokens": 2048, "precision": "bf16", "activations": "byte"},
    {"tokens": 1024, "precision": "bf16", "recompute": True},
    {"tokens": 512, "precision": "bf16", "weights": "nf4"},
    {"tokens": 1024, "precision": "bf16", "weights": "streamed"},
    {"tokens": 512, "precision": "bf16", "dropout": 0.05},
    {"tokens": 1024, "precision": "bf16", "dropout": 0.05, "recompute": True},
    {"tokens": 512, "precision": "bf16", "bias": "lora_only"},
    {"tokens": 512, "bias": "lora_only"},
    {"tokens": 1024, "precision": "bf16", "lengths": 14},
    {"tokens": 1024, "precision": "bf16", "lengths": 14, "recompute": True},
    {"tokens": 1024, "precision": "bf16", "lengths": 14, "weights": "nf4"},
    {"tokens": 1024, "lengths": 14},
]


def one(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Plan and take steps in this process."""
    from buke.config import make
    from buke.model import kept_in, load
    from buke.plan import Task, Watch, Way, measure, own_bytes
    from buke.records import Example, Row
    from buke.train.ahead import stepper

    tokens, count = given.pop("tokens"), given.pop("lengths", 1)
    lengths = [tokens * (number + 1) // count for number in range(count)]
    common = {"model": str(folder), "device": "cpu", "precision": "fp32", "questions": 0, "activations": "full"}
    settings, _ = make(common | given)
    settings = settings.model_copy(update={"weights": given.get("weights", "resident")})
    again = bool(settings.recompute)
    config = json.loads((folder / "config.json").read_text())
    task = Task(config, settings, frozenset(), lengths, [], 16, "cpu", settings.precision, own_bytes(), stepper)
    way = Way(tokens, settings.precision, settings.activations, again, settings.weights, file=kept_in(folder))
    fit = measure(task, way, tokens)
    watch = Watch("cpu")
    watch.start()
    model = load(folder, settings)
    model.add_adapter(settings)
    if model.fast is not None:
        model.keep_activations(settings.activations, again)
    step, rng = stepper(model), random.Random(0)
    best = None
    for _ in range(2):
        rows = []
        for length in (16, *lengths):
            ids = tuple(rng.randrange(100, len(model.head)) for _ in range(length))
            rows.append(Row((Example("", "", ids, (True,) * length, (0, 0, 0, length)),)))
        step(model, rows)
        best = best or model.adapter_state()
    peak = watch.stop()
    return {"predicted": fit.needed, "measured": peak, "parts": fit.parts}


def main() -> None:
    """Each setting in a process of its own; a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder (default: the built-in SmolLM2-135M)")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of settings, from 0")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.model, json.loads(given.one))))
        return
    from buke import hub

    folder = given.model or hub.resolve("embedded")
    for number in given.only if given.only is not None else range(len(SETTINGS)):
        command = [sys.executable, __file__, "--model", str(folder), "--one", json.dumps(SETTINGS[number])]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            print(f"{number} {SETTINGS[number]}: {ran.stderr[-500:]}", file=sys.stderr)
            continue
        found = json.loads(ran.stdout.splitlines()[-1])
        far = found["predicted"] / found["measured"] - 1
        if given.json:
            print(json.dumps({"model": folder.name, "setting": SETTINGS[number], **found}), flush=True)
        else:
            said = f"{found['predicted'] / 1e9:.3f} GB, {found['measured'] / 1e9:.3f} GB, {far:+.1%}"
            print(f"{number:2} {json.dumps(SETTINGS[number])}: {said}", flush=True)


if __name__ == "__main__":
    main()
