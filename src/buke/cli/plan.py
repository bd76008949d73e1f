"""``buke plan`` and ``buke train --dry-run``: what a run would take, as a table or as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from buke import runfolder
from buke.cli.view import clock
from buke.config import Settings
from buke.runfolder import amount
from buke.words import t

if TYPE_CHECKING:
    from buke.plan import Plan


def show_plan(settings: Settings, reasons: dict[str, str], runs: Path, as_json: bool) -> None:
    """Plan a run and print it."""
    from buke.cli.view import view_for
    from buke.train.dry import plan_of

    found = plan_of(settings, reasons, runs, view_for().say)
    print(json.dumps(runfolder.plain(found), ensure_ascii=False) if as_json else page(found))


def line(plan: Plan) -> str:
    """The plan in one line."""
    memory, ways = plan.memory, [f"--{name.replace('_', '-')} {plan.chosen[name]}" for name in plan.why]
    return t(
        "plan.line", needed=amount(memory["needed"]), budget=amount(memory["budget"]),
        training=_about(plan.time["training_seconds"]), disk=amount(plan.disk["needed"]), ways=" ".join(ways) or "-",
    )  # fmt: skip


def page(plan: Plan) -> str:
    """The plan as lines of text."""
    memory, lines = plan.memory, [t("plan.head", model=plan.model, device=plan.device, precision=plan.precision), ""]
    lines.append(t("plan.chosen"))
    for name, value in plan.chosen.items():
        said = "-" if value is None else str(value)
        lines.append(f"  --{name.replace('_', '-'):18} {said:10} {plan.why.get(name, t('plan.given'))}")
    sizes = {name: amount(memory[name]) for name in ("needed", "budget", "training")}
    lines.append(t("plan.memory", **sizes, source=memory["source"]))
    parts = memory["parts"] | {"asking": memory["asking"], "file": memory["file"]}
    lines += [f"{amount(size):>12}  {t(f'plan.part_{name}')}" for name, size in parts.items() if size]
    lines.append(t("plan.rows", **plan.rows))
    time = plan.time
    if time["training_seconds"] is None:
        lines.append(t("plan.time_unknown"))
    else:
        asking = t("plan.at_most", time=clock(time["asking_seconds_at_most"]))
        speed = f"{time['tokens_per_second']:.0f}"
        lines.append(t("plan.time", training=_about(time["training_seconds"]), speed=speed, asking=asking))
    lines.append(t("plan.disk", **{name: amount(size) for name, size in plan.disk.items()}))
    return "\n".join([*lines, *plan.assumed])


def _about(seconds: float | None) -> str:
    return t("plan.unknown") if seconds is None else t("plan.about", time=clock(seconds))
