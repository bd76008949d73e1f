"""What a person sees while a run is under way, all on stderr: a live view in a terminal, plain lines in a pipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from buke.records import HeldOut, Step
from buke.words import t

SMOOTH = 0.9  # weight of the past in the smoothed loss
CURVE_LINES = 12
REDRAWS_A_SECOND = 2


def number(value: float | None, digits: int = 3) -> str:
    """A figure for people; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def clock(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    whole = round(seconds)
    return (
        f"{whole // 60}:{whole % 60:02}" if whole < 3600 else f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    )


class Figures:
    """The course so far, as both views show it."""

    def __init__(self, steps: int, epochs: float) -> None:
        self.steps, self.epochs = steps, epochs
        self.losses: list[tuple[int, float]] = []
        self.smoothed: list[tuple[int, float]] = []
        self.held_out: list[tuple[int, float]] = []
        self.earlier: list[tuple[int, float]] = []  # on the held-out part of the run that this one goes on from
        self.best_step = self.step = self.tokens = 0
        self.epoch = self.seconds = 0.0
        self.began: tuple[int, float] | None = None

    def add(self, event: Step | HeldOut) -> None:
        """Take one event in."""
        if isinstance(event, HeldOut):
            if event.loss is not None:
                self.held_out.append((event.step, event.loss))
            if event.earlier_loss is not None:
                self.earlier.append((event.step, event.earlier_loss))
            self.best_step = event.step if event.best else self.best_step
            return
        self.began = self.began or (event.step, time.monotonic())
        self.step, self.epoch = event.step, event.epoch
        self.tokens += event.all_tokens
        self.seconds += event.seconds
        if event.loss is not None:
            before = self.smoothed[-1][1] if self.smoothed else event.loss
            self.losses.append((event.step, event.loss))
            self.smoothed.append((event.step, SMOOTH * before + (1 - SMOOTH) * event.loss))

    def recall(self, events: Iterable[Step | HeldOut]) -> None:
        """Take in what an earlier session did; pace and time left are this session's."""
        for event in events:
            self.add(event)
        self.tokens, self.seconds, self.began = 0, 0.0, None

    @property
    def left(self) -> str:
        """Time left, from the pace since the first step, scorings included."""
        if self.began is None or self.step == self.began[0]:
            return "-"
        pace = (time.monotonic() - self.began[1]) / (self.step - self.began[0])
        return clock(pace * (self.steps - self.step))

    def line(self) -> str:
        """One line of figures."""
        held_out = number(self.held_out[-1][1] if self.held_out else None)
        if self.earlier:
            held_out += t("cli.step_earlier", loss=number(self.earlier[-1][1]))
        return t(
            "cli.step_line", step=self.step, steps=self.steps, epoch=f"{self.epoch:.2f}",
            loss=number(self.smoothed[-1][1] if self.smoothed else None), held_out=held_out,
            rate=f"{self.tokens / max(self.seconds, 1e-9):.0f}", left=self.left,
        )  # fmt: skip


class View:
    """The plain view: a line now and then. ``LiveView`` draws over it in a terminal."""

    def __init__(self, log_every: int = 1) -> None:
        self.log_every = log_every
        self.figures = Figures(0, 0)
        self.told = 0.0

    def say(self, text: str) -> None:
        """A line that stays. Where nobody reads it any more, that is no reason to stop."""
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)

    @contextmanager
    def training(self, steps: int, epochs: float) -> Iterator[None]:
        """Around the training of a run."""
        self.figures = Figures(steps, epochs)
        yield

    def recall(self, events: Iterable[Step | HeldOut]) -> None:
        """What an earlier session of this run did."""
        self.figures.recall(events)

    def event(self, event: Step | HeldOut) -> None:
        """A step or a scoring."""
        self.figures.add(event)
        if isinstance(event, Step) and event.skipped:
            self.say(t("cli.skipped", step=event.step, why=event.skipped))
        elif isinstance(event, HeldOut):
            best = t("cli.best") if event.best else ""
            if event.earlier_tokens:
                best += t("cli.scored_earlier", loss=number(event.earlier_loss))
            self.say(t("cli.scored", step=event.step, loss=number(event.loss), best=best))
        elif event.step % self.log_every == 0:
            self.say(self.figures.line())

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Around the questions of one side."""
        self.what = what
        self.say(what)
        yield

    def asked(self, done: int, of: int, tokens: int) -> None:
        """Progress of the questions."""
        if time.monotonic() - self.told > 10:
            self.told = time.monotonic()
            self.say(f"  {done}/{of}  {t('cli.tokens', tokens=tokens)}")


class LiveView(View):
    """A terminal's view: bar, figures and the curve, redrawn in place."""

    def __init__(self, log_every: int = 1) -> None:
        super().__init__(log_every)
        self.console = Console(stderr=True)
        self.live: Live | None = None
        self.bar: Progress | None = None
        self.drawn: tuple[tuple[int, ...], Text] = ((), Text(""))  # the curve, and what it was drawn from

    def say(self, text: str) -> None:
        with suppress(OSError):
            self.console.print(Text(text))

    @contextmanager
    def _drawn(self, what: str, total: int) -> Iterator[None]:
        columns = [
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
        ]
        self.bar = Progress(*columns, console=self.console, expand=True)
        self.task = self.bar.add_task(what, total=total, left="")
        with Live(console=self.console, get_renderable=self._draw, refresh_per_second=REDRAWS_A_SECOND) as self.live:
            yield
        self.live = self.bar = None

    @contextmanager
    def training(self, steps: int, epochs: float) -> Iterator[None]:
        self.figures = Figures(steps, epochs)
        with self._drawn(t("cli.training"), steps):
            yield

    def event(self, event: Step | HeldOut) -> None:
        self.figures.add(event)
        if isinstance(event, Step) and event.skipped:
            self.say(t("cli.skipped", step=event.step, why=event.skipped))
        if self.bar:
            self.bar.update(self.task, completed=self.figures.step, left=t("cli.left", left=self.figures.left))

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        self.figures = Figures(0, 0)
        with self._drawn(what, 1):
            yield

    def asked(self, done: int, of: int, tokens: int) -> None:
        if self.bar:
            self.bar.update(self.task, completed=done, total=of, left=t("cli.tokens", tokens=tokens))

    def _draw(self) -> Any:
        parts: list[Any] = [self.bar] if self.bar else []
        if self.figures.step or self.figures.held_out:
            parts.append(Text(self.figures.line(), style="dim"))
            parts.append(self._curve())
        return Group(*parts)

    def _curve(self) -> Text:
        """The curve, drawn anew only when a step, a scoring or the terminal's size has changed it."""
        width, height = self.console.width, min(CURVE_LINES, self.console.height - 6)
        state = (self.figures.step, len(self.figures.held_out), width, height)
        if self.drawn[0] != state:
            self.drawn = state, curve(self.figures, width, height)
        return self.drawn[1]


def curve(figures: Figures, width: int, height: int) -> Text:
    """The loss curve as characters: training (smoothed) and held-out over steps. Empty where there is no room."""
    if width < 40 or height < 6 or len(figures.smoothed) < 2:
        return Text("")
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")  # the terminal's own colours
    figure.plot_size(min(width, 100), height)
    train = figure.signal(*_columns(figures.smoothed), marker=plotext.marker("braille", "cyan"))
    figure.draw(train.lines().label(t("cli.curve_train")))
    if figures.held_out:
        columns = _columns(figures.held_out)
        figure.draw(figure.signal(*columns, marker=plotext.marker("braille", "orange")).lines())
        dots = figure.signal(*columns, marker=plotext.marker("●", "orange"))
        figure.draw(dots.label(t("cli.curve_held_out")))
    if figures.earlier:
        line = figure.signal(*_columns(figures.earlier), marker=plotext.marker("braille", "magenta")).lines()
        figure.draw(line.label(t("cli.curve_earlier")))
    places = sorted({round(figures.steps * part / 5) for part in range(6)})
    figure.ruler("x").lim(0, figures.steps)
    figure.ruler("x").ticks(places, [str(place) for place in places])
    top = max(loss for _, loss in [*figures.smoothed, *figures.held_out, *figures.earlier])
    figure.legend(x=figures.steps, y=top, ha="right", relative=True)
    return Text.from_ansi(figure.build().string())


def _columns(pairs: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def view_for(log_every: int = 1) -> View:
    """A live view where stderr is a terminal that can redraw, else plain lines."""
    live = sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb"
    return LiveView(log_every) if live else View(log_every)
