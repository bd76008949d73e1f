"""Plans: a traced step against a real one, what is chosen and refused, and what happens when memory runs out."""

from __future__ import annotations

import importlib
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from buke import cli, plan, runfolder, words
from buke.config import bytes_of, make, read_toml
from buke.model import load
from buke.model.before import PROGRAMS
from buke.pack import longest_row
from buke.plan import Task, Way, choose, live, look_ahead, measure, ran_out, trace
from buke.plan.choose import PROGRAM, SHAPES
from buke.plan.known import CONFIGS
from buke.plan.live import Live, cuda_size, following
from buke.plan.trace import TooMuch
from buke.plan.why import reasons
from buke.records import Example, Row
from buke.runfolder import amount
from buke.train import begin as jobs
from buke.train.ahead import stepper
from buke.train.dry import tokens_of
from buke.train.job import Job
from buke.train.loop import Tightened
from buke.words import Refusal
from faults import MemoryGroup, reached, wait_for
from faults import start as started
from tiny import tiny_folder, write_lessons

pytestmark = pytest.mark.slow  # together they take longer than a first look may

SHAPE = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 5}
WAYS = [
    Way(150), Way(150, activations="half"), Way(150, activations="byte"), Way(150, recompute=True),
    Way(150, activations="byte", weights="streamed"), Way(150, weights="nf4"),
    Way(150, recompute=True, weights="nf4"),
]  # fmt: skip
FOUR_BITS = Way(150, "bf16", weights="nf4", cuda=True)
AHEAD = Way(150, "bf16", weights="streamed", cuda=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five layers wide enough that activations weigh something, kept in bfloat16."""
    folder = tiny_folder(tmp_path_factory.mktemp("tiny") / "base", "qwen2", **SHAPE)
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    halved = {name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}
    save_file(halved, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def config_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return found


def row(tokens: int) -> Row:
    return Row((Example("", "", (1,) * tokens, (True,) * tokens, (0, 0, 0, tokens)),))


def real_peak(folder: Path, way: Way, **given: Any) -> int:
    """The most bytes of tensors that live in the second of two real steps."""
    settings, _ = make(
        {"model": str(folder), "device": "cpu", "weights": way.weights, "precision": way.precision, **given}
    )
    model = load(folder, settings)
    model.add_adapter(settings)
    if model.fast is not None:
        model.keep_activations(way.activations, way.recompute)
    step, counted = stepper(model), Live()
    for weight in model.base.parameters():
        if (way.streamed or way.precision == way.file) and weight.dtype == torch.bfloat16 and weight.dim() > 1:
            counted.leave_out(weight)
    with following(counted):
        for tensor in (*model.base.parameters(), *model.base.buffers()):
            counted.count(tensor)
        step(model, [row(way.tokens)])
        counted.begin()
        step(model, [row(16), row(way.tokens)])
    return counted.most


FEW = {"layers": "3-4", "targets": "q_proj,down_proj"}


@pytest.mark.parametrize(
    ("way", "given"),
    [
        *((way, {}) for way in WAYS),
        *((way, FEW) for way in WAYS[2:]),
        (WAYS[0], {"dropout": 0.1}),
        (Way(130, "bf16"), {}),
    ],
    ids=str,
)
def test_a_traced_step_takes_what_a_real_one_takes(base: Path, way: Way, given: dict[str, Any]) -> None:
    settings, _ = make({"model": str(base), **given})
    found = trace(config_of(base), settings, way, stepper)
    assert found.fast == ("dropout" not in given)
    assert found.peak == pytest.approx(real_peak(base, way, **given), rel=0.01)


@pytest.mark.parametrize(
    ("kind", "way", "layers"),
    [
        ("llama", WAYS[0], "1-4"), ("qwen3", WAYS[2], "1-4"), ("llama", WAYS[3], "all"),
        ("qwen3", Way(150, "bf16", weights="parts", cuda=True), "all"),
        ("qwen2", AHEAD, "all"), ("qwen2", AHEAD, "1-4"), ("qwen2", FOUR_BITS, "all"), ("llama", WAYS[5], "1-4"),
    ],
    ids=str,
)  # fmt: skip
def test_three_layers_stand_for_all(tmp_path: Path, kind: str, way: Way, layers: str) -> None:
    config = config_of(tiny_folder(tmp_path / "base", kind, **SHAPE))
    settings, _ = make({"model": "x", "layers": layers})
    few, all_ = (trace(config, settings, way, stepper, whole=whole) for whole in (False, True))
    assert few == all_


@pytest.mark.parametrize("way", [WAYS[2], WAYS[4], Way(150, "bf16", weights="parts", cuda=True), AHEAD], ids=str)
def test_what_is_only_written_into_counts_the_same_whether_it_is_computed_or_not(
    base: Path, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = make({"model": str(base)})
    found, computed = trace(config_of(base), settings, way, stepper), []
    monkeypatch.setattr(live, "_written", lambda func: computed.append(func))
    assert trace(config_of(base), settings, way, stepper) == found
    assert len(computed) > 1000


def test_two_layers_and_the_head_are_on_the_card_where_weights_are_brought_ahead(base: Path) -> None:
    settings, _ = make({"model": str(base)})
    config = config_of(base)
    ahead, parts, resident = (
        trace(config, settings, way, stepper)
        for way in (AHEAD, replace(AHEAD, weights="parts"), replace(AHEAD, weights="resident"))
    )
    layer = resident.parts["frozen"] / SHAPE["num_hidden_layers"]
    assert ahead.parts["frozen"] == pytest.approx(2 * layer, rel=0.1)
    assert ahead.parts["embedding"] == pytest.approx(resident.parts["embedding"] / 2, rel=0.01)  # the head, not both
    assert ahead.file + 2 * ahead.head == pytest.approx(parts.file, rel=0.01)
    assert parts.peak < ahead.peak < resident.peak


def test_operations_that_do_more_than_write_into_one_tensor_are_computed() -> None:
    aten = torch.ops.aten
    assert [live._written(func) for func in (aten.add_.Tensor, aten.mm.out, aten.copy_.default)] == [
        "self",
        "out",
        "self",
    ]
    for func in (aten.add.Tensor, aten.resize_.default, aten.t_.default, aten._foreach_add_.List, aten.view.default):
        assert live._written(func) is None, func


@pytest.mark.parametrize("again", [False, True])
def test_no_matrix_of_all_scores_is_planned_for_a_card(base: Path, again: bool) -> None:
    settings, _ = make({"model": str(base)})
    short, long = (
        trace(config_of(base), settings, Way(tokens, "bf16", recompute=again, cuda=True), stepper).peak
        for tokens in (2000, 4000)
    )
    assert long < 2 * short  # four times, with it


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library keeps what is freed in its own way")
def test_what_is_freed_on_the_plain_road_goes_back_at_once(base: Path) -> None:
    settings, _ = make({"model": str(base), "device": "cpu", "dropout": 0.1})
    load(base, settings).add_adapter(settings)
    torch.ones(2**22)  # freed here: from now on the library would keep blocks of up to 16 MB
    blocks = [torch.ones(2**18) for _ in range(100)]
    held = plan.own_bytes()
    del blocks[:-1]
    assert held - plan.own_bytes() > 90 * 2**20


def test_a_card_takes_memory_in_blocks() -> None:
    assert [cuda_size(count) for count in (0, 1, 512, 513, 10 * 2**20, 10 * 2**20 + 1)] == [
        0, 512, 512, 1024, 10 * 2**20, 12 * 2**20,
    ]  # fmt: skip


def test_the_shapes_of_known_models_give_their_numbers_of_parameters() -> None:
    billions = {
        "Qwen-1.5B": 1.78,
        "Qwen-7B": 7.62,
        "Llama-8B": 8.03,
        "Qwen-14B": 14.77,
        "Qwen-32B": 32.76,
        "Llama-70B": 70.55,
    }
    for name, config in CONFIGS.items():
        settings, _ = make({"model": name})
        found = trace(config, settings, Way(16, "bf16", cuda=True), stepper)
        counted = (found.parameters + 2 * found.head) / 1e9
        assert counted == pytest.approx(billions[name.split("Distill-")[1]], abs=0.006), name


# --- what is chosen


def task(folder: Path, lengths: tuple[int, ...] = (60, 150, 90), **given: Any) -> Task:
    settings, reasons = make({"model": str(folder), "questions": 0, **given})
    fixed = frozenset(name for name, source in reasons.items() if source != "default")
    return Task(config_of(folder), settings, fixed, lengths, [40], 20, "cpu", "fp32", 10**8, stepper)


def test_no_way_is_followed_beyond_the_first_that_fits(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chooser = importlib.import_module("buke.plan.choose")
    monkeypatch.setattr(chooser, "KNOWN", known := chooser.Known())
    assert len(choose(task(base), 2**40)[1]) == 1
    assert len(known.found) == 1
    kinds = [way.activations for way, _ in chooser.ways_of(replace(task(base), device="cuda", precision="bf16"))]
    assert "half" not in kinds  # of 16 bits


def test_memory_decides_the_way_and_less_of_it_never_a_dearer_one(base: Path) -> None:
    chooser = importlib.import_module("buke.plan.choose")
    one = task(base, row_tokens=256)
    ample = choose(one, 2**40)[0]
    assert (ample.way.activations, ample.way.recompute, ample.way.streamed) == ("full", False, False)
    before, seen, budget = 0, [], ample.needed
    for _ in range(20):
        try:
            fit, _ = choose(one, budget)
        except Refusal:
            break
        place = list(chooser.ways_of(one)).index((fit.way, fit.row_tokens))
        assert fit.needed <= budget
        assert place >= before
        before, budget = place, fit.needed - 1
        seen.append((fit.way.activations, fit.way.recompute))
    assert seen[-1] == ("full", True)
    assert ("byte", False) in seen
    assert ample.needed - budget > 0.3 * ample.trace.peak


def test_what_the_user_chose_stays_and_what_cannot_fit_is_refused_with_what_does(base: Path) -> None:
    full = task(base, activations="full", recompute=False, weights="resident", row_tokens=512)
    frugal = choose(task(base, weights="streamed", recompute=True), 2**40)[0]
    with pytest.raises(Refusal, match="may be used") as refused:
        choose(full, frugal.needed + 1)
    assert "--recompute" in refused.value.hint
    assert "--weights streamed" in refused.value.hint
    words_ = refused.value.hint.split(": ")[1].replace("--", "").split()
    assert "row-tokens" in words_
    again = task(base, weights="streamed", recompute=True, row_tokens=256)
    assert choose(again, frugal.needed + 1)[0].needed <= frugal.needed + 1
    with pytest.raises(Refusal, match="may be used") as refused:
        choose(replace(again, lengths=(2000,)), frugal.needed + 10**6)
    assert "--length" in refused.value.hint
    with pytest.raises(Refusal, match="may be used") as refused:
        choose(again, 10**6)
    enough = bytes_of(refused.value.hint.split("--memory ")[1].split()[0])
    assert frugal.needed <= enough < 1.1 * frugal.needed


FOLLOWED: dict[Any, Any] = {}


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module `choose`, where each step is followed once, and given up where it says it would be."""
    chooser = importlib.import_module("buke.plan.choose")

    def kept(key: Any, find: Callable[[], Any]) -> Any:
        if key not in FOLLOWED:
            FOLLOWED[key] = find()
        return FOLLOWED[key]

    def told(config: Any, settings: Any, way: Way, prepare: Any, still: bool = False, most: int = 2**62) -> Any:
        def bound() -> int:
            try:
                return trace(config, settings, way, prepare, most=0).peak * 0
            except TooMuch as error:
                return error.needed

        key = (repr(config), settings.model_dump_json(), way)
        if not still and most < 2**60 and kept((*key, "bound"), bound) > most:
            raise TooMuch(FOLLOWED[(*key, "bound")])
        return kept((*key, still), lambda: trace(config, settings, way, prepare, still=still))

    monkeypatch.setattr(chooser, "trace", told)
    monkeypatch.setattr(chooser, "KNOWN", chooser.Known())
    places = chooser._weights
    monkeypatch.setattr(chooser, "_weights", lambda task: places(task)[::2] if task.device == "cuda" else places(task))
    return chooser


def on_card(folder: Path, **given: Any) -> Task:
    return replace(task(folder, (60, 150, 210), batch=2, **given), device="cuda", precision="bf16")


def budgets_of(once: Any, one: Task) -> Iterator[int]:
    """Each memory at which another way begins to fit, and a byte less."""
    for needed in sorted({once.measure(one, *way).needed for way in once.ways_of(one)}):
        yield from (needed - 1, needed)


@pytest.mark.parametrize("card", [False, True])
def test_what_is_chosen_with_few_ways_followed_is_what_trying_each_in_turn_gives(
    base: Path, card: bool, once: Any
) -> None:
    one = on_card(base) if card else task(base, row_tokens=1024, batch=2)
    one = replace(one, fixed=frozenset())
    ways = list(once.ways_of(one))
    whole = {way: once.measure(one, *way) for way in ways}
    most = 0
    for budget in budgets_of(once, one):
        expected = next((fit for fit in whole.values() if fit.needed <= budget), whole[ways[-1]])
        once.KNOWN = once.Known()
        fit, tried = once.first_fit(one, budget)
        assert (fit.way, fit.row_tokens, fit.parts) == (expected.way, expected.row_tokens, expected.parts)
        for each in tried:
            exact = whole[each.way, each.row_tokens].needed
            assert each.needed <= exact
            assert (each.needed > budget) == (exact > budget)
        most = max(most, len(tried))
    assert most < len(ways) / 2 if card else most <= len(ways)


@pytest.mark.parametrize("way", [*WAYS, AHEAD, Way(150, "bf16", cuda=True, recompute=True)], ids=str)
def test_a_step_that_takes_too_much_is_given_up_and_its_weights_are_known_without_it(base: Path, way: Way) -> None:
    settings, _ = make({"model": str(base)})
    found = trace(config_of(base), settings, way, stepper)
    assert trace(config_of(base), settings, way, stepper, most=found.peak) == found
    with pytest.raises(TooMuch) as told:
        trace(config_of(base), settings, way, stepper, most=0)
    assert found.peak / 4 < told.value.needed <= found.peak
    still = trace(config_of(base), settings, way, stepper, still=True)
    slots = 0 if not way.ahead else found.parts["frozen"] - still.parts["frozen"]  # made when they are needed
    assert found.parts["frozen"] - still.parts["frozen"] == slots >= 0
    assert [still.parts[name] for name in ("embedding", "adapter")] == [
        found.parts[name] for name in ("embedding", "adapter")
    ]
    assert (still.file, still.parameters, still.head, still.fast) == (
        found.file, found.parameters, found.head, found.fast,
    )  # fmt: skip


def test_the_bound_of_a_step_that_is_given_up_counts_the_layers_left_out() -> None:
    config = CONFIGS["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]
    settings, _ = make({"model": "x"})
    for way in (Way(2048, "bf16", cuda=True), Way(2048, activations="byte", weights="streamed")):
        peak = trace(config, settings, way, stepper).peak
        with pytest.raises(TooMuch) as told:
            trace(config, settings, way, stepper, most=peak // 2)
        assert 0.5 * peak < told.value.needed <= peak


def kept_as(way: Way) -> str:
    return "" if way.recompute else way.activations


@pytest.mark.parametrize("card", [False, True])
def test_each_choice_has_a_reason_of_its_own_with_a_figure_that_is_true(base: Path, card: bool, once: Any) -> None:
    one = on_card(base) if card else task(base, batch=2)
    one = replace(one, fixed=frozenset())
    exact = {way: once.measure(one, *way) for way in once.ways_of(one)}
    sizes = {(way.activations, row): [] for way, row in exact if not way.recompute}
    for (way, row), fit in exact.items():
        if not way.recompute:
            sizes[way.activations, row].append(fit.needed)
    seen = set()
    for budget in (2**40, *budgets_of(once, one)):
        known = once.KNOWN = once.Known()
        fit, tried = once.first_fit(one, budget)
        if fit.needed > budget:
            continue
        followed = dict(known.found)
        why = reasons(one, fit, tried, budget)
        assert known.found == followed  # nothing more for the reasons' sake
        assert {"precision", "weights", "activations", "recompute"} <= set(why)
        assert len(set(why.values())) == len(why)
        for text in why.values():
            if found := re.fullmatch(r"(\w+) would need at least (.+) with --row-tokens (\d+)", text):
                more = [each for each in tried if each.row_tokens == int(found[3]) and kept_as(each.way) == found[1]]
                needed = next(each for each in more if each.way.weights == fit.way.weights).needed
                assert found[2] == amount(needed)
                assert budget < needed <= max(sizes[found[1], int(found[3])])
                seen.add(found[1])
            elif found := re.fullmatch(r"(\d+) would need at least (.+)", text):
                more = [each for each in tried if each.row_tokens == int(found[1])]
                needed = min(each.needed for each in more if each.way.weights == fit.way.weights)
                assert found[2] == amount(needed)
                assert needed > budget
            elif found := re.fullmatch(r"held in memory they take (.+), and the rest fits", text):
                assert found[1] == amount(fit.parts["frozen"] + fit.parts["embedding"])
            elif found := re.fullmatch(r"held in memory they take (.+), and the run at least (.+)", text):
                way = next(way for way, _ in exact if way.weights == "resident")
                parts = once.KNOWN.weights(one, way).parts
                assert found[1] == amount(parts["frozen"] + parts["embedding"])
                told = {amount(each.needed) for each in tried if each.way.weights == "resident"}
                assert found[2] in told | {amount(once.least(one, way))}
        words.set_language("zh")
        assert set(reasons(one, fit, tried, budget)) == set(why)
        words.set_language("en")
    assert seen == {"full", "byte"} if card else {"full", "half", "byte"}


def typed(one: Task, flags: str) -> Task:
    """A task with flags after those it was asked for with, as the command line reads them."""
    line = flags.split()
    given = {name: getattr(one.settings, name) for name in one.fixed}
    while line:
        name = line.pop(0)[2:].replace("-", "_")
        given |= {name[3:]: False} if name.startswith("no_") else {name: line.pop(0) if name != "recompute" else True}
    settings, sources = make(given)
    fixed = frozenset(name for name, source in sources.items() if source != "default")
    most = settings.length or 10**6
    cut = [[min(n, most) for n in each] for each in (one.lengths, one.scored)]
    return replace(one, settings=settings, fixed=fixed, lengths=cut[0], scored=cut[1])


@pytest.mark.parametrize(
    ("given", "share", "said"),
    [
        ({"activations": "full", "recompute": False, "weights": "resident"}, 0.9, "--activations"),
        ({"dropout": 0.1}, 0.5, "--dropout 0"),
        ({"rank": 512}, 0.7, "--layers upper"),
        ({}, 0.45, "--length"),
        ({"layers": "upper", "rank": 256, "weights": "streamed"}, 0.2, "--rank 4"),
        ({"questions": 40, "thought_budget": 300000}, 0.5, "--thought-budget 1024"),
    ],
    ids=str,
)
def test_flags_that_are_proposed_give_a_plan_when_they_are_typed(
    base: Path, given: dict[str, Any], share: float, said: str, once: Any
) -> None:
    lengths = (60, 150, 90) if given.get("rank") == 512 else (900, 2000, 1500)
    one = replace(task(base, lengths, **given), scored=[100] * 40, held=0)
    frugal = once.measure(one, *list(once.ways_of(one))[-1], 1).needed
    fixed = once.WORKSPACE
    budget = fixed + int(share * (frugal - fixed))
    with pytest.raises(Refusal, match="at least") as refused:
        choose(one, budget)
    flags = refused.value.figures["fits"]
    assert said in flags
    assert flags in refused.value.hint
    assert "--memory " in refused.value.hint  # as asked
    fit, _ = choose(typed(one, flags), budget)
    assert fit.needed <= budget
    enough = bytes_of(refused.value.hint.split("--memory ")[1].split()[0])
    assert choose(one, enough)[0].needed <= enough


def test_questions_are_asked_fewer_at_once_where_their_keys_and_values_do_not_fit(base: Path) -> None:
    one = replace(task(base, questions=40), scored=[40] * 40)
    most = choose(one, 2**40)[0]
    assert most.generation_batch == 40
    assert most.asking > most.training
    fewer = choose(one, (most.asking + most.training) // 2)[0]
    assert 1 <= fewer.generation_batch < 40
    assert fewer.training == most.training


def test_8_gb_cards_take_the_7b_and_8b_models_at_2048_tokens() -> None:
    for name in ("Qwen-7B", "Llama-8B"):
        settings, _ = make({"model": name, "questions": 0, "device": "cuda"})
        config = CONFIGS[f"deepseek-ai/DeepSeek-R1-Distill-{name}"]
        one = Task(config, settings, frozenset(), [2048] * 9, [], 20, "cuda", "bf16", 0, stepper)
        fit, _ = choose(one, 8 * 10**9)
        assert fit.way.streamed
        assert fit.needed < 8 * 10**9


def test_a_card_takes_four_bits_where_its_machine_does_not_hold_sixteen() -> None:
    settings, _ = make({"model": "r1-7b", "questions": 0, "device": "cuda"})
    config = CONFIGS["deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"]
    large = Task(config, settings, frozenset(), [2048] * 9, [], 20, "cuda", "bf16", 0, stepper, host=16 * 10**9)
    streamed = choose(large, 8 * 10**9)[0]
    assert streamed.way.weights == "streamed"
    small = replace(large, host=13 * 10**9)  # 14.1 GB are the layers and the rows of the embedding
    fit, tried = choose(small, 8 * 10**9)
    assert (fit.way.weights, fit.way.tokens) == ("nf4", 2048)
    why = reasons(small, fit, tried, 8 * 10**9)["weights"]
    figures = re.fullmatch(r"in 16 bits (.+) would lie in the machine's memory, which has room for (.+)", why)
    assert figures is not None
    assert figures.groups() == (amount(streamed.trace.file), "13 GB")
    assert fit.parts["frozen"] == pytest.approx(6.53e9 * 4.5 / 8, rel=0.05)
    assert fit.parts["embedding"] == pytest.approx(152064 * 3584 * 2, rel=0.01)  # the head; rows come from the machine
    assert choose(small, 30 * 10**9)[0].way.weights == "resident"


def test_weights_that_a_machine_does_not_hold_for_its_card_are_refused(base: Path) -> None:
    one = replace(task(base, weights="streamed"), device="cuda", precision="bf16", host=10**5)
    one = replace(one, settings=one.settings.model_copy(update={"memory": "8GB"}))
    with pytest.raises(Refusal, match="machine's memory") as refused:
        look_ahead(one, [], 10**12, 0, [])
    assert "--weights nf4" in refused.value.hint
    assert look_ahead(one, [], 10**12, 0, [], refuse=False).chosen["weights"] == "streamed"


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8 * 10**9), ("7.5 GiB", int(7.5 * 2**30)), ("800m", 8 * 10**8), ("2000000", 2 * 10**6)]
)
def test_memory_is_written_as_people_write_it(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "much", "8 G B", "-1GB", "0", "8PB", "1e9", "８GB", "nan"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    assert not bytes_of(text)
    with pytest.raises(Refusal) as refused:
        make({"memory": text, "rank": 0}, {"memory": "--memory"})
    assert len(refused.value.details) == 2  # with whatever else does not hold
    assert "--memory" in "".join(refused.value.details)
    assert "8GB, 7.5GiB or 800MB" in "".join(refused.value.details)


@pytest.mark.parametrize("command", [["plan"], ["train", "--dry-run"], ["train"]], ids=" ".join)
def test_a_bad_amount_of_memory_is_told_before_anything_is_read(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = planned(capsys, *command, "nowhere.jsonl", "--model", "r1-7b", "--memory", "lots")
    assert (code, out) == (2, "")
    assert "--memory: 'lots' is not valid: write it as 8GB, 7.5GiB or 800MB" in err
    assert "nowhere" not in err


# --- plan and train


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(list(arguments))
    out = capsys.readouterr()
    return code, out.out, out.err


def test_plan_and_a_dry_run_say_the_same_and_write_nothing(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ["--runs", str(tmp_path / "runs")]
    given = [str(data), "--model", str(base), "--device", "cpu", "--json"]
    code, out, _ = planned(capsys, *runs, "plan", *given)
    assert code == 0
    found = json.loads(out)
    assert found["memory"]["needed"] == max(sum(found["memory"]["parts"].values()), found["memory"]["asking"])
    defaults, _ = make({})
    assert found["rows"]["records_per_step"] == defaults.batch * defaults.accumulation
    assert found["why"]["activations"]
    again = json.loads(planned(capsys, *runs, "train", *given, "--dry-run")[1])
    assert again["chosen"] == found["chosen"]
    assert not (tmp_path / "runs").exists()
    table = planned(capsys, *runs, "plan", *given[:-1])[1]
    assert "optimizer" in table
    assert "Disk:" in table
    assert "优化器" in planned(capsys, *runs, "--lang", "zh", "plan", *given[:-1])[1]


@pytest.mark.parametrize("flags", ["--dropout 0.1", "--bias all"])
@pytest.mark.parametrize("command", [["plan"], ["train", "--dry-run"], ["train"]], ids=" ".join)
def test_what_only_fast_layers_do_is_refused_by_the_plan_with_the_flag_that_rules_them_out(
    command: list[str], flags: str, base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*command, str(data), "--model", str(base), "--device", "cpu", "--activations", "byte", *flags.split()]
    code, out, err = planned(capsys, "--runs", str(tmp_path / "runs"), *given)
    assert (code, out) == (2, "")
    assert f"--activations byte is done by our fast layers alone, and {flags} goes without them" in err
    assert not (tmp_path / "runs").exists()
    if command == ["plan"]:
        assert planned(capsys, *given, "--recompute")[0] == 0  # as the hint says


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--layers all", "--lower-cache: no layer lies below the first adapter"),
        ("--layers upper --dropout 0.1", "--lower-cache is done by our fast layers alone, and --dropout 0.1 goes"),
    ],
)
def test_what_lies_below_the_adapters_cannot_be_kept_where_nothing_does_and_the_plan_says_so(
    flags: str, told: str, base: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["plan", str(data), "--model", str(base), "--device", "cpu", "--lower-cache"]
    code, _, err = planned(capsys, *given, *flags.split())
    assert (code, told in err) == (2, True)
    assert planned(capsys, *given, "--layers", "upper")[0] == 0


@pytest.mark.parametrize("where", ["parts", "streamed"])
def test_on_the_cpu_either_word_for_weights_in_the_file_stays_as_it_was_said(where: str, base: Path) -> None:
    assert choose(task(base, weights=where), 10**11)[0].way.weights == where


def test_a_model_that_is_not_here_is_planned_from_its_shape_for_a_card_that_is_not_here(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    given = ["plan", str(data), "--model", "r1-1.5b", "--device", "cuda"]
    code, out, err = planned(capsys, *given, "--memory", "6GB")
    assert code == 0, err
    assert "estimated from characters" in out
    assert "without asking one" in out
    code, _, err = planned(capsys, *given)
    assert code == 2
    assert "--memory 8GB" in err
    code, _, err = planned(capsys, "plan", str(data), "--model", "someone/unknown-9B", "--memory", "6GB")
    assert code == 2
    assert "get someone/unknown-9B" in err
    code, _, err = planned(capsys, *given, "--memory", "600MB")
    assert code == 2
    assert "hint:" in err


def test_a_folder_with_a_config_alone_is_planned_and_a_damaged_one_named(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder := tmp_path / "shape").mkdir()
    shutil.copy(base / "config.json", folder)
    code, out, err = planned(capsys, "plan", str(data), "--model", str(folder), "--device", "cpu")
    assert (code, "estimated from characters" in out) == (0, True), err
    shutil.copytree(base, hurt := tmp_path / "hurt")
    weights = hurt / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    for command in (["plan"], ["train", "--dry-run"]):
        code, _, err = planned(capsys, *command, str(data), "--model", str(hurt))
        assert (code, str(hurt) in err, "model.safetensors: cut off" in err) == (2, True, True)


def test_the_disk_that_the_layers_below_may_take_is_planned(
    base: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["plan", str(data), "--model", str(base), "--device", "cpu", "--json"]
    lower = [
        json.loads(planned(capsys, *given, *flags)[1])["disk"]["lower"]
        for flags in ([], ["--layers", "upper"], ["--layers", "upper", "--no-lower-cache"])
    ]
    assert lower[1] > lower[0] == lower[2] == 0


def test_programs_of_bfloat16_products_are_planned_for_each_length_of_rows(base: Path) -> None:
    few = replace(task(base, (320, 300)), precision="bf16")
    held = [measure(one, Way(320, "bf16"), 320).parts["libraries"] for one in (few, replace(few, lengths=(320, 60)))]
    assert held[1] - held[0] == 4 * SHAPES * PROGRAM
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == str(PROGRAMS)


def test_tokens_are_estimated_from_characters() -> None:
    assert tokens_of("") == 0
    assert tokens_of("患者头痛三天") == 4
    assert tokens_of("a" * 100) == 28


@pytest.fixture
def start(base: Path, data: Path, tmp_path: Path) -> Callable[..., Job]:
    def prepared(name: str = "run", **given: Any) -> Job:
        values = {
            "device": "cpu", "batch": 4, "accumulation": 2, "epochs": 1.5, "questions": 0, "patience": 0,
            "learning_rate": 1e-2, "data": [str(data)], "model": str(base), "name": name,
        } | given  # fmt: skip
        return jobs.prepare(*make(values), tmp_path / "runs", lambda line: None)

    return prepared


def test_a_run_writes_its_plan_and_then_what_it_took(start: Callable[..., Job]) -> None:
    job = start()
    before = runfolder.read_json(job.run / runfolder.PLAN)
    assert before["measured"] == {}
    assert before["chosen"]["activations"] == job.settings.activations == "full"
    list(job.events())
    job.finish()
    after = runfolder.read_json(job.run / runfolder.PLAN)
    assert after["memory"] == before["memory"]
    assert after["time"]["tokens_per_second_measured"] > 0
    assert after["measured"]["peak"] > 10**8
    assert after["measured"]["disk"] < after["disk"]["needed"]


class Short(plan.Watch):
    """Memory that is over its limit whenever rows hold more than so many tokens, or activations are kept."""

    job: Job
    tokens: int
    recomputed: bool

    def over(self, more: int = 0) -> bool:
        loop = self.job.loop
        assert loop.model.fast is not None
        return loop.row_tokens > self.tokens or (self.recomputed and loop.model.fast.keep != "input")


def short(job: Job, tokens: int, recomputed: bool = False) -> Job:
    watch = Short("cpu", 10**12)
    watch.job, watch.tokens, watch.recomputed = job, tokens, recomputed
    job.watch = job.loop.watch = watch
    return job


def steps_of(job: Job) -> list[tuple[float, int, int]]:
    lines = runfolder.read_lines(job.run / runfolder.STEPS)
    return [(line["loss_sum"], line["tokens"], line["all_tokens"]) for line in lines]


def test_a_run_whose_memory_runs_out_goes_on_with_smaller_rows_and_the_same_steps(start: Callable[..., Job]) -> None:
    plain, tight = start("plain"), short(start("tight"), 256)
    list(plain.events())
    told = [event for event in tight.events() if isinstance(event, Tightened)]
    assert [event.changes for event in told] == [{"row_tokens": 512}, {"row_tokens": 256}]
    for mine, other in zip(steps_of(tight), steps_of(plain), strict=True):
        assert mine[0] == pytest.approx(other[0], rel=1e-4)
        assert mine[1:] == other[1:]
    assert tight.settings.row_tokens == 256
    assert "row_tokens = 256  # memory ran out" in (tight.run / runfolder.RUN_TOML).read_text(encoding="utf-8")


def test_then_activations_are_computed_again_and_after_that_it_is_refused(start: Callable[..., Job]) -> None:
    job = short(start("again"), 128, recomputed=True)
    told = [event.changes for event in job.events() if isinstance(event, Tightened)]
    assert told[-1] == {"recompute": True}
    assert len(steps_of(job)) == job.loop.steps
    job = short(start("none"), 0)
    with pytest.raises(Refusal, match="memory ran out at step 1"):
        list(job.events())


def test_a_step_that_ran_out_of_memory_half_way_is_done_again_whole(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, broken = start("plain", row_tokens=256), start("broken", row_tokens=256)
    list(plain.events())
    model, calls = type(broken.model), 0
    whole = model.loss_sum

    def sometimes(self: Any, row: Row) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:  # the longest row, then the third row of the first step
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole(self, row)

    monkeypatch.setattr(model, "loss_sum", sometimes)
    events = list(broken.events())
    assert [event.step for event in events if isinstance(event, Tightened)] == [1]
    monkeypatch.undo()
    assert [step[0] for step in steps_of(broken)] == pytest.approx([step[0] for step in steps_of(plain)], rel=1e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="a limit that Linux keeps")
def test_memory_that_the_kernel_refuses_costs_smaller_rows_and_nothing_else(tmp_path: Path) -> None:
    wide = tiny_folder(tmp_path / "wide", hidden_size=128, intermediate_size=1536, num_hidden_layers=4)
    lessons, runs = write_lessons(tmp_path / "lessons.jsonl", 17), tmp_path / "runs"
    flags = ["--batch", "16", "--epochs", "1", "--questions", "0", "--held-out", "0", "--learning-rate", "1e-3"]
    line = ["train", str(lessons), "--model", str(wide), *flags, "--runs", str(runs), "--lang", "en"]
    process = started([*line, "--name", "tight"], tmp_path / "log", room=24 * 2**20)
    assert cli.run([*line, "--name", "ample"]) == 0
    process.join(120)
    said = (tmp_path / "log").read_text(encoding="utf-8")
    assert process.exitcode == 0, said
    assert "Memory ran out at step 1" in said
    tight, ample = (runfolder.read_lines(runs / name / runfolder.STEPS) for name in ("tight", "ample"))
    assert [step["loss_sum"] for step in tight] == pytest.approx([step["loss_sum"] for step in ample], rel=1e-4)
    assert make(read_toml(runs / "tight" / runfolder.RUN_TOML))[0].row_tokens <= 512
    assert make(read_toml(runs / "ample" / runfolder.RUN_TOML))[0].row_tokens == 1024


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start("fault")

    def fault(self: Any, row: Row) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(type(job.model), "loss_sum", fault)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        list(job.events())
    assert not ran_out(OSError(13, "no"))
    assert ran_out(OSError(12, "Cannot allocate memory"))


def test_the_longest_row_comes_before_the_first_step_and_changes_nothing(
    start: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, seen = start("first", dropout=0.1), []
    model = type(job.model)
    whole = model.loss_sum
    monkeypatch.setattr(model, "loss_sum", lambda self, row: seen.append(len(row)) or whole(self, row))
    before = {name: p.detach().clone() for name, p in job.model.trained().items()}
    state = torch.get_rng_state()
    job.loop._try_longest()
    longest = longest_row(job.loop.train, job.settings.batch, job.loop.row_tokens)
    assert seen[0] == len(longest) > max(map(len, job.loop.train))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], p) and p.grad is None for name, p in job.model.trained().items())


def test_layers_are_watched_by_the_last_stream_of_events_alone_and_until_it_ends(start: Callable[..., Job]) -> None:
    job = start("twice", dropout=0.1, epochs=0.2)

    def hooks() -> int:
        return sum(len(module._forward_hooks) for module in job.model.base.modules())

    before, first = hooks(), job.loop.events()
    next(first)
    one, second = hooks(), job.loop.events()
    next(second)
    assert before < hooks() == one
    first.close()
    assert hooks() == one
    second.close()
    assert hooks() == before


def test_a_limit_of_memory_is_watched() -> None:
    watch = plan.Watch("cpu", plan.own_bytes() + 50 * 2**20)
    assert not watch.over()
    taken = torch.ones(40 * 2**20)
    assert watch.over()
    del taken
    watch.start()
    assert watch.stop() >= plan.own_bytes() - 2**28


def test_the_limit_of_a_control_group_is_watched_before_the_kernel_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, group = [500], tmp_path / "sys/fs/cgroup"
    monkeypatch.setattr(plan.machine, "own_bytes", lambda: own[0])
    for folder in (group, tmp_path / "proc/self"):
        folder.mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/\n")

    def told(used: int, files: int = 0, limit: int = 1000) -> None:
        texts = {"memory.max": limit, "memory.current": used, "memory.stat": f"active_file {files}\ninactive_file 20\n"}
        for name, text in texts.items():
            (group / name).write_text(str(text))

    late = plan.Watch("cpu", root=tmp_path)
    assert not late.over()
    told(960)
    watch = plan.Watch("cpu", root=tmp_path)
    assert not watch.over()
    told(980)
    assert watch.over()
    told(900)
    assert watch.over()  # until it is told to forget
    watch.forget()
    assert not watch.over()
    told(980, files=900)  # the pages of weights in their file
    assert not watch.over()
    own[0], used = 300, 780  # and as much as before would be too much
    told(used)
    assert watch.over()
    watch.forget()
    assert not watch.over()
    told(980)
    assert not plan.Watch("cuda", root=tmp_path).over()
    assert any(late.over() for _ in range(plan.machine.AGAIN))  # a limit that was set after it began


def test_a_limit_that_is_lowered_while_a_run_goes_costs_smaller_rows_and_no_kill(tmp_path: Path) -> None:
    try:
        group = MemoryGroup(4 * 10**9)
    except OSError as why:
        pytest.skip(f"no control group of memory can be made here: {why}")
    wide = tiny_folder(tmp_path / "wide", hidden_size=64, intermediate_size=8192, num_hidden_layers=4)
    lessons, runs = write_lessons(tmp_path / "lessons.jsonl", 16), tmp_path / "runs"
    flags = ["--batch", "16", "--epochs", "3", "--questions", "0", "--held-out", "0", "--recompute"]
    line = ["train", str(lessons), "--model", str(wide), *flags, "--runs", str(runs), "--name", "tight", "--lang", "en"]
    process = started(line, tmp_path / "log", slow=0.1)
    try:
        assert process.pid is not None
        group.take(process.pid)
        wait_for(lambda: reached(runs / "tight") > 0 or not process.is_alive())
        group.squeeze(0.7, process.is_alive)
        process.join(60)
        kills = group.kills
    finally:
        group.close()
        process.join()
    said = (tmp_path / "log").read_text(encoding="utf-8")
    assert (process.exitcode, kills) == (0, 0), said
    assert "Memory ran out at step" in said
    steps = runfolder.read_lines(runs / "tight" / runfolder.STEPS)
    assert (len(steps), len({step["tokens"] for step in steps})) == (3, 1)  # the effective batch stays
    assert make(read_toml(runs / "tight" / runfolder.RUN_TOML))[0].row_tokens < 1024
