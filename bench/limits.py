"""A run in a control group of the kernel's: under a limit, one that is lowered while it trains, and one that kills it.

    python bench/limits.py [--only start lowered killed] [--json]

Linux, as root. The built-in model learns 24 generated records, 8 a step, in processes of its own:
start: the limit is there from the start and is less than the fastest plan takes, so another is chosen. lowered: the
limit comes down in the second step, to the middle between the least and the most that a step takes; the step is to be
done again in smaller rows before the kernel kills. killed: another process in the group takes all that is left, the
kernel kills the run (SIGKILL), and the same command is given again with an ample limit. ``far`` is, of each step,
how far its loss a token is from that of a run that had all memory; ``equal``: whether the adapter's bytes are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from buke import checkpoint, runfolder  # noqa: E402
from buke.demo.lessons import lessons, write_lessons  # noqa: E402
from faults import MemoryGroup, reached, wait_for  # noqa: E402

AMPLE = 6 * 10**9  # bytes
ROOM = int(2.6e9)  # that a run fits into, and its neighbour does not
LESS = int(1.7e9)  # of which the fastest way does not fit into nine tenths
HOG = f"held = [bytearray(10**7) for _ in range({int(0.9 * ROOM) // 10**7})]; import time; time.sleep(60)"
FIRST = "1000"  # the kernel kills a process of this score before all others: it is to be the run, not its neighbour
FLAGS = ["--batch", "8", "--epochs", "2", "--held-out", "0", "--questions", "0", "--model", "embedded"]
FLAGS += ["--precision", "fp32", "--lang", "en"]  # in which rows of another length give the same loss


def begin(group: MemoryGroup, command: list[str], log: Path | None = None, score: str = "0") -> subprocess.Popen[bytes]:
    """A process that is in the group from its first instruction on."""
    joined = ["sh", "-c", 'echo $$ > "$0"; echo "$1" > /proc/self/oom_score_adj; shift; exec "$@"']
    joined += [str(group.folder / "cgroup.procs"), score, *command]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with open(log or os.devnull, "ab") as said:
        return subprocess.Popen(joined, stdout=said, stderr=said, env=environment)


def train(
    folder: Path, name: str, limit: int, meanwhile: Callable[[MemoryGroup, subprocess.Popen[bytes]], None] | None = None
) -> dict[str, Any]:
    """``buke train`` under a limit, and what came of it. meanwhile: done once a step is taken."""
    group, run = MemoryGroup(limit), folder / "runs" / name
    command = ["train", str(folder / "lessons.jsonl"), *FLAGS, "--runs", str(run.parent), "--name", name]
    try:
        process = begin(group, [sys.executable, "-m", "buke", *command], folder / f"{name}.log", FIRST)
        if meanwhile:
            wait_for(lambda: reached(run) > 0 or process.poll() is not None, 300)
            meanwhile(group, process)
        code, kills = process.wait(900), group.kills
    finally:
        group.close()
    said = (folder / f"{name}.log").read_text(encoding="utf-8")
    found = {"code": code, "kills": kills, "limit": limit, "steps": reached(run), "saved": checkpoint.newest(run)}
    plan = runfolder.read_json(run / runfolder.PLAN) or {"chosen": {}, "memory": {}}
    found |= {"row_tokens": plan["chosen"].get("row_tokens"), "planned": plan["memory"].get("needed")}
    return found | {"budget": plan["memory"].get("budget"), "told": re.findall("Memory ran out.*", said)}


def against(folder: Path, name: str) -> dict[str, Any]:
    """A run held against that with all memory."""
    runs = [folder / "runs" / each for each in ("ample", name)]
    losses = [[step["loss_sum"] / step["tokens"] for step in runfolder.read_lines(run / "steps.jsonl")] for run in runs]
    one, other = ((run / runfolder.ADAPTER / checkpoint.WEIGHTS).read_bytes() for run in runs)
    return {"far": [f"{abs(a - b):.0e}" for a, b in zip(*losses, strict=True)], "equal": one == other}


def start(folder: Path) -> list[dict[str, Any]]:
    """A limit that the plan knows."""
    return [train(folder, "start", LESS) | against(folder, "start")]


def lowered(folder: Path) -> list[dict[str, Any]]:
    """A limit that comes down while the run goes."""
    limits: list[int] = []

    def lower(group: MemoryGroup, process: subprocess.Popen[bytes]) -> None:
        limits.append(group.squeeze(8, lambda: process.poll() is None))

    found = train(folder, "lowered", AMPLE, lower)
    return [found | {"lowered_to": limits[0]} | against(folder, "lowered")]


def killed(folder: Path) -> list[dict[str, Any]]:
    """The kernel kills, and the same command goes on."""

    def hog(group: MemoryGroup, process: subprocess.Popen[bytes]) -> None:
        wait_for(lambda: checkpoint.newest(folder / "runs" / "killed") > 0 or process.poll() is not None, 300)
        greedy = begin(group, [sys.executable, "-c", HOG])
        wait_for(lambda: process.poll() is not None or greedy.poll() is not None, 60)
        greedy.kill()
        greedy.wait()

    first = train(folder, "killed", ROOM, hog)
    return [first, train(folder, "killed", AMPLE) | against(folder, "killed")]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {each.__name__: each for each in (start, lowered, killed)}
    parser.add_argument("--only", nargs="*", choices=list(kinds), default=list(kinds))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_lessons(folder / "lessons.jsonl", lessons(24))
        began = time.monotonic()
        found = {"ample": [train(folder, "ample", AMPLE)]} | {kind: kinds[kind](folder) for kind in given.only}
        seconds = round(time.monotonic() - began)
    if given.json:
        print(json.dumps(found | {"seconds": seconds}))
        return
    for kind, runs in found.items():
        for run in runs:
            print(f"{kind}: " + ", ".join(f"{key} {value}" for key, value in run.items() if value not in (None, [])))


if __name__ == "__main__":
    main()
