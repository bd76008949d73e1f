"""A run planned without being started: ``buke plan`` and ``buke train --dry-run``. The model need not be here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from buke import hub, intake, prompt, runfolder
from buke.config import Settings
from buke.model import config_in
from buke.plan import Plan
from buke.plan.known import CONFIGS
from buke.records import Example, Record
from buke.train.ahead import plan, plan_lessons
from buke.train.earlier import earlier_of, taken_over
from buke.train.lessons import LENGTH, lessons_of, read_all
from buke.train.settle import needs, pace, resolve, resolve_from
from buke.words import Refusal, t

Say = Callable[[str], None]
WIDE, NARROW = 0.75, 0.28  # tokens a character: Chinese, Japanese and Korean, and all else; R1's tokenizers, about
FRAME = 24  # tokens of a template around question, thought and answer, about


def plan_of(settings: Settings, reasons: dict[str, str], runs: Path, say: Say) -> Plan:
    """The plan of a run with these settings. Nothing is written. Raises Refusal for whatever the user has to mend."""
    if earlier := earlier_of(settings, runs):
        settings, reasons = taken_over(settings, reasons, earlier)
    needs(settings)
    if settings.name:
        runfolder.check_name(settings.name)
    say(t("train.reading"))
    folder = hub.ready(settings.model)
    here = Path(settings.model).expanduser()
    if folder is None and (settings.model == hub.EMBEDDED or any(here.glob("*.safetensors*"))):
        folder = hub.resolve(settings.model, say)  # or what is wrong with it
    if folder is None:
        return _from_afar(settings, reasons, runs)
    settings, reasons = resolve(settings, reasons, folder)
    tutorial = settings.length if settings.recipe == "tutorial" else None
    spoken = prompt.load(folder, chat_template=settings.chat_template, system=settings.system, tutorial=tutorial)
    lessons = lessons_of(settings, spoken, None)
    settings, reasons = pace(settings, reasons, len(lessons.train))
    return plan_lessons(settings, reasons, folder, lessons, runs)


def _from_afar(settings: Settings, reasons: dict[str, str], runs: Path) -> Plan:
    """The plan of a run whose model is not here: of a known shape, tokens estimated from characters."""
    here = Path(settings.model).expanduser()
    described = (here / "config.json").is_file()
    name = settings.model if described else hub.full_name(settings.model)
    config = config_in(here) if described else dict(CONFIGS.get(name) or {})
    if not config:
        raise Refusal(t("plan.no_config", name=settings.model), t("plan.no_config_hint", name=settings.model))
    reads = read_all(settings)
    settings, reasons = resolve_from(settings, reasons, config, name)
    learn, held_out = (reads[0].records, reads[1].records) if len(reads) > 1 else intake.split(
        reads[0].records, settings.held_out
    )  # fmt: skip
    most = settings.length or LENGTH
    train, scored = (
        [example for r in each if (example := _example(r, most, settings.overlong))] for each in (learn, held_out)
    )
    settings, reasons = pace(settings, reasons, len(train))
    asked = max((example.bounds[0] for example in scored), default=0)
    told = [t("plan.assumed_tokens")]
    return plan(settings, reasons, config, (train, scored), asked, runs, assumed=told)


def _example(record: Record, most: int, overlong: str) -> Example | None:
    """As many tokens as a record has, about; None for one that is left out."""
    asked = tokens_of(" ".join([record.system, *map(str, record.history), record.question])) + FRAME
    whole = asked + tokens_of(record.thought + record.answer)
    if whole > most and overlong != "shorten":
        return None
    length = min(whole, most)
    return Example(record.id, record.source, range(length), range(length), (min(asked, length),) * 3 + (length,))  # type: ignore[arg-type]


def tokens_of(text: str) -> int:
    """Tokens of a text, about."""
    wide = sum(char >= "\u2e80" for char in text)
    return round(WIDE * wide + NARROW * (len(text) - wide))
