"""From records to examples, with proof that each teaches its thought, its answer and the end token."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from buke.prompt.chat import Prompt
from buke.records import CLOSE, OPEN, Example, Finding, Record
from buke.words import Refusal, t

TOGETHER = 64  # records encoded at once


def build(
    prompt: Prompt, records: Iterable[Record], length: int, shorten: bool = False
) -> tuple[list[Example], list[Finding]]:
    """Every record as an Example that is proven to teach thought, answer and end token; findings for what is left out.

    A record longer than ``length`` tokens is left out, or shortened inside its thought where ``shorten`` asks for it.
    Raises Refusal naming the record where the proof fails: that is never a property of the data.
    """
    examples: list[Example] = []
    findings: list[Finding] = []
    for record, example in _encoded(prompt, records):
        if example is None:
            findings.append(Finding(record.source, "surrogate", t("prompt.surrogate"), t("prompt.surrogate_hint")))
            continue
        if prompt.style == "tutorial":
            examples.append(example)  # cut and padded by its own rule; nothing to prove
            continue
        prove(prompt, record, example)
        if len(example) > length:
            if not shorten or (cut := _shorten(prompt, record, length)) is None:
                message = t("prompt.overlong", tokens=len(example), length=length)
                findings.append(Finding(record.source, "overlong", message, t("prompt.overlong_hint")))
                continue
            example = cut
        examples.append(example)
    return examples, findings


def prove(prompt: Prompt, record: Record, example: Example) -> None:
    """Raise Refusal unless the prompt is whole and the learned ids are exactly thought, answer and end token.

    The learned control tokens are the thought's tags, where they are control tokens, and the end: each once, in order.
    """
    b0, control = example.bounds[0], prompt.tokens.control
    learned = [i for i, flag in zip(example.ids, example.learn, strict=True) if flag]
    text = prompt.tokens.decode(learned)
    wanted = prompt.completion_text(record)
    same = text == wanted or unicodedata.normalize("NFC", text) == unicodedata.normalize("NFC", wanted)
    tags = [CLOSE] if prompt.opened else [OPEN, CLOSE]
    known = set(control.values())
    controls = [i for i in learned if i in known] == [*(control[tag] for tag in tags if tag in control), prompt.end]
    asked = list(example.ids[:b0]) == prompt.prompt_ids(record.question, record.system, record.history)
    at_once = example.learn == (False,) * b0 + (True,) * (len(example) - b0)
    if not (same and asked and at_once and controls and learned[-1] == prompt.end):
        raise Refusal(t("prompt.unproven", source=record.source), t("prompt.unproven_hint"))


class Lengths(NamedTuple):
    """Tokens of a record and of its parts, before anything is cut. ``learned`` includes the end token."""

    source: str
    prompt: int
    thought: int
    answer: int
    learned: int
    all: int


def lengths(prompt: Prompt, records: Iterable[Record]) -> Iterator[Lengths]:
    """The lengths of records, in order, proven as in ``build``; those that no tokenizer takes are left out."""
    for record, made in _encoded(prompt, records):
        if made:
            prove(prompt, record, made)
            b0, b1, b2, b3 = made.bounds
            yield Lengths(record.source, b0, b1 - b0, b2 - b1, made.learned, b3)


def _encoded(prompt: Prompt, records: Iterable[Record]) -> Iterator[tuple[Record, Example | None]]:
    """Every record with its example, some at a time; None where no tokenizer takes its text."""
    remaining = iter(records)
    while some := list(islice(remaining, TOGETHER)):
        made = iter(prompt.examples([record for record in some if _is_text(record)]))
        for record in some:
            yield record, next(made) if _is_text(record) else None


def _is_text(record: Record) -> bool:
    """Whether a record has a UTF-8 form, which lone surrogates have not."""
    earlier = [text for turn in record.history for text in (turn.question, turn.thought, turn.answer)]
    try:
        "".join([record.system, record.question, record.thought, record.answer, *earlier]).encode()
    except UnicodeEncodeError:
        return False
    return True


def _shorten(prompt: Prompt, record: Record, length: int) -> Example | None:
    """The record with text taken out of the middle of its thought until it fits; None where that is too short."""
    kept = len(record.thought)
    while kept >= 32:
        shorter = replace(record, thought=_without_middle(record.thought, kept))
        example = prompt.example(shorter)
        if len(example) <= length:
            prove(prompt, shorter, example)
            return example
        kept = min(kept - 16, kept * length // len(example))
    return None


def _without_middle(text: str, kept: int) -> str:
    half = kept // 2
    return text if kept >= len(text) else f"{text[:half].rstrip()}\n…\n{text[-half:].lstrip()}"
