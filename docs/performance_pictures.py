"""Write the tables of performance.md, and the pictures beside it, from the figures in performance.json.

    .venv/bin/python docs/performance_pictures.py

A table stands in the page after a line ``<!-- table: NAME -->``. A figure is a number, or [median, least, most].
tests/test_docs.py fails where a table is not what performance.json says.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE, FIGURES, PICTURES = HERE / "performance.md", HERE / "performance.json", HERE / "performance"
OURS, OTHERS, BOUND = "#1f6feb", "#8b949e", "#d0d7de"
PARTS = ("#8b949e", "#57606a", "#d29922", "#1f6feb", "#54aeff", "#2da44e")
Table = dict[str, Any]  # columns: names; rows: lists of cells


# tables


def cell(value: Any) -> str:
    """A figure as the page shows it."""
    if isinstance(value, list):
        median, least, most = map(cell, value)
        return f"{median} ({least} to {most})"
    return "" if value is None else f"{value:,}" if isinstance(value, (int, float)) else str(value)


def table(made: Table) -> str:
    """In Markdown."""
    lines = [made["columns"], ["---"] * len(made["columns"]), *made["rows"]]
    return "\n".join(f"| {' | '.join(map(cell, line))} |".replace("|  |", "| |") for line in lines) + "\n"


def filled(page: str, figures: dict[str, Table]) -> str:
    """The page with the tables that performance.json gives. A name it does not give is a KeyError."""
    pattern = re.compile(r"(<!-- table: (\w+) -->\n)((?:\|.*\n)*)")
    return pattern.sub(lambda found: found[1] + table(figures[found[2]]), page)


# pictures


def middle(value: Any) -> float:
    """The figure that is quoted."""
    return float(value[0] if isinstance(value, list) else value)


def spread(values: list[Any]) -> list[list[float]]:
    """How far least and most lie from the figures, as error bars want it."""
    ranges = [value if isinstance(value, list) else [value] * 3 for value in values]
    return [[m - least for m, least, _ in ranges], [most - m for m, _, most in ranges]]


def bars(axes: Any, names: list[str], values: list[Any], colours: list[str], title: str) -> None:
    """Horizontal bars from the top down, each with its figure and spread."""
    places = range(len(values))[::-1]
    axes.barh(places, [middle(value) for value in values], color=colours, height=0.6, xerr=spread(values))
    axes.set_yticks(places, names)
    axes.set_title(title, loc="left")
    axes.set_xlim(0, max(map(middle, values)) * 1.3)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(length=0, labelbottom=False)
    for place, value in zip(places, values, strict=True):
        end = max(value) if isinstance(value, list) else value
        axes.text(end, place, f"  {middle(value):g}", va="center")


def step(figure: Any, made: Table) -> None:
    """A step of ours beside the peers': speed and memory."""
    speed, memory = figure.subplots(1, 2, width_ratios=[3, 2])
    rows = made["rows"]
    names = ["buke", "TRL 1.16", "TRL, checkpointing", "PEFT by hand", "bound"]
    bars(speed, names, [row[1] for row in rows], [OURS, *[OTHERS] * 3, BOUND], "tokens/s (more is better)")
    held = [row for row in rows if row[2] is not None]
    bars(memory, names[: len(held)], [row[2] for row in held], [OURS, *[OTHERS] * 3], "peak memory, GB")


def answers(figure: Any, made: Table) -> None:
    """Answers a second, few and many at once."""
    few, many = figure.subplots(1, 2)
    for axes, at, title in ((few, 1, "8 at once, tokens/s"), (many, 2, "40 at once, tokens/s")):
        rows = [row for row in made["rows"] if row[at] is not None]
        names = [row[0].replace(", ", ",\n") for row in rows]
        bars(axes, names, [row[at] for row in rows], [OURS, OTHERS, OTHERS][: len(rows)], title)


def card(figure: Any, made: Table) -> None:
    """A step of the 1.5B shape on a card: speed and memory."""
    speed, memory = figure.subplots(1, 2, width_ratios=[3, 2])
    rows = made["rows"]
    names = ["buke", "buke, recompute", "TRL 1.16", "TRL, checkpointing", "PEFT, one by one", "PEFT, 8 padded"]
    colours = [OURS, OURS, *[OTHERS] * 4]
    bars(speed, names, [row[3] for row in rows], colours, "1.5B, tokens/s (more is better)")
    bars(memory, [""] * len(rows), [row[4] for row in rows], colours, "peak memory, GB")


def eight(figure: Any, made: Table) -> None:
    """Large models within 8 GB of a card."""
    axes = figure.subplots()
    rows = [row for row in made["rows"] if "resident" not in row[0]]
    names = [f"{row[0].split(' (')[0]}, {row[1]:,}" for row in rows]
    colours = [OURS if "ahead" in row[0] else OTHERS for row in rows]
    bars(axes, names, [row[2] for row in rows], colours, "within 8 GB of a card, by tokens of a row: tokens/s")


def tiles(figure: Any, made: Table) -> None:
    """The same in float32 and in bfloat16, tokens/s, each pair by itself."""
    rows = [row for row in made["rows"] if row[1] is not None and "tokens/s" in row[0]]
    for axes, row in zip(figure.subplots(2, 2).flat, rows, strict=True):
        bars(axes, ["float32", "bfloat16"], row[1:], [OTHERS, OURS], row[0].removesuffix(", tokens/s"))


def large(figure: Any, made: Table) -> None:
    """The memory of large models by what it is."""
    axes = figure.subplots()
    rows = made["rows"][::-1]
    names = [f"{row[0]}\n{middle(row[1]):g} tokens/s" for row in rows]
    stacked(axes, names, {"anonymous": [row[5] for row in rows], "the file's own pages": [row[4] for row in rows]},
            ["#1f6feb", "#d0d7de"])  # fmt: skip
    axes.set_title("peak resident memory, GB: the system may drop the file's pages", loc="left")


def memory(figure: Any, made: Table) -> None:
    """Where the memory goes, for each way to keep activations."""
    axes = figure.subplots()
    names = [name.strip("`-") for name in made["columns"][1:]][::-1]
    *parts, _ = made["rows"]
    stacked(axes, names, {row[0].split(" (")[0]: row[1:][::-1] for row in parts}, list(PARTS))
    axes.set_title("memory of a step over 1,024 tokens, GB", loc="left")


def stacked(axes: Any, names: list[str], parts: dict[str, list[float]], colours: list[str]) -> None:
    """Horizontal bars made of parts, with a legend below."""
    before = [0.0] * len(names)
    for (name, values), colour in zip(parts.items(), colours, strict=True):
        axes.barh(names, values, left=before, color=colour, height=0.6, label=name)
        before = [a + b for a, b in zip(before, values, strict=True)]
    for place, end in enumerate(before):
        axes.text(end, place, f"  {end:.3g}", va="center")
    axes.set_xlim(0, max(before) * 1.12)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(length=0, labelbottom=False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.42, 0), ncols=2, frameon=False)


def lines(figure: Any, made: Table, memory: int, unit: str) -> None:
    """Speed and memory over what grows, in the first column. memory: the column of it."""
    left, right = figure.subplots(1, 2)
    grown = [row[0] for row in made["rows"]]
    for axes, at, title in ((left, 1, "tokens/s"), (right, memory, "peak memory, GB")):
        values = [row[at] for row in made["rows"]]
        axes.errorbar(grown, list(map(middle, values)), spread(values), color=OURS, marker="o", capsize=3)
        axes.set_xscale("log", base=2)
        axes.set_xticks(grown, [f"{value:,}" for value in grown], minor=False)
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel(unit)
        axes.set_title(title, loc="left")
        axes.grid(axis="y", color=BOUND, linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)


def draw(figures: dict[str, Table]) -> None:
    """Write the pictures."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams |= {"font.size": 11, "axes.titlesize": 11, "svg.hashsalt": "buke", "figure.facecolor": "white"}
    PICTURES.mkdir(exist_ok=True)
    kinds = {
        "step": (step, 2.9), "answers": (answers, 2.2), "large": (large, 2.6), "memory": (memory, 3.8),
        "card": (card, 2.9), "eight": (eight, 2.9), "tiles": (tiles, 2.9),
        "length": (lambda figure, made: lines(figure, made, 3, "tokens of a record"), 2.9),
    }  # fmt: skip
    for name, (kind, height) in kinds.items():
        figure = Figure(figsize=(7.2, height), layout="constrained")
        kind(figure, figures[name])
        figure.savefig(PICTURES / f"{name}.svg", metadata={"Date": None})


def main() -> None:
    """Write tables and pictures."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    page = filled(PAGE.read_text(encoding="utf-8"), figures)
    PAGE.write_bytes(page.encode("utf-8"))
    draw(figures)


if __name__ == "__main__":
    main()
