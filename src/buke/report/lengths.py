"""Room `report`: the lengths of the records in tokens, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from buke.report.curve import HELD_OUT, PAPER, TRAINING, dress, picture


def place(histogram: Sequence[Sequence[int]], length: float) -> float:
    """Where a length lies on an axis whose bar i, counted from 0, reaches from i to i + 1.

    histogram: [upper, count] of each bar, upwards. Bars need not be equally wide; the first is as wide as the second.
    Beyond the last bar the axis goes on with its width.
    """
    uppers = [float(upper) for upper, _ in histogram]
    if not uppers:
        return 0.0
    edges = [max(2 * uppers[0] - uppers[1], 0.0) if len(uppers) > 1 else 0.0, *uppers]
    index = next((index for index, upper in enumerate(uppers) if length <= upper), len(uppers) - 1)
    low, high = edges[index], edges[index + 1]
    return max(index + (length - low) / ((high - low) or 1), 0.0)


def beyond(histogram: Sequence[Sequence[int]], length: float) -> bool:
    """Whether a length lies beyond the last bar: a line would stand in a false place, so an arrow points there."""
    return bool(histogram) and length > histogram[-1][0]


def draw_lengths(tokens: dict[str, Any]) -> bytes:
    """A PNG of 1500 by 900 points: records by their length, the recommended length marked.

    tokens: "histogram" as ``place`` takes it, and "recommended".
    """
    histogram, length = tokens["histogram"], tokens["recommended"]
    counts = [count for _, count in histogram]

    def paint(axes: Any, words: dict[str, str]) -> None:
        x = place(histogram, length)
        fits = [index < x for index in range(len(counts))]
        colours = [TRAINING if fit else HELD_OUT for fit in fits]
        axes.bar(range(len(counts)), counts, width=0.92, align="edge", color=colours)
        for index, count in enumerate(counts):
            if count:
                axes.annotate(f"{count:,}", (index + 0.46, count), (0, 3), textcoords="offset points", ha="center",
                              fontsize=9)  # fmt: skip
        dress(axes, words["axis_length"], words["axis_records"])
        axes.tick_params(axis="x", rotation=35 if len(counts) > 8 else 0)
        axes.set_xticks(range(1, len(counts) + 1), [f"{upper:,}" for upper, _ in histogram])
        note, far = words["recommended_mark"].format(length=f"{length:,}"), beyond(histogram, length)
        _mark(axes, min(x, len(counts) + 0.5), f"{note} →" if far else note, len(counts), line=not far)
        axes.set_xlim(0, len(counts) + 0.6)
        axes.set_ylim(0, max([*counts, 1]) * 1.18)

    return picture(paint)


def _mark(axes: Any, x: float, note: str, bars: int, line: bool) -> None:
    """A line at the recommended length, with its name on the side that has room."""
    late = x > bars / 2
    if line:
        axes.axvline(x, color=HELD_OUT, linewidth=1.8, linestyle=(0, (5, 3)))
    axes.annotate(
        note, (x, 1), (-8 if late else 8, -4), xycoords=("data", "axes fraction"), textcoords="offset points",
        ha="right" if late else "left", va="top", color=HELD_OUT, fontsize=12,
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 2},
    )  # fmt: skip
