"""Room `intake`, lesson: exchanges of question, thought and answer -> Records, or findings against them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from buke.intake.formats import Fault, find
from buke.intake.mapping import MISSING, Options
from buke.records import Finding, Record, Turn
from buke.words import t

# A tag around a thought, in any case and with blanks inside: (the slash of a closing tag, its name)
TAG = re.compile(r"<[ \t]{0,2}(/?)[ \t]{0,2}(think|thinking|reasoning|thought)[ \t]{0,2}>", re.IGNORECASE)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
MOST_TURNS = 1000  # of a dialogue: each gives a record with all before it, so the tokens grow with their square
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
    if is_nothing(thought):
        thought, answer = _parted(answer, number, source, findings)
    elif isinstance(thought, str):
        thought = _bare(thought.strip())
    _check(question, "question", number, source, findings)
    if thought != "":
        _check(thought, "thought", number, source, findings)
    _check(answer, "answer", number, source, findings)
    if not isinstance(thought, str) or not isinstance(answer, str):
        return question, "?", answer  # there is a finding against it; the thought counts as one
    return question, thought, answer.strip()


def is_nothing(thought: Any) -> bool:
    """Whether a value says that there is no thought: none at all, null, blanks, or a list or object with nothing in it.

    Any other value that is no text (0, false) is one of the wrong type.
    """
    if isinstance(thought, str):
        return not thought or thought.isspace()
    return thought is None or thought is MISSING or (isinstance(thought, (list, dict)) and not thought)


def _parted(answer: Any, number: int, source: str, findings: list[Finding]) -> tuple[str, Any]:
    """(thought, answer) of an answer that may begin with its thought inside tags."""
    if isinstance(answer, str) and (body := answer.lstrip())[:1] == "<" and (opening := TAG.match(body)):
        name = opening[2].lower()
        same = [match for match in TAG.finditer(body, opening.end()) if match[2].lower() == name]
        closing = next((match for match in same if match[1]), None)
        if opening[1] or closing is None:
            return "", answer  # the tag is found where the answer is looked at
        if len(same) > 1 and name != "think":
            findings.append(find(source, "think_tag", role=t("intake.answer"), tag=opening[0], where=_where(number)))
            return "?", "?"
        return _bare(body[opening.end() : closing.start()].strip()), body[closing.end() :]
    return "", answer


def _bare(thought: str) -> str:
    """A thought without the tags around it; as it is where they are not one pair."""
    while thought[:1] == "<" and (opening := TAG.match(thought)) and not opening[1]:
        same = [match for match in TAG.finditer(thought) if match[2].lower() == opening[2].lower()]
        if len(same) != 2 or not same[1][1] or same[1].end() < len(thought):
            break
        thought = thought[opening.end() : same[1].start()].strip()
    return thought


def stray_tag(text: str) -> str:
    """A tag that says where a thought begins or ends and stands in a text for which that is settled; "" for none.

    That is any <think> or </think>. Of the other tags, which are also words of prose and of code, it is one at the
    very beginning, and a closing one outside of `code` that nothing before it has opened.
    """
    found = list(TAG.finditer(text))
    thinks = [match for match in found if match[2].lower() == "think"]
    if thinks:
        return next((match[0] for match in thinks if match[1]), thinks[0][0])
    if found and not text[: found[0].start()].strip():
        return found[0][0]
    depth = dict.fromkeys(("thinking", "reasoning", "thought"), 0)
    for match in TAG.finditer(_CODE.sub("", text)) if found else ():
        depth[match[2].lower()] += -1 if match[1] else 1
        if depth[match[2].lower()] < 0:
            return match[0]
    return ""


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
    if not kind and "<" in value and role in ("thought", "answer") and (tag := stray_tag(value)):
        kind = "think_tag"
    if kind:
        shown = t(f"intake.type_{_TYPES.get(type(value), 'other')}") if kind == "wrong_type" else str(value)[:40]
        where = _where(number)
        findings.append(find(source, kind, role=t(f"intake.{role}"), type=shown, tag=tag, where=where))


def _where(number: int) -> str:
    """Which turn of a dialogue is meant; "" outside of one."""
    return t("intake.of_turn", turn=number) if number else ""
