"""The memory of a training step, from the step itself: run on tensors that have a shape and no data.

Layers of a kind are alike. So a model of a few layers is followed, and what happens in one of them is put in again for
each one left out; a test holds that against following all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from buke.config import Settings
from buke.kernels import Arena, elements, rows_to_add
from buke.model import Model
from buke.model.base import PRECISIONS, layers_asked
from buke.model.shape import config_of, shape
from buke.plan.live import Live, Marking, Round, Stretch, cuda_size, following
from buke.records import Example, Row

NO_END = 2**62  # bytes, where nothing is known to end
ALIKE = 3  # layers of a kind that are followed: the first, the last and one between them
CPU, CARD = torch.device("cpu"), torch.device("cuda")
FIRST_TOKENS = 16  # of the row before the one that matters: its gradients are there when that comes
Step = Callable[[Model, Sequence[Row]], Any]
Prepare = Callable[[Model], Step]  # makes an optimizer, and gives what takes a step with it


@dataclass(frozen=True)
class Way:
    """How a step is to be computed, as far as memory goes."""

    tokens: int  # of the longest row
    precision: str = "fp32"
    activations: str = "full"
    recompute: bool = False
    weights: str = "resident"  # as the setting says; where a card is not brought a layer ahead, "parts"
    cuda: bool = False
    file: str = "bf16"  # what the model's files hold, which the CPU may compute with where it lies

    @property
    def streamed(self) -> bool:
        """Whether frozen weights are left where they are kept; of "nf4", those outside the layers."""
        return self.weights != "resident"

    @property
    def ahead(self) -> bool:
        """Whether a card is brought the layers one ahead, and has the head."""
        return self.cuda and self.weights == "streamed"

    @property
    def four_bits(self) -> bool:
        """Whether the layers' weights are in NF4, where a card has the head."""
        return self.weights == "nf4"


class TooMuch(Exception):
    """A step takes more than it may: at least so many bytes."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


@dataclass(frozen=True)
class Trace:
    """Bytes at the peak of a step, and what they are of. file: bytes of frozen weights that lie elsewhere."""

    peak: int
    parts: dict[str, int]
    file: int
    adapter: int  # bytes of the adapter alone
    parameters: int  # of the layers, without the adapter
    head: int  # parameters of the head
    learning_share: float  # of the layers, that the backward pass goes through
    plain: str = ""  # why the layers are not our own, in which more is known

    @property
    def fast(self) -> bool:
        """Whether our own layers compute it."""
        return not self.plain


def trace(
    given: Mapping[str, Any], settings: Settings, way: Way, prepare: Prepare, *,
    whole: bool = False, still: bool = False, most: int = NO_END,
) -> Trace:  # fmt: skip
    """Follow a second step, of a short row and then one of ``way.tokens``, of the model of a config.json.

    whole: follow all layers. still: follow none, for the weights alone. most: bytes that it may take; raises TooMuch as
    soon as it is seen to take more. Raises Refusal for an architecture that cannot be built.
    """
    layers, more = ([], 0) if whole else _sample(given, settings)
    kept, how = _kept(way), (way.ahead, way.four_bits)
    model = shape(dict(given), settings, way.precision, kept, layers or list(range(_count(given))), *how)
    if model.fast is None and more:  # what transformers keeps is not marked by layers
        model, more = shape(dict(given), settings, way.precision, kept, list(range(_count(given))), *how), 0
    model.keep_activations(way.activations, way.recompute)
    live = Live(cuda_size if way.cuda else lambda count: count)
    for weight in _elsewhere(model, way).values():
        live.leave_out(weight)
    if still:
        live.mark("end")
        return _sum_up(live, model, way, more, 0)
    live.marked = partial(_stop_beyond, live, model, way, more, most)
    step = prepare(model)
    with following(live):
        rounded = way.tokens + rows_to_add(way.tokens, PRECISIONS[way.precision], CARD if way.cuda else CPU)
        start = _follow(live, model, step, rounded, way.cuda)
    return _sum_up(live, model, way, more, start)


def _kept(way: Way) -> torch.dtype | None:
    """The format of weights that stay where they are; of those that a card is brought another one than it computes in,
    so that they come by parts. None where none stay."""
    if not way.streamed:
        return None
    if way.four_bits and way.cuda:  # there the head is at hand
        return PRECISIONS[way.precision]
    if way.cuda:
        return torch.float16 if way.precision == "bf16" and not way.ahead else torch.bfloat16
    return PRECISIONS[way.file]


def _elsewhere(model: Model, way: Way) -> dict[int, Tensor]:
    """Frozen weights that are not where the step is computed."""
    if not way.streamed and (way.cuda or way.file != way.precision):
        return {}
    frozen = [p for p in model.base.parameters() if not p.requires_grad]
    if model.ahead is None and not (way.four_bits and way.cuda):
        own = [module.weight for module in model.base.modules() if isinstance(module, (nn.Linear, nn.Embedding))]
        return {id(p): p for p in own if not p.requires_grad and p.is_floating_point()}
    blocks = {id(block.untyped_storage()) for block in model.ahead.blocks} if model.ahead else set()
    ends = {id(model.base.get_input_embeddings().weight)} - {id(model.head)}
    return {id(p): p for p in frozen if id(p.untyped_storage()) in blocks or id(p) in ends}


def _count(given: Mapping[str, Any]) -> int:
    return int(config_of(dict(given)).num_hidden_layers)


def _sample(given: Mapping[str, Any], settings: Settings) -> tuple[list[int], int]:
    """The layers to follow and how many like the middle one of those that learn are left out; [] and 0 for all."""
    config = config_of(dict(given))
    count = config.num_hidden_layers
    own = layers_asked(count, settings.layers) or list(range(count))
    groups = [list(range(own[0])), own, list(range(own[-1] + 1, count))]
    kinds = set(getattr(config, "layer_types", None) or ["full"])
    if len(kinds) > 1 or groups[2] or len(own) <= ALIKE:
        return [], 0
    return [*range(count - len(own)), *own[:ALIKE]], len(own) - ALIKE


def _follow(live: Live, model: Model, step: Step, tokens: int, card: bool) -> int:
    """Take two steps; what lived when the second began."""
    if model.fast is not None:
        model.fast.arena = Marking(live, card)
    arenas = [model.arena, *([model.fast.arena] if model.fast is not None else [])]
    live.ask = lambda: (sum(arena.shared_bytes for arena in arenas[1:]), model.arena.bytes)
    for tensor in (*model.base.parameters(), *model.base.buffers()):
        live.count(tensor)
    long = Row((_example(tokens),))
    step(model, [long])
    live.stretches.clear()
    live.begin()
    start = live.now
    step(model, [Row((_example(min(FIRST_TOKENS, tokens)),)), long])
    live.mark("end")
    return start


def _stop_beyond(live: Live, model: Model, way: Way, more: int, most: int) -> None:
    """Raise TooMuch where a step that has passed the last layer forwards holds more than it may.

    What lives there in the first step lives there in the second, with the optimizer's state besides.
    """
    layers = len(model.fast.layers[True]) if model.fast is not None else 0
    if (live.stretches[-1].name, live.stretches[-1].layer) != ("forward", layers - 1):
        return
    middle, elsewhere = _middle(model), _elsewhere(model, way)
    each = next(stretch.end for stretch in reversed(live.stretches) if stretch.layer == middle) if more else 0
    for name, p in _parameters(model).items() if more else ():
        each += live.size(p.nbytes) * (f".layers.{middle}." in name and id(p) not in elsewhere)
    if live.now + more * each > most:
        raise TooMuch(live.now + more * each)


def _example(tokens: int) -> Example:
    return Example("", "", (1,) * tokens, (True,) * tokens, (0, 0, 0, tokens))


def _sum_up(live: Live, model: Model, way: Way, more: int, start: int) -> Trace:
    """Peak and parts of a model with ``more`` layers like the middle one of those followed that learn."""
    middle, weights = _middle(model), _weigh(live.size, model, way, more)
    sizes = weights.sizes
    adapter = sum(p.nbytes * (1 + more * (f".layers.{middle}." in name)) for name, p in model.trained().items())
    own = _owned(model.fast.arena, live.size) if model.fast is not None else {}
    start += more * (weights.each + own.get(middle, 0))
    peak, at_peak = _highest(start, live.stretches, middle, more)
    if way.cuda:  # its optimizer makes the roots of all second moments at once
        peak = max(peak, start + 2 * sizes["adapter"] // 3)
    shared, logits = (*at_peak, 0, 0)[:2]
    inputs = way.tokens * model.head.shape[1] * PRECISIONS[way.precision].itemsize
    layers = 0
    if model.fast is not None and (way.recompute or way.activations == "full"):  # autograd keeps what goes into them
        layers = sum(bool(layer.adapters) for layer in model.fast.layers[True]) + more
    parts = {
        "frozen": sizes["frozen"],
        "embedding": sizes["embedding"],
        "adapter": sizes["adapter"] * 4 // 3,
        "activations": sum(own.values()) + more * own.get(middle, 0) + inputs * layers,
        "buffers": shared,
        "logits": logits,
    }
    parts["passing"] = peak - sum(parts.values())
    share = _learning_share(model, more)
    return Trace(peak, parts, weights.file, adapter, weights.parameters, model.head.numel(), share, model.plain)


@dataclass
class Weights:
    """Bytes of weights by kind, with what the optimizer keeps: two moments, and a count of steps.

    each: of a layer that was left out. file, parameters: as in ``Trace``.
    """

    sizes: dict[str, int]
    each: int = 0
    file: int = 0
    parameters: int = 0


def _weigh(size: Round, model: Model, way: Way, more: int) -> Weights:
    middle, elsewhere = _middle(model), _elsewhere(model, way)
    found = Weights(dict.fromkeys(("frozen", "embedding", "adapter"), 0))
    ends = {id(model.base.get_input_embeddings().weight), id(model.head)}
    for name, p in _parameters(model).items():
        copies = 1 + more * (middle is not None and f".layers.{middle}." in name)
        found.parameters += elements(p) * copies * (not p.requires_grad and id(p) not in ends)
        if id(p) in elsewhere:
            found.file += p.nbytes * copies
            continue
        kind = "adapter" if p.requires_grad else "embedding" if id(p) in ends else "frozen"
        bytes_ = size(p.nbytes) * 3 + size(4) if kind == "adapter" else size(p.nbytes)
        found.sizes[kind] += bytes_ * copies
        found.each += bytes_ * (copies > 1)
    found.sizes["frozen"] += sum(size(slot.nbytes) for slot in model.ahead.slots) if model.ahead else 0
    return found


def _learning_share(model: Model, more: int) -> float:
    if model.fast is None:
        return 1.0
    layers = model.fast.layers[True]
    below = next((number for number, layer in enumerate(layers) if layer.adapters), 0)
    return 1 - below / (len(layers) + more)


def _middle(model: Model) -> int | None:
    """The layer that stands for those left out."""
    if model.fast is None:
        return None
    own = [number for number, layer in enumerate(model.fast.layers[True]) if layer.adapters]
    return own[1] if len(own) >= ALIKE else own[0]


def _parameters(model: Model) -> dict[str, Tensor]:
    """Parameters and buffers by name, what is tied once."""
    return dict(model.base.named_parameters()) | dict(model.base.named_buffers())


def _owned(arena: Arena, size: Round) -> dict[int | None, int]:
    """Bytes of the buffers of each layer."""
    found: dict[int | None, int] = {}
    for (owner, *_), tensor in arena.held.items():
        if owner is not None:
            found[owner] = found.get(owner, 0) + size(tensor.nbytes)
    return found


def _highest(now: int, stretches: Sequence[Stretch], middle: int | None, more: int) -> tuple[int, tuple[int, ...]]:
    """The most that lives in the course of the stretches, those of the middle layer coming ``more`` times again."""
    most, at_peak = now, stretches[0].at_peak
    for stretch in stretches:
        # a mark ends the stretch: layer m's forward pass ends with its own mark, its backward pass with that of m - 1
        own = middle if stretch.name == "forward" else None if middle is None else middle - 1
        again = more if stretch.name != "end" and stretch.layer == own else 0
        for turn in range(again + 1):
            if turn in (0, again) and now + stretch.peak > most:
                most, at_peak = now + stretch.peak, stretch.at_peak
            now += stretch.end
    return most, at_peak
