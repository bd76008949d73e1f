"""Room `generate`: model + questions -> texts and how each ended, a batch at a time.

A thought has a budget of tokens: where it runs out, the thought is closed for the model and the answer is asked for.
Axes: B questions of a batch, P places of the padded prompts, L cached places, K key heads, E width of a head,
V vocabulary.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from buke.model import Model
from buke.prompt import Prompt
from buke.records import Answer, Ending, Record

GROWTH = 128  # places the key-value store grows by
TAIL = 16  # tokens looked back over to see whether a tag was just finished


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn and how long thought and answer may be, in tokens.

    ask_answer: whether a thought that ran out is closed and the answer asked for; else it ends as CUT_THOUGHT.
    """

    thought_budget: int = 1024
    answer_budget: int = 512
    temperature: float = 0.0
    top_p: float = 0.95
    seed: int = 0
    ask_answer: bool = True


class KeyValues:
    """Keys and values of all layers, (B, K, L, E) each, in blocks that grow; what a model's layers call a cache."""

    def __init__(self, questions: int = 0, length: int = 0) -> None:
        self.questions = questions
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.length = length  # places that every layer has filled

    def update(self, key: Tensor, value: Tensor, layer: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Append (B, K, Q, E) and return everything up to it."""
        stop = self.length + key.shape[2]
        for store, new in ((self.keys, key), (self.values, value)):
            if layer not in store or store[layer].shape[2] < stop:
                store[layer] = _grown(store.get(layer), new, stop + GROWTH)
            store[layer][:, :, self.length : stop] = new
        return self.keys[layer][:, :, :stop], self.values[layer][:, :, :stop]

    def put(self, layer: int, first: int, starts: Sequence[int], key_TKE: Tensor, value_TKE: Tensor) -> None:
        """Keep prompts that lie end to end, of the questions from ``first`` on: each ends where the store is filled."""
        for store, new in ((self.keys, key_TKE), (self.values, value_TKE)):
            if layer not in store:
                shape = (self.questions, new.shape[1], self.length + GROWTH, new.shape[2])
                store[layer] = new.new_zeros(shape)  # what lies before a prompt is not seen, but must be a number
            for question, (a, b) in enumerate(pairwise(starts), first):
                store[layer][question, :, self.length - (b - a) : self.length] = new[a:b].transpose(0, 1)

    def get_seq_length(self, *_: object) -> int:
        """Places filled, as transformers asks for it."""
        return self.length

    def select(self, kept_B: Tensor) -> None:
        """Keep only some questions of the batch."""
        for store in (self.keys, self.values):
            for layer in store:
                store[layer] = store[layer][kept_B]


def _grown(old: Tensor | None, new: Tensor, places: int) -> Tensor:
    batch, heads, _, width = new.shape
    store = new.new_empty(batch, heads, places, width)
    if old is not None:
        store[:, :, : old.shape[2]] = old
    return store


@dataclass
class Course:
    """One answer in the making."""

    record: Record
    opened: bool  # inside the thought
    decided: bool  # whether we know that it opens with a thought
    draw: random.Random
    thought: list[int] = field(default_factory=list)
    answer: list[int] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)  # tokens to be written next in the model's stead
    closed: bool = False
    forced: bool = False
    ending: Ending | None = None
    seconds: float = 0.0

    def take(self, token: int, prompt: Prompt, sampling: Sampling) -> None:
        """One more token: which part it belongs to, and whether that part is at its end."""
        if token in prompt.stops and not self.queue:
            self.ending = Ending.STOPPED
        elif self.opened:
            self.thought.append(token)
            self._in_thought(prompt, sampling)
        else:
            self.answer.append(token)
            if not self.decided:
                self._decide(prompt, sampling)
            if not self.opened and len(self.answer) >= sampling.answer_budget:
                self.ending = Ending.CUT_ANSWER

    def _decide(self, prompt: Prompt, sampling: Sampling) -> None:
        """Whether what began is a thought: ``<think>`` as the first thing the model writes."""
        text = prompt.tokens.decode(self.answer).lstrip()
        if text.startswith(prompt.open_text):
            self.thought, self.answer, self.opened, self.decided = self.answer, [], True, True
            self._in_thought(prompt, sampling)
        elif not prompt.open_text.startswith(text):
            self.decided = True

    def _in_thought(self, prompt: Prompt, sampling: Sampling) -> None:
        if self.forced:
            self.opened = bool(self.queue)  # all of what closes a thought belongs to it
        elif prompt.close_text.strip() in prompt.tokens.decode(self.thought[-TAIL:]):
            self.opened, self.closed = False, True
        elif len(self.thought) >= sampling.thought_budget:
            if sampling.ask_answer:
                self.queue, self.forced = list(prompt.close_ids), True
            else:
                self.ending = Ending.CUT_THOUGHT

    def finish(self, prompt: Prompt) -> Answer:
        """The answer as it travels on. The thought's tags are not part of its text."""
        close = prompt.close_text.strip()
        thought, _, rest = prompt.tokens.decode(self.thought).partition(close)
        text = rest + prompt.tokens.decode(self.answer)
        ending = self.ending or Ending.CUT_ANSWER
        if self.opened and ending is Ending.STOPPED:
            text = ""  # it ended inside its thought
        own = len(self.thought) - (len(prompt.close_ids) if self.forced and not self.opened else 0)
        return Answer(
            self.record.id, thought.strip().removeprefix(prompt.open_text or "\0").strip(), text.strip(), ending,
            self.closed, self.forced, own, len(self.answer), self.seconds,
        )  # fmt: skip


def generate(
    model: Model,
    prompt: Prompt,
    records: Sequence[Record],
    sampling: Sampling,
    batch: int,
    progress: Callable[[int, int], None] = lambda done, tokens: None,
) -> list[Answer]:
    """Answers to the questions of records, in their order; else as ``batches``."""
    groups = batches(model, prompt, records, sampling, batch, progress)
    answers = {answer.id: answer for group in groups for answer in group}
    return [answers[record.id] for record in records]


def batches(
    model: Model,
    prompt: Prompt,
    records: Sequence[Record],
    sampling: Sampling,
    batch: int,
    progress: Callable[[int, int], None] = lambda done, tokens: None,
) -> Iterator[list[Answer]]:
    """Answers to the questions of records, a batch at a time. Questions of like length share one.

    progress is called after each token with how many answers are done and how many tokens were written in all.
    """
    ids = {record.id: prompt.prompt_ids(record.question, record.system, record.history) for record in records}
    by_length = sorted(records, key=lambda record: len(ids[record.id]))
    written = 0
    for start in range(0, len(by_length), batch):
        group = [_course(record, prompt, sampling) for record in by_length[start : start + batch]]

        def tell(done: int, tokens: int, before: int = start, base: int = written) -> None:
            progress(before + done, base + tokens)

        with model.evaluating():
            written += _answer_batch(model, prompt, group, [ids[c.record.id] for c in group], sampling, tell)
        yield [course.finish(prompt) for course in group]


def _course(record: Record, prompt: Prompt, sampling: Sampling) -> Course:
    """A question's own random numbers: what is drawn for it does not depend on who shares its batch."""
    seed = hashlib.sha256(f"{sampling.seed}/{record.id}".encode()).digest()
    return Course(record, prompt.opened, prompt.opened, random.Random(seed))


def _answer_batch(
    model: Model,
    prompt: Prompt,
    courses: list[Course],
    prompts: list[list[int]],
    sampling: Sampling,
    progress: Callable[[int, int], None],
) -> int:
    """Run a batch until every course has ended; return how many tokens were written."""
    began, written, total = time.monotonic(), 0, len(courses)
    width = max(map(len, prompts))
    pad = [width - len(ids) for ids in prompts]
    seen_BL = torch.tensor([[False] * n + [True] * (width - n) for n in pad], device=model.device)
    places_B = torch.tensor([width - n for n in pad], device=model.device)
    active = list(courses)
    if model.fast is not None:
        store = KeyValues(len(courses), width)
        logits_BV = model.logits(model.begin(prompts, store))
    else:
        store = KeyValues()
        padded = [[prompt.end] * n + ids for n, ids in zip(pad, prompts, strict=True)]
        logits_BV = _prefill(model, torch.tensor(padded, device=model.device), seen_BL, store)
    while active:
        tokens = [
            course.queue.pop(0) if course.queue else token
            for course, token in zip(active, choose(logits_BV, active, sampling), strict=True)
        ]
        for course, token in zip(active, tokens, strict=True):
            course.take(token, prompt, sampling)
            if course.ending:
                course.seconds = time.monotonic() - began
        written += len(active)
        kept = [place for place, course in enumerate(active) if not course.ending]
        progress(total - len(kept), written)
        if len(kept) < len(active):
            kept_B = torch.tensor(kept, device=model.device, dtype=torch.long)
            store.select(kept_B)
            seen_BL, places_B = seen_BL[kept_B], places_B[kept_B]
            active, tokens = [active[place] for place in kept], [tokens[place] for place in kept]
        if active:
            seen_BL = torch.cat([seen_BL, seen_BL.new_ones(len(active), 1)], dim=1)
            logits_BV = _next(model, torch.tensor(tokens, device=model.device), places_B, seen_BL, store)
            places_B = places_B + 1
    return written


def _prefill(model: Model, ids_BP: Tensor, seen_BP: Tensor, store: KeyValues) -> Tensor:
    """Run the left-padded prompts; logits (B, V) of the last place."""
    places_BP = (seen_BP.long().cumsum(1) - 1).clamp(min=0)
    causal_PP = torch.ones(ids_BP.shape[1], ids_BP.shape[1], dtype=torch.bool, device=ids_BP.device).tril()
    itself_PP = torch.eye(ids_BP.shape[1], dtype=torch.bool, device=ids_BP.device)  # or padding would see nothing: NaN
    mask_B1PP = ((seen_BP[:, None, :] & causal_PP) | itself_PP)[:, None]
    return _forward(model, ids_BP, places_BP, mask_B1PP, store)


def _next(model: Model, token_B: Tensor, places_B: Tensor, seen_BL: Tensor, store: KeyValues) -> Tensor:
    """Run one token a question; logits (B, V)."""
    if model.fast is None:
        return _forward(model, token_B[:, None], places_B[:, None], seen_BL[:, None, None, :], store)
    hidden_BD = model.go_on(token_B, places_B, seen_BL, store)
    store.length += 1
    return model.logits(hidden_BD)


def _forward(model: Model, ids_BQ: Tensor, places_BQ: Tensor, mask_B1QL: Tensor, store: KeyValues) -> Tensor:
    out = model.base.get_decoder()(
        input_ids=ids_BQ, position_ids=places_BQ, attention_mask=mask_B1QL, past_key_values=store, use_cache=True,
        return_dict=True,
    )  # fmt: skip
    store.length += ids_BQ.shape[1]
    return model.logits(out.last_hidden_state[:, -1])


def choose(logits_BV: Tensor, courses: Sequence[Course], sampling: Sampling) -> list[int]:
    """The next token of each question: the likeliest, or one drawn from the nucleus (Holtzman et al. 2020)."""
    if sampling.temperature == 0:
        return [int(token) for token in logits_BV.argmax(-1)]
    probabilities_BV, tokens_BV = (logits_BV / sampling.temperature).softmax(-1).sort(-1, descending=True)
    sums_BV = probabilities_BV.cumsum(-1)
    # the nucleus: the likeliest tokens up to and including the one that reaches top_p
    size_B = (sums_BV < sampling.top_p).sum(-1).clamp(max=sums_BV.shape[1] - 1)
    chosen = []
    for row, course in enumerate(courses):
        drawn = course.draw.random() * float(sums_BV[row, size_B[row]])
        place = int(torch.searchsorted(sums_BV[row], torch.tensor(drawn, device=sums_BV.device)))
        chosen.append(int(tokens_BV[row, min(place, int(size_B[row]))]))
    return chosen
