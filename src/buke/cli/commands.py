"""The commands. Each reads its arguments, calls the rooms, and prints what they say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import buke
from buke.cli.common import Common
from buke.cli.usage import Command, Group
from buke.words import Refusal, t

EVERYTHING = ("data", "model", "lora", "training", "comparison", "run")
NOT_FOR_SHOW = ("data", "held_out", "held_out_file", "device", "precision")
NOT_FOR_CHECK = ("data", "limit", "length", "overlong", "device", "precision")
LESSONS = 500  # of the demo; tried on two cores, see docs/log.md


def app(common: Common, asked: str | None = None) -> typer.Typer:
    """The command ``buke``, its help in the language in force.

    asked: the only command whose options are needed; None for all. The settings are read for its sake alone, so that
    the list of commands is there at once.
    """
    made = typer.Typer(
        cls=Group, help=t("cli.buke"), no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        pretty_exceptions_enable=False,
    )  # fmt: skip
    made.callback()(_top)
    commands = {
        "demo": _demo, "check": _check, "get": _get, "train": _train, "compare": _compare, "report": _report,
        "show": _show, "runs": _runs, "verify": _verify, "doctor": _doctor, "plan": _plan,
    }  # fmt: skip
    helps = {name: f"cli.{name}" for name in commands} | {
        "get": "hub.get",
        "doctor": "doctor.doctor",
        "plan": "plan.plan",
    }
    for name, make in commands.items():
        made.command(name, cls=Command, help=t(helps[name]))(make(common) if asked in (None, name) else _not_asked)
    return made


def _not_asked() -> None:
    """Stands in the list of commands for one whose options nobody needs."""


def _version(asked: bool) -> None:
    if asked:
        print(f"buke {buke.__version__}")
        raise typer.Exit


def _top(
    runs: Annotated[str, typer.Option("--runs", help="DIR: where runs are kept / 存放运行的文件夹")] = "runs",
    lang: Annotated[str, typer.Option("--lang", help="en | zh")] = "",
    version: Annotated[
        bool, typer.Option("--version", help="print the version / 打印版本", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """``--runs`` and ``--lang`` stand here for the help; ``common`` has taken them already."""


def _demo(common: Common) -> Any:
    def demo(
        name: Annotated[str, typer.Option(help=t("cli.demo_name"))] = "",
        seed: Annotated[int, typer.Option(help=t("cli.demo_seed"), min=0)] = 0,
        lessons: Annotated[int, typer.Option(help=t("cli.demo_lessons"), min=16, max=1500)] = LESSONS,
        questions: Annotated[int, typer.Option(help=t("cli.demo_questions"), min=1, max=200)] = 40,
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False,
    ) -> None:
        from buke.cli.demo import run_demo

        run_demo(common.runs, name or None, seed, lessons, questions, as_json)

    return demo


def _check(common: Common) -> Any:
    from buke.cli.flags import flags_of, settings_from, with_settings

    def check(
        data: Annotated[list[str], typer.Argument(help=t("cli.data_or_stdin"))],
        quick: Annotated[bool, typer.Option("--quick", help=t("cli.check_quick"))] = False,
        report: Annotated[str, typer.Option("--report", metavar="DIR", help=t("cli.check_report_help"))] = "",
        fix: Annotated[str, typer.Option("--fix", metavar="OUT.jsonl", help=t("cli.check_fix"))] = "",
        strict: Annotated[bool, typer.Option("--strict", help=t("cli.check_strict"))] = False,
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False,
        **given: Any,
    ) -> None:
        from buke.cli.check import Wanted, check_data

        settings, places = settings_from(given, {"data": data})
        said = flags_of(settings, (name for name, place in places.items() if place.startswith("--")))
        raise typer.Exit(check_data(settings, Wanted(as_json, report, fix, strict, quick, tuple(said))))

    return with_settings(check, ("data", "model"), NOT_FOR_CHECK)


def _get(common: Common) -> Any:
    def get(
        what: Annotated[str, typer.Argument(help=t("hub.get_what"))],
        source: Annotated[str, typer.Option("--from", metavar="HUB", help=t("hub.get_from"))] = "huggingface",
        to: Annotated[Path | None, typer.Option("--to", metavar="DIR", help=t("hub.get_to"))] = None,
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False,
    ) -> None:
        from buke.cli.get import get_by_name

        get_by_name(what, source, to, common.lang, as_json)

    return get


def _train(common: Common) -> Any:
    from buke.cli.flags import by_name, settings_from, with_settings
    from buke.config import meaning

    def train(
        data: Annotated[list[str], typer.Argument(help=t("cli.data"), show_default=False)] = [],  # noqa: B006
        config: Annotated[Path | None, typer.Option("--config", "-c", help=t("cli.config"))] = None,
        resume: Annotated[str, typer.Option("--resume", metavar="RUN", help=t("cli.resume"))] = "",
        again: Annotated[str, typer.Option("--again", metavar="RUN", help=t("cli.again"))] = "",
        from_run: str | None = typer.Option(None, "--from", "--from-run", metavar="RUN", help=meaning("from_run")),
        anew: Annotated[bool, typer.Option("--anew", help=t("cli.anew"))] = False,
        old_records: Annotated[bool, typer.Option("--old-records", help=t("cli.old_records"))] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help=t("plan.dry_run"))] = False,
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False,
        **given: Any,
    ) -> None:
        from buke.cli import road

        given["from_run"] = from_run
        said = {name for name, value in given.items() if value is not None}
        if resume and (again or data or config or anew or dry_run):
            raise Refusal(t("cli.resume_alone"), t("cli.resume_alone_hint", flag="--resume", run=resume))
        if again and (data or config or old_records or dry_run or said - {"name"}):
            raise Refusal(t("cli.again_alone"), t("cli.resume_alone_hint", flag="--again", run=again))
        if again:
            raise typer.Exit(road.train_again(common.runs, again, given["name"], as_json, anew=anew))
        settings = None if resume else settings_from(given, {"data": data}, config)
        if dry_run and settings is not None:
            from buke.cli.plan import show_plan

            show_plan(*settings, common.runs, as_json)
            return
        changes = by_name(given) if resume else None
        told = road.train(common.runs, settings, resume, as_json, changes, anew=anew, old_records=old_records)
        raise typer.Exit(told)

    return with_settings(train, EVERYTHING, ("data", "from_run"))


def _plan(common: Common) -> Any:
    from buke.cli.flags import settings_from, with_settings
    from buke.config import meaning

    def plan(
        data: Annotated[list[str], typer.Argument(help=t("cli.data"), show_default=False)] = [],  # noqa: B006
        config: Annotated[Path | None, typer.Option("--config", "-c", help=t("cli.config"))] = None,
        from_run: str | None = typer.Option(None, "--from", "--from-run", metavar="RUN", help=meaning("from_run")),
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False,
        **given: Any,
    ) -> None:
        from buke.cli.plan import show_plan

        given["from_run"] = from_run
        show_plan(*settings_from(given, {"data": data}, config), common.runs, as_json)

    return with_settings(plan, EVERYTHING, ("data", "from_run"))


def _compare(common: Common) -> Any:
    from buke.cli.flags import with_settings

    def compare(
        run: Annotated[str, typer.Argument(help=t("cli.run"))],
        questions: Annotated[int, typer.Option(help=t("cli.questions"), min=0, show_default=False)] = 0,
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False,
        **given: Any,
    ) -> None:
        from buke.cli import road

        changes = {name: value for name, value in given.items() if value is not None}
        road.compare_again(common.runs, run, questions, changes, as_json)

    return with_settings(compare, ("comparison",), ("questions",), defaults=False)


def _report(common: Common) -> Any:
    def report(run: Annotated[str, typer.Argument(help=t("cli.run"))]) -> None:
        from buke import report as pages
        from buke import runfolder

        folder = runfolder.find(common.runs, run)
        if runfolder.read_lines(folder / runfolder.STEPS):
            pages.write_curve(folder)
        print(pages.write_report(folder))

    return report


def _show(common: Common) -> Any:
    from buke.cli.flags import settings_from, with_settings

    def show(
        data: Annotated[list[str], typer.Argument(help=t("cli.data"))],
        recipe: Annotated[str, typer.Option(help=t("cli.show_recipe"))] = "buke",
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.show_json"))] = False,
        **given: Any,
    ) -> None:
        from buke.cli.show import show_records

        settings, _ = settings_from(given | {"recipe": recipe}, {"data": data})
        show_records(settings, as_json)

    return with_settings(show, ("data", "model"), NOT_FOR_SHOW)


def _runs(common: Common) -> Any:
    def runs(as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False) -> None:
        from buke import runfolder

        if common.runs.exists() and not common.runs.is_dir():
            raise Refusal(t("cli.no_folder", folder=common.runs), t("cli.needs_folder"))
        found = runfolder.runs_in(common.runs)
        if not found:
            print(t("cli.no_runs", folder=common.runs), file=sys.stderr)
        for folder in found:
            try:
                print(_run_line(folder, as_json))
            except Refusal as refusal:  # one damaged run hides none of the others
                print(refusal.message, file=sys.stderr)

    return runs


def _verify(common: Common) -> Any:
    def verify(
        run: Annotated[str, typer.Argument(help=t("cli.run"))],
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False,
    ) -> None:
        from buke.cli.verify import verify_run

        raise typer.Exit(verify_run(common.runs, run, as_json))

    return verify


def _doctor(common: Common) -> Any:
    def doctor(
        hubs: Annotated[bool, typer.Option("--hubs", help=t("doctor.hubs"))] = False,
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False,
    ) -> None:
        from buke.cli.doctor import examine

        raise typer.Exit(examine(common.runs, hubs, as_json))

    return doctor


def _run_line(folder: Path, as_json: bool) -> str:
    """One run for the list."""
    from buke import runfolder

    manifest, result = (
        found if isinstance(found := runfolder.read_json(folder / name), dict) else {}
        for name in (runfolder.MANIFEST, runfolder.COMPARISON)
    )
    graded = result.get("grader", "none") != "none"
    line = {
        "run": str(folder),
        "started": manifest.get("started"),
        "finished": manifest.get("finished"),
        "model": manifest.get("model", {}).get("name"),
        "questions": result.get("records"),
        "right_before": result["before"]["right"] if graded else None,
        "right_after": result["after"]["right"] if graded else None,
    }
    if as_json:
        return json.dumps(line, ensure_ascii=False)
    state = t("cli.run_finished") if line["finished"] else t("cli.run_unfinished")
    return f"{folder}  {line['started'] or ''}  {state}"
