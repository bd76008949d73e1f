"""Room `report`: the loss curve, read once from steps.jsonl and eval.jsonl and drawn twice: as a PNG and as SVG."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from buke.hub.cache import cache_folder
from buke.runfolder import EVAL, STEPS, read_lines
from buke.words import LANGUAGES, catalogue, language, t

Point = tuple[float, float]
Pieces = tuple[tuple[Point, ...], ...]

CJK_FONTS = (
    "Noto Sans CJK SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC", "Microsoft YaHei",
    "Hiragino Sans GB", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Heiti SC", "STHeiti", "SimHei", "DengXian",
    "Droid Sans Fallback", "Arial Unicode MS", "Noto Sans CJK JP", "Noto Sans CJK TC", "Noto Sans SC", "SimSun",
)  # fmt: skip
"""Families with the Chinese glyphs of our labels, the best looking first. Of a collection of fonts matplotlib may know
the first face only, which for Noto is the Japanese one; it has the same characters."""

PAPER, INK, GRID = "#ffffff", "#23221f", "#e4e1da"
TRAINING, SMOOTH, HELD_OUT, EARLIER = "#a9bdd0", "#1f4e79", "#b4501e", "#1c6a43"


@dataclass(frozen=True)
class Curve:
    """What is drawn: losses in nats per learned token.

    training, smooth: (step, loss) of each step taken, in pieces; a skipped step parts two pieces.
    held_out: (steps taken before the scoring, loss).
    best: index into held_out of the scoring whose adapter was kept; None where nothing was scored.
    skipped: steps that have no loss.
    earlier: as held_out, over the held-out part of the run that this one goes on from.
    """

    training: Pieces = ()
    smooth: Pieces = ()
    held_out: tuple[Point, ...] = ()
    best: int | None = None
    skipped: int = 0
    earlier: tuple[Point, ...] = ()

    @property
    def points(self) -> list[Point]:
        """Every point of training and held-out loss."""
        return [*(point for piece in self.training for point in piece), *self.held_out, *self.earlier]


def read_curve(run: Path) -> Curve:
    """The curve of a run folder; empty where no step was recorded.

    Raises Refusal for a damaged file; ValueError, TypeError or KeyError where a line does not have its form.
    """
    steps = {int(line["step"]): line for line in read_lines(run / STEPS)}  # after a resume the later line holds
    sums = [(step, _number(line["loss_sum"]), int(line["tokens"])) for step, line in sorted(steps.items())]
    training, smooth = _pieces(sums)
    scorings = {int(line["step"]): line for line in read_lines(run / EVAL)}
    scored = [(step, _number(line["loss_sum"]), line) for step, line in sorted(scorings.items())]
    kept = [(step, loss / max(int(line["tokens"]), 1), line) for step, loss, line in scored if loss is not None]
    held_out = tuple((float(step), loss) for step, loss, _ in kept)
    marked = [index for index, (_, _, line) in enumerate(kept) if line.get("best")]  # each best is so until the next
    lowest = min(range(len(held_out)), key=lambda index: held_out[index][1]) if held_out else None
    skipped = len(sums) - sum(len(piece) for piece in training)
    best = marked[-1] if marked else lowest
    return Curve(training, smooth, held_out, best, skipped, tuple(_earlier(scorings)))


def _earlier(scorings: dict[int, Any]) -> Iterator[Point]:
    """The losses on the held-out part of an earlier run, where one was scored."""
    for step, line in sorted(scorings.items()):
        loss = _number(line.get("earlier_loss_sum"))
        if loss is not None:
            yield step, loss / max(int(line["earlier_tokens"]), 1)


def _number(value: Any) -> float | None:
    """A finite number, or None: what is not finite is not drawn."""
    return float(value) if value is not None and math.isfinite(float(value)) else None


def _pieces(sums: Sequence[tuple[int, float | None, int]]) -> tuple[Pieces, Pieces]:
    """Loss per token of each step and its moving average, parted where a step has no loss.

    The average adds loss sums and token counts apart and divides once. Its window is centred, so that it does not trail
    behind a falling loss; it reaches a twentieth of the run to each side, 1 to 50 steps. Towards the ends it shrinks on
    both sides, but for three steps, without which the line would end in the noise of a single step.
    """
    training: list[list[Point]] = [[]]
    smooth: list[list[Point]] = [[]]
    reach = min(max(len(sums) // 20, 1), 50)
    for index, (step, loss_sum, count) in enumerate(sums):
        if loss_sum is None or count <= 0:
            training.append([])
            smooth.append([])
            continue
        side = min(reach, 3 + min(index, len(sums) - 1 - index))
        near = [each for each in sums[max(index - side, 0) : index + side + 1] if each[1] is not None]
        training[-1].append((step, loss_sum / count))
        smooth[-1].append((step, sum(loss for _, loss, _ in near if loss) / sum(tokens for _, _, tokens in near)))
    return tuple(tuple(piece) for piece in training if piece), tuple(tuple(piece) for piece in smooth if piece)


def _span(values: Sequence[float], margin: float) -> tuple[float, float]:
    """Limits of an axis that holds the values with a margin, also where they are all the same."""
    low, high = min(values), max(values)
    room = (high - low) * margin or max(abs(high) * 0.1, 0.5)
    return low - room, high + room


def _quiet_matplotlib() -> None:
    """Let matplotlib keep its list of fonts in our cache folder; it would make a folder of its own in the home."""
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))


# The PNG


def _labels() -> tuple[int, list[str]]:
    """Index of the language to label in and the fonts to use: English where no font has Chinese glyphs."""
    from matplotlib import font_manager

    if language() != "zh":
        return LANGUAGES.index("en"), ["DejaVu Sans"]
    known = set(font_manager.get_font_names())
    found = [family for family in CJK_FONTS if family in known]
    return (LANGUAGES.index("zh"), [*found[:1], "DejaVu Sans"]) if found else (LANGUAGES.index("en"), ["DejaVu Sans"])


def draw_png(curve: Curve) -> bytes:
    """The curve as a PNG of 1500 by 900 points: training thin, smoothed thick, held-out with its best marked."""

    def paint(axes: Any, words: dict[str, str]) -> None:
        _draw_lines(axes, curve, words)
        dress(axes, words["axis_step"], words["axis_loss"])
        _limit(axes, curve, words)

    return picture(paint)


def picture(paint: Callable[[Any, dict[str, str]], None]) -> bytes:
    """A PNG of 1500 by 900 points; ``paint(axes, words)`` fills it, words being the texts it can be labelled with."""
    _quiet_matplotlib()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    which, families = _labels()
    words = {key: both[which] for key, both in catalogue("report").items()}
    with matplotlib.rc_context({"font.family": families, "axes.unicode_minus": False, "text.color": INK}):
        figure = Figure(figsize=(10, 6), dpi=150, facecolor=PAPER, layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure.add_subplot(), words)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_lines(axes: Any, curve: Curve, words: dict[str, str]) -> None:
    """The lines and points of the curve."""
    for pieces, key, colour, width in (
        (curve.training, "line_training", TRAINING, 1.0),
        (curve.smooth, "line_smooth", SMOOTH, 2.6),
    ):
        for index, piece in enumerate(pieces):
            alone = "o" if len(piece) == 1 else None  # a line of one point would not be seen
            x, y = zip(*piece, strict=True)
            label = words[key] if index == 0 else None
            axes.plot(x, y, color=colour, linewidth=width, marker=alone, markersize=4, label=label)
    if curve.earlier:
        x, y = zip(*curve.earlier, strict=True)
        axes.plot(
            x, y, color=EARLIER, linewidth=1.6, linestyle="--", marker="o", markersize=4, label=words["line_earlier"]
        )
    if curve.held_out and curve.best is not None:
        x, y = zip(*curve.held_out, strict=True)
        axes.plot(x, y, color=HELD_OUT, linewidth=1.6, marker="o", markersize=5, label=words["line_held_out"], zorder=4)
        step, loss = curve.held_out[curve.best]
        ring = {"marker": "o", "markersize": 13, "markerfacecolor": "none", "markeredgewidth": 1.8, "linestyle": ""}
        axes.plot([step], [loss], color=HELD_OUT, label=words["line_best"], zorder=5, **ring)
        left, right = _span([x for x, _ in curve.points], 0.03)
        late = step > left + 0.78 * (right - left)
        note = words["best_at"].format(loss=f"{loss:.3f}", step=int(step))
        axes.annotate(
            note, (step, loss), (-14 if late else 14, 20), textcoords="offset points", color=HELD_OUT,
            ha="right" if late else "left", bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 2},
            zorder=6,
        )  # fmt: skip


def dress(axes: Any, x: str, y: str) -> None:
    """Labels of the axes, the grid, and no more frame than is needed."""
    axes.set_xlabel(x, fontsize=12, color=INK)
    axes.set_ylabel(y, fontsize=12, color=INK)
    axes.grid(True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _limit(axes: Any, curve: Curve, words: dict[str, str]) -> None:
    """Limits of the axes and the legend; a sentence in its place where there is nothing to draw."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if not curve.points:
        axes.text(0.5, 0.5, words["curve_empty"], ha="center", va="center", transform=axes.transAxes, fontsize=12)
        return
    axes.set_xlim(*_span([x for x, _ in curve.points], 0.03))
    axes.set_ylim(*_span([y for _, y in curve.points], 0.07))
    axes.legend(frameon=False, fontsize=11, loc="upper right")


# The SVG


def draw_svg(curve: Curve, width: int, height: int, name: str) -> Markup:
    """The same curve as inline SVG, width by height points; colours come from the page's classes.

    name: the class of the drawing, so that the page can show one width or the other.
    """
    left, right, top, bottom = 46, 14, 30, 40
    xs = _span([x for x, _ in curve.points], 0.02)
    ys = _span([y for _, y in curve.points], 0.07)

    def place(point: Point) -> Point:
        """From (step, loss) to the drawing's points."""
        x = left + (point[0] - xs[0]) / (xs[1] - xs[0]) * (width - left - right)
        return x, height - bottom - (point[1] - ys[0]) / (ys[1] - ys[0]) * (height - top - bottom)

    parts = _frame(xs, ys, place, width, height)
    for pieces, style in (
        (curve.training, "training"), (curve.smooth, "smooth"), ((curve.earlier,), "earlier"),
        ((curve.held_out,), "held-out"),
    ):  # fmt: skip
        for piece in pieces:
            parts.append(_line([place(point) for point in _thin(piece, width)], style))
    parts += [_dot(*place(point), 2.5, "earlier") for point in curve.earlier]
    parts += [_dot(*place(point), 3, "held-out") for point in curve.held_out]
    if curve.best is not None:
        step, loss = curve.held_out[curve.best]
        x, y = place((step, loss))
        parts.append(_dot(x, y, 7, "best"))
        note = t("report.best_at", loss=f"{loss:.3f}", step=int(step))
        late = x > width - 130
        parts.append(_text(width - right if late else x + 8, max(y - 20, 26), note, "note", "end" if late else "start"))
    label = escape(describe(curve))
    opening = Markup('<svg class="curve {}" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return opening.format(name, width, height, label) + Markup("").join(parts) + Markup("</svg>")


def describe(curve: Curve) -> str:
    """The curve in a sentence or two, for those who cannot see it."""
    said = []
    steps = [point for piece in curve.smooth for point in piece]
    if steps:
        first, last = f"{steps[0][1]:.3f}", f"{steps[-1][1]:.3f}"
        said.append(t("report.curve_described", first=first, last=last, steps=len(steps)))
    if curve.held_out and curve.best is not None:
        first, best, last = (f"{curve.held_out[index][1]:.3f}" for index in (0, curve.best, -1))
        said.append(t("report.curve_described_held", first=first, best=best, last=last))
    if curve.earlier:
        kept = int(curve.held_out[curve.best][0]) if curve.best is not None else int(curve.earlier[-1][0])
        losses = dict(curve.earlier)
        first, last = f"{curve.earlier[0][1]:.3f}", f"{losses.get(kept, curve.earlier[-1][1]):.3f}"
        said.append(t("report.curve_described_earlier", first=first, last=last))
    return (" " if language() == "en" else "").join(said)


def _frame(xs: tuple[float, float], ys: tuple[float, float], place: Any, width: int, height: int) -> list[Markup]:
    """Grid lines, tick labels and axis labels."""
    _quiet_matplotlib()
    from matplotlib.ticker import MaxNLocator

    parts: list[Markup] = []
    heights = [y for y in MaxNLocator(5).tick_values(*ys) if ys[0] <= y <= ys[1]]
    digits = max((len(f"{y:.6f}".rstrip("0").split(".")[1]) for y in heights), default=0)
    for value in heights:
        y = place((xs[0], value))[1]
        parts.append(_line([(46, y), (width - 14, y)], "grid"))
        parts.append(_text(38, y + 4, f"{value:.{digits}f}", "tick", "end"))
    for value in MaxNLocator(max(width // 90, 3), integer=True).tick_values(*xs):
        if max(xs[0], 0) <= value <= xs[1]:
            x = place((value, ys[0]))[0]
            parts.append(_line([(x, height - 40), (x, height - 36)], "axis"))
            parts.append(_text(x, height - 22, f"{value:.0f}", "tick", "middle"))
    parts.append(_line([(46, height - 40), (width - 14, height - 40)], "axis"))
    parts.append(_text(0, 12, t("report.axis_loss"), "label", "start"))
    parts.append(_text(width - 14, height - 4, t("report.axis_step"), "label", "end"))
    return parts


def _thin(piece: tuple[Point, ...], width: int) -> list[Point]:
    """At most about two points for each of the drawing's: of each stretch its lowest and its highest, in order."""
    stretch = math.ceil(len(piece) / width)
    if stretch < 3:
        return list(piece)
    kept: list[Point] = []
    for start in range(0, len(piece), stretch):
        part = piece[start : start + stretch]
        kept += sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})
    return kept


def _line(points: Sequence[Point], style: str) -> Markup:
    """A line through the points; a dot where there is one only."""
    if len(points) == 1:
        return _dot(*points[0], 2.5, style)
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return Markup('<path class="{}" d="M{}"/>').format(style, path) if points else Markup("")


def _dot(x: float, y: float, radius: float, style: str) -> Markup:
    """A circle."""
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(style, x, y, radius)


def _text(x: float, y: float, text: str, style: str, anchor: str) -> Markup:
    """A word or a number, anchored at its start, middle or end."""
    opening = '<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>'
    return Markup(opening).format(style, x, y, anchor, text)
