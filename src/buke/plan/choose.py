"""What fits: the first way to compute a run, of those that lose least, whose memory the machine has."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from buke.config import Settings
from buke.kernels import ALIKE
from buke.model.before import PROGRAMS
from buke.model.loading import RESIDENT
from buke.plan.trace import NO_END, Prepare, TooMuch, Trace, Way, trace

ROW_OF_CARD = 8192  # tokens: a card is kept waiting by the calls of smaller rows; docs/performance.md
LEAST_ROW = 256  # tokens: products of shorter rows are slower
CUDA_CONTEXT = 780_000_000  # bytes that CUDA and its libraries take of a card: 0.72 to 0.88 GB of an H200
CUDA_POOLS = 220_000_000  # bytes of segments that the allocator has begun, and what cuBLAS works in
SLACK = 0.03  # of what is not frozen: pages that the allocator does not give back at once
WORKSPACE = 60_000_000  # bytes that the libraries of matrix products, and Python by then, take on the CPU
PROGRAM = 1_000_000  # bytes of what oneDNN writes for a shape of bfloat16 products; docs/log.md
SHAPES = 24  # of a step's bfloat16 products, for each length of a row
ROUNDING = 50_000_000  # bytes that bitsandbytes takes once it is imported
FREE_SHARE = 0.9  # of the memory that is free: other programs are there too
STORE_GROWTH = 128  # places that keys and values grow by
READ_AT_ONCE = 1024  # tokens of prompts


@dataclass(frozen=True)
class Task:
    """A run to be planned: a model by its config.json, settings, and how long the records are, in tokens."""

    config: Mapping[str, Any]
    settings: Settings
    fixed: frozenset[str]  # settings that the user chose
    lengths: Sequence[int]  # of the records to learn from
    scored: Sequence[int]  # of those held out
    prompt: int  # the longest prompt
    device: str
    precision: str
    held: int  # bytes that this process holds now: libraries and data
    prepare: Prepare
    file: str = "bf16"  # the format of the model's files
    host: int = NO_END  # bytes of the machine's memory that weights may take which a card reads from there

    @property
    def longest(self) -> int:
        return max([*self.lengths, *self.scored, 1])

    def chosen(self, name: str) -> bool:
        """Whether the user chose a setting."""
        return name in self.fixed


@dataclass(frozen=True)
class Fit:
    """A way to compute a run, with its memory in bytes: at the peak of training, by parts, and while asking."""

    way: Way
    row_tokens: int
    generation_batch: int
    trace: Trace
    parts: dict[str, int]
    asking: int
    question: int  # bytes of each that is asked at once

    @property
    def training(self) -> int:
        return sum(self.parts.values())

    @property
    def needed(self) -> int:
        return max(self.training, self.asking)


@dataclass(frozen=True)
class Tried:
    """A way that was followed, and the bytes it takes; at least so many where they are more than there are."""

    way: Way
    row_tokens: int
    needed: int


@dataclass
class Known:
    """Traces made already. still: of the weights alone; beyond: bytes that a way takes at least, too many before."""

    found: dict[tuple[Any, ...], Trace] = field(default_factory=dict)
    still: dict[tuple[Any, ...], Trace] = field(default_factory=dict)
    beyond: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def trace(self, task: Task, way: Way, most: int) -> Trace:
        """The trace of a way, made once. Raises TooMuch where it is seen to take more than ``most``."""
        key = _key(task, way)
        if (needed := self.beyond.get(key)) is not None and needed > most:
            raise TooMuch(needed)
        try:
            if key not in self.found:
                self.found[key] = trace(task.config, task.settings, way, task.prepare, most=most)
        except TooMuch as error:
            self.beyond[key] = error.needed
            raise
        return self.found[key]

    def weights(self, task: Task, way: Way) -> Trace:
        """The trace of a way as far as its weights go: the same whatever its rows and activations."""
        way = replace(way, tokens=1, activations="full", recompute=False)
        key = _key(task, way)
        if key not in self.still:
            self.still[key] = trace(task.config, task.settings, way, task.prepare, still=True)
        return self.still[key]


def _key(task: Task, way: Way) -> tuple[Any, ...]:
    s = task.settings
    return repr(sorted(task.config.items())), way, s.rank, s.targets, s.layers, s.dropout, s.bias, s.rslora


KNOWN = Known()


def first_fit(task: Task, budget: int) -> tuple[Fit, list[Tried]]:
    """The first way that fits into ``budget`` bytes, or the most frugal where none does; and all that were followed.

    More tokens never take less memory. So of ways that differ in their rows alone the last tells whether any fits.
    """
    ways, fits = list(ways_of(task)), dict[int, Fit]()
    tried: dict[int, Tried] = {}
    none = best = len(ways)

    def is_fit(place: int) -> bool:
        if place not in tried:
            found = _follow(task, *ways[place], budget)
            tried[place] = Tried(*ways[place], found if isinstance(found, int) else found.needed)
            if not isinstance(found, int):
                fits[place] = found
        return tried[place].needed <= budget

    for places in _alike(ways, by_row=task.device == "cuda"):
        places = [place for place in places if place < best]
        if not places or least(task, ways[places[0]][0]) > budget:
            continue
        if best == none and is_fit(places[0]):
            best = places[0]
        elif is_fit(places[-1]):
            best = places[bisect_left(places[:-1], True, key=is_fit)]
        if best == none and not is_fit(none - 1):  # the most frugal one
            break
    fit = fits[best] if best < none else measure(task, *ways[-1], budget)
    return fit, list(tried.values())


def _follow(task: Task, way: Way, row_tokens: int, budget: int) -> Fit | int:
    """The memory of a way, or the bytes it takes at least where they are seen to be too many."""
    try:
        return measure(task, way, row_tokens, budget, budget)
    except TooMuch as error:
        return error.needed + _held(task, way)


def _alike(ways: Sequence[tuple[Way, int]], by_row: bool) -> list[list[int]]:
    """Places of ways that differ in their rows alone, the largest rows first; in the order in which to look.

    by_row: whether ways with other activations stand between them. Then the most frugal ones tell which rows fit.
    """
    found: dict[Way, list[int]] = {}
    for place, (way, _) in enumerate(ways):
        found.setdefault(replace(way, tokens=0), []).append(place)
    names = [way.weights for way, _ in ways]
    if by_row:
        return sorted(found.values(), key=lambda places: (names.index(names[places[0]]), -places[0]))
    return list(found.values())


def ways_of(task: Task) -> Iterator[tuple[Way, int]]:
    """Ways to compute with their ``row_tokens``, those that lose least first. What the user chose stays."""
    s, cuda = task.settings, task.device == "cuda"
    rows = [_largest_row(task)]
    while not task.chosen("row_tokens") and rows[-1] // 2 >= max(task.longest, LEAST_ROW):
        rows.append(rows[-1] // 2)
    kinds: tuple[str, ...] = (s.activations,)
    if s.activations == "auto":  # half of 16 bits is nothing saved
        kinds = ("full", "half", "byte") if task.precision == "fp32" else ("full", "byte")
        kinds = kinds if _known(task, "resident").fast else ("full",)
    keeps = [(kind, False) for kind in kinds if not s.recompute] + [("full", True)] * (s.recompute is not False)
    weights = _weights(task)
    tries = [(where, keep, row) for keep in keeps for where in weights for row in rows]
    if cuda:  # smaller rows cost more than layers computed again: each row brings the weights, or waits for calls
        tries = [(where, keep, row) for where in weights for row in rows for keep in keeps]
    for where, (kind, again), row in tries:
        yield _way(task, where, _tokens(task, row), kind, again), row


def _way(task: Task, weights: str, tokens: int = 1, kind: str = "full", again: bool = False) -> Way:
    file = {"file": task.file} if task.device == "cpu" else {}
    return Way(tokens, task.precision, kind, again, weights, task.device == "cuda", **file)


def _weights(task: Task) -> list[str]:
    """Where frozen weights may be: what is tried, in order."""
    asked = task.settings.weights
    # to a card a layer ahead comes to our own layers alone; on the CPU the two words mean the same
    streamed = "streamed" if task.device != "cuda" or _known(task, "resident").fast else "parts"
    if asked != "auto":
        return [streamed if asked == "streamed" else asked]
    if task.device == "cuda":
        held = _known(task, streamed).file <= task.host
        return list(dict.fromkeys(("resident", streamed, "parts") if held else ("resident", "nf4")))
    if task.device != "cpu":
        return ["resident"]
    known = _known(task, "resident")
    large = 4 * (known.parameters + known.head) > RESIDENT
    return [streamed] if large else ["resident", streamed]


def _largest_row(task: Task) -> int:
    """The ``row_tokens`` that are tried first."""
    return ROW_OF_CARD if task.device == "cuda" and not task.chosen("row_tokens") else task.settings.row_tokens


def _tokens(task: Task, row: int) -> int:
    """Of the longest row."""
    return max(task.longest, min(row, sum(sorted(task.lengths)[-task.settings.batch :])))


def _known(task: Task, weights: str) -> Trace:
    """What is known of weights that are there without a step."""
    return KNOWN.weights(task, _way(task, weights))


def least(task: Task, way: Way) -> int:
    """Bytes that a way takes for its weights and adapter alone, known without following it."""
    parts = _known(task, way.weights).parts
    return _held(task, way) + parts["frozen"] + parts["embedding"] + parts["adapter"]


def _held(task: Task, way: Way) -> int:
    """Bytes of the libraries, and of what this process holds already."""
    if way.cuda:
        return CUDA_CONTEXT
    width, inner = _width(task)
    ordered = 2 * width * inner if task.precision == "bf16" else 0  # the weight of a product, as oneDNN orders it
    return task.held + WORKSPACE + ordered + _programs(task, way) + ROUNDING * way.four_bits


def _programs(task: Task, way: Way) -> int:
    """Bytes of the programs that oneDNN has for the lengths that rows may have, rounded as they are."""
    if task.device != "cpu" or task.precision != "bf16":
        return 0
    # a row ends with the last record of a batch, or before one that it has no room for
    few = sum(sorted(task.lengths)[: task.settings.batch])
    short = max(min(task.lengths, default=0), min(few, way.tokens - task.longest))
    return PROGRAM * min(PROGRAMS, SHAPES * (way.tokens // ALIKE - short // ALIKE + 1))


def _width(task: Task) -> tuple[int, int]:
    """Of the model, and of the inside of its feed-forward part."""
    width = int(task.config["hidden_size"])
    return width, int(task.config.get("intermediate_size") or 4 * width)


def measure(task: Task, way: Way, row_tokens: int, budget: int = NO_END, most: int = NO_END) -> Fit:
    """The memory of a way. budget: how much answers may take, which can be given fewer at once.

    most: bytes from which on training is not followed to its end; raises TooMuch.
    """
    held, cuda = _held(task, way), way.cuda
    known = KNOWN.trace(task, way, most - held)
    slack = CUDA_POOLS if cuda else int(SLACK * (known.peak - known.parts["frozen"] - known.parts["embedding"]))
    parts = {"libraries": held, **known.parts}
    if not cuda:
        parts["adapter"] += known.adapter  # the best one is kept beside the one that learns
    parts["passing"] += slack
    batch, asking, question = _asking(task, parts, budget)
    return Fit(way, row_tokens, batch, known, parts, asking, question)


def _asking(task: Task, parts: Mapping[str, int], budget: int) -> tuple[int, int, int]:
    """Questions at once, fewer where more do not fit, the memory while they are answered, and that of each."""
    s = task.settings
    if not s.questions:
        return s.generation_batch, 0, 0
    config = task.config
    heads = config.get("num_attention_heads") or 1
    keys = (config.get("num_key_value_heads") or heads) * (config.get("head_dim") or config["hidden_size"] // heads)
    bytes_, layers = 4 if task.precision == "fp32" else 2, int(config["num_hidden_layers"])
    places = task.prompt + s.thought_budget + s.answer_budget + STORE_GROWTH
    each = 2 * keys * bytes_ * places * (layers + 1) + 12 * int(config["vocab_size"])
    width, inner = _width(task)
    reading = READ_AT_ONCE * bytes_ * (3 * inner + 6 * width)
    rest = sum(parts.values()) - parts["passing"] - parts["buffers"] - parts["logits"] + reading
    batch = min(s.generation_batch, s.questions)
    if not task.chosen("generation_batch"):
        while batch > 1 and rest + batch * each > budget:
            batch = (batch + 1) // 2
    return batch, rest + batch * each, each
