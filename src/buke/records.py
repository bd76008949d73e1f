"""Room `records`: the things that travel through the rooms, each with a name and a shape.

line of a file -> Record -> Example -> Row -> Step -> Answer -> Judged
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

OPEN, CLOSE = "<think>", "</think>"  # what stands around a thought, in the user's files and for the model


class Ending(str, Enum):
    """How a generated answer ended."""

    STOPPED = "stopped"  # the model wrote its end token
    CUT_ANSWER = "cut_answer"  # the token limit came inside the answer
    CUT_THOUGHT = "cut_thought"  # the token limit came inside the thought and no answer was asked for


class Verdict(str, Enum):
    """How an answer was judged. No answer is not a wrong answer, and what cannot be judged is neither."""

    RIGHT = "right"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    UNSCORED = "unscored"


class Severity(str, Enum):
    """What a finding does to its record."""

    ERROR = "error"  # the record is left out
    WARNING = "warning"  # the record is kept


class _Hashed:
    """Room for the hashes of a turn, which stands in the history of every later turn and is hashed once."""

    __slots__ = ("_hashes",)
    _hashes: tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Turn(_Hashed):
    """An earlier exchange of a dialogue. The thought is "" where it is not sent back to the model."""

    question: str
    thought: str
    answer: str

    @property
    def hashes(self) -> tuple[int, str, str]:
        """The number of the question, and content_id of question and answer and of all three texts."""
        try:
            return self._hashes
        except AttributeError:
            question, thought, answer = self.question, self.thought, self.answer
            made = (number(question), content_id(question, answer), content_id(question, thought, answer))
            object.__setattr__(self, "_hashes", made)  # which its texts alone decide, so that it stays unchangeable
            return made


@dataclass(frozen=True, slots=True)
class Record:
    """One lesson: a question, the thought that leads from it, and the answer. Text is exactly the user's."""

    id: str  # content_id of question, thought and answer, and of history and system message where there are any
    question: str
    thought: str
    answer: str
    source: str  # "file:line"; for a JSON array, the line on which the record begins
    system: str = ""
    history: tuple[Turn, ...] = ()  # the exchanges before the question, oldest first; part of the prompt

    @classmethod
    def make(
        cls, question: str, thought: str, answer: str, source: str, system: str = "", history: tuple[Turn, ...] = ()
    ) -> Record:
        """A record with its id computed."""
        more = [turn.hashes[2] for turn in history]
        if system:
            more.append(f"system {same_again(system)}")  # not to be taken for a turn
        return cls(content_id(question, thought, answer, *more), question, thought, answer, source, system, history)

    @classmethod
    def read(cls, line: dict[str, Any]) -> Record:
        """A record from a line of held-out.jsonl."""
        return cls(**line | {"history": tuple(Turn(**turn) for turn in line.get("history", ()))})


def number(text: str) -> int:
    """64 bits that stand for a text: the first 8 bytes of its SHA-256."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def content_id(*parts: str) -> str:
    """Sixteen hex digits of SHA-256 over the parts, each preceded by its length in bytes (lone surrogates kept)."""
    pieces: list[bytes] = []
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        pieces += (len(data).to_bytes(8, "little"), data)
    return hashlib.sha256(b"".join(pieces)).hexdigest()[:16]  # one call: an update for each costs more than the joining


same_again = lru_cache(maxsize=1)(content_id)  # a system message is that of a whole dialogue, or of a whole file


@dataclass(frozen=True, slots=True)
class Finding:
    """Something intake saw: where, what, and how to mend it."""

    source: str  # "file:line"
    kind: str  # a stable name such as "missing_field"
    message: str  # one sentence, in the user's language
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.source}: {self.message}" + (f" ({self.hint})" if self.hint else "")


@dataclass(frozen=True, slots=True)
class Example:
    """A record as token ids, with the mask of what is learned.

    ids, learn: length T; tuples, or views of the file they are kept in.
    learn[i] is True where token i is a target of the loss.
    bounds: ends of the four parts, so that ids[:b0] is the prompt, ids[b0:b1] the thought with its tags,
    ids[b1:b2] the answer, ids[b2:b3] the end token; b3 == T.
    """

    id: str
    source: str
    ids: Sequence[int]
    learn: Sequence[bool]
    bounds: tuple[int, int, int, int]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def learned(self) -> int:
        """How many tokens the loss counts."""
        return bytes(self.learn).count(1)


@dataclass(frozen=True, slots=True)
class Row:
    """Examples laid end to end, without padding. Example i occupies ids[starts[i]:starts[i + 1]]."""

    examples: tuple[Example, ...]

    @property
    def starts(self) -> tuple[int, ...]:
        """Offsets of the examples, with the row's length as the last."""
        offsets = [0]
        for example in self.examples:
            offsets.append(offsets[-1] + len(example))
        return tuple(offsets)

    def __len__(self) -> int:
        return sum(len(example) for example in self.examples)


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step, as it stands in steps.jsonl. The loss travels as a sum and a count."""

    step: int  # counted from 1
    epoch: float  # of the records seen after this step
    loss_sum: float | None  # nats over the learned tokens; None where it was not finite
    tokens: int  # learned tokens of this step
    all_tokens: int  # tokens computed, prompts included
    learning_rate: float
    grad_norm: float | None  # before clipping; None where it was not finite
    seconds: float
    skipped: str = ""  # why the step was not taken, naming the record; empty when it was

    @property
    def loss(self) -> float | None:
        """Nats per learned token."""
        return None if self.loss_sum is None else self.loss_sum / max(self.tokens, 1)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One scoring of the held-out part, as it stands in eval.jsonl."""

    step: int  # steps taken before this scoring; 0 is the base model, or the earlier run's adapter
    loss_sum: float | None  # None where it was not finite
    tokens: int
    chars: int  # of the thoughts and answers scored: a loss per character compares across text formats
    seconds: float
    best: bool = False
    earlier_loss_sum: float | None = None  # of the held-out part of the run that this one goes on from
    earlier_tokens: int = 0  # 0 where it goes on from none

    @property
    def loss(self) -> float | None:
        """Nats per learned token."""
        return None if self.loss_sum is None else self.loss_sum / max(self.tokens, 1)

    @property
    def earlier_loss(self) -> float | None:
        """The same over the held-out part of the earlier run."""
        return None if self.earlier_loss_sum is None else self.earlier_loss_sum / max(self.earlier_tokens, 1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said to one question."""

    id: str  # of the Record
    thought: str
    text: str  # the answer proper, after the thought
    ending: Ending
    closed: bool  # the model closed its thought by itself
    forced: bool  # the thought budget ran out, so we closed the thought and asked for the answer
    thought_tokens: int
    answer_tokens: int
    seconds: float  # from the start of its batch until it ended


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer and what was found about it: one line of answers-before.jsonl or answers-after.jsonl."""

    answer: Answer
    verdict: Verdict
    looped: bool
    tone: float  # likeness to the user's own responses, 0 to 1
    held_out_loss_sum: float | None  # of the record's own thought and answer, nats
    held_out_tokens: int
