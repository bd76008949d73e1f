"""How much a run loses to kill -9: it is killed again and again, at random moments and at random writes, and goes on.

    python bench/kills.py [--kills 100] [--seed 0] [--json]

A tiny model learns with packing, accumulation and several epochs: in turn plainly with dropout, with LoRA+, with what
its lower layers give kept in a file, from the adapter of an earlier run, and with weights in four bits. Every other run
has no name, so that the command alone finds it again. Every other kill comes by the clock, every other in the middle of
a write or between two, checkpoints included. Each time the very same command is given again. At the end of each run its
adapter is compared, byte for byte, with that of a run nobody killed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from buke import checkpoint, runfolder  # noqa: E402
from faults import reached, start  # noqa: E402
from tiny import tiny_folder, write_lessons  # noqa: E402

INTERVAL = 4  # steps between two checkpoints
LONGEST = 120  # seconds that a process may take; one that hangs is an error
WEIGHTS = Path(runfolder.ADAPTER) / checkpoint.WEIGHTS
VARIETIES = {  # of runs: what a command says besides. {whole}: an unbroken run of the first variety
    "plain": ["--dropout", "0.1"],
    "lora-plus": ["--lora-plus", "4"],
    "lower-cache": ["--layers", "upper", "--lower-cache"],
    "from": ["--from", "{whole}"],
    "nf4": ["--weights", "nf4"],
}


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


@dataclass
class Trial:
    """A run in a folder of runs of its own. name: "" for one that its command has to find by itself."""

    folder: Path
    number: str
    variety: str
    name: str = ""

    @property
    def runs(self) -> Path:
        return self.folder / "runs" / self.number

    @property
    def run(self) -> Path | None:
        """Its folder; None while there is none. RuntimeError where there are two: the second should have been it."""
        found = runfolder.runs_in(self.runs)
        if len(found) > 1:
            raise RuntimeError(f"the same command began another run: {found}")
        return found[0] if found else None

    @property
    def command(self) -> list[str]:
        """The one command of the run."""
        shape = ["--batch", "4", "--accumulation", "2", "--row-tokens", "128", "--epochs", "4"]
        course = ["--eval-every", "6", "--save-every", str(INTERVAL), "--patience", "0", "--keep", "2"]
        asked = ["--questions", "2", "--thought-budget", "8", "--answer-budget", "8", "--runs", str(self.runs)]
        whole = self.folder / "runs" / "plain" / "whole"
        more = [word.format(whole=whole) for word in VARIETIES[self.variety]] + ["--name", self.name] * bool(self.name)
        data = str(self.folder / "lessons.jsonl")
        return ["train", data, "--model", str(self.folder / "base"), *shape, *course, *asked, *more]


def kill_runs(kills: int, seed: int, folder: Path, varieties: Sequence[str] = tuple(VARIETIES)) -> Found:
    """Kill so many times and count. varieties: taken in turn, the first of them ``plain``.

    Raises RuntimeError where a run ends otherwise than killed or done.
    """
    tiny_folder(folder / "base")
    write_lessons(folder / "lessons.jsonl", 40)
    log = folder / "whole.log"
    _end(start(["--version"], log), log)  # what is loaded once is loaded now
    wholes: dict[str, tuple[bytes, float, int]] = {}
    kinds = [(each, (i + j) % 2 == 0) for j in range(2) for i, each in enumerate(varieties)]
    found, rng = Found(), random.Random(seed)
    while found.kills < kills:
        variety, named = kinds[found.runs % len(kinds)]
        if variety not in wholes:
            wholes[variety] = _whole(Trial(folder, variety, variety, "whole"), log)
        adapter, seconds, writes = wholes[variety]
        trial = Trial(folder, str(found.runs), variety, "killed" if named else "")
        before, done = found.kills, False
        while not done:
            done = _once(trial, found, rng, seconds, writes, last=found.kills == kills)
        equal = trial.run is not None and (trial.run / WEIGHTS).read_bytes() == adapter
        found.runs += 1
        found.equal += equal
        told = (variety, trial.name or "without a name", f"{found.kills - before} kills", "equal" if equal else "OTHER")
        print(f"run {found.runs}: {', '.join(told)}", file=sys.stderr, flush=True)
    return found


def _whole(trial: Trial, log: Path) -> tuple[bytes, float, int]:
    """A run nobody kills: its adapter, the seconds it took, and how many calls that change its folder."""
    began = time.monotonic()
    _end(start(trial.command, log), log)
    adapter = trial.runs / trial.name / WEIGHTS
    return adapter.read_bytes(), time.monotonic() - began, int(log.with_suffix(".calls").read_text())


def _once(trial: Trial, found: Found, rng: random.Random, seconds: float, writes: int, *, last: bool) -> bool:
    """One process; whether it came to the end of the run."""
    log = trial.folder / f"{trial.number}.log"
    by_clock = found.kills % 2 == 0
    process = start(trial.command, log, dies_at=0 if by_clock or last else rng.randint(1, writes))
    if by_clock and not last:
        process.join(rng.uniform(0, seconds))
        process.kill()
    code = _code(process, log)
    if code == 0:
        return True
    if code != -9:
        raise RuntimeError(f"exit code {code}\n{log.read_text(encoding='utf-8')}")
    found.kills += 1
    found.by_clock += by_clock
    if (run := trial.run) is None:
        return False
    places = (run, run / runfolder.CHECKPOINTS)
    found.in_a_save += any(path.is_dir() for place in places for path in place.glob(f".*{runfolder.PART}"))
    notes = runfolder.read_json(run / runfolder.MANIFEST) or {}
    if "result" not in notes:  # else the adapter is written
        found.most_lost = max(found.most_lost, reached(run) - checkpoint.newest(run))
    return bool(notes.get("finished"))  # killed after all was done


def _code(process: BaseProcess, log: Path) -> int:
    """The exit code of a process. RuntimeError where it hangs."""
    process.join(LONGEST)
    if process.exitcode is None:
        process.kill()
        raise RuntimeError(f"it has hung for {LONGEST} s\n{log.read_text(encoding='utf-8')}")
    return process.exitcode


def _end(process: BaseProcess, log: Path) -> None:
    if _code(process, log):
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
