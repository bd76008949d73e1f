"""Room `intake`, inside: thoughts that stand inside an answer in other ways than between <think> and </think>.

OpenThoughts writes <|begin_of_thought|>; what R1 itself gives begins with the thought and only closes it, for its
prompt has opened it. Tags of other names are not guessed at, but spoken of.
"""

from __future__ import annotations

import re

from buke.intake.formats import find
from buke.intake.lesson import Exchange
from buke.intake.mapping import MISSING
from buke.records import CLOSE, OPEN, Finding, Severity

_BEGIN, _END = "<|begin_of_thought|>", "<|end_of_thought|>"
_SOLUTION = ("<|begin_of_solution|>", "<|end_of_solution|>")
_ALONE = re.compile(rf"\n[ \t]*{CLOSE}|{CLOSE}[ \t\r]*\n")  # on a line's edge: in prose and in code it is a word
_TAG = re.compile(r"\s*([<‹＜\[【])([^\W\d][\w-]{0,30})[>›＞\]】]")
_THOUGHTFUL = re.compile("think|thought|reason|analy|reflect|cot$|scratch|rationale|deliberat|思|推理|推导|分析|考虑")
_OURS = ("think", "thinking", "reasoning", "thought")


def apart(exchange: Exchange, source: str, findings: list[Finding]) -> Exchange:
    """An exchange with the thought taken out of its answer, where it has none and its marks are clear; else as it is,
    with a warning where a thought seems to be there."""
    _, thought, answer = exchange
    none = (not thought or thought.isspace()) if isinstance(thought, str) else thought is None or thought is MISSING
    if not none or not isinstance(answer, str) or answer.startswith(OPEN):
        return exchange
    if answer.lstrip().startswith(_BEGIN):
        inside, closed, rest = answer.strip().removeprefix(_BEGIN).partition(_END)
        rest = rest.strip().removeprefix(_SOLUTION[0]).removesuffix(_SOLUTION[1])
        if closed and not any(mark in text for mark in (_BEGIN, _END, *_SOLUTION) for text in (inside, rest)):
            return exchange._replace(thought=inside.strip(), answer=rest.strip())
        findings.append(find(source, "thought_inside", Severity.WARNING, tag=_BEGIN))
    elif answer.count(CLOSE) == 1 and OPEN not in answer and _ALONE.search(answer):
        before, _, after = answer.partition(CLOSE)
        return exchange._replace(thought=before.strip(), answer=after.strip())
    elif (tag := _TAG.match(answer)) and _THOUGHTFUL.search(name := tag[2].lower()) and name not in _OURS:
        end = answer.find(f"{tag[1]}/{tag[2]}", tag.end())
        if end > 0 and answer[end + len(tag[2]) + 3 :].strip():
            findings.append(find(source, "thought_inside", Severity.WARNING, tag=tag[0].strip()))
    return exchange
