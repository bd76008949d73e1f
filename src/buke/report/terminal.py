"""Room `report`: what ``buke check`` found, as lines for a terminal. A Chinese character takes two columns."""

from __future__ import annotations

import re
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.text import Text

from buke.report.data import (
    facts,
    fields,
    grouped,
    headline,
    how_read,
    next_step,
    number,
    recommendation,
    role,
    said_of_places,
    token_facts,
)
from buke.runfolder import amount
from buke.words import t

PLACES = 5  # of each kind of finding
FILES = 20
WIDTHS = (40, 120)
STYLES = {"error": "red", "warning": "yellow", "harmless": "green"}
EIGHTHS = " ▏▎▍▌▋▊▉"

WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
OPENING, CLOSING = "（【《「『“‘", "，。；：、！？）】》」』”’…％"
# what no line break may part: a Chinese character or a word with its punctuation, a number and its measure word
PIECE = re.compile(rf"\s+|[{OPENING}]*(?:\d[\d,.]* [{WIDE}]|[^\s{WIDE}{OPENING}]+|[{WIDE}“‘])[{CLOSING}]*")
# what a file says must not paint the terminal, turn its text round, or stop the printing
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def data_lines(check: dict[str, Any], width: int) -> list[Text]:
    """The summary of a check, each line at most ``width`` columns but for the command at the end, which stays whole.

    width: columns of the terminal; less than 40 counts as 40, more than 120 as 120.
    """
    width = min(max(width, WIDTHS[0]), WIDTHS[1])
    lines = _wrapped(headline(check), width, style="bold")
    lines += _files(check, width)
    lines += _findings(check, width)
    lines += _lengths(check, width)
    step, command = next_step(check)
    lines += [Text(""), *_wrapped(t("report.next", step=step), width, style="bold")]
    return [*lines, Text("  " + _clean(command), style="cyan")]


def _clean(text: str) -> str:
    """Text in which every control character shows as a mark."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"\s", " ", text))


def _wrapped(text: str, width: int, indent: str = "", hanging: str = "", style: str = "") -> list[Text]:
    """Text broken into lines of at most ``width`` columns: at spaces, and between Chinese characters.

    indent: before the first line; hanging: further before the others.
    """
    lines: list[str] = []
    line = start = indent
    for piece in PIECE.findall(_clean(text)):
        if piece.isspace():
            line += " " if line != start else ""
            continue
        if line != start and cell_len(line) + cell_len(piece) > width:
            lines.append(line.rstrip())
            line = start = indent + hanging
        while cell_len(line) + cell_len(piece) > width:  # longer than a whole line, such as a path
            part = chop_cells(piece, width - cell_len(line))[0]
            lines.append(line + part)
            piece, line = piece[len(part) :], indent + hanging
            start = line
        line += piece
    return [Text(line, style=style) for line in [*lines, line.rstrip()]]


def _title(key: str) -> list[Text]:
    """A heading with an empty line before it."""
    return [Text(""), Text(t(f"report.{key}"), style="bold underline")]


def _files(check: dict[str, Any], width: int) -> list[Text]:
    """The files, how they were read, and what is in them."""
    lines = _title("files_title")
    for file in check["files"][:FILES]:
        lines += _wrapped(str(file["path"]), width, "  ", "  ", "cyan")
        read = [*how_read(file), t("report.rows_n", n=number(file["rows"])), amount(file["bytes"])]
        lines += _wrapped(t("report.comma").join(read), width, "    ")
        if file["shape"]:
            lines += _wrapped(t("report.shape_is", shape=file["shape"]), width, "    ", "  ")
        for field in fields(file):
            lines += _wrapped(field, width, "      ", "  ")
    if len(check["files"]) > FILES:
        lines += _wrapped(t("report.more_files", n=number(len(check["files"]) - FILES)), width, "  ")
    for fact in facts(check):
        lines += _wrapped(fact, width, "  ", "  ")
    return lines


def _findings(check: dict[str, Any], width: int) -> list[Text]:
    """Every kind of finding: how often, what, where first and how to mend it."""
    lines = _title("findings_title")
    for severity, title, findings in grouped(check):
        lines += _wrapped(title, width, "  ", "  ", f"bold {STYLES[severity]}")
        for finding in findings:
            said = t("report.times", n=number(finding["count"]), message=finding["message"])
            lines += _wrapped(said, width, "    ", "  ", STYLES[severity])
            lines += _places(finding, width)
            if finding["hint"]:
                lines += _wrapped(t("report.mend", hint=finding["hint"]), width, "      ", "  ")
    return lines if len(lines) > 2 else [*lines, *_wrapped(t("report.findings_none"), width, "  ")]


def _places(finding: dict[str, Any], width: int) -> list[Text]:
    """The first places of a finding: in one line, or each with what is said of it where they differ."""
    places = said_of_places(finding, PLACES)
    more = finding["count"] - len(places)
    rest = [t("report.more_places", n=number(more))] if more > 0 else []
    if finding.get("details"):
        said = [*(t("report.at", place=place, detail=detail) for place, detail in places), *rest]
        return [line for text in said for line in _wrapped(text, width, "      ", "  ")]
    whole = t("report.comma").join([*(place for place, _ in places), *rest])
    return _wrapped(t("report.where", places=whole), width, "      ", "  ")


def _lengths(check: dict[str, Any], width: int) -> list[Text]:
    """Lengths in characters, and with a model in tokens."""
    rows = [["", t("report.median"), t("report.longest")]]
    rows += [[role(name), number(v["median"]), number(v["longest"])] for name, v in check["characters"].items()]
    lines = [*_title("lengths_title"), *_wrapped(t("report.in_characters"), width, "  ")]
    lines += [Text(line) for line in _columns(rows)]
    tokens = check["tokens"]
    if not tokens:
        return lines
    named = {name: number(tokens[name]) for name in ("all", "learned", "median", "p95", "longest")}
    lines += [Text(""), *_wrapped(t("report.in_tokens", model=tokens["model"], **named), width, "  ")]
    lines += [Text(line) for line in _bars(tokens["histogram"], width)]
    lines.append(Text(""))
    lines += _wrapped(t("report.candidates"), width, "  ", style="bold")
    lines += _wrapped(t("report.candidates_lead"), width, "  ")
    rows = [[t("report.length"), t("report.too_long"), t("report.answer_lost")]]
    rows += [[number(row[name]) for name in ("length", "dropped", "answer_lost")] for row in tokens["candidates"]]
    marks = ["", *(row["length"] == tokens["recommended"] for row in tokens["candidates"])]
    for line, marked in zip(_columns(rows), marks, strict=True):
        lines.append(Text(f"  * {line[4:]}" if marked else line, style="bold green" if marked else ""))
    lines += _wrapped(f"* {recommendation(tokens)}", width, "  ", "  ", "green")
    for fact in token_facts(tokens):
        lines += _wrapped(fact, width, "  ", "  ")
    return lines


def _bars(histogram: list[list[int]], width: int) -> list[str]:
    """The histogram, a line a bar; an eighth of a column is its finest step."""
    uppers = [f"≤ {number(upper)}" for upper, _ in histogram]
    counts = [number(count) for _, count in histogram]
    most = max((count for _, count in histogram), default=0) or 1
    left = max(map(cell_len, uppers), default=0)
    room = min(width - left - max(map(len, counts), default=0) - 6, 60)
    lines = []
    for upper, count, (_, n) in zip(uppers, counts, histogram, strict=True):
        eighths = max(round(8 * room * n / most), 1 if n else 0)
        bar = ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()
        lines.append(f"    {upper:>{left}} {bar}{' ' if bar else ''}{count}")
    return lines


def _columns(rows: list[list[str]]) -> list[str]:
    """Rows as columns: the first cell leans left where it is a word, figures lean right."""
    widths = [max(cell_len(row[index]) for row in rows) for index in range(len(rows[0]))]
    words = not rows[0][0]
    lines = []
    for row in rows:
        cells = [" " * (w - cell_len(cell)) + cell for cell, w in zip(row, widths, strict=True)]
        if words:
            cells[0] = row[0] + " " * (widths[0] - cell_len(row[0]))
        lines.append("    " + "  ".join(cells))
    return lines
