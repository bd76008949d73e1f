"""Settings that follow from others, from the model and from the number of records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from buke.config import Settings
from buke.model import check_four_bits, config_in
from buke.pack import step_count
from buke.train.lessons import LENGTH
from buke.words import Refusal, t

SCORINGS = 10  # of the held-out part in a run, about


def needs(settings: Settings) -> None:
    """Refuse settings that name no data or no model, or need a library that is not here."""
    if not settings.data or not settings.model:
        raise Refusal(t("train.no_data") if not settings.data else t("train.no_model"), t("train.needs_hint"))
    if settings.weights == "nf4":
        check_four_bits()


def resolve(settings: Settings, reasons: dict[str, str], folder: Path) -> tuple[Settings, dict[str, str]]:
    """Fill in what follows from the model's config: the longest record and the learning rate."""
    return resolve_from(settings, reasons, config_in(folder), str(folder / "config.json"))


def resolve_from(
    settings: Settings, reasons: dict[str, str], config: Mapping[str, Any], source: str
) -> tuple[Settings, dict[str, str]]:
    """As ``resolve``, from what a config.json says. source: its name, for an error."""
    reasons = dict(reasons)
    found: dict[str, int | float] = {}
    places = int(config.get("max_position_embeddings") or LENGTH)
    if settings.length is None:
        found["length"] = min(LENGTH, places)
        reasons["length"] = t("train.why_length", places=places)
    elif settings.length > places:
        raise Refusal(
            t("train.too_long", length=settings.length, places=places), t("train.too_long_hint", places=places)
        )
    for name, most in (("thought_budget", places // 2), ("answer_budget", places // 4)):
        if getattr(settings, name) > most:  # prompt, thought and answer share the model's places
            found[name] = most
            reasons[name] = t("train.why_length", places=places)
    if settings.learning_rate is None:
        if "hidden_size" not in config:
            missing = t("hub.no_key", name=source, key="hidden_size")
            raise Refusal(missing, t("model.architecture_hint"))
        width = int(config["hidden_size"])
        found["learning_rate"] = learning_rate_for(width)
        reasons["learning_rate"] = t("train.why_rate", width=width)
    return settings.model_copy(update=found), reasons


def learning_rate_for(width: int) -> float:
    """Peak learning rate of LoRA for a model of hidden size ``width``: 5e-4 at 2,000, falling as the 0.78th power.

    The form and the exponent follow Schulman and Thinking Machines Lab, "LoRA Without Regret" (2025).
    """
    return float(f"{5e-4 * (2000 / width) ** 0.78:.2g}")


def pace(settings: Settings, reasons: dict[str, str], count: int) -> tuple[Settings, dict[str, str]]:
    """How often to score and to save, from the length of the run."""
    per_step = settings.batch * settings.accumulation
    if count < per_step:
        raise Refusal(t("train.too_few", count=count, per_step=per_step), t("train.too_few_hint"))
    total = step_count(count, per_step, settings.epochs)
    every = settings.eval_every or max(1, round(total / SCORINGS))
    found = {"eval_every": every, "save_every": settings.save_every or every}
    why = t("train.why_pace", steps=total)
    return settings.model_copy(update=found), reasons | {name: why for name in found if getattr(settings, name) is None}
