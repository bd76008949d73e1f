"""Room `intake`, dialogue: a list of turns -> exchanges of question, thought and answer.

``messages`` (role, content) and ShareGPT ``conversations`` (from, value), with an optional system message, then user
and assistant in turn; and alpaca's ``history`` of pairs. A dialogue with tool calls is refused whole: the calls and
their results are part of what the model saw, and leaving them out would teach it to make the results up.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from buke.intake.formats import find, normal
from buke.intake.lesson import Exchange, is_nothing
from buke.intake.mapping import MISSING
from buke.intake.names import NAMES, REMEMBERED
from buke.records import Finding, Severity

_SPEAKERS = {
    "human": "user", "用户": "user", "gpt": "assistant", "bot": "assistant", "chatbot": "assistant",
    "model": "assistant", "助手": "assistant", "developer": "system", "系统": "system",
}  # fmt: skip
_TOOLS = ("tool", "function", "observation", "function_call", "tool_call", "tool_result", "tool_use", "ipython")
_CALLS = ("tool_calls", "function_call")
# How calls and results are written into the text itself: a call ends its turn, a result begins the next one.
_CALL_ENDS = ("</tool_call>", "</tool_calls>", "</function_call>", "<|tool_calls_section_end|>", "<｜tool▁calls▁end｜>")
_RESULT_BEGINS = ("<tool_response>", "<tool_result>", "<function_response>", "<function_results>")
_CALL_EDGES = "<> \n\r\t"  # what a call can end with and a result begin with, to tell most texts apart at once
_THOUGHTS = ("reasoning", "thinking", "thought")  # types of blocks
SHOWN = 8  # speakers listed in a message


class _Names(NamedTuple):
    """Which field of a turn plays which role."""

    speaker: str | None
    content: str | None
    thoughts: tuple[str, ...]  # the likeliest first
    calls: tuple[str, ...]


def _names(turn: dict[str, Any]) -> _Names:
    return (_find_names if len(turn) <= REMEMBERED else _find_names.__wrapped__)(tuple(turn))


@lru_cache(maxsize=256)
def _find_names(keys: tuple[str, ...]) -> _Names:
    by_name: dict[str, str] = {}
    for key in keys:
        by_name.setdefault(normal(key), key)
    speaker, content = (
        next((by_name[name] for name in names if name in by_name), None)
        for names in (("role", "from"), ("content", "value"))
    )
    thoughts = tuple(by_name[name] for name in NAMES["thought"] if name in by_name)
    return _Names(speaker, content, thoughts, tuple(by_name[name] for name in _CALLS if name in by_name))


def exchanges(value: Any, source: str, findings: list[Finding]) -> tuple[list[Exchange], Any]:
    """(the exchanges of a list of turns, its system message or None); no exchange where there is a finding."""
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        findings.append(find(source, "bad_turns", roles="–"))
        return [], None
    names = [_names(turn) for turn in value]
    speakers = [_speaker(turn, each) for turn, each in zip(value, names, strict=True)]
    contents = [_content(turn, each) for turn, each in zip(value, names, strict=True)]
    start = 1 if speakers[:1] == ["system"] else 0
    body = speakers[start:]
    if _has_tools(speakers, contents):
        findings.append(find(source, "tool_use"))
    elif not body or body != ["user", "assistant"] * (len(body) // 2):
        shown = ", ".join(speakers[:SHOWN]) + (" …" if len(speakers) > SHOWN else "")
        findings.append(find(source, "bad_turns", roles=shown or "–"))
    elif any(kind == "other" for kind, _, _ in contents):
        findings.append(find(source, "bad_content"))
    else:
        said = contents[start + 1 :: 2]
        _warn_of_second_thoughts([thoughts for _, thoughts, _ in said], source, findings)
        made = [
            Exchange(question, thoughts[0][1] if thoughts else None, answer)
            for (_, _, question), (_, thoughts, answer) in zip(contents[start::2], said, strict=True)
        ]
        return made, contents[0][2] if start else None
    return [], None


def _speaker(turn: dict[str, Any], names: _Names) -> str:
    """Who speaks, under the name of a role of ``messages`` where it is known."""
    speaker = turn[names.speaker] if names.speaker else None
    speaker = speaker.lower()[:40] if isinstance(speaker, str) else "?"
    return _SPEAKERS.get(speaker, speaker)


def _content(turn: dict[str, Any], names: _Names) -> tuple[str, list[tuple[str, Any]], Any]:
    """(kind, thoughts as pairs of a name and a value, text) of one turn.

    The kind is "text", "tool" for tool calls or "other" for media. The first thought is the one that is taken.
    """
    thoughts = [(key, turn[key]) for key in names.thoughts if not is_nothing(turn[key])]
    content = MISSING if names.content is None else turn[names.content]
    if any(turn[key] for key in names.calls):
        return "tool", thoughts, content
    if not isinstance(content, list):
        return "text", thoughts, content
    pieces: dict[str, list[str]] = {"text": [], "thought": []}
    named = ""
    for block in content:
        kind = str(block.get("type")) if isinstance(block, dict) else "other"
        if kind in _TOOLS:
            return "tool", thoughts, None
        role = "thought" if kind in _THOUGHTS else "text" if kind.endswith("text") else ""
        keys = ("value", "text", "content", kind)
        text = next((block[key] for key in keys if isinstance(block.get(key), str)), None) if role else None
        if text is None:
            return "other", thoughts, None
        pieces[role].append(text)
        named = kind if role == "thought" else named
    if thought := "\n".join(pieces["thought"]):
        thoughts.insert(0, (f"{names.content}: {named}", thought))
    return "text", thoughts, "\n".join(pieces["text"])


def _warn_of_second_thoughts(turns: list[list[tuple[str, Any]]], source: str, findings: list[Finding]) -> None:
    """Warn, once for a dialogue, of a turn that has two thoughts which differ. turns: the thoughts of each answer."""
    for number, thoughts in enumerate(turns, 1):
        if len(thoughts) > 1:
            values = [value.strip() if isinstance(value, str) else value for _, value in thoughts]
            if any(value != values[0] for value in values[1:]):
                shown = ", ".join(name for name, _ in thoughts)
                findings.append(find(source, "second_thought", Severity.WARNING, turn=number, names=shown))
                return


def other_fields(turns: list[dict[str, Any]]) -> list[str]:
    """What the turns of a dialogue hold beside what is read of them, by name."""
    found: dict[str, None] = {}
    for turn in turns:
        names = _names(turn)
        used = {names.speaker, names.content, *names.thoughts, *names.calls}
        found |= {key: None for key, value in turn.items() if key not in used and value not in (None, "")}
    return list(found)


def _has_tools(speakers: list[str], contents: list[tuple[str, Any, Any]]) -> bool:
    """Whether a turn is a tool call, or a tool's result, be it written as text."""
    for speaker, (kind, _, text) in zip(speakers, contents, strict=True):
        if kind == "tool" or speaker in _TOOLS:
            return True
        if type(text) is not str:
            continue
        if speaker == "assistant":
            if text[-1:] in _CALL_EDGES and text[-60:].rstrip().endswith(_CALL_ENDS):
                return True
        elif text[:1] in _CALL_EDGES and text[:60].lstrip().startswith(_RESULT_BEGINS):
            return True
    return False


def earlier(history: list[Any], source: str, findings: list[Finding]) -> list[Exchange]:
    """Alpaca's earlier turns: a list of [question, answer]."""
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        findings.append(find(source, "bad_history"))
        return []
    return [Exchange(question, None, answer) for question, answer in history]


def tools_left_out(value: dict[str, Any], source: str, findings: list[Finding]) -> None:
    """Warn of a list of tools beside a dialogue that calls none."""
    if value.get("tools") and value["tools"] != "[]":
        findings.append(find(source, "tools_ignored", Severity.WARNING))
