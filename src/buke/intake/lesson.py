"""Room `intake`, lesson: exchanges of question, thought and answer -> Records, or findings against them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from buke.intake.formats import Fault, find
from buke.intake.mapping import MISSING, Options
from buke.records import CLOSE, OPEN, Finding, Record, Turn
from buke.words import t

TAGS = tuple((f"<{name}>", f"</{name}>") for name in ("think", "thinking", "reasoning", "thought"))
MOST_TURNS = 1000  # of a dialogue: each gives a record with all before it, so the work grows with their square
_TYPES = {
    bool: "boolean", int: "number", float: "number", list: "list", dict: "object", type(None): "null",
}  # fmt: skip


class Exchange(NamedTuple):
    """What a row says for one question, not yet looked at. MISSING where it says nothing."""

    question: Any
    thought: Any
    answer: Any


def lessons(
    exchanges: Sequence[Exchange], system: Any, source: str, options: Options, findings: list[Finding]
) -> tuple[Record, ...]:
    """The records of a dialogue, oldest first; of one exchange, one record.

    A fault in a text leaves out the whole dialogue, for every text is also the history of what follows. A turn
    without a thought is left out alone, unless the options allow it. Everything is added to findings.
    """
    count = len(exchanges)
    if count > MOST_TURNS:
        findings.append(find(source, "too_many_turns", turns=count, most=MOST_TURNS))
        return ()
    before = len(findings)
    if system is None or system is MISSING:
        system = ""
    elif system != "":
        _check(system, "system", 0, source, findings)
    turns = [
        _turn(exchange, number if count > 1 else 0, source, findings) for number, exchange in enumerate(exchanges, 1)
    ]
    sound = len(findings) == before
    records: list[Record] = []
    history: tuple[Turn, ...] = ()
    for number, (question, thought, answer) in enumerate(turns, 1):
        if number == count or options.turns == "every":
            if not thought and not options.empty:
                findings.append(find(source, "no_thought", where=_where(number if count > 1 else 0)))
            elif sound:
                records.append(Record.make(question, thought, answer, source, system, history))
        if number < count and sound:
            history += (Turn(question, thought if options.earlier_thoughts == "keep" else "", answer),)
    return tuple(records)


def _turn(exchange: Exchange, number: int, source: str, findings: list[Finding]) -> tuple[str, str, str]:
    """The texts of one exchange, the thought taken out of its tags, with what is wrong added to findings."""
    question, thought, answer = exchange
    if thought is None or thought is MISSING or (isinstance(thought, str) and not thought.strip()):
        thought, answer = _parted(answer, number, source, findings)
    elif isinstance(thought, str):
        thought = _bare(thought.strip())
    _check(question, "question", number, source, findings)
    if thought:
        _check(thought, "thought", number, source, findings)
    _check(answer, "answer", number, source, findings)
    if not isinstance(thought, str) or not isinstance(answer, str):
        return question, "?", answer  # there is a finding against it; the thought counts as one
    return question, thought, answer.strip()


def _parted(answer: Any, number: int, source: str, findings: list[Finding]) -> tuple[str, Any]:
    """(thought, answer) of an answer that may begin with its thought inside tags."""
    if isinstance(answer, str) and (body := answer.lstrip())[:1] == "<":
        for opening, closing in TAGS:
            if body.startswith(opening):
                thought, closed, rest = body[len(opening) :].partition(closing)
                left = thought + rest
                if opening != OPEN and (not closed or opening in left or closing in left):
                    shown, where = t("intake.answer"), _where(number)
                    findings.append(find(source, "think_tag", role=shown, tag=opening, where=where))
                return (thought.strip(), rest) if closed else ("", answer)
    return "", answer


def _bare(thought: str) -> str:
    """A thought without the tags around it."""
    if thought[:1] == "<":
        for opening, closing in TAGS:
            if thought.startswith(opening) and thought.endswith(closing):
                return thought[len(opening) : -len(closing)].strip()
    return thought


def _check(value: Any, role: str, number: int, source: str, findings: list[Finding]) -> None:
    """Add what is wrong with a text: missing, null, of another type, empty, half a character, or with a think tag."""
    kind = tag = ""
    if not isinstance(value, str):
        kind = "missing_field" if value is MISSING else "null_field" if value is None else "wrong_type"
        kind = value.kind if isinstance(value, Fault) else kind
    elif not value or value.isspace():
        kind = "" if role == "system" else "empty_field"
    elif not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            kind = "surrogate"
    if not kind and "think>" in value and role in ("thought", "answer"):
        tag = CLOSE if CLOSE in value else OPEN if OPEN in value else ""
        kind = "think_tag" if tag else ""
    if kind:
        shown = t(f"intake.type_{_TYPES.get(type(value), 'other')}") if kind == "wrong_type" else str(value)[:40]
        where = _where(number)
        findings.append(find(source, kind, role=t(f"intake.{role}"), type=shown, tag=tag, where=where))


def _where(number: int) -> str:
    """Which turn of a dialogue is meant; "" outside of one."""
    return t("intake.of_turn", turn=number) if number else ""
