"""``buke plan`` and ``buke train --dry-run``: what a run would take, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from buke import runfolder
from buke.cli.view import clock
from buke.config import Settings, typed
from buke.runfolder import amount
from buke.words import t

if TYPE_CHECKING:
    from buke.plan import Plan

PIPE = 1000  # columns where there is no terminal: what is one line stays one


def show_plan(settings: Settings, reasons: dict[str, str], runs: Path, as_json: bool) -> None:
    """Plan a run and print it."""
    from buke.cli.view import view_for
    from buke.train.dry import plan_of

    found = plan_of(settings, reasons, runs, view_for().say)
    print(json.dumps(runfolder.plain(found), ensure_ascii=False) if as_json else page(found))


def line(plan: Plan) -> str:
    """The plan in one line."""
    memory = plan.memory
    ways = " ".join(" ".join(typed(name, plan.chosen[name])) for name in plan.why)
    return t(
        "plan.line", needed=amount(memory["needed"]), budget=amount(memory["budget"]),
        training=_about(plan.time["training_seconds"]), disk=amount(plan.disk["needed"]),
        ways=t("plan.ways", ways=ways) if ways else "",
    )  # fmt: skip


def page(plan: Plan, console: Console | None = None) -> str:
    """The plan as lines of text, wrapped to the terminal; in a pipe each is one line."""
    console = console or Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE
    with console.capture() as captured:
        for part in _parts(plan):
            console.print(part)
    return "\n".join(text.rstrip() for text in captured.get().splitlines())


def _parts(plan: Plan) -> Iterator[RenderableType]:
    memory, time = plan.memory, plan.time
    yield t("plan.head", model=plan.model, device=plan.device, precision=plan.precision) + "\n"
    yield t("plan.chosen")
    chosen, taken = Table.grid(padding=(0, 2, 0, 0)), Table.grid(padding=(0, 2, 0, 0))
    for name, value in plan.chosen.items():
        flag, said = (*typed(name, "-" if value is None else value), "")[:2]
        chosen.add_row(f"  {flag}", said, Text(plan.why.get(name) or _given(plan.given.get(name, "")), overflow="fold"))
    yield chosen
    sizes = {name: amount(memory[name]) for name in ("needed", "budget", "training")}
    yield t("plan.memory", **sizes, source=memory["source"])
    taken.add_column(justify="right")
    for name, size in (memory["parts"] | {"asking": memory["asking"], "file": memory["file"]}).items():
        if size:
            taken.add_row(f"  {amount(size)}", t(f"plan.part_{name}"))
    yield taken
    yield t("plan.rows", **plan.rows)
    if time["training_seconds"] is None:
        yield t("plan.time_unknown")
    else:
        asking = t("plan.at_most", time=clock(time["asking_seconds_at_most"]))
        speed = f"{time['tokens_per_second']:.0f}"
        yield t("plan.time", training=_about(time["training_seconds"]), speed=speed, asking=asking)
    yield t("plan.disk", **{name: amount(size) for name, size in plan.disk.items()})
    yield from plan.assumed


def _given(source: str) -> str:
    """Where a value is from that was not chosen."""
    return t("plan.default") if source in ("default", "") else source


def _about(seconds: float | None) -> str:
    return t("plan.unknown") if seconds is None else t("plan.about", time=clock(seconds))
