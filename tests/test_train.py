"""Training: the loop's promises, on a tiny model with random weights that is loaded and trained like any other."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from buke import intake, prompt, runfolder
from buke.config import make
from buke.model import Model, load
from buke.records import Example, HeldOut, Row, Step
from buke.train import begin as jobs
from buke.train import loop as loops
from buke.train import step as step_module
from buke.train.job import Job
from buke.train.loop import Loop, Resumed, Saved, Stopped
from buke.train.settle import learning_rate_for
from buke.train.step import Ranks, rate_at, take_step
from buke.words import Refusal
from faults import method
from tiny import lessons, write_lessons

WEIGHTS = "adapter_model.safetensors"
SETTINGS: dict[str, Any] = {
    "device": "cpu", "batch": 4, "accumulation": 2, "epochs": 2.5, "dropout": 0.1, "learning_rate": 1e-2, "seed": 3,
    "eval_every": 4, "save_every": 3, "patience": 0, "questions": 0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step counts as slow: here events are counted, and a busy machine makes tiny steps slow."""
    monkeypatch.setattr("buke.train.pace.FEWEST", 10**9)


@pytest.fixture
def start(base: Path, data: Path, tmp_path: Path) -> Callable[..., Job]:
    def prepared(name: str = "run", **given: Any) -> Job:
        values = SETTINGS | {"data": [str(data)], "model": str(base), "name": name} | given
        return jobs.prepare(*make(values), tmp_path / "runs", lambda line: None)

    return prepared


def take_up(job: Job) -> Job:
    return jobs.resume(job.run, lambda line: None)


def steps_of(job: Job) -> list[dict[str, Any]]:
    """steps.jsonl without the time each step took."""
    return [
        {k: v for k, v in line.items() if k != "seconds"} for line in runfolder.read_lines(job.run / runfolder.STEPS)
    ]


def scores_of(job: Job) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in line.items() if k != "seconds"} for line in runfolder.read_lines(job.run / runfolder.EVAL)
    ]


def adapter_of(job: Job) -> bytes:
    return (job.run / runfolder.ADAPTER / WEIGHTS).read_bytes()


# --- the course of a run


def test_a_run_learns_and_writes_down_what_happened(start: Callable[..., Job]) -> None:
    job = start(epochs=6)
    events = list(job.events())
    steps = [event for event in events if isinstance(event, Step)]
    scores = [event for event in events if isinstance(event, HeldOut)]
    assert [step.step for step in steps] == list(range(1, job.loop.steps + 1))
    assert [score.step for score in scores] == [0, *range(4, job.loop.steps, 4), job.loop.steps]
    assert runfolder.read_lines(job.run / runfolder.STEPS) == [runfolder.plain(step) for step in steps]
    assert runfolder.read_lines(job.run / runfolder.EVAL) == [runfolder.plain(score) for score in scores]
    losses = [score.loss for score in scores if score.loss is not None]
    assert losses[-1] < losses[0] - 0.3
    assert steps[-1].epoch == pytest.approx(6)
    assert all(step.grad_norm and step.tokens < step.all_tokens for step in steps)
    manifest = runfolder.read_json(job.run / runfolder.MANIFEST)
    assert manifest["finished"] is None  # not before it was asked what it was to be asked
    job.finish()
    assert runfolder.read_json(job.run / runfolder.MANIFEST)["finished"]
    assert manifest["result"]["steps"] == job.loop.steps
    notes = json.loads((job.run / runfolder.ADAPTER / "buke.json").read_text(encoding="utf-8"))
    assert notes["prompt"]["fingerprint"] == job.prompt.fingerprint


@pytest.mark.slow
def test_the_same_settings_give_the_same_adapter_and_another_seed_another(start: Callable[..., Job]) -> None:
    runs = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        runs.append(start(name, epochs=1, seed=seed))
        list(runs[-1].events())
    assert adapter_of(runs[0]) == adapter_of(runs[1]) != adapter_of(runs[2])
    assert steps_of(runs[0]) == steps_of(runs[1])


UPPER: dict[str, Any] = {"layers": "1-1", "dropout": 0.0}  # so that there is a layer below, on the fast road


def counted(job: Job, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The records whose lower layers are computed, as they come."""
    fast, seen = job.model.fast, []
    assert fast is not None
    below = fast.below
    monkeypatch.setattr(fast, "below", lambda ids: seen.append(tuple(ids)) or below(ids))
    return seen


@pytest.mark.slow
def test_layers_below_the_first_adapter_are_computed_once_a_record(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, plain = start("kept", **UPPER), start("plain", lower_cache=False, **UPPER)
    assert job.settings.lower_cache
    assert "all records take" in job.reasons["lower_cache"]
    seen = counted(job, monkeypatch)
    list(job.events())
    assert len(seen) == len(set(seen)) == len(job.loop.train) + len(job.loop.held_out)
    list(plain.events())
    mine, others = (load_file(one.run / "adapter" / WEIGHTS) for one in (job, plain))
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, others[name], rtol=1e-4, atol=1e-6)
    assert not list(job.run.glob(".lower*"))  # the file has no name


@pytest.mark.slow
def test_a_run_with_kept_lower_layers_is_taken_up_to_the_same_bytes(start: Callable[..., Job]) -> None:
    whole, broken = start("whole", **UPPER), start("broken", **UPPER)
    list(whole.events())
    list(islice(broken.events(), 9))
    broken.save()
    again = take_up(broken)
    assert again.settings.lower_cache
    list(again.events())
    assert adapter_of(again) == adapter_of(whole)


@pytest.mark.slow
def test_a_disk_that_fills_up_on_the_way_only_costs_time(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    job, whole = start("full", **UPPER), start("whole", **UPPER)
    lower = job.model.lower
    assert lower is not None
    monkeypatch.setattr(lower, "full", said.append)
    seen = counted(job, monkeypatch)
    for event in job.events():
        if isinstance(event, Step) and event.step == 2:
            half = len(lower.places)
            monkeypatch.setattr(lower, "file", Filling(lower.file))
    assert said == [os.strerror(errno.ENOSPC)]
    assert half
    assert len(seen) > len(set(seen))  # what did not fit is computed each time
    list(whole.events())
    assert adapter_of(job) == adapter_of(whole)


class Filling:
    """A file on a disk that takes no more."""

    def __init__(self, file: Any) -> None:
        self.seek, self.readinto = file.seek, file.readinto

    def write(self, data: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.slow
def test_a_full_disk_only_costs_time(start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    job, whole = start("full", **UPPER), start("whole", **UPPER)
    assert job.model.lower is not None
    monkeypatch.setattr(job.model.lower, "full", said.append)
    monkeypatch.setattr(job.model.lower, "folder", Path("/dev/null"))  # where no file can be made
    list(job.events())
    list(whole.events())
    assert said == [os.strerror(errno.ENOTDIR)]
    assert adapter_of(job) == adapter_of(whole)


def test_lower_layers_are_not_kept_where_it_does_not_pay_and_refused_where_there_are_none(
    start: Callable[..., Job],
) -> None:
    assert start("once", epochs=1, **UPPER).settings.lower_cache is False
    job = start("all", layers="all")
    assert job.settings.lower_cache is False
    assert "first layer learns" in job.reasons["lower_cache"]
    with pytest.raises(Refusal, match="--lower-cache"):
        start("asked", layers="all", lower_cache=True)


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 4, 5, 7, 9, 100])
def test_a_run_broken_off_anywhere_and_taken_up_ends_as_if_it_had_not(after: int, start: Callable[..., Job]) -> None:
    """after: events before the break: a step, a step whose scoring is due, that scoring, a checkpoint, the last."""
    whole = start("whole")
    course = list(whole.events())
    broken = start("broken")
    events = broken.events()
    seen = list(islice(events, min(after, len(course))))
    assert [type(event) for event in seen] == [type(event) for event in course[: len(seen)]]
    if broken.loop.progress.step:
        broken.save()
    events.close()  # type: ignore[attr-defined]
    assert not (broken.run / runfolder.ADAPTER).exists()
    again = take_up(broken)
    list(again.events())
    assert adapter_of(again) == adapter_of(whole)
    assert steps_of(again) == steps_of(whole)
    assert scores_of(again) == scores_of(whole)
    assert again.loop.progress.best_step == whole.loop.progress.best_step


@pytest.mark.slow
def test_a_crash_goes_on_from_the_last_checkpoint_and_a_damaged_one_is_passed_over(start: Callable[..., Job]) -> None:
    whole = start("whole")
    list(whole.events())
    broken = start("broken")
    for event in broken.events():
        if isinstance(event, Step) and event.step == 8:  # checkpoints at 3 and 6; the process ends here
            break
    folders = sorted((broken.run / "checkpoints").iterdir())
    assert [folder.name for folder in folders] == ["000003", "000006"]
    weights = folders[-1] / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-20])
    again = take_up(broken)
    events = again.events()
    assert next(events) == Resumed(3, (folders[-1],))
    list(events)
    assert adapter_of(again) == adapter_of(whole)
    assert steps_of(again) == steps_of(whole)
    assert scores_of(again) == scores_of(whole)


def test_the_newest_two_checkpoints_are_kept(start: Callable[..., Job]) -> None:
    job = start(epochs=3, save_every=2)
    saved = [event.step for event in job.events() if isinstance(event, Saved)]
    assert saved == list(range(2, job.loop.steps, 2))
    kept = sorted(int(path.name) for path in (job.run / "checkpoints").iterdir())
    assert kept == saved[-2:]


def test_a_finished_run_is_not_taken_up(start: Callable[..., Job]) -> None:
    job = start(epochs=1)
    list(job.events())
    job.finish()
    with pytest.raises(Refusal, match="this run is finished"):
        take_up(job)


def test_a_run_that_was_trained_but_not_asked_is_taken_up_without_training_again(start: Callable[..., Job]) -> None:
    job = start(epochs=1)
    list(job.events())
    again = take_up(job)
    assert list(again.events()) == []
    learned = again.model.adapter_state()
    assert any(bool(tensor.any()) for name, tensor in learned.items() if "lora_B" in name)
    assert all(torch.equal(learned[name], tensor) for name, tensor in job.model.adapter_state().items())


def test_a_json_array_on_one_line_teaches_each_of_its_records(start: Callable[..., Job], tmp_path: Path) -> None:
    data = tmp_path / "array.json"
    data.write_text(json.dumps(lessons(40)), encoding="utf-8")
    job = start(data=[str(data)])
    taught = {example.id for example in job.loop.train}
    scored = [example.id for example in job.loop.held_out]
    assert len(taught) == len(job.loop.train) == 36
    assert scored == [record.id for record in job.held_out]
    assert not taught & set(scored)


def test_the_end_token_is_counted_where_it_follows_the_answer(start: Callable[..., Job]) -> None:
    assert runfolder.read_json(start("chat").run / runfolder.DATA)["end_learned"] == 40
    tutorial = start("tutorial", recipe="tutorial", length=64)
    assert runfolder.read_json(tutorial.run / runfolder.DATA)["end_learned"] == 0


def test_thought_and_answer_are_kept_within_the_models_places(start: Callable[..., Job]) -> None:
    settings = start(thought_budget=2000, answer_budget=2000).settings
    assert (settings.thought_budget, settings.answer_budget) == (256, 128)


def test_a_run_whose_data_changed_is_not_taken_up(start: Callable[..., Job], tmp_path: Path) -> None:
    data = write_lessons(tmp_path / "own.jsonl", 40)
    job = start(data=[str(data)])
    next(job.events())
    write_lessons(data, 41)
    with pytest.raises(Refusal, match="changed since the run was started: the data"):
        take_up(job)


# --- what is not finite


def poison(monkeypatch: pytest.MonkeyPatch, sources: set[str]) -> None:
    """The loss of these records is not a number, by itself and in every row that holds one."""
    whole, single = Model.loss_sum, Model.loss_sums

    def loss_sum(self: Model, row: Row) -> tuple[torch.Tensor, int]:
        loss, tokens = whole(self, row)
        bad = any(example.source in sources for example in row.examples)
        return (loss * math.nan if bad else loss), tokens

    def loss_sums(self: Model, row: Row) -> list[tuple[float, int]]:
        pairs = zip(row.examples, single(self, row), strict=True)
        return [(math.nan if example.source in sources else loss, tokens) for example, (loss, tokens) in pairs]

    monkeypatch.setattr(Model, "loss_sum", loss_sum)
    monkeypatch.setattr(Model, "loss_sums", loss_sums)


def test_a_step_that_is_not_finite_is_left_out_and_names_its_record(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(epochs=2)
    bad = job.loop.train[5].source
    poison(monkeypatch, {bad})
    before: dict[str, torch.Tensor] = {}
    skipped = []
    for event in job.events():
        now = job.model.adapter_state()
        if isinstance(event, Step) and event.skipped:
            skipped.append(event)
            assert all(torch.equal(now[name], before[name]) for name in before)
        before = now
    assert len(skipped) == 2  # once an epoch
    for step in skipped:
        assert (step.loss_sum, step.loss, step.grad_norm) == (None, None, None)
        assert bad in step.skipped
        assert "the loss was not finite" in step.skipped
    lines = [line for line in steps_of(job) if line["skipped"]]
    assert [line["loss_sum"] for line in lines] == [None, None]
    text = (job.run / runfolder.STEPS).read_text(encoding="utf-8")
    assert "NaN" not in text
    assert not any(line["loss_sum"] == 0 for line in steps_of(job))
    state = load_file(job.run / runfolder.ADAPTER / WEIGHTS)
    assert all(bool(tensor.isfinite().all()) for tensor in state.values())


def test_a_gradient_that_is_not_finite_names_its_record(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start()
    bad = job.loop.train[3]
    whole = Model.loss_sum

    def loss_sum(self: Model, row: Row) -> tuple[torch.Tensor, int]:
        loss, tokens = whole(self, row)
        if loss.requires_grad and bad in row.examples:
            loss.register_hook(lambda grad: grad * math.inf)
        return loss, tokens

    monkeypatch.setattr(Model, "loss_sum", loss_sum)
    job.model.base.train()
    outcome = take_step(job.model, [Row(tuple(job.loop.train[:8]))], job.loop.optimizer, 1.0, Ranks())
    assert outcome.loss_sum is not None
    assert (outcome.grad_norm, outcome.fault) == (None, bad)


def test_a_loss_scale_changes_nothing_and_is_halved_until_nothing_overflows(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, scaled = start("plain", dropout=0.0), start("scaled", dropout=0.0)
    rows = [Row(tuple(plain.loop.train[:4])), Row(tuple(plain.loop.train[4:8]))]
    gradients = step_module._gradients

    def overflowing(model: Model, rows: Sequence[Row], factor: float, *rest: Any) -> torch.Tensor:
        loss = gradients(model, rows, factor, *rest)
        if factor * sum(model.targets(row) for row in rows) > 1024:
            for parameter in model.trained().values():
                parameter.grad = torch.full_like(parameter, math.inf)
        return loss

    without = take_step(plain.model, rows, plain.loop.optimizer, 1.0, Ranks())
    monkeypatch.setattr(step_module, "_gradients", overflowing)
    with_scale = take_step(scaled.model, rows, scaled.loop.optimizer, 1.0, Ranks(), scale=65536.0)
    assert with_scale.taken
    assert with_scale.scale == 1024
    assert with_scale.grad_norm == pytest.approx(without.grad_norm, rel=1e-5)
    for name, tensor in plain.model.adapter_state().items():
        torch.testing.assert_close(scaled.model.adapter_state()[name], tensor, atol=1e-6, rtol=1e-5)


def test_three_in_a_row_stop_the_run_with_the_best_adapter_kept(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start()
    kept = job.model.adapter_state()
    poison(monkeypatch, {example.source for example in job.loop.train})
    events = list(job.events())
    assert [type(event) for event in events] == [HeldOut, Step, Step, Step, Stopped]
    assert "3 steps in a row were not finite" in events[-1].reason
    state = load_file(job.run / runfolder.ADAPTER / WEIGHTS)
    assert state.keys() == kept.keys()
    assert all(torch.equal(state[name], kept[name]) for name in kept)


def test_without_any_finite_score_there_is_no_adapter(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start()
    poison(monkeypatch, {example.source for example in (*job.loop.train, *job.loop.held_out)})
    with pytest.raises(Refusal, match="no step gave a finite loss"):
        list(job.events())
    assert [line["loss_sum"] for line in runfolder.read_lines(job.run / runfolder.EVAL)] == [None]
    assert not (job.run / runfolder.ADAPTER).exists()


# --- the best adapter, and stopping early


def scripted(monkeypatch: pytest.MonkeyPatch, losses: Sequence[float]) -> None:
    """Held-out scorings with these results, one after the other."""
    coming = iter(losses)
    monkeypatch.setattr(loops, "held_out_losses", lambda *_: [(next(coming), 1)])


def test_the_run_stops_where_the_held_out_loss_gets_no_better_and_keeps_the_best(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(epochs=9, eval_every=2, patience=3)
    scripted(monkeypatch, [5, 4, 4.5, 3, 3, math.nan, 3.5, 0, 0])
    states: dict[int, dict[str, torch.Tensor]] = {}
    events = []
    for event in job.events():
        events.append(event)
        if isinstance(event, HeldOut):
            states[event.step] = job.model.adapter_state()
    scores = [event for event in events if isinstance(event, HeldOut)]
    assert [score.step for score in scores] == [0, 2, 4, 6, 8, 10, 12]
    assert [score.best for score in scores] == [True, True, False, True, False, False, False]
    assert scores[5].loss_sum is None
    assert isinstance(events[-1], Stopped)
    assert events[-1].step == 12
    assert "3 times in a row" in events[-1].reason
    assert job.loop.progress.best_step == 6
    kept = load_file(job.run / runfolder.ADAPTER / WEIGHTS)
    assert all(torch.equal(kept[name], states[6][name]) for name in kept)
    assert any(not torch.equal(kept[name], states[12][name]) for name in kept)
    loaded = job.model.adapter_state()  # and it is the one that is asked afterwards
    assert all(torch.equal(loaded[name], kept[name]) for name in kept)


def test_without_patience_a_run_goes_to_its_end(start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    job = start(epochs=2, eval_every=1, patience=0)
    scripted(monkeypatch, [1.0] + [2.0] * 99)
    assert not any(isinstance(event, Stopped) for event in job.events())
    assert job.loop.progress.step == job.loop.steps
    assert job.loop.progress.best_step == 0


def test_without_a_held_out_part_the_last_adapter_is_kept(start: Callable[..., Job]) -> None:
    job = start(epochs=1, held_out=0)
    events = list(job.events())
    assert not any(isinstance(event, HeldOut) for event in events)
    assert job.loop.progress.best_step == job.loop.steps
    kept = load_file(job.run / runfolder.ADAPTER / WEIGHTS)
    assert any(bool(tensor.any()) for name, tensor in kept.items() if "lora_B" in name)


# --- learning rate


def test_the_shapes_of_the_learning_rate() -> None:
    rates = [rate_at(step, 20, 1.0, "cosine", 0.2) for step in range(20)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[12] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.02
    linear = [rate_at(step, 10, 2.0, "linear", 0.0) for step in range(10)]
    assert linear == pytest.approx([2 - 0.2 * step for step in range(10)])
    assert {rate_at(step, 10, 3.0, "constant", 0.0) for step in range(10)} == {3.0}
    assert rate_at(0, 1, 1.0, "cosine", 0.05) > 0  # even where every step is warm-up


@given(steps=st.integers(1, 500), warmup=st.floats(0, 0.99), schedule=st.sampled_from(["cosine", "linear", "constant"]))
def test_the_learning_rate_rises_then_falls_and_never_leaves_its_range(
    steps: int, warmup: float, schedule: str
) -> None:
    rates = [rate_at(step, steps, 1.0, schedule, warmup) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert top <= math.ceil(steps * warmup)


def test_the_b_matrices_learn_at_a_rate_of_their_own(start: Callable[..., Job]) -> None:
    plain, plus = start("plain", epochs=0.2, dropout=0.0), start("plus", epochs=0.2, dropout=0.0, lora_plus=4.0)
    assert [group["share"] for group in plus.loop.optimizer.param_groups] == [1.0, 4.0]
    rates = []
    for job in (plain, plus):
        before = {name: p.detach().clone() for name, p in job.model.trained().items()}
        list(islice((event for event in job.events() if isinstance(event, Step)), 1))
        moved = {name: float((p.detach() - before[name]).abs().max()) for name, p in job.model.trained().items()}
        rates.append(max(far for name, far in moved.items() if "lora_B" in name))
    assert rates[1] == pytest.approx(4 * rates[0], rel=1e-4)  # the first step of Adam is as long as the rate


def test_the_computed_learning_rate_falls_with_the_width() -> None:
    assert learning_rate_for(2000) == 5e-4
    assert learning_rate_for(576) > learning_rate_for(1536) > learning_rate_for(8192) > 1e-5


# --- before the first step


def test_at_least_twenty_are_held_out_of_two_hundred(base: Path, tmp_path: Path, start: Callable[..., Job]) -> None:
    job = start(data=[str(write_lessons(tmp_path / "many.jsonl", 200))])
    read = runfolder.read_json(job.run / runfolder.DATA)
    assert (read["read"], read["kept"], read["train"], read["held_out"]) == (200, 200, 180, 20)
    assert read["end_learned"] == 200
    assert sum(count for _, count in read["tokens"]["histogram"]) == 200
    held_out = runfolder.read_lines(job.run / runfolder.HELD_OUT)
    assert [line["id"] for line in held_out] == read["held_out_ids"]
    learned = {example.id for example in job.loop.train}
    assert len(learned) == 180
    assert not learned & set(read["held_out_ids"])


def test_a_file_of_held_out_records_takes_its_questions_out_of_the_data(
    tmp_path: Path, start: Callable[..., Job]
) -> None:
    apart = write_lessons(tmp_path / "apart.jsonl", 5)
    job = start(held_out_file=str(apart))
    read = runfolder.read_json(job.run / runfolder.DATA)
    assert (read["train"], read["held_out"]) == (35, 5)
    assert sum(line["kind"] == "leak" for line in read["dropped"]) == 5
    assert {record.question for record in job.held_out} == {lesson["Question"] for lesson in lessons(5)}


def test_what_follows_from_the_model_is_computed_and_says_why(start: Callable[..., Job]) -> None:
    job = start(learning_rate=None, eval_every=None, save_every=None)
    s = job.settings
    assert (s.length, s.learning_rate) == (512, learning_rate_for(32))
    assert s.eval_every == s.save_every == max(1, round(job.loop.steps / 10))
    text = (job.run / runfolder.RUN_TOML).read_text(encoding="utf-8")
    assert "length = 512  # computed: the model has 512 places" in text
    assert "width, 32" in text


# --- several processes


def alone(base: Path, data: Path, run: Path) -> Loop:
    """A loop without a run folder's preparations: thirteen records, four a step, so the last step holds one."""
    values = SETTINGS | {"dropout": 0, "accumulation": 1, "epochs": 1, "save_every": 99, "learning_rate": 1e-3}
    settings, _ = make(values | {"data": [str(data)], "model": str(base)})
    records = intake.read([data]).records[:13]
    examples: list[Example] = prompt.build(prompt.load(base), records, 512)[0]
    model = load(base, settings)
    model.add_adapter(settings)
    return Loop(model, settings, examples, [], run, settings.row_tokens)


def one_of_two(rank: int, base: Path, data: Path, folder: Path) -> None:
    """What each of two processes runs."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder / 'meet'}", rank=rank, world_size=2)
    loop = alone(base, data, folder)
    assert loop.ranks.count == 2
    steps = [event for event in loop.events() if isinstance(event, Step)]
    save_file(loop.best, folder / f"rank-{rank}.safetensors")
    runfolder.write_json(folder / f"rank-{rank}.json", [[step.loss_sum, step.tokens] for step in steps])
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the loopback's name is that of POSIX systems")
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")
def test_two_processes_train_the_same_adapter_as_one(base: Path, data: Path, tmp_path: Path) -> None:
    loop = alone(base, data, tmp_path)
    steps = [event for event in loop.events() if isinstance(event, Step)]
    torch.multiprocessing.start_processes(  # type: ignore[no-untyped-call]
        one_of_two, (base, data, tmp_path), nprocs=2, start_method=method()
    )
    both = [load_file(tmp_path / f"rank-{rank}.safetensors") for rank in (0, 1)]
    for name, tensor in loop.best.items():
        assert torch.equal(both[0][name], both[1][name])
        torch.testing.assert_close(both[0][name], tensor, rtol=0, atol=1e-6)
    for rank in (0, 1):
        pairs = runfolder.read_json(tmp_path / f"rank-{rank}.json")
        assert [tokens for _, tokens in pairs] == [step.tokens for step in steps]
        assert [loss for loss, _ in pairs] == pytest.approx([step.loss_sum for step in steps], rel=1e-5)
    assert len(steps) == 4
