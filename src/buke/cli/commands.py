"""The commands. Each reads its arguments, calls the rooms, and prints what they say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import buke
from buke.cli.flags import Common, flags_of, settings_from, with_settings
from buke.words import Refusal, t

NOT_FOR_SHOW = ("data", "held_out", "held_out_file", "device", "precision")
NOT_FOR_CHECK = ("data", "limit", "length", "overlong", "device", "precision")
LESSONS = 500  # of the demo; tried on two cores, see docs/log.md


def app(common: Common) -> typer.Typer:
    """The command ``buke``, its help in the language in force."""
    made = typer.Typer(
        help=t("cli.buke"), no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        pretty_exceptions_enable=False,
    )  # fmt: skip
    made.callback()(_top)
    everything = ("data", "model", "lora", "training", "comparison", "run")
    made.command("demo", help=t("cli.demo"))(_demo(common))
    made.command("check", help=t("cli.check"))(with_settings(_check(common), ("data", "model"), NOT_FOR_CHECK))
    made.command("get", help=t("hub.get"))(_get(common))
    made.command("train", help=t("cli.train"))(with_settings(_train(common), everything, ("data",)))
    made.command("plan", help=t("plan.plan"))(with_settings(_plan(common), everything, ("data",)))
    made.command("compare", help=t("cli.compare"))(
        with_settings(_compare(common), ("comparison",), ("questions",), defaults=False)
    )
    made.command("report", help=t("cli.report"))(_report(common))
    made.command("show", help=t("cli.show"))(with_settings(_show(common), ("data", "model"), NOT_FOR_SHOW))
    made.command("runs", help=t("cli.runs"))(_runs(common))
    return made


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
    """``--runs`` and ``--lang`` stand here for the help; ``flags.common`` has taken them already."""


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

    return check


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
    def train(
        data: Annotated[list[str], typer.Argument(help=t("cli.data"), show_default=False)] = [],  # noqa: B006
        config: Annotated[Path | None, typer.Option("--config", "-c", help=t("cli.config"))] = None,
        resume: Annotated[str, typer.Option("--resume", metavar="RUN", help=t("cli.resume"))] = "",
        dry_run: Annotated[bool, typer.Option("--dry-run", help=t("plan.dry_run"))] = False,
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False,
        **given: Any,
    ) -> None:
        from buke.cli import road

        if resume and (data or config or any(value is not None for value in given.values())):
            raise Refusal(t("cli.resume_alone"), t("cli.resume_alone_hint", run=resume))
        settings = None if resume else settings_from(given, {"data": data}, config)
        if dry_run and settings:
            from buke.cli.plan import show_plan

            show_plan(*settings, common.runs, as_json)
            return
        road.train(common.runs, settings, resume, as_json)

    return train


def _plan(common: Common) -> Any:
    def plan(
        data: Annotated[list[str], typer.Argument(help=t("cli.data"), show_default=False)] = [],  # noqa: B006
        config: Annotated[Path | None, typer.Option("--config", "-c", help=t("cli.config"))] = None,
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False,
        **given: Any,
    ) -> None:
        from buke.cli.plan import show_plan

        show_plan(*settings_from(given, {"data": data}, config), common.runs, as_json)

    return plan


def _compare(common: Common) -> Any:
    def compare(
        run: Annotated[str, typer.Argument(help=t("cli.run"))],
        questions: Annotated[int, typer.Option(help=t("cli.questions"), min=0, show_default=False)] = 0,
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.json"))] = False,
        **given: Any,
    ) -> None:
        from buke.cli import road

        changes = {name: value for name, value in given.items() if value is not None}
        road.compare_again(common.runs, run, questions, changes, as_json)

    return compare


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
    def show(
        data: Annotated[list[str], typer.Argument(help=t("cli.data"))],
        recipe: Annotated[str, typer.Option(help=t("cli.show_recipe"))] = "buke",
        as_json: Annotated[bool, typer.Option("--json", help=t("cli.show_json"))] = False,
        **given: Any,
    ) -> None:
        from buke.cli.show import show_records

        settings, _ = settings_from(given | {"recipe": recipe}, {"data": data})
        show_records(settings, as_json)

    return show


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
