"""How long a command takes to begin: help, version, a check of a small file, and training up to its first step.

    python bench/start.py [--rounds 10] [--train-rounds 3] [--against SRC] [--json]

Each run is a new process, in rounds, one command after the other. --against: the src folder of another version, which
takes turns with this one. Training is of 8 short records on the built-in SmolLM2-135M, with what was read kept in the
cache from the second round on; its first step is done when the run folder says so. Quoted are medians and their spread.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from growth import write
from step import spread

ROOT = Path(__file__).resolve().parents[1]
LIGHT = {"help": ["--help"], "version": ["--version"], "check": ["check", "{data}"]}
TRAIN = ["train", "{data}", "--model", "embedded", "--held-out", "0", "--questions", "0", "--epochs", "1"]


def run(source: Path, arguments: list[str], data: Path) -> float:
    """Seconds of a whole command."""
    began = time.perf_counter()
    process = begin(source, arguments, data)
    if process.wait():
        sys.exit(f"buke {' '.join(arguments)} ended with {process.returncode}")
    return time.perf_counter() - began


def begin(source: Path, arguments: list[str], data: Path) -> subprocess.Popen[bytes]:
    """Start a command of one version."""
    words = [word.format(data=data) for word in arguments]
    return subprocess.Popen(
        [sys.executable, "-m", "buke", *words],
        env=os.environ | {"PYTHONPATH": str(source)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def first_step(source: Path, data: Path) -> float:
    """Seconds until a training has taken its first step; what it does then is not waited for."""
    runs = data.parent / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    began = time.perf_counter()
    process = begin(source, [*TRAIN, "--runs", str(runs)], data)
    while not any(file.stat().st_size for file in runs.glob("*/steps.jsonl")):
        if process.poll() is not None:
            sys.exit(f"buke train ended with {process.returncode}")
        time.sleep(0.005)
    found = time.perf_counter() - began
    process.kill()
    process.wait()
    return found


def measure(sources: dict[str, Path], rounds: int, train_rounds: int) -> dict[str, dict[str, float]]:
    """Name of a command (and of a version) -> median, least and most."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "small.jsonl"
        write(data, 8)
        for source in sources.values():
            run(source, ["--help"], data)  # so that what Python compiles is there
        for i in range(max(rounds, train_rounds)):
            for version, source in sources.items():
                for name, arguments in LIGHT.items() if i < rounds else ():
                    times.setdefault(name + version, []).append(run(source, arguments, data))
                if i < train_rounds:
                    times.setdefault("train, first step" + version, []).append(first_step(source, data))
    return {name: spread(found) for name, found in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--train-rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, metavar="SRC")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    sources = {"": ROOT / "src"} | ({" of the other": given.against} if given.against else {})
    told = measure(sources, given.rounds, given.train_rounds)
    if given.json:
        print(json.dumps(told))
        return
    for name, found in told.items():
        print(f"{name}: {found['median']} s ({found['least']} to {found['most']})")


if __name__ == "__main__":
    main()
