"""Room `report`: how long the records are in tokens, drawn twice from the figures of a check: as a PNG and as SVG."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from markupsafe import Markup

from buke.report.curve import GRID, HELD_OUT, INK, PAPER, SMOOTH, labels, line_through, quiet_matplotlib, text_at
from buke.words import catalogue, t


def write_lengths(path: Path, check: dict[str, Any]) -> Path:
    """Write the histogram of a check's lengths as a PNG of 1500 by 750 points and return its path.

    Raises ValueError where the check was made without a model and so has no lengths in tokens.
    """
    if not check["tokens"]:
        raise ValueError("a check without a model has no lengths in tokens")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(_png(check["tokens"]))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _reach(tokens: dict[str, Any]) -> tuple[int, float, float]:
    """Width of a bar, end of the axis, and where the recommended length is marked, all in tokens.

    A length far beyond the longest record would press the bars together; it is marked at the end of the axis.
    """
    bars = tokens["histogram"]
    top = bars[-1][0]
    end = min(max(top, tokens["recommended"]), 1.25 * top)
    return bars[0][0], end, min(tokens["recommended"], end)


def _mark(tokens: dict[str, Any], words: str) -> str:
    """What is written at the mark of the recommended length; an arrow where it lies beyond the axis."""
    return words.format(n=f"{tokens['recommended']:,}") + (" →" if tokens["recommended"] > _reach(tokens)[1] else "")


# The PNG


def _png(tokens: dict[str, Any]) -> bytes:
    quiet_matplotlib()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    which, families = labels()
    words = {key: both[which] for key, both in catalogue("report").items()}
    with matplotlib.rc_context({"font.family": families, "text.color": INK}):
        figure = Figure(figsize=(10, 5), dpi=150, facecolor=PAPER, layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.add_subplot(), tokens, words)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw(axes: Any, tokens: dict[str, Any], words: dict[str, str]) -> None:
    """Bars, mark and axes."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    width, end, mark = _reach(tokens)
    tops, counts = zip(*tokens["histogram"], strict=True)
    axes.bar([top - width for top in tops], counts, width=0.92 * width, align="edge", color=SMOOTH)
    axes.axvline(mark, color=HELD_OUT, linewidth=1.6, linestyle="--")
    axes.set_ylim(0, 1.15 * max(counts))
    axes.set_xlim(0, 1.01 * end)
    late = mark > 0.6 * end
    axes.annotate(
        _mark(tokens, words["data_recommended"]), (mark, 1.09 * max(counts)), (-8 if late else 8, 0),
        textcoords="offset points", ha="right" if late else "left", color=HELD_OUT, fontsize=12,
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 2},
    )  # fmt: skip
    axes.set_xlabel(words["data_axis_tokens"], fontsize=12, color=INK)
    axes.set_ylabel(words["data_axis_records"], fontsize=12, color=INK)
    axes.grid(True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=3)
    for axis, ticks in ((axes.xaxis, 8), (axes.yaxis, 6)):
        axis.set_major_locator(MaxNLocator(ticks, integer=True))
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


# The SVG


def draw_lengths(tokens: dict[str, Any], width: int, height: int, name: str) -> Markup:
    """The same histogram as inline SVG, width by height points; colours come from the page's classes.

    name: the class of the drawing, so that the page can show one width or the other.
    """
    quiet_matplotlib()
    from matplotlib.ticker import MaxNLocator

    step, end, mark = _reach(tokens)
    tallest = max(tokens["histogram"], key=lambda bar: bar[1])  # of several as tall the first
    floor, top, right = height - 40, 44, width - 14
    scale = (right - 1) / end
    parts = [text_at(0, 12, t("report.data_axis_records"), "label", "start")]
    for upper, count in tokens["histogram"]:
        tall = (floor - top) * count / tallest[1]
        parts.append(_bar((upper - step) * scale + 1, floor - tall, step * scale - 2, tall, upper, count))
    parts.append(text_at((tallest[0] - step / 2) * scale, top - 5, f"{tallest[1]:,}", "tick", "middle"))
    for value in MaxNLocator(max(width // 90, 3), integer=True).tick_values(0, end):
        if 0 <= value <= end:
            parts.append(line_through([(value * scale, floor), (value * scale, floor + 4)], "axis"))
            anchor = "start" if value == 0 else "end" if value * scale > right - 16 else "middle"
            parts.append(text_at(value * scale, floor + 18, f"{value:,.0f}", "tick", anchor))
    parts.append(line_through([(0, floor), (right, floor)], "axis"))
    parts.append(line_through([(mark * scale, 22), (mark * scale, floor)], "held-out"))
    late = mark * scale > width / 2
    words = _mark(tokens, t("report.data_recommended", n="{n}"))
    parts.append(text_at(mark * scale + (-8 if late else 8), 32, words, "note", "end" if late else "start"))
    parts.append(text_at(right, height - 4, t("report.data_axis_tokens"), "label", "end"))
    opening = Markup('<svg class="curve {}" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return opening.format(name, width, height, describe_lengths(tokens)) + Markup("").join(parts) + Markup("</svg>")


def describe_lengths(tokens: dict[str, Any]) -> str:
    """The histogram in a sentence, for those who cannot see it."""
    names = ("median", "p95", "longest", "recommended")
    return t("report.data_lengths_described", **{name: f"{tokens[name]:,}" for name in names})


def _bar(x: float, y: float, width: float, height: float, upper: int, count: int) -> Markup:
    """One bar, which says its numbers where it is pointed at."""
    shape = '<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
    words = t("report.histogram_bar", upper=f"{upper:,}", count=f"{count:,}")
    return Markup(shape).format(x, y, max(width, 1), height, words)
