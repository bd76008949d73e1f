"""Room `intake`, shapes: a row's fields -> a Record, or findings that say what keeps it from being one.

Recognised without configuration: plain fields (Question / Complex_CoT / Response and their usual synonyms), alpaca,
GSM8K, dialogues with ``messages`` or ShareGPT ``conversations`` of one turn, and three unnamed columns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from buke.intake.formats import DIALOGUES, Raw, find, normal
from buke.records import CLOSE, OPEN, Finding, Record, Severity
from buke.words import t

# For each role the names it goes by, normalised, the likeliest first.
NAMES: dict[str, tuple[str, ...]] = {
    "question": ("question", "problem", "query", "instruction", "prompt", "input", "问题", "提问", "指令", "输入"),
    "thought": (
        "complex_cot", "thought", "thoughts", "thinking", "reasoning_content", "reasoning", "cot", "chain_of_thought",
        "message_thinking", "steps", "rationale", "思考过程", "思考", "思维链", "推理过程", "推理",
    ),
    "answer": (
        "response", "answer", "output", "solution", "message_content", "content", "completion",
        "回答", "答案", "回复", "输出",
    ),
    "system": ("system", "system_prompt"),
}  # fmt: skip
KNOWN = frozenset(name for names in NAMES.values() for name in names) | frozenset(DIALOGUES)
_GSM8K = re.compile(r"(.*?)\n####[ \t]*([^\n]+)\s*", re.DOTALL)
_CALCULATOR = re.compile(r"<<[^<>\n]*>>")
_SPEAKERS = {"human": "user", "gpt": "assistant", "bot": "assistant", "chatbot": "assistant", "model": "assistant"}
_TOOLS = ("tool", "function", "observation", "function_call", "tool_call", "tool_result", "tool_use", "ipython")
_TYPES = {bool: "boolean", int: "number", float: "number", list: "list", dict: "object", type(None): "null"}


class Fields(NamedTuple):
    """Field names the user gave; None where the name is to be recognised."""

    question: str | None = None
    thought: str | None = None
    answer: str | None = None

    @property
    def given(self) -> list[str]:
        """The names that were given."""
        return [name for name in self if name is not None]


class Roles(NamedTuple):
    """Which field of a row plays which role; None where there is none."""

    shape: str
    question: str | None = None
    thought: str | None = None
    answer: str | None = None
    system: str | None = None
    more: str | None = None  # alpaca's input, which belongs to the question
    turns: str | None = None
    ambiguous: tuple[tuple[str, str], ...] = ()  # (role, the fields that could play it)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a row says for each role, not yet looked at."""

    question: Any = None
    thought: Any = None
    answer: Any = None
    system: Any = None


@lru_cache(maxsize=1024)
def recognise(keys: tuple[str, ...], fields: Fields) -> Roles | None:
    """Which field plays which role, from the names alone; None where a question, or all else, is not to be found."""
    by_name: dict[str, str] = {}
    for key in keys:
        by_name.setdefault(normal(key), key)
    turns = next((by_name[name] for name in DIALOGUES if name in by_name), None)
    if turns and not fields.given:
        shape = "messages" if normal(turns) == "messages" else "sharegpt"
        return Roles(shape, turns=turns, system=by_name.get("system"))
    if keys == ("1", "2", "3") and not fields.given:
        return Roles("columns", "1", "3", "2")
    found: dict[str, list[str]] = {}
    for role, names in NAMES.items():
        given = getattr(fields, role, None)
        candidates = [by_name[name] for name in names if name in by_name and by_name[name] not in fields.given]
        found[role] = [given] if given is not None else candidates
    more = by_name.get("input")
    if fields.question is None and more in found["question"][1:] and normal(found["question"][0]) == "instruction":
        found["question"].remove(str(more))
    else:
        more = None
    question, thought, answer, system = (next(iter(found[role]), None) for role in NAMES)
    if question is None or (thought is None and answer is None):
        return None
    plain = not fields.given and thought is None and [normal(question), normal(answer or "")] == ["question", "answer"]
    shape = "alpaca" if normal(question) == "instruction" else "question/answer" if plain else "fields"
    ambiguous = tuple((role, ", ".join(keys)) for role, keys in found.items() if len(keys) > 1 and role != "system")
    return Roles(shape, question, thought, answer, system, more, ambiguous=ambiguous)


class Reading(NamedTuple):
    """What became of a row."""

    source: str
    record: Record | None
    findings: list[Finding]
    shape: str = ""
    roles: Roles | None = None


def record(raw: Raw, source: str, fields: Fields, empty: bool) -> Reading:
    """A row's record, or the findings against it. empty: a record may be without a thought."""
    if raw.finding or not isinstance(raw.value, dict):
        return Reading(source, None, [raw.finding] if raw.finding else [])
    value: dict[str, Any] = raw.value
    roles = recognise(tuple(value), fields)
    if roles is None:
        names = ", ".join(list(value)[:12]) or "–"
        return Reading(source, None, [find(source, "unknown_shape", names=names)])
    findings: list[Finding] = []
    parts = _dialogue(value, roles, source, findings) if roles.turns else _plain(value, roles, source, findings)
    if parts is None:
        return Reading(source, None, findings, roles.shape, roles)
    shape = roles.shape
    if shape == "question/answer" and isinstance(parts.answer, str) and (match := _GSM8K.fullmatch(parts.answer)):
        shape = "gsm8k"
        parts = replace(parts, thought=_CALCULATOR.sub("", match[1]), answer=match[2])
    return Reading(source, _finish(parts, source, empty, findings), findings, shape, roles)


def ambiguities(roles: Roles, source: str) -> list[Finding]:
    """A warning for each role that several fields could play."""
    return [
        find(source, "ambiguous", Severity.WARNING, role=t(f"intake.{role}"), role_name=role, names=names)
        for role, names in roles.ambiguous
    ]


def _plain(value: dict[str, Any], roles: Roles, source: str, findings: list[Finding]) -> Parts | None:
    """The parts of a row whose fields hold the roles directly."""
    history = value.get("history")
    if history and isinstance(history, list):  # alpaca's earlier turns, as pairs
        findings.append(find(source, "multi_turn", turns=2 * len(history) + 2))
        return None
    for role, key in (("question", roles.question), ("answer", roles.answer)):
        if key not in value:
            findings.append(find(source, "missing_field", role=t(f"intake.{role}")))
    question, thought, answer, system, more = (
        value.get(key) if key is not None else None
        for key in (roles.question, roles.thought, roles.answer, roles.system, roles.more)
    )
    if isinstance(question, str) and isinstance(more, str) and more.strip():
        question = f"{question}\n{more}"
    elif more is not None and not isinstance(more, str):
        question = more  # so that its type is refused
    return None if findings else Parts(question, thought, answer, system)


def _dialogue(value: dict[str, Any], roles: Roles, source: str, findings: list[Finding]) -> Parts | None:
    """The parts of a dialogue of one turn: an optional system message, the user, the assistant."""
    turns = value[roles.turns or ""]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        findings.append(find(source, "bad_turns", roles="–"))
        return None
    speakers = [str(turn.get("role", turn.get("from"))).lower() for turn in turns]
    speakers = [_SPEAKERS.get(speaker, speaker) for speaker in speakers]
    contents = [_content(turn) for turn in turns]
    body = speakers[1:] if speakers[:1] == ["system"] else speakers
    if any(speaker in _TOOLS for speaker in speakers) or any(kind == "tool" for kind, _, _ in contents):
        findings.append(find(source, "tool_use"))
    elif body != ["user", "assistant"]:
        several = len(body) > 2 and set(body) <= {"user", "assistant", "system"}
        shown = ", ".join(speakers[:8]) or "–"
        findings.append(find(source, "multi_turn" if several else "bad_turns", turns=len(body), roles=shown))
    elif any(kind == "other" for kind, _, _ in contents):
        findings.append(find(source, "bad_content"))
    if findings:
        return None
    if value.get("tools"):
        findings.append(find(source, "tools_ignored", Severity.WARNING))
    system = contents[0][2] if len(speakers) > len(body) else value.get(roles.system) if roles.system else None
    return Parts(contents[-2][2], contents[-1][1], contents[-1][2], system)


def _content(turn: dict[str, Any]) -> tuple[str, Any, Any]:
    """(kind, thought, text) of one turn; the kind is "text", "tool" for tool calls or "other" for media."""
    thought = next((turn[key] for key in NAMES["thought"] if turn.get(key)), None)
    content = turn.get("content", turn.get("value"))
    if turn.get("tool_calls") or turn.get("function_call"):
        return "tool", thought, content
    if not isinstance(content, list):
        return "text", thought, content
    pieces: dict[str, list[str]] = {"text": [], "thought": []}
    for block in content:
        kind = str(block.get("type")) if isinstance(block, dict) else "other"
        if kind in _TOOLS:
            return "tool", thought, None
        role = "thought" if kind in ("reasoning", "thinking") else "text" if kind.endswith("text") else ""
        keys = ("value", "text", "content", kind)
        text = next((block[key] for key in keys if isinstance(block.get(key), str)), None) if role else None
        if text is None:
            return "other", thought, None
        pieces[role].append(text)
    return "text", "\n".join(pieces["thought"]) or thought, "\n".join(pieces["text"])


def _finish(parts: Parts, source: str, empty: bool, findings: list[Finding]) -> Record | None:
    """The record of the parts, with every reason against it in findings."""
    thought, answer = parts.thought, parts.answer
    without = thought is None or (isinstance(thought, str) and not thought.strip())
    if without and isinstance(answer, str) and answer.lstrip().startswith(OPEN) and CLOSE in answer:
        thought, _, answer = answer.lstrip()[len(OPEN) :].partition(CLOSE)
    elif isinstance(thought, str) and thought.strip().startswith(OPEN) and thought.strip().endswith(CLOSE):
        thought = thought.strip()[len(OPEN) : -len(CLOSE)]
    before = len(findings)
    _text(parts.question, "question", source, findings)
    if thought is None or (isinstance(thought, str) and not thought.strip()):
        thought = ""
        if not empty:
            findings.append(find(source, "no_thought"))
    else:
        _text(thought, "thought", source, findings)
    _text(answer, "answer", source, findings)
    system = "" if parts.system is None else parts.system
    if system != "":
        _text(system, "system", source, findings)
    if len(findings) > before:
        return None
    return Record.make(parts.question, thought.strip(), answer.strip(), source, system)


def _text(value: Any, role: str, source: str, findings: list[Finding]) -> None:
    """Add what is wrong with a text: null, of another type, empty, half a character, or holding a think tag."""
    shown = t(f"intake.{role}")
    if not isinstance(value, str):
        kind = "null_field" if value is None else "wrong_type"
        findings.append(find(source, kind, role=shown, type=t(f"intake.type_{_TYPES[type(value)]}")))
    elif not value.strip() and role != "system":
        findings.append(find(source, "empty_field", role=shown))
    else:
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            findings.append(find(source, "surrogate", role=shown))
        tag = CLOSE if CLOSE in value else OPEN if OPEN in value else ""
        if tag and role in ("thought", "answer"):
            findings.append(find(source, "think_tag", role=shown, tag=tag))
