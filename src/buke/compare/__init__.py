"""Room `compare`: the same questions before and after; before and after are the same call, adapter off and on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from buke import hub, prompt, runfolder
from buke.compare.intervals import Difference, paired_means, paired_rates, paired_ratio
from buke.config import Settings, make, read_toml
from buke.generate import Sampling, batches
from buke.grade import Grader, Tone, grader, looped
from buke.model import Model, load
from buke.prompt import Prompt
from buke.records import Answer, Ending, Judged, Record, Verdict
from buke.train.loop import held_out_losses
from buke.train.manifest import of_trained
from buke.words import Refusal, t

Progress = Callable[[int, int], None]


def sampling_of(settings: Settings) -> Sampling:
    """How the run's settings draw tokens."""
    s = settings
    return Sampling(s.thought_budget, s.answer_budget, s.temperature, s.top_p, s.seed)


def grader_of(settings: Settings, records: Sequence[Record]) -> Grader:
    """The grader the settings ask for."""
    return grader(settings.grader, records, settings.grader_pattern, settings.grader_file)


def ask(
    model: Model,
    spoken: Prompt,
    records: Sequence[Record],
    settings: Settings,
    judge: Grader,
    *,
    adapter: bool,
    losses: Sequence[tuple[float, int]] = (),
    progress: Progress = lambda done, tokens: None,
    known: Sequence[Judged] = (),
    keep: Callable[[Judged], object] = lambda judged: None,
) -> list[Judged]:
    """Ask every record's question with the adapter on or off, and judge what comes.

    losses: for each record its held-out loss sum in nats and its count of tokens, where they are known already.
    known: what was answered before, and is only judged again. keep: called with each new one once its batch is done.
    """
    tone, by_id = Tone([record.answer for record in records]), {record.id: record for record in records}
    sums = dict(zip(by_id, losses, strict=True)) if len(losses) == len(records) else {}

    def judged(answer: Answer, loss: float | None, tokens: int) -> Judged:
        record, loops = by_id[answer.id], looped(answer.thought) or looped(answer.text)
        return Judged(answer, judge(record, answer), loops, tone.likeness(answer.text, record.answer), loss, tokens)

    found = {j.answer.id: judged(j.answer, j.held_out_loss_sum, j.held_out_tokens) for j in known}
    rest = [record for record in records if record.id not in found]
    with model.adapter(adapter):
        for group in batches(model, spoken, rest, sampling_of(settings), settings.generation_batch, progress):
            if sums:
                new = [sums[answer.id] for answer in group]
            else:
                scored = [spoken.scored(by_id[answer.id]) for answer in group]
                new = held_out_losses(model, scored, settings.row_tokens)
            for answer, (loss, tokens) in zip(group, new, strict=True):
                found[answer.id] = judged(answer, loss if math.isfinite(loss) else None, tokens)
                keep(found[answer.id])
    return [found[record.id] for record in records]


def summary(side: Sequence[Judged]) -> dict[str, float | int | None]:
    """Counts and means of one side."""
    answers = [judged.answer for judged in side]
    verdicts = [judged.verdict for judged in side]
    sums = [judged.held_out_loss_sum for judged in side]
    tokens = sum(judged.held_out_tokens for judged in side)
    return {
        **{verdict.value: verdicts.count(verdict) for verdict in Verdict},
        "closed": sum(answer.closed for answer in answers),
        "looped": sum(judged.looped for judged in side),
        "stopped": sum(answer.ending is Ending.STOPPED for answer in answers),
        "thought_tokens_mean": fmean(answer.thought_tokens for answer in answers),
        "answer_tokens_mean": fmean(answer.answer_tokens for answer in answers),
        "seconds_mean": fmean(answer.seconds for answer in answers),
        "tone_mean": fmean(judged.tone for judged in side),
        "held_out_loss": None if None in sums or not tokens else sum(s for s in sums if s is not None) / tokens,
    }


def differences(before: Sequence[Judged], after: Sequence[Judged]) -> dict[str, Difference | None]:
    """After minus before over the same records, each with a 95 % interval from the pairs."""

    def rates(of: Callable[[Judged], bool]) -> Difference | None:
        return paired_rates([of(j) for j in before], [of(j) for j in after])

    def means(of: Callable[[Judged], float]) -> Difference | None:
        return paired_means([of(j) for j in before], [of(j) for j in after])

    found = {verdict.value: rates(lambda j, v=verdict: j.verdict is v) for verdict in Verdict}  # type: ignore[misc]
    found |= {
        "closed": rates(lambda j: j.answer.closed),
        "looped": rates(lambda j: j.looped),
        "stopped": rates(lambda j: j.answer.ending is Ending.STOPPED),
        "thought_tokens_mean": means(lambda j: j.answer.thought_tokens),
        "answer_tokens_mean": means(lambda j: j.answer.answer_tokens),
        "seconds_mean": means(lambda j: j.answer.seconds),
        "tone_mean": means(lambda j: j.tone),
        "held_out_loss": None,
    }
    if all(j.held_out_loss_sum is not None and j.held_out_tokens for j in [*before, *after]):
        counts = [j.held_out_tokens for j in before], [j.held_out_tokens for j in after]
        sums = [j.held_out_loss_sum or 0.0 for j in before], [j.held_out_loss_sum or 0.0 for j in after]
        found["held_out_loss"] = paired_ratio(sums[0], counts[0], sums[1], counts[1])
    return found


def comparison(before: Sequence[Judged], after: Sequence[Judged], judge: Grader, settings: Settings) -> dict[str, Any]:
    """What comparison.json holds. Differences of counts are differences of shares, -1 to 1."""
    return {
        "records": len(after),
        "grader": judge.name,
        "sampling": asdict(sampling_of(settings)),
        "before": summary(before),
        "after": summary(after),
        "difference": differences(before, after),
    }


def write(
    run: Path, before: Sequence[Judged], after: Sequence[Judged], judge: Grader, settings: Settings
) -> dict[str, Any]:
    """Write both sides and the comparison into the run folder; return the comparison."""
    result = comparison(before, after, judge, settings)
    sides = {run / runfolder.ANSWERS_BEFORE: before, run / runfolder.ANSWERS_AFTER: after}
    runfolder.write_at_once(sides, run / runfolder.COMPARISON, result)
    return result


def answers_in(path: Path) -> list[Judged]:
    """One side as it was written; [] where there is none."""
    return list(map(_judged_of, runfolder.read_lines(path)))


def known(run: Path, name: str, settings: Settings) -> list[Judged]:
    """What is there of a side that may have been broken off; [] where ``buke compare`` has drawn it otherwise since.

    Damaged lines are left out: they are asked again.
    """
    made: Any = None
    with suppress(Refusal):  # it is written anew
        made = runfolder.read_json(run / runfolder.COMPARISON)
    if isinstance(made, dict) and made.get("sampling") != asdict(sampling_of(settings)):
        return []
    found = []
    for line in runfolder.read_lines(run / name, []):
        with suppress(KeyError, TypeError, ValueError):
            found.append(_judged_of(line))
    return found


def _judged_of(line: dict[str, Any]) -> Judged:
    answer = Answer(**line["answer"] | {"ending": Ending(line["answer"]["ending"])})
    return Judged(**line | {"answer": answer, "verdict": Verdict(line["verdict"])})


def reopen(
    run: Path, changes: dict[str, Any], say: Callable[[str], None]
) -> tuple[Model, Prompt, list[Record], Settings]:
    """A finished run's model with its adapter, its prompt, its held-out records, and its settings with ``changes``.

    Raises Refusal where the run has no adapter or no held-out part, or where the prompt is not the one it learned.
    """
    given = read_toml(run / runfolder.RUN_TOML) | changes
    settings, _ = make(given, {name: f"--{name.replace('_', '-')}" for name in changes})
    notes = of_trained(run)
    records = [Record.read(line) for line in runfolder.read_lines(run / runfolder.HELD_OUT)]
    if not records:
        raise Refusal(t("compare.no_held_out", run=run), t("compare.no_held_out_hint"))
    folder = hub.resolve(settings.model, say)
    tutorial = settings.length if settings.recipe == "tutorial" else None
    spoken = prompt.load(folder, chat_template=settings.chat_template, system=settings.system, tutorial=tutorial)
    if spoken.fingerprint != (learned := notes.get("prompt", {}).get("fingerprint")):
        raise Refusal(
            t("compare.prompt", run=run, learned=str(learned)[:12], now=spoken.fingerprint[:12]),
            t("compare.prompt_hint"),
        )
    hub.check_adapter(run / runfolder.ADAPTER, folder)
    say(t("train.loading", model=settings.model))
    model = load(folder, settings)
    model.add_adapter(settings)
    model.load_adapter(run / runfolder.ADAPTER)
    return model, spoken, records, settings
