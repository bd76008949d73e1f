"""Room `intake`, mapping: what the user says about where a question, thought, answer or system message stands.

An expression is, in this order: the exact name of a field, whatever characters it has; a template with names or
paths in braces, ``{title}\\n{body}``; a path, ``messages[-1].content``. In a template ``{{`` and ``}}`` are braces,
``\\n``, ``\\t`` and ``\\\\`` a line break, a tab and a backslash, since a command line can hardly hold these.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Literal, NamedTuple

from buke.intake.formats import normal
from buke.intake.names import NAMES
from buke.words import quoted

MISSING: Any = object()  # what an expression gives where a row lacks it
Steps = tuple[str | int, ...]
_PATH = re.compile(r"([^.\[\]{}]+)|\[(-?\d{1,9})\]|\.(?=[^.\[\]])")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|\\([nt\\])|([{}])|[^{}\\]+|\\")
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}
_NO_ROLE = re.compile(
    r"(?:^|_)(?:id|idx|index|uuid|no|nr|num|number|key|url|link|date|time|lang|language|source|split|score)$"
    r"|[号码]$|^序号|日期|时间|来源|链接|rejected"
)
_LIKELY = {
    "thought": re.compile("think|thought|reason|cot|rationale|expla|^exp$|solution|思|推理|解析|分析"),
    "answer": re.compile("answer|response|attempt|output|completion|result|答|回复|结果|结论|输出"),
}
ROLES = ("question", "thought", "answer")
SHOWN = 20  # names listed in a message


class Fields(NamedTuple):
    """Field names the user gave; None where the name is to be recognised."""

    question: str | None = None
    thought: str | None = None
    answer: str | None = None


class Options(NamedTuple):
    """How rows become records. ``map`` holds (role, expression) and goes before ``fields``."""

    fields: Fields = Fields()
    map: tuple[tuple[str, str], ...] = ()
    turns: Literal["every", "last"] = "every"  # which turns of a dialogue become records
    earlier_thoughts: Literal["drop", "keep"] = "drop"  # in the history of a record
    empty: bool = False  # a record may be without a thought
    first: int | None = None  # the number of the first option; None: 0, unless the numbers contradict it

    @property
    def given(self) -> dict[str, str]:
        """Role -> what the user gave for it."""
        return {role: name for role, name in self.fields._asdict().items() if name is not None} | dict(self.map)

    @property
    def names(self) -> list[str]:
        """Every name of a field that what was given may mean."""
        found: list[str] = []
        for text in self.given.values():
            found += [text, *(str(steps[0]) for steps in parse(text, ()).paths)]
        return list(dict.fromkeys(found))


class Expression(NamedTuple):
    """Where a role stands in a row: one path, or a template, in which plain text is a str and a path a tuple."""

    paths: tuple[Steps, ...]
    template: tuple[str | Steps, ...] = ()  # empty for a path alone

    def of(self, row: dict[str, Any]) -> Any:
        """The value in a row, MISSING where it has none. What is not text inside a template stands for the whole."""
        if not self.template:
            return walk(row, self.paths[0])[0]
        pieces = [piece if isinstance(piece, str) else walk(row, piece)[0] for piece in self.template]
        texts = [piece for piece in pieces if isinstance(piece, str)]
        return "".join(texts) if len(texts) == len(pieces) else next(p for p in pieces if not isinstance(p, str))


def parse(text: str, keys: tuple[str, ...]) -> Expression:
    """An expression read for rows with these fields. What is neither a path nor a template is taken for a name."""
    if text not in keys and ("{" in text or "}" in text):
        pieces: list[str | Steps] = []
        for match in _PIECE.finditer(text):
            inside, escape, lone = match.groups()
            if lone:
                return Expression(((text,),))
            plain = _ESCAPES[escape] if escape else match[0][0] if match[0] in ("{{", "}}") else match[0]
            pieces.append(plain if inside is None else _steps(inside, keys))
        if paths := tuple(piece for piece in pieces if not isinstance(piece, str)):
            return Expression(paths, tuple(pieces))
    return Expression((_steps(text, keys),))


def _steps(path: str, keys: tuple[str, ...]) -> Steps:
    """The steps of a path, or the one name it is."""
    steps: list[str | int] = []
    at = 0
    while path not in keys and at < len(path) and (match := _PATH.match(path, at)):
        at = match.end()
        steps += [int(match[2])] if match[2] else [match[1]] if match[1] else []
    return tuple(steps) if at == len(path) and steps and isinstance(steps[0], str) else (path,)


def walk(row: Any, steps: Steps) -> tuple[Any, int]:
    """(what stands at the end of a path, the steps that could be taken); MISSING where that is not all of them."""
    value = row
    for taken, step in enumerate(steps):
        if isinstance(step, str):
            inside = isinstance(value, dict) and step in value
        else:
            inside = isinstance(value, list) and -len(value) <= step < len(value)
        if not inside:
            return MISSING, taken
        value = value[step]
    return value, len(steps)


def written(steps: Steps) -> str:
    """A path as the user writes it."""
    shown = "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in steps)
    return shown.removeprefix(".")


class Unknown(NamedTuple):
    """A name or path that no row has."""

    name: str
    names: tuple[str, ...]  # what there is in its place
    nearest: str | None


def unknown(options: Options, rows: Iterable[dict[str, Any]]) -> Unknown | None:
    """The first name or path given that none of the rows has; None where there is none, or no row.

    Rows are looked at only until everything given was met, which the first row mostly settles.
    """
    given = list(options.given.values())
    met: set[tuple[str, int]] = set()  # (what was given, which of its paths)
    waiting: dict[tuple[str, int], tuple[str, dict[str, None]]] = {}
    for row in rows if given else ():
        for text in given:
            for at, steps in enumerate(parse(text, tuple(row)).paths):
                value, taken = walk(row, steps)
                if value is not MISSING:
                    met.add((text, at))
                    waiting.pop((text, at), None)
                elif (text, at) not in met:
                    _, names = waiting.setdefault((text, at), (written(steps), {}))
                    names.update(dict.fromkeys(_beside(row, steps[:taken])) if len(names) < 100 else {})
        if not waiting:
            return None
    for name, names in waiting.values():
        lower = {each.casefold(): each for each in names}
        near = difflib.get_close_matches(name.casefold(), lower, n=1)
        return Unknown(name, tuple(names)[:SHOWN], lower[near[0]] if near else None)
    return None


def _beside(row: Any, steps: Steps) -> Iterator[str]:
    """The paths that begin with these steps and go one further."""
    value, _ = walk(row, steps)
    inside = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    if not inside and steps:
        yield written(steps)
    yield from (written((*steps, step)) for step in inside)


def suggest(row: dict[str, Any]) -> str:
    """A --map for a row in which no shape was recognised, made of the names of its texts; "" where it has fewer than
    two. A role gets the name most like its usual ones, else what its values support, else … for the person to fill."""
    texts = {path: text for path, text in islice(_texts(row, (), 0), SHOWN) if _is_prose(path, text)}
    if len(texts) < 2:
        return ""
    found: dict[str, Steps | None] = {}
    for role in ROLES:
        likeness = {path: _likeness(_last(path), role) for path in texts if path not in found.values()}
        best = max(likeness, key=likeness.__getitem__, default=None)
        if best is not None and likeness[best] >= 0.7:
            found[role] = best
    missing = [role for role in ROLES if role not in found]
    found |= _supported(missing, [(path, text) for path, text in texts.items() if path not in found.values()])
    if not any(found.values()):
        return ""
    pairs = [(role, found[role]) for role in ROLES if role in found]
    words = [quoted(f"{role}={written(path)}") if path else f"{role}=…" for role, path in pairs]
    suggestion = " ".join(["--map", *words])
    return suggestion if len(suggestion) < 200 else ""


def lacking(row: dict[str, Any], role: str, used: Collection[str]) -> tuple[list[str], str]:
    """(the unused fields of a row that hold texts, a --map with the one that may be the thought or answer it lacks)."""
    left = {key: value for key, value in row.items() if key not in used}
    texts: dict[Steps, tuple[Steps, str]] = {}  # of a list, the first
    for path, text in islice(_texts(left, (), 0), SHOWN):
        if _is_prose(path, text):
            texts.setdefault(tuple(step for step in path if isinstance(step, str)), (path, text))
    names = list(dict.fromkeys(str(path[0]) for path in texts))
    both = [path for path, text in texts.values() if "</think>" in text]
    likely = both or [path for path, _ in texts.values() if _LIKELY[role].search(_last(path))]
    likely = likely or [path for path, _ in texts.values()]
    place = written(likely[0]) if len(likely) == 1 else ""
    word = f"{'answer' if both else role}={place or '…'}"
    return names, f"--map {quoted(word) if place else word}"


def _supported(missing: list[str], left: list[tuple[Steps, str]]) -> dict[str, Steps | None]:
    """Roles for the texts left over, by their order and lengths; None for a role that could have more than one."""
    unclear: dict[str, Steps | None] = dict.fromkeys(missing) if left else {}
    if not left or len(left) > len(missing):
        return unclear
    found: dict[str, Steps | None] = {}
    if "question" in missing:
        asked = [each for each in left if each[1].rstrip().endswith(("?", "？"))]
        question = asked[0] if len(asked) == 1 else left[0]
        left = [each for each in left if each is not question]
        if not asked and len(left) > 1 and all(len(text) > 2 * len(question[1]) for _, text in left):
            return unclear  # an answer may come first, too
        found["question"] = question[0]
    if len(left) == 2:
        short, long = sorted(left, key=lambda each: len(each[1]))
        clear = 10 * len(long[1]) >= 13 * len(short[1])
        return found | {"thought": long[0] if clear else None, "answer": short[0] if clear else None}
    return found | ({"answer" if "answer" in missing else "thought": left[0][0]} if left else {})


def _is_prose(path: Steps, text: str) -> bool:
    """Whether a text can be a question, a thought or an answer, and no number, code, date or address."""
    word = text.strip()
    if _NO_ROLE.search(_last(path)) or not any(map(str.isalpha, word[:1000])):
        return False
    code = word.isascii() and not re.search(r"\s", word) and (any(map(str.isdigit, word)) or "://" in word)
    return not code


def _texts(value: Any, steps: Steps, depth: int) -> Iterator[tuple[Steps, str]]:
    """Paths of the texts inside a value, at most 3 deep, and the texts."""
    if isinstance(value, str):
        yield steps, value
    elif depth < 3 and isinstance(value, (dict, list)):
        inside: Iterable[tuple[str | int, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
        for step, each in islice(inside, SHOWN):
            yield from _texts(each, (*steps, step), depth + 1)


def _last(path: Steps) -> str:
    """A path's last name, normalised."""
    return normal(next((step for step in reversed(path) if isinstance(step, str)), ""))


@lru_cache(maxsize=1024)
def _likeness(name: str, role: str) -> float:
    """How much a normalised name is like a usual name of a role, 0 to 1."""
    return max(difflib.SequenceMatcher(None, name, usual).ratio() for usual in NAMES[role])
