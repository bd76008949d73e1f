"""How a training grows with the number of records and with the rank: reading, time to the first step, memory.

    python bench/growth.py [--records 100 1000 10000] [--ranks 4 16 64] [--model DIR] [--json]

Synthetic records of about 60 tokens, none held out and no question asked, steps of 8 records, each row of the table in
a process of its own. First start: nothing was kept before; second start: tokens are taken from the cache. Seconds are
counted from the start of the process, so they hold Python's and the libraries' own start too. Linux.
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
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
STEPS = 4  # that are timed; the first of them is not counted in a step's time
WORDS = (  # noqa: SIM905  a list of words is longer than what it lists
    "patient pain fever cough days mild acute blood pressure dose left right chest since morning history normal high "
    "low heart rate takes daily tablet water rest again sleeps well eats less weight night clear sound skin cold"
).split()


def write(path: Path, records: int) -> None:
    """Records of random words, about 60 tokens each with their prompt, no two alike."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for i in range(records):
            question, thought, answer = (" ".join(rng.choices(WORDS, k=k)) for k in (7, 8, 4))
            row = {"Question": f"Case {i}: {question}?", "Complex_CoT": f"{thought}.", "Response": f"{answer}."}
            file.write(json.dumps(row) + "\n")


def one(model: str, data: str, rank: int, runs: str) -> dict[str, float]:
    """What this process is for: prepare a run, take a few steps, and say how long each part took."""
    from contenders import memory

    from buke.config import make
    from buke.records import Step
    from buke.train.begin import prepare

    began = psutil.Process().create_time()
    at = [time.time() - began]  # libraries; then where preparing speaks: reading, loading; then prepared
    settings, reasons = make({
        "model": model, "data": [data], "rank": rank, "alpha": 2 * rank, "batch": 8, "accumulation": 1, "held_out": 0,
        "questions": 0, "device": "cpu",
    })  # fmt: skip
    job = prepare(settings, reasons, Path(runs), lambda text: at.append(time.time() - began))
    at.append(time.time() - began)
    steps: list[Step] = []
    first = 0.0
    for event in job.events():
        if isinstance(event, Step):
            first = first or time.time() - began
            steps.append(event)
        if len(steps) == STEPS:
            break
    later = steps[1:]
    found = {
        "libraries_s": at[0], "reading_s": at[2] - at[1], "loading_s": at[3] - at[2], "first_step_s": first,
        "step_s": statistics.median(step.seconds for step in later),
        "tokens_per_s": statistics.median(step.all_tokens / step.seconds for step in later),
        "trained": sum(p.numel() for p in job.model.trained().values()) / 1e6,
        "tokens_per_record": sum(map(len, job.loop.train)) / len(job.loop.train),
    }  # fmt: skip
    return found | memory()


def start(model: str, data: Path, rank: int, cache: Path) -> dict[str, float]:
    """One row of a table, by a new process with this cache."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "BUKE_CACHE": str(cache)}
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, __file__, "--one", model, str(data), str(rank), runs]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {name: round(value, 3) for name, value in found.items()}


def measure(model: str, records: list[int], ranks: list[int]) -> dict[str, list[dict[str, Any]]]:
    """Both tables."""
    told: dict[str, list[dict[str, Any]]] = {"records": [], "ranks": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder, data = Path(temporary), Path(temporary) / "records.jsonl"
        for count in records:
            write(data, count)
            cache = folder / f"cache-{count}"
            for name in ("first", "second"):
                told["records"].append({"records": count, "start": name} | start(model, data, 16, cache))
                print(told["records"][-1], file=sys.stderr)
        write(data, 200)
        for rank in ranks:
            told["ranks"].append({"rank": rank} | start(model, data, rank, folder / "cache-ranks"))
            print(told["ranks"][-1], file=sys.stderr)
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--ranks", type=int, nargs="*", default=[4, 16, 64])
    parser.add_argument("--model", type=Path, help="a model folder (default: the built-in SmolLM2-135M)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT / "src"))
    if given.one:
        model, data, rank, runs = given.one
        print(json.dumps(one(model, data, int(rank), runs)))
        return
    from buke import hub

    told = measure(str(given.model or hub.resolve("embedded")), given.records, given.ranks)
    if given.json:
        print(json.dumps(told))
        return
    for table in told.values():
        for row in table:
            print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
