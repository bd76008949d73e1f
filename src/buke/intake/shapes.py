"""Room `intake`, shapes: a row's fields -> Records, or findings that say what keeps it from giving any.

Recognised without configuration: plain fields (Question / Complex_CoT / Response and their usual synonyms), alpaca
with its history, GSM8K, dialogues with ``messages`` or ShareGPT ``conversations``, multiple choice, and three unnamed
columns. Everything else is said with ``--map``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from buke.intake import dialogue
from buke.intake.choices import Choice, Counted, choose, find_choice
from buke.intake.formats import DIALOGUES, Raw, find, normal
from buke.intake.inside import apart
from buke.intake.lesson import Exchange, lessons
from buke.intake.mapping import MISSING, Expression, Options, lacking, parse, suggest
from buke.intake.names import NAMES, REMEMBERED, TRAJECTORIES
from buke.records import Finding, Record, Severity
from buke.words import t

_CALCULATOR = re.compile(r"<<[^<>\n]*>>")
Place = str | Expression | None  # where a role stands: in a field, or where the user said; None where nowhere


class Roles(NamedTuple):
    """Which field of a row plays which role."""

    shape: str
    question: Place = None
    thought: Place = None
    answer: Place = None
    system: Place = None
    more: str | None = None  # alpaca's input, which belongs to the question
    turns: str | None = None
    history: str | None = None
    choice: Choice | None = None
    ambiguous: tuple[tuple[str, str], ...] = ()  # (role, the fields that could play it)


def recognise(keys: tuple[str, ...], options: Options) -> Roles | None:
    """Which field plays which role, from the names alone; None where a question, or all else, is not to be found."""
    return (_recognise if len(keys) <= REMEMBERED else _recognise.__wrapped__)(keys, options)


@lru_cache(maxsize=256)
def _recognise(keys: tuple[str, ...], options: Options) -> Roles | None:
    by_name: dict[str, str] = {}
    for key in keys:
        by_name.setdefault(normal(key), key)
    given = {role: parse(text, keys) for role, text in options.given.items()}
    plain = not given.keys() - {"system"}
    if plain and (turns := next((by_name[name] for name in DIALOGUES if name in by_name), None)):
        shape = "messages" if normal(turns) == "messages" else "sharegpt"
        return Roles(shape, turns=turns, system=given.get("system") or by_name.get("system"))
    if plain and len(keys) == 3 and {*keys} == {"1", "2", "3"}:  # in the order question, answer, thought
        return Roles("columns", keys[0], keys[2], keys[1], given.get("system"))
    used = {steps[0] for expression in given.values() for steps in expression.paths}
    found: dict[str, list[Any]] = {
        role: [given[role]] if role in given else [by_name[n] for n in names if n in by_name and by_name[n] not in used]
        for role, names in NAMES.items()
    }
    if _is_worked(found, by_name):
        found["thought"], found["answer"] = [by_name["solution"]], [by_name["answer"]]
    more = by_name.get("input")
    if more in found["question"][1:] and normal(found["question"][0]) == "instruction":
        found["question"].remove(more)
    else:
        more = None
    question, thought, answer, system = (next(iter(found[role]), None) for role in NAMES)
    choice = None if given.keys() & {"question", "answer"} else find_choice(by_name)
    if choice and choice.explanation in used:
        choice = choice._replace(explanation=None)
    if question is None or (thought is None and answer is None and not (choice and choice.key)):
        return None
    shape = "choices" if choice else _shape(question, thought, answer) if plain else "map"
    ambiguous = tuple((role, ", ".join(keys)) for role, keys in found.items() if len(keys) > 1 and role != "system")
    return Roles(
        shape, question, thought, answer, system, more, None, by_name.get("history"), choice, ambiguous
    )  # fmt: skip


def _is_worked(found: dict[str, list[Any]], by_name: dict[str, str]) -> bool:
    """Whether a problem has a worked solution beside its answer, and nothing else that could be the thought."""
    if found["thought"] or "problem" not in by_name or "generations" in by_name:
        return False
    return found["answer"] == [by_name.get("answer"), by_name.get("solution")]


def _shape(question: str, thought: str | None, answer: str | None) -> str:
    """The name of a shape of plain fields."""
    if normal(question) == "instruction":
        return "alpaca"
    return (
        "question/answer"
        if (normal(question), thought, normal(answer or "")) == ("question", None, "answer")
        else "fields"
    )


class Reading(NamedTuple):
    """What became of a row: of a dialogue, a record for each of its turns that is learned."""

    source: str
    records: tuple[Record, ...]
    findings: list[Finding]
    shape: str = ""
    roles: Roles | None = None
    counted: Counted = ""  # what its choice tells of where a file's choices count from
    rows: int = 1  # of the file that it stands for: several where they cannot be told apart


def records(raw: Raw, source: str, options: Options) -> Reading:
    """A row's records, and the findings against it."""
    value = raw.value
    if raw.finding or not isinstance(value, dict):
        return Reading(source, (), [raw.finding] if raw.finding else [], rows=raw.rows)
    roles = recognise(tuple(value), options)
    if roles is None:
        return Reading(source, (), [_unknown(value, source)])
    findings: list[Finding] = []
    counted: Counted = ""
    system = None if roles.system is None else _at(value, roles.system)
    if roles.turns:
        shape = roles.shape
        made, own = dialogue.exchanges(value[roles.turns], source, findings)
        if made:
            dialogue.tools_left_out(value, source, findings)
        system = system if own is None else own
    else:
        made, shape, counted = _plain(value, roles, source, findings, options.first or 0)
    if not made:
        return Reading(source, (), findings, shape, roles, counted)
    question, thought, answer = made[-1]
    if type(question) is not str or type(answer) is not str:
        made[-1] = made[-1] if roles.turns else _numbers_written(made[-1], source, findings)
    if not thought or type(thought) is not str or len(made) > 1:
        made = [apart(exchange, source, findings) for exchange in made]
    learned = lessons(made, system, source, options, findings)
    if not learned and not roles.turns:
        findings = [_with_place(finding, value, roles) for finding in findings]
    return Reading(source, learned, findings, shape, roles, counted)


def _numbers_written(exchange: Exchange, source: str, findings: list[Finding]) -> Exchange:
    """An exchange whose question or answer was a plain number, as text; with a warning."""
    for role in ("question", "answer"):
        value = getattr(exchange, role)
        # 1e22 and what JSON cannot hold are not as the file has them
        if type(value) in (int, float) and re.fullmatch(r"-?\d+(\.\d+)?", shown := str(value)):
            findings.append(find(source, "number_as_text", Severity.WARNING, role=t(f"intake.{role}"), shown=shown))
            exchange = exchange._replace(**{role: shown})
    return exchange


def _with_place(finding: Finding, value: dict[str, Any], roles: Roles) -> Finding:
    """A finding that a thought or answer is not there, with the unused fields that may hold it."""
    role = "thought" if finding.kind == "no_thought" else "answer"
    if finding.kind not in ("no_thought", "missing_field") or (role == "answer" and roles.answer is not None):
        return finding
    used = {key for key in roles if isinstance(key, str)} | {*(roles.choice.options if roles.choice else ())}
    used |= {str(steps[0]) for key in roles if isinstance(key, Expression) for steps in key.paths}
    used |= {roles.choice.key} if roles.choice and roles.choice.key else set()
    names, suggestion = lacking(value, role, used)
    if not names:
        return finding
    shown = ", ".join(names[:12])[:300]
    return replace(finding, hint=t("intake.perhaps_in", names=shown, suggestion=suggestion, hint=finding.hint))


def ambiguities(roles: Roles, source: str) -> list[Finding]:
    """A warning for each role that several fields could play."""
    return [
        find(source, "ambiguous", Severity.WARNING, role=t(f"intake.{role}"), role_name=role, names=names)
        for role, names in roles.ambiguous
    ]


def _unknown(value: dict[str, Any], source: str) -> Finding:
    """The finding for a row without a shape, with a --map that may fit it."""
    by_name = {normal(key): key for key in list(value)[:REMEMBERED]}
    if {"chosen", "rejected"} <= by_name.keys():
        question = next((by_name[name] for name in NAMES["question"] if name in by_name), "…")
        chosen = by_name["chosen"] + ("[-1].content" if isinstance(value[by_name["chosen"]], list) else "")
        return find(source, "preference_pair", question=question, answer=chosen)
    names = ", ".join(list(value)[:12])[:300] or "–"
    suggestion = suggest(value) or "--map question=… thought=… answer=…"
    return find(source, "unknown_shape", names=names, suggestion=suggestion)


def _at(value: dict[str, Any], place: Place) -> Any:
    """What a row has in a place, MISSING where it has none."""
    if type(place) is str:
        return value.get(place, MISSING)
    return MISSING if place is None else place.of(value)  # type: ignore[union-attr]


def _plain(
    value: dict[str, Any], roles: Roles, source: str, findings: list[Finding], first: int
) -> tuple[list[Exchange], str, Counted]:  # fmt: skip
    """(the exchanges, the shape, what its choice counts) of a row whose fields hold the roles directly."""
    shape = roles.shape
    counted: Counted = ""
    question, thought, answer = _at(value, roles.question), _at(value, roles.thought), _at(value, roles.answer)
    if isinstance(thought, list) and len(thought) == 1 and roles.thought in TRAJECTORIES:
        thought = thought[0]
    if roles.more is not None and (more := value[roles.more]) is not None:
        if not isinstance(more, str):
            question = more  # so that its type is refused
        elif isinstance(question, str) and more.strip():
            question = f"{question}\n{more}"
    if roles.choice:
        own = None if answer is MISSING else answer
        before = len(findings)
        chosen = choose(value, roles.choice, question, own, source, findings, first)
        counted = chosen.counted if chosen else ""
        if len(findings) > before:
            return [], shape, counted
        if chosen:
            question, answer = chosen.question, chosen.answer
            shape = f"choices (from {first})" if counted else shape
        else:
            shape = "fields"
    elif shape == "question/answer" and isinstance(answer, str) and "####" in answer:
        head, mark, last = f"\n{answer}".rpartition("\n####")
        if mark and (last := last.strip()) and "\n" not in last:
            shape, thought, answer = "gsm8k", _CALCULATOR.sub("", head), last
    history = value.get(roles.history) if roles.history else None
    if history and isinstance(history, list):
        earlier = dialogue.earlier(history, source, findings)
        return [*earlier, Exchange(question, thought, answer)] if earlier else [], shape, counted
    return [Exchange(question, thought, answer)], shape, counted
