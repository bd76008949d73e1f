"""Writes docs/memory.md: which R1 distill fits where, how, and at which length, as planned.

    python docs/memory_table.py [--model NAME] [--to FILE]     --model: that model's rows alone, to stdout

Takes a minute a model on one core. No model is read: a step is followed on tensors without data, docs/decisions/0010.
What was measured beside it is read from memory.jsonl, which `bench/plan.py --json` writes line by line.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from buke.config import make  # noqa: E402
from buke.plan import Fit, Task, Way, first_fit, trace  # noqa: E402
from buke.plan.known import CONFIGS  # noqa: E402
from buke.train.ahead import stepper  # noqa: E402

CARDS = (6, 8, 12, 16, 24)  # GB
MACHINES = (8, 16, 32)  # GB
SYSTEM = 2.0  # GB that the system and other programs take of a machine's memory, assumed
LIBRARIES = 0.4  # GB that a process holds before a model is loaded
SMALL_HOST = 14.0  # GB of a small machine's 16 that weights may take which a card reads from there
LENGTHS = (4096, 2048, 1024, 512)  # tokens of the longest record
HEAD = """# What fits where

Written by `python docs/memory_table.py`: for each R1 distill and memory the longest record, of 4,096, 2,048, 1,024 and
512 tokens, with which a run was planned to fit, and how: LoRA of rank 16 on all linear layers. GB are 10^9 bytes.
**Predicted**; of a card 1 GB is taken to be CUDA's, its libraries' and what the allocator holds in reserve (an H200 was
seen to take 0.9 to 1.1), of a machine 2 GB the system's. CPU rows are for float32.

*streamed*: the frozen weights stay in 16 bit in their file (CPU), or in the machine's memory (card, which then needs as
much of that as stands in the second column, and holds the head and two layers at a time). *parts*: as streamed, but a
card holds a part of a layer at a time. *nf4*: the layers' weights in four bits on the card; the embedding's rows in the
machine's memory. *half*, *byte*, *recompute*: how activations wait, see
[settings](reference/settings.md).

"""
MEASURED = """
## Planned and measured

`python bench/plan.py` on the CPU: the peak that was planned, and the peak that two steps took, each in its own process.
The 1.5B has the shape of R1-Distill-Qwen-1.5B and random weights. Where no precision stands, it is float32.

| model | settings | planned | measured | difference |
|---|---|---|---|---|
"""


def cell(name: str, device: str, memory: float, host: float = 1e6) -> str:
    """The longest record that fits, and how. host: GB that the machine of a card has for its weights."""
    for length in LENGTHS:
        settings, _ = make({"model": name, "device": device, "questions": 0, "row_tokens": 512})
        precision, held = ("bf16", 0) if device == "cuda" else ("fp32", int(LIBRARIES * 1e9))
        fixed = frozenset({"row_tokens"})
        task = Task(
            CONFIGS[name], settings, fixed, [length] * 8, [], 64, device, precision, held, stepper, int(host * 1e9)
        )
        fit, _ = first_fit(task, int(memory * 1e9))
        if fit.needed <= memory * 1e9:
            return f"{length:,}: {how(fit)} ({fit.needed / 1e9:.1f} GB)"
    return "-"


def how(fit: Fit) -> str:
    """The way in words."""
    kept = "recompute" if fit.way.recompute else fit.way.activations
    return f"{fit.way.weights}, {kept}" if fit.way.streamed else kept


def row(name: str) -> str:
    """A model's row of each table, one after the other."""
    short = name.rsplit("Distill-", 1)[1]
    size = 2 * parameters(name) / 1e9
    cards = [cell(name, "cuda", memory) for memory in CARDS]
    small = [cell(name, "cuda", memory, SMALL_HOST) for memory in CARDS]
    machines = [cell(name, "cpu", memory - SYSTEM) for memory in MACHINES]
    return "\n".join(f"| {' | '.join([short, f'{size:.1f} GB', *cells])} |" for cells in (cards, small, machines))


def parameters(name: str) -> int:
    """Of the whole model."""
    settings, _ = make({"model": name})
    found = trace(CONFIGS[name], settings, Way(16, "bf16", cuda=True), stepper)
    return found.parameters + 2 * found.head


def main() -> None:
    """Write the page, or print a model's rows."""
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="part of a model's name: only its rows, to stdout")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "memory.md")
    given: Any = parser.parse_args()
    if given.model:
        print(row(next(name for name in CONFIGS if given.model in name)))
        return
    rows = [row(name).split("\n") for name in CONFIGS]
    given.to.write_text(page(*([one[table] for one in rows] for table in range(3))), encoding="utf-8")


def page(cards: list[str], small: list[str], machines: list[str]) -> str:
    """The tables under their headings."""
    titles = ("NVIDIA cards", "NVIDIA cards in a machine with 16 GB of memory", "CPU")
    tables = []
    for title, sizes, lines in zip(titles, (CARDS, CARDS, MACHINES), (cards, small, machines), strict=True):
        head = f"| model | weights, 16 bit | {' | '.join(f'{size} GB' for size in sizes)} |"
        tables.append("\n".join([f"## {title}", "", head, "|---" * (len(sizes) + 2) + "|", *lines, ""]))
    return HEAD + "\n".join(tables) + measured()


def measured() -> str:
    """The table of what was planned and what was taken, of the figures beside this script."""
    lines = []
    for text in (ROOT / "docs" / "memory.jsonl").read_text(encoding="utf-8").splitlines():
        found = json.loads(text)
        setting, planned, taken = found["setting"], found["predicted"], found["measured"]
        others = ", ".join(name if value is True else f"{name} {value}" for name, value in setting.items())
        far = f"{planned / taken - 1:+.1%}"
        lines.append(f"| {found['model']} | {others} | {planned / 1e9:.2f} GB | {taken / 1e9:.2f} GB | {far} |")
    return MEASURED + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
