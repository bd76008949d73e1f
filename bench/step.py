"""A training step of ours against TRL's, a bare PEFT loop's and what the machine can do: tokens a second and memory.

    python bench/step.py [--quick] [--json] [--model DIR] [--rounds N] [--trl PYTHON]

All contenders are processes that wait; in each round each of them trains one step of 8 records, one after the other, so
that a machine that grows slow grows slow for all. Quoted are medians, their spread, and ratios round by round. --trl
names the Python of an environment with trl in it; without it, one is made in the cache (pip, network).

The bound is the time that the machine's fastest product of the same round, in the precision that ours computes in,
would need for the FLOPs that cannot be left out: frozen products forward and backward to their input, attention, and
the head on learned tokens. Where ours computes in bfloat16, TRL runs in both (--ours '{"precision": "fp32"}').
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RECORDS, MEAN, SPREAD, LEAST, MOST = 8, 650, 0.3, 200, 1600  # tokens of a record: log-normal, as medical records are
LEARNED = 0.85  # share of a record that is thought and answer


def steps(count: int, vocabulary: int, length: int | None) -> list[list[tuple[list[int], int]]]:
    """Records of random tokens, or one record of ``length`` tokens a step. What they say does not change the time."""
    rng, made = random.Random(0), []
    for _ in range(count):
        lengths = (
            [length]
            if length
            else [int(min(MOST, max(LEAST, rng.lognormvariate(0, SPREAD) * MEAN))) for _ in range(RECORDS)]
        )
        made.append([([rng.randrange(100, vocabulary) for _ in range(n)], int(n * (1 - LEARNED))) for n in lengths])
    return made


def necessary(config: dict[str, Any], step: list[tuple[list[int], int]]) -> float:
    """FLOPs of a step that cannot be left out."""
    width, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or width // heads
    keys = config["num_key_value_heads"] * head
    linear = width * (2 * heads * head + 2 * keys) + 3 * width * inner
    tokens, learned = sum(len(ids) for ids, _ in step), sum(len(ids) - first for ids, first in step)
    attention = sum(len(ids) ** 2 / 2 for ids, _ in step) * heads * head * 2 * (2 + 4)  # causal: half; 2 + 4 products
    return layers * (4 * linear * tokens + attention) + 4 * config["vocab_size"] * width * learned


class Contender:
    """A process that trains when told."""

    def __init__(self, python: str, name: str, folder: Path, records: Path, **options: Any) -> None:
        command = [python, str(ROOT / "bench" / "contenders.py"), name, str(folder), str(records), json.dumps(options)]
        env = os.environ | {"PYTHONPATH": str(ROOT / "src") if python == sys.executable else "", "HF_HUB_OFFLINE": "1"}
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=env
        )
        self.answer()

    def answer(self) -> dict[str, float]:
        """What the process says next."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("::"):
                found: dict[str, float] = json.loads(line[2:])
                return found
        self.log.seek(0)
        sys.exit(f"{' '.join(map(str, self.process.args))}\n{self.log.read().decode()[-3000:]}")

    def step(self) -> dict[str, float]:
        """One step."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> dict[str, float]:
        """Its memory."""
        assert self.process.stdin is not None
        self.process.stdin.write("end\n")
        self.process.stdin.flush()
        found = self.answer()
        self.process.stdin.close()
        self.process.wait()
        return found


def trl_python(given: str | None) -> str:
    """The Python of an environment that has trl."""
    if given:
        return given
    from buke.hub import cache_folder

    place = cache_folder() / "bench" / "trl"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(place, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "torch", "trl>=1,<2", "peft", "datasets"], check=True)
    return str(python)


def measure(contenders: dict[str, Contender], rounds: int, work: list[float]) -> dict[str, Any]:
    """Alternate; the first round is not counted."""
    seen: dict[str, list[float]] = {name: [] for name in contenders}
    bounds: list[float] = []
    for at in range(rounds + 1):
        fastest = 0.0
        for name, one in contenders.items():
            found = one.step()
            if name == "products":
                fastest = found["flops"]
            elif at:
                seen[name].append(found["tokens"] / found["seconds"])
                tokens = found["tokens"]
            print(f"round {at} {name}: {found}", file=sys.stderr)
        if at:
            bounds.append(tokens * fastest / work[at % len(work)])
    memory = {name: one.end() for name, one in contenders.items()}
    return {"rates": {name: rates for name, rates in seen.items() if rates}, "bounds": bounds, "memory": memory}


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """The figures that are quoted."""
    rates, bounds, memory = found["rates"], found["bounds"], found["memory"]
    told: dict[str, Any] = {"bound": spread(bounds)}
    for name, own in rates.items():
        told[name] = spread(own) | {"peak_gb": round(memory[name]["peak_gb"], 2)}
        told[name]["share_of_bound"] = round(statistics.median(a / b for a, b in zip(own, bounds, strict=True)), 3)
    best = max(
        (name for name in rates if name.startswith("trl")), key=lambda n: statistics.median(rates[n]), default=""
    )
    if best:
        ratios = [a / b for a, b in zip(rates["ours"], rates[best], strict=True)]
        told |= {
            "ratio_to_trl": round(statistics.median(ratios), 3),
            "ratios_to_trl": spread(ratios),
            "trl_best": best,
        }
    return told | {
        "precision": found["precision"],
        "share_of_bound": told["ours"]["share_of_bound"],
        "peak_gb": told["ours"]["peak_gb"],
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="ours and TRL's better way only")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", type=Path, help="a model folder (default: the built-in SmolLM2-135M)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--length", type=int, help="one record of so many tokens a step, in place of 8 records")
    parser.add_argument("--trl", help="the Python of an environment with trl")
    parser.add_argument("--alone", action="store_true", help="ours and the bound only")
    parser.add_argument("--ours", type=json.loads, default={}, help="settings of ours, as JSON")
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT / "src"))
    import torch

    from buke import hub
    from buke.config import make
    from buke.model import choose_precision, width_of

    folder = given.model or hub.resolve("embedded")
    config = json.loads((folder / "config.json").read_text())
    settings, _ = make({"device": "cpu"} | given.ours)
    bf16 = choose_precision(settings, torch.device("cpu"), width_of(config)) == "bf16"
    made = steps(given.rounds + 1, config["vocab_size"], given.length)
    with tempfile.TemporaryDirectory() as temporary:
        records = Path(temporary) / "records.json"
        records.write_text(json.dumps(made))
        contenders = {"products": Contender(sys.executable, "products", folder, records, bf16=bf16)}
        contenders["ours"] = Contender(sys.executable, "ours", folder, records, **given.ours)
        if not given.alone:
            python = trl_python(given.trl)
            contenders["trl"] = Contender(python, "trl", folder, records)
            if bf16:
                contenders["trl bf16"] = Contender(python, "trl", folder, records, bf16=True)
            if not given.quick:
                contenders["trl checkpointing"] = Contender(python, "trl", folder, records, checkpointing=True)
                contenders["peft"] = Contender(sys.executable, "peft", folder, records)
        found = measure(contenders, given.rounds, [necessary(config, step) for step in made])
        told = summary(found | {"precision": "bf16" if bf16 else "fp32"})
    if given.json:
        print(json.dumps(told))
    else:
        for name, value in told.items():
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
