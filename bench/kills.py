"""How much a run loses to kill -9: it is killed again and again, at random moments and at random writes, and goes on.

    python bench/kills.py [--kills 100] [--seed 0] [--json]

A tiny model learns with packing, accumulation, dropout and several epochs. Every other kill comes by the clock, every
other in the middle of a write or between two, checkpoints included. Each time the very same command is given again. At
the end of each run its adapter is compared, byte for byte, with that of a run nobody killed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from buke import checkpoint, runfolder  # noqa: E402
from faults import reached, start  # noqa: E402
from tiny import tiny_folder, write_lessons  # noqa: E402

INTERVAL = 4  # steps between two checkpoints
WEIGHTS = Path(runfolder.ADAPTER) / checkpoint.WEIGHTS


@dataclass
class Found:
    """What came of it."""

    kills: int = 0
    by_clock: int = 0
    in_a_save: int = 0  # a checkpoint or the adapter was half written
    runs: int = 0
    equal: int = 0  # runs whose adapter is that of the unbroken run
    most_lost: int = 0  # steps between what was written down and the newest whole checkpoint
    interval: int = INTERVAL

    @property
    def good(self) -> bool:
        """Whether nothing was lost that had not to be."""
        return self.equal == self.runs and self.most_lost <= self.interval


def command(folder: Path, name: str) -> list[str]:
    """The one command of a run."""
    shape = ["--batch", "4", "--accumulation", "2", "--row-tokens", "128", "--dropout", "0.1", "--epochs", "4"]
    course = ["--eval-every", "6", "--save-every", str(INTERVAL), "--patience", "0", "--keep", "2", "--name", name]
    asked = ["--questions", "2", "--thought-budget", "8", "--answer-budget", "8", "--runs", str(folder / "runs")]
    return ["train", str(folder / "lessons.jsonl"), "--model", str(folder / "base"), *shape, *course, *asked]


def kill_runs(kills: int, seed: int, folder: Path) -> Found:
    """Kill so many times and count. Raises RuntimeError where a run ends otherwise than killed or done."""
    tiny_folder(folder / "base")
    write_lessons(folder / "lessons.jsonl", 40)
    log = folder / "whole.log"
    _end(start(["--version"], log), log)  # what is loaded once is loaded now
    began = time.monotonic()
    _end(start(command(folder, "whole"), log), log)
    seconds, writes = time.monotonic() - began, int(log.with_suffix(".calls").read_text())
    whole = (folder / "runs" / "whole" / WEIGHTS).read_bytes()
    found, rng = Found(), random.Random(seed)
    while found.kills < kills:
        run, done = folder / "runs" / f"killed-{found.runs}", False
        while not done:
            done = _once(run, folder, found, rng, seconds, writes, last=found.kills == kills)
        found.runs += 1
        found.equal += (run / WEIGHTS).read_bytes() == whole
    return found


def _once(
    run: Path, folder: Path, found: Found, rng: random.Random, seconds: float, writes: int, *, last: bool
) -> bool:
    """One process; whether it came to the end of the run."""
    log = folder / f"{run.name}.log"
    by_clock = found.kills % 2 == 0
    process = start(command(folder, run.name), log, dies_at=0 if by_clock or last else rng.randint(1, writes))
    if by_clock and not last:
        process.join(rng.uniform(0, seconds))
        process.kill()
    process.join()
    if process.exitcode == 0:
        return True
    if process.exitcode != -9:
        raise RuntimeError(f"exit code {process.exitcode}\n{log.read_text(encoding='utf-8')}")
    found.kills += 1
    found.by_clock += by_clock
    places = (run, run / runfolder.CHECKPOINTS)
    found.in_a_save += any(path.is_dir() for place in places for path in place.glob(f".*{runfolder.PART}"))
    notes = runfolder.read_json(run / runfolder.MANIFEST) or {}
    if "result" not in notes:  # else the adapter is written
        found.most_lost = max(found.most_lost, reached(run) - checkpoint.newest(run))
    return bool(notes.get("finished"))  # killed after all was done


def _end(process: object, log: Path) -> None:
    process.join()  # type: ignore[attr-defined]
    if process.exitcode:  # type: ignore[attr-defined]
        raise RuntimeError(log.read_text(encoding="utf-8"))


def main() -> None:
    """Kill and print; exit code 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = kill_runs(given.kills, given.seed, Path(folder))
    told = asdict(found)
    print(json.dumps(told) if given.json else "\n".join(f"{value:6}  {name}" for name, value in told.items()))
    sys.exit(not found.good)


if __name__ == "__main__":
    main()
