"""Room `report`: what ``buke check`` found -> one HTML page, in the look of the report of a run."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from buke import __version__
from buke.report.lengths import describe_lengths, draw_lengths
from buke.runfolder import write_text
from buke.words import language, t

PLACES = 20  # shown of each kind of finding
TEXTS = ("question", "thought", "answer")


def write_data_page(path: Path, check: dict[str, Any]) -> Path:
    """Write the page of a check, in the language in force, and return its path. The same check gives the same bytes."""
    page = _template().render(
        t=lambda key, /, **values: t(f"report.{key}", **values),
        language={"zh": "zh-CN"}.get(language(), language()),
        version=__version__,
        sentence=_sentence(check),
        deck=_deck(check),
        findings=[_finding(found) for found in check["findings"]],
        files=[_file(file) for file in check["files"]],
        characters=_characters(check["characters"]),
        facts=_facts(check),
        tokens=_tokens(check["tokens"]) if check["tokens"] else None,
        samples=[sample | {"length": _count(len(sample["thought"] or ""))} for sample in check["samples"]],
    )
    # a lone surrogate in a sample or a name has no UTF-8; the page shows the replacement character
    write_text(path, re.sub("[\ud800-\udfff]", "\ufffd", page))
    return path


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    """The page's template, compiled once. Everything it prints is escaped."""
    loader = jinja2.PackageLoader("buke", "report")
    rules: dict[str, Any] = {"autoescape": True, "undefined": jinja2.StrictUndefined}
    return jinja2.Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, **rules).get_template("data.html.j2")


def _count(number: int) -> str:
    """A whole number with its thousands parted."""
    return f"{number:,}"


def _share(part: int, whole: int) -> str:
    """A share in percent; what is there at all is never shown as 0."""
    percent = 100 * part / whole
    return "< 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"


def _sentence(check: dict[str, Any]) -> str:
    """What can be learned from. A dialogue is one row and may give several records, which the words allow for."""
    values = {name: _count(check[name]) for name in ("read", "kept", "left_out")}
    if not check["kept"]:
        return t("report.data_headline_none", **values)
    alike = check["kept"] + check["left_out"] == check["read"]
    if check["left_out"]:
        return t("report.data_headline" if alike else "report.data_headline_rows", **values)
    return t("report.data_headline_all" if alike else "report.data_headline_rows_all", **values)


def _deck(check: dict[str, Any]) -> str:
    """How much there is to mend."""
    if not check["findings"]:
        return t("report.data_deck_nothing")
    sums = {"error": 0, "warning": 0}
    for found in check["findings"]:
        sums[found["severity"]] += found["count"]
    return t("report.data_deck", errors=_count(sums["error"]), warnings=_count(sums["warning"]))


def _finding(found: dict[str, Any]) -> dict[str, Any]:
    """One kind of finding in print."""
    shown = found["places"][:PLACES]
    more = found["count"] - len(shown)
    return found | {
        "count": _count(found["count"]),
        "several": found["count"] > 1,
        "shown": shown,
        "more": _count(more) if more > 0 else "",
    }


def _file(file: dict[str, Any]) -> dict[str, Any]:
    """One file in print."""
    roles = [(_role(role), name) for role, name in file["mapping"].items()]
    kind = " · ".join(part for part in (file["format"], file["compression"]) if part)
    none = t("report.none")
    values = {"format": kind or none, "encoding": file["encoding"] or none, "shape": file["shape"] or none}
    counts = {name: _count(file[name]) for name in ("rows", "bytes")}
    return {"path": file["path"], "sha256": file["sha256"], "roles": roles, **values, **counts}


def _role(role: str) -> str:
    """The name of a role."""
    return t(f"intake.{role}") if role in (*TEXTS, "system") else t(f"report.data_role_{role}")


def _characters(figures: dict[str, dict[str, int]]) -> list[dict[str, str]]:
    """Median and longest of each text that there is."""
    return [
        {"name": t(f"intake.{name}"), "median": _count(of["median"]), "longest": _count(of["longest"])}
        for name, of in figures.items()
        if of
    ]


def _facts(check: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs of a name and a value: languages, the held-out split, records without a thought."""
    spoken = [
        f"{_language(name)} {_count(n)} ({_share(n, check['records'])})" for name, n in check["languages"].items()
    ]
    pairs = [(t("report.data_languages"), " · ".join(spoken) or t("report.none"))]
    sides = {name: _count(check["held_out"][name]) for name in ("train", "held_out")}
    pairs.append((t("report.data_split"), t("report.data_split_is", **sides)))
    pairs.append((t("report.data_without_thought"), _count(check["without_thought"])))
    return pairs


def _language(name: str) -> str:
    """The name of a language that a text can be in."""
    return t(f"report.data_language_{name}")


def _tokens(tokens: dict[str, Any]) -> dict[str, Any]:
    """Lengths in tokens in print."""
    ends, of = tokens["end_learned"]
    candidates = [
        {"length": _count(c["length"]), "recommended": c["length"] == tokens["recommended"]}
        | {name: _count(c[name]) for name in ("dropped", "answer_lost")}
        | {f"{name}_share": _share(c[name], of) for name in ("dropped", "answer_lost")}
        for c in tokens["candidates"]
    ]
    return {
        "model": tokens["model"],
        **{name: _count(tokens[name]) for name in ("all", "learned", "median", "p95", "longest", "recommended")},
        "end": t("report.end_learned", part=_count(ends), whole=_count(of)),
        "end_missing": ends < of,
        "drawn": [draw_lengths(tokens, 720, 280, "wide"), draw_lengths(tokens, 340, 240, "narrow")],
        "described": describe_lengths(tokens),
        "candidates": candidates,
        "per_token": [(_language(name), f"{size:.2f}") for name, size in tokens["bytes_per_token"].items()],
        "poor": t("report.data_poor", n=_count(tokens["poor"]), of=_count(of)) if tokens["poor"] else "",
    }
