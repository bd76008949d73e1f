"""What fits: the first way to compute a run, of those that lose least, whose memory the machine has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from buke.config import Settings
from buke.plan.trace import Prepare, Trace, Way, trace
from buke.runfolder import amount
from buke.words import Refusal, t

RESIDENT = 1_000_000_000  # bytes of frozen weights in float32, up to which they are held in memory on the CPU
ROW_OF_CARD = 8192  # tokens: a card is kept waiting by the calls of smaller rows; docs/performance.md
LEAST_ROW = 256  # tokens: products of shorter rows are slower
LENGTHS = (3072, 2048, 1536, 1024, 768, 512, 256)  # tokens of the longest record that are tried in place of too many
CUDA_CONTEXT = 780_000_000  # bytes that CUDA and its libraries take of a card: 0.72 to 0.88 GB of an H200
CUDA_POOLS = 220_000_000  # bytes of segments that the allocator has begun, and what cuBLAS works in
SLACK = 0.03  # of what is not frozen: pages that the allocator does not give back at once
WORKSPACE = 60_000_000  # bytes that the libraries of matrix products, and Python by then, take on the CPU
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
    host: int = 2**62  # bytes of the machine's memory that weights may take which a card reads from there

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

    @property
    def training(self) -> int:
        return sum(self.parts.values())

    @property
    def needed(self) -> int:
        return max(self.training, self.asking)


@dataclass
class Known:
    """Traces made already."""

    found: dict[tuple[Any, ...], Trace] = field(default_factory=dict)

    def trace(self, task: Task, way: Way) -> Trace:
        """The trace of a way, made once."""
        s = task.settings
        key = (repr(sorted(task.config.items())), way, s.rank, s.targets, s.layers, s.dropout, s.bias, s.rslora)
        if key not in self.found:
            self.found[key] = trace(task.config, s, way, task.prepare)
        return self.found[key]


KNOWN = Known()


def choose(task: Task, budget: int) -> tuple[Fit, int]:
    """The first way that fits into ``budget`` bytes, and how many did not before it.

    Raises Refusal with the nearest plan that fits, where none of the ways that the user left open does.
    """
    fit, place = first_fit(task, budget)
    if fit.needed > budget:
        raise refusal(task, budget, fit)
    return fit, place


def first_fit(task: Task, budget: int) -> tuple[Fit, int]:
    """As ``choose``, with the most frugal way where none fits."""
    ways = list(ways_of(task))
    for place, way in enumerate(ways):
        if place == 1 and (fit := measure(task, *ways[-1], budget)).needed > budget:  # the most frugal one
            break
        if place < len(ways) - 1 and least(task, way[0]) > budget:
            continue
        fit = measure(task, *way, budget)
        if fit.needed <= budget:
            break
    return fit, place


def ways_of(task: Task) -> Iterator[tuple[Way, int]]:
    """Ways to compute with their ``row_tokens``, those that lose least first. What the user chose stays."""
    s, cuda = task.settings, task.device == "cuda"
    rows = [_largest_row(task)]
    while not task.chosen("row_tokens") and rows[-1] // 2 >= max(task.longest, LEAST_ROW):
        rows.append(rows[-1] // 2)
    kinds: tuple[str, ...] = (s.activations,)
    if s.activations == "auto":  # half of 16 bits is nothing saved
        kinds = ("full", "half", "byte") if task.precision == "fp32" else ("full", "byte")
        kinds = kinds if _known(task, Where()).fast else ("full",)
    keeps = [(kind, False) for kind in kinds if not s.recompute] + [("full", True)] * (s.recompute is not False)
    weights = _weights(task)
    tries = [(where, keep, row) for keep in keeps for where in weights for row in rows]
    if cuda:  # smaller rows cost more than layers computed again: each row brings the weights, or waits for calls
        tries = [(where, keep, row) for where in weights for row in rows for keep in keeps]
    for where, (kind, again), row in tries:
        yield Way(_tokens(task, row), task.precision, kind, again, where.streamed, cuda, where.ahead, where.nf4), row


class Where(NamedTuple):
    """Whether frozen weights stay where they are kept, are brought a layer ahead, or are in four bits: see ``Way``."""

    streamed: bool = False
    ahead: bool = False
    nf4: bool = False


def _weights(task: Task) -> list[Where]:
    """Where frozen weights may be: what is tried, in order."""
    asked, resident, parts, nf4 = task.settings.weights, Where(), Where(streamed=True), Where(streamed=True, nf4=True)
    streamed = Where(True, True) if task.device == "cuda" and _known(task, resident).fast else parts
    if asked != "auto":
        return [{"resident": resident, "streamed": streamed, "parts": parts, "nf4": nf4}[asked]]
    if task.device == "cuda":
        held = _known(task, streamed).file <= task.host
        return list(dict.fromkeys((resident, streamed, parts) if held else (resident, nf4)))
    if task.device != "cpu":
        return [resident]
    known = _known(task, resident)
    large = 4 * (known.parameters + known.head) > RESIDENT
    return [streamed] if large else [resident, streamed]


def _largest_row(task: Task) -> int:
    """The ``row_tokens`` that are tried first."""
    return ROW_OF_CARD if task.device == "cuda" and not task.chosen("row_tokens") else task.settings.row_tokens


def _tokens(task: Task, row: int) -> int:
    """Of the longest row."""
    return max(task.longest, min(row, sum(sorted(task.lengths)[-task.settings.batch :])))


def _known(task: Task, where: Where) -> Trace:
    """The trace of the first way that is tried: what it says of the weights is true of all."""
    cuda, tokens = task.device == "cuda", _tokens(task, _largest_row(task))
    way = Way(tokens, task.precision, streamed=where.streamed, cuda=cuda, ahead=where.ahead, four_bits=where.nf4)
    return KNOWN.trace(task, way)


def least(task: Task, way: Way) -> int:
    """Bytes that a way takes for its weights and adapter alone, known without following it."""
    parts = _known(task, Where(way.streamed, way.ahead, way.four_bits)).parts
    held = CUDA_CONTEXT if way.cuda else task.held
    return held + parts["frozen"] + parts["embedding"] + parts["adapter"]


def measure(task: Task, way: Way, row_tokens: int, budget: int = 2**62) -> Fit:
    """The memory of a way. budget: how much answers may take, which can be given fewer at once."""
    known = KNOWN.trace(task, way)
    cuda = way.cuda
    slack = CUDA_POOLS if cuda else int(SLACK * (known.peak - known.parts["frozen"] - known.parts["embedding"]))
    parts = {"libraries": CUDA_CONTEXT if cuda else task.held + WORKSPACE, **known.parts}
    if not cuda:
        parts["adapter"] += known.adapter  # the best one is kept beside the one that learns
    parts["passing"] += slack
    batch, asking = _asking(task, known, parts, budget)
    return Fit(way, row_tokens, batch, known, parts, asking)


def _asking(task: Task, known: Trace, parts: Mapping[str, int], budget: int) -> tuple[int, int]:
    """Questions at once, fewer where more do not fit, and the memory while they are answered."""
    s = task.settings
    if not s.questions:
        return s.generation_batch, 0
    config = task.config
    heads = config.get("num_attention_heads") or 1
    keys = (config.get("num_key_value_heads") or heads) * (config.get("head_dim") or config["hidden_size"] // heads)
    bytes_, layers = 4 if task.precision == "fp32" else 2, int(config["num_hidden_layers"])
    places = task.prompt + s.thought_budget + s.answer_budget + STORE_GROWTH
    each = 2 * keys * bytes_ * places * (layers + 1) + 12 * int(config["vocab_size"])
    inner = config.get("intermediate_size") or 4 * config["hidden_size"]
    reading = READ_AT_ONCE * bytes_ * (3 * inner + 6 * config["hidden_size"])
    rest = sum(parts.values()) - parts["passing"] - parts["buffers"] - parts["logits"] + reading
    batch = min(s.generation_batch, s.questions)
    if not task.chosen("generation_batch"):
        while batch > 1 and rest + batch * each > budget:
            batch = (batch + 1) // 2
    return batch, rest + batch * each


def refusal(task: Task, budget: int, fit: Fit) -> Refusal:
    """That nothing fits, with the nearest plan that does."""
    message = t("plan.no_room", needed=amount(fit.needed), budget=amount(budget))
    if words := nearest(task, budget):
        return Refusal(message, t("plan.nearest", flags=words))
    enough = amount(fit.needed * 1.02 + 5e6).replace(" ", "")  # one word on a command line
    return Refusal(message, t("plan.needs_more", needed=enough))


def nearest(task: Task, budget: int) -> str:
    """Flags of the plan that is nearest to what was asked for and fits; "" where none of those tried does."""
    free = {"activations": "auto", "recompute": None, "weights": "auto", "row_tokens": 1024, "generation_batch": 40}
    mine = {name: free[name] for name in free if task.chosen(name) and getattr(task.settings, name) != free[name]}
    open_ = _but(task, mine, task.fixed - frozenset(mine))
    if mine and _fits(open_, budget):
        return " ".join(_forced(open_, mine, budget))
    if task.settings.layers == "all" and _fits(upper := _but(open_, {"layers": "upper"}), budget):
        return " ".join([*_forced(upper, mine, budget), "--layers upper"])
    for length in LENGTHS:
        if length < task.longest and _fits(shorter := _shorter(open_, length), budget):
            return " ".join([*_forced(shorter, mine, budget), f"--length {length} --overlong shorten"])
    return ""


def _forced(task: Task, names: Mapping[str, Any], budget: int) -> list[str]:
    """Flags in place of those that the user chose, for a task that fits."""
    return _words(choose(task, budget)[0], names) if names else []


def _words(fit: Fit, names: Mapping[str, Any]) -> list[str]:
    """What the user chose otherwise, as flags."""
    told = {
        "activations": f"--activations {fit.way.activations}",
        "recompute": "--recompute" if fit.way.recompute else "--no-recompute",
        "weights": f"--weights {fit.way.weights}",
        "row_tokens": f"--row-tokens {fit.row_tokens}",
        "generation_batch": f"--generation-batch {fit.generation_batch}",
    }
    return [told[name] for name in names]


def _fits(task: Task, budget: int) -> bool:
    return measure(task, *list(ways_of(task))[-1], budget).needed <= budget


def _but(task: Task, changes: Mapping[str, Any], fixed: frozenset[str] | None = None) -> Task:
    settings = task.settings.model_copy(update=dict(changes))
    return replace(task, settings=settings, fixed=task.fixed if fixed is None else fixed)


def _shorter(task: Task, length: int) -> Task:
    cut: Callable[[Sequence[int]], list[int]] = lambda lengths: [min(n, length) for n in lengths]  # noqa: E731
    return replace(task, lengths=cut(task.lengths), scored=cut(task.scored))
