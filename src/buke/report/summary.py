"""Room `report`, summary: what `buke check` found, as lines for a terminal of any width. Plain text, no colours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from buke.words import t

PLACES = 5  # of a kind of finding
BAR = 40  # columns of the longest bar, at most
LEAST_WIDTH = 40
Check = dict[str, Any]  # what cli/check.py makes


def data_lines(check: Check, width: int) -> Iterator[str]:
    """The summary in lines of at most ``width`` columns, long file names excepted."""
    width = max(LEAST_WIDTH, width - 1)
    for file in check["files"]:
        yield from _file(file, width)
    yield ""
    yield from _wrapped(_kept(check), "", width)
    yield from _figures(check, width)
    for finding in check["findings"]:
        yield ""
        yield from _finding(finding, width)
    if not check["findings"]:
        yield from ["", t("report.check_clean")]
    if check["tokens"]:
        yield ""
        yield from _tokens(check["tokens"], width)
    yield ""
    yield from _wrapped(_next(check), "", width)


def _file(file: dict[str, Any], width: int) -> Iterator[str]:
    yield file["path"]
    kind = " ".join(part for part in (file["format"], file["compression"], file["encoding"]) if part)
    text = t("report.check_file", kind=kind or "?", rows=f"{file['rows']:,}", shape=file["shape"] or "?")
    yield from _wrapped(text, "  ", width)
    roles = [f"{t(f'report.check_role_{role}')} = {name}" for role, name in file["mapping"].items()]
    if roles:
        yield from _wrapped(", ".join(roles), "  ", width)


def _kept(check: Check) -> str:
    figures = {name: f"{check[name]:,}" for name in ("read", "kept", "left_out", "without_thought")}
    text = t("report.check_kept", **figures)
    if check["without_thought"]:
        text += " " + t("report.check_without_thought", **figures)
    return text


def _figures(check: Check, width: int) -> Iterator[str]:
    """Median and longest of each text, and the split."""
    for role, figures in check["characters"].items():
        if figures:
            name = t(f"report.check_role_{role}")
            median, longest = f"{figures['median']:,}", f"{figures['longest']:,}"
            yield from _wrapped(t("report.check_characters", role=name, median=median, longest=longest), "  ", width)
    split = check["held_out"]
    if split["held_out"]:
        text = t("report.check_split", train=f"{split['train']:,}", held_out=f"{split['held_out']:,}")
        yield from _wrapped(text, "  ", width)


def _finding(finding: dict[str, Any], width: int) -> Iterator[str]:
    mark = t(f"report.check_{finding['severity']}")
    yield from _wrapped(f"{mark} × {finding['count']:,}: {finding['message']}", "", width)
    if finding["hint"]:
        yield from _wrapped(f"→ {finding['hint']}", "  ", width)
    for place in finding["places"][:PLACES]:
        yield f"  {place}"
    if finding["count"] > PLACES:
        yield "  " + t("report.check_more", count=f"{finding['count'] - PLACES:,}")


def _tokens(tokens: dict[str, Any], width: int) -> Iterator[str]:
    figures = {name: f"{tokens[name]:,}" for name in ("all", "learned", "median", "p95", "longest", "poor")}
    ends, count = tokens["end_learned"]
    yield from _wrapped(t("report.check_tokens", model=tokens["model"], **figures), "", width)
    yield from _wrapped(t("report.check_end", learned=f"{ends:,}", count=f"{count:,}"), "  ", width)
    share = ", ".join(f"{name} {value}" for name, value in tokens["bytes_per_token"].items())
    yield from _wrapped(t("report.check_bytes", share=share), "  ", width)
    if tokens["poor"]:
        yield from _wrapped(t("report.check_poor", count=figures["poor"]), "  ", width)
    most = max(number for _, number in tokens["histogram"])
    room = min(BAR, width - 20)
    for top, number in tokens["histogram"]:
        bar = "█" * round(room * number / most) or ("▏" if number else "")
        yield f"  ≤{top:>7,} {bar} {number:,}" if number else f"  ≤{top:>7,}"
    for one in tokens["candidates"]:
        mark = " ← " + t("report.check_recommended") if one["length"] == tokens["recommended"] else ""
        text = t("report.check_candidate", length=f"{one['length']:,}", dropped=f"{one['dropped']:,}",
                 answer_lost=f"{one['answer_lost']:,}")  # fmt: skip
        yield from _wrapped(text + mark, "  ", width)


def _next(check: Check) -> str:
    """What to do now."""
    if not check["kept"]:
        return t("report.check_next_nothing")
    data = " ".join(file["path"] for file in check["files"])
    kinds = [finding["severity"] for finding in check["findings"]]
    if "error" in kinds:
        return t("report.check_next_errors", data=data)
    if not check["tokens"]:
        return t("report.check_next_model", data=data)
    return t("report.check_next_train", data=data, model=check["tokens"]["model"])


def columns(text: str) -> int:
    """How many columns a text takes: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _wrapped(text: str, indent: str, width: int) -> Iterator[str]:
    """A text in lines of at most so many columns; Chinese may break between any two characters."""
    line = ""
    for word in re.findall(r"\S+\s*", text):
        for piece in word if columns(word) > len(word) else [word]:
            if line.strip() and columns(indent + line + piece.rstrip()) > width:
                yield (indent + line).rstrip()
                line, piece = "  ", piece.lstrip()
            line += piece
    if line.strip():
        yield (indent + line).rstrip()
