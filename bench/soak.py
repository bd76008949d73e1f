"""Hours of use in one process: short runs, resumed runs and reports, and whether memory or open files grow.

    python bench/soak.py [--minutes 120] [--json]

A tiny model with random weights is planned for, trained, interrupted, taken up, asked, reported, verified and taught
further, over and over; every other round its weights are in four bits, where bitsandbytes is there.
Resident memory and open file handles are taken after each round; the slope is that of a least-squares line through the
second half of the rounds, when caches have filled. Exit code 1 where more than a megabyte, or a handle, is added in ten
rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import shutil
import statistics
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from buke.cli import run  # noqa: E402
from buke.config import make  # noqa: E402
from buke.kernels import library_here  # noqa: E402
from buke.train import begin as jobs  # noqa: E402
from tiny import tiny_folder, write_lessons  # noqa: E402

ROUNDS = 10  # over which the growth is told and judged
FEW = 8  # rounds below which no slope is told
MB = 10**6


def one_round(folder: Path, weights: str) -> None:
    """A run, one from its adapter, one that is broken off and taken up, and what is asked of them; then all goes."""
    runs = folder / "runs"
    small = {"epochs": 1.0, "questions": 2, "thought_budget": 8, "answer_budget": 8, "weights": weights}
    given = {"data": [str(folder / "lessons.jsonl")], "model": str(folder / "base"), **small}
    flags = [word for name, value in small.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        commands = [["plan", given["data"][0], "--model", given["model"], *flags]]
        commands += [["train", given["data"][0], "--model", given["model"], "--name", "a", *flags]]
        commands += [["compare", "a", "--questions", "1"], ["report", "a"], ["verify", "a"]]
        commands += [["train", given["data"][0], "--from", "a", "--name", "c", *flags]]
        codes = [run([*words, "--runs", str(runs)]) for words in commands]
        broken = jobs.prepare(*make(given | {"name": "b"}), runs, lambda line: None)
        events = broken.events()
        list(islice(events, 3))
        broken.save()
        events.close()  # type: ignore[attr-defined]
        codes.append(run(["train", "--resume", "b", "--runs", str(runs)]))
    if any(codes):
        raise SystemExit(f"a command failed: {codes}\n{told.getvalue()}")
    shutil.rmtree(runs)


def slope(values: list[float]) -> float | None:
    """Growth over ROUNDS rounds, from the second half of them; None where they are too few to tell."""
    half = values[len(values) // 2 :]
    if len(half) < FEW // 2:
        return None
    return statistics.linear_regression(range(len(half)), half).slope * ROUNDS


def handles(process: psutil.Process) -> int:
    """Open file handles of this process."""
    return int(process.num_fds() if hasattr(process, "num_fds") else process.num_handles())


def main() -> None:
    """Go round until the time is over, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    process, until = psutil.Process(), time.monotonic() + 60 * given.minutes
    memory, files = list[float](), list[float]()
    with tempfile.TemporaryDirectory(prefix="buke-soak-") as name:
        folder = Path(name)
        tiny_folder(folder / "base")
        write_lessons(folder / "lessons.jsonl", 40)
        while not memory or time.monotonic() < until:
            one_round(folder, "nf4" if library_here() and len(memory) % 2 else "resident")
            gc.collect()
            memory.append(process.memory_info().rss / MB)
            files.append(handles(process))
            print(f"round {len(memory)}: {memory[-1]:.0f} MB, {files[-1]:.0f} handles", file=sys.stderr, flush=True)
    told = {
        "rounds": len(memory), "minutes": given.minutes,
        "memory_mb": {"first": round(memory[0], 1), "last": round(memory[-1], 1), "per_10_rounds": slope(memory)},
        "handles": {"first": files[0], "last": files[-1], "per_10_rounds": slope(files)},
    }  # fmt: skip
    print(json.dumps(told) if given.json else "\n".join(f"{name}: {value}" for name, value in told.items()))
    grown = [slope(memory) or 0.0, slope(files) or 0.0]
    sys.exit(int(max(grown) > 1))


if __name__ == "__main__":
    main()
