"""``buke demo``: the built-in lessons on the built-in model, by the same road as ``buke train``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from buke import hub
from buke.cli import road
from buke.cli.view import view_for
from buke.config import make
from buke.demo.lessons import split, write_lessons
from buke.train import begin as jobs
from buke.words import Refusal, of_system, t

SETTINGS: dict[str, Any] = {
    "model": "embedded",
    "system": "Think, then answer.",
    "batch": 4,
    "epochs": 1,
    "layers": "upper",
    "learning_rate": 3e-3,
    "eval_every": 63,
    "thought_budget": 160,
    "answer_budget": 96,
    "grader": "number",
}
"""Tried on two cores; see docs/log.md."""


def run_demo(runs: Path, name: str | None, seed: int, lessons: int, questions: int, as_json: bool) -> None:
    """Make the lessons, teach them, and say in plain words what changed."""
    view = view_for(10)
    view.say(t("cli.demo_intro"))
    files = _files(lessons, questions, seed)
    given = SETTINGS | {"data": [str(files[0])], "held_out_file": str(files[1]), "questions": questions}
    given["name"] = name or jobs.stamped("demo")
    settings, reasons = make(given, dict.fromkeys(given, "demo"))
    leaving = road.Leaving(view, settings)
    with leaving.heard():
        job = jobs.prepare(settings, reasons, runs, view.say)
        result = road.walk(job, view, leaving)
    text = road.summary(job, result, runs) + "\n\n" + t("cli.demo_next")
    print(json.dumps(result, ensure_ascii=False) if as_json else text)


def _files(count: int, questions: int, seed: int) -> tuple[Path, Path]:
    """The lessons and the held-out problems as files in the cache."""
    folder = hub.cache_folder() / "demo"
    files = folder / f"lessons-{count}-{seed}.jsonl", folder / f"held-out-{questions}-{seed}.jsonl"
    try:
        parts = split(count, questions, "en", seed)
        folder.mkdir(parents=True, exist_ok=True)
        for file, part in zip(files, parts, strict=True):
            write_lessons(file, part)
    except ValueError:
        too_many = t("cli.demo_too_many", lessons=count, questions=questions)
        raise Refusal(too_many, t("cli.demo_too_many_hint")) from None
    except OSError as error:
        raise Refusal(t("hub.unwritable", target=folder, why=of_system(error)), t("hub.unwritable_hint")) from None
    return files
