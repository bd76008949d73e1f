"""Room `report`: what ``buke check`` found, worded for its page. The terminal says the same in the same words.

``check`` is a plain dictionary, the one that ``buke check --json`` prints.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from buke.report.lengths import beyond, place
from buke.report.sections import bars
from buke.words import catalogue, command, language, quoted, t

FORMATS = {"jsonl": "JSON Lines", "json": "JSON", "csv": "CSV", "tsv": "TSV", "parquet": "Parquet", "xlsx": "Excel"}
NAMED_FILES = 3  # more of them are not spelled out in a command
SAMPLE = 2000  # characters of a text in a sample
PLACES = 20  # of a kind of finding, on the page; check.json has them all
POOR = 5  # places of records that a tokenizer knows badly
HARMLESS = ("duplicate", "leak")  # findings of records that are left out although nothing is wrong with them


def number(value: int | float | None) -> str:
    """A figure with its thousands parted, or a dash where there is none."""
    return t("report.none") if value is None else f"{value:,}"


def role(name: str) -> str:
    """Question, thought, answer or system message in the language in force; another name as it is."""
    return t(f"report.role_{name}") if f"role_{name}" in catalogue("report") else name


def spoken(code: str) -> str:
    """A language by its name; one without a name here by its code."""
    return t(f"report.lang_{code}") if f"lang_{code}" in catalogue("report") else code


def headline(check: dict[str, Any]) -> str:
    """How many records are good and what becomes of them; then, where they are not all, how rows became records."""
    kept = check["kept"]
    errors = any(finding["severity"] == "error" for finding in check["findings"])
    all_good = kept and not errors and not check["left_out"] and kept == check["read"]
    if not kept:
        said = [t("report.good_none" if check["read"] else "report.read_none")]
    else:
        said = [t("report.good_all" if all_good else "report.good_some", kept=number(kept), parts=_parts(check))]
    if check["read"] and not all_good:
        said.append(_account(check))
    if broken := [str(file["path"]) for file in check["files"] if not file["whole"]]:
        more = [t("report.more_files", n=len(broken) - NAMED_FILES)] if len(broken) > NAMED_FILES else []
        said.append(t("report.not_whole", names=t("report.comma").join([*broken[:NAMED_FILES], *more])))
    return (" " if language() == "en" else "").join(said)


def _learned(check: dict[str, Any]) -> int:
    """How many records a run would learn from."""
    return int(check["held_out"]["train"] if check["held_out"] else check["kept"])


def _parts(check: dict[str, Any]) -> str:
    """What becomes of the good records: learned, held out, or neither, which add up to them."""
    counts = {"train": _learned(check), "held_out": (check["held_out"] or {}).get("held_out", 0)}
    counts["leaks"] = check["leaks"]
    said = [t(f"report.part_{name}", n=number(n)) for name, n in counts.items() if n or name == "train"]
    return t("report.clause").join(said)


def _account(check: dict[str, Any]) -> str:
    """How the rows read became the good records, in figures that add up."""
    out, rows = check["left_out_of"], check["read"]
    said = [t("report.rows_read", n=number(rows))]
    records = check["kept"] + out["duplicates"]
    for key, n, shown in (
        ("rows_out", out["rows"], out["rows"]),
        ("turns_out", out["turns"], out["turns"]),
        ("rows_gave", records, records and records != rows - out["rows"]),
        ("duplicates_out", out["duplicates"], out["duplicates"]),
    ):
        if shown:
            said.append(t(f"report.{key}", n=number(n)))
    return t("report.sentence", said=t("report.clause").join(said))


def grouped(check: dict[str, Any]) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """The findings as (group, title, findings), errors first; a group without findings is left out.

    A group is a severity, or "harmless" for what is left out although nothing has to be mended.
    """
    titles = {"error": t("report.errors"), "warning": t("report.warned"), "harmless": t("report.harmless")}
    groups = [(name, title, [f for f in check["findings"] if _group(f) == name]) for name, title in titles.items()]
    return [group for group in groups if group[2]]


def _group(finding: dict[str, Any]) -> str:
    return "harmless" if finding["kind"] in HARMLESS else str(finding["severity"])


def said_of_places(finding: dict[str, Any], most: int) -> list[tuple[str, str]]:
    """The first places of a finding, each with what is said of it, or "" where its message says it of all."""
    places, details = finding["places"][:most], finding.get("details") or []
    return [(str(place), str(detail)) for place, detail in zip_longest(places, details[: len(places)], fillvalue="")]


def how_read(file: dict[str, Any]) -> list[str]:
    """Format, compression and encoding of a file, as far as it has them."""
    form, encoding = str(file["format"] or ""), str(file["encoding"] or "")
    parts = [FORMATS.get(form, form), str(file["compression"] or ""), encoding.upper()]
    return [part for part in parts if part]


def fields(file: dict[str, Any]) -> list[str]:
    """Which field of the file was taken for what."""
    return [f"{role(name)} ← {field}" for name, field in (file["mapping"] or {}).items() if field]


def facts(check: dict[str, Any]) -> list[str]:
    """Languages and thoughts, a sentence each."""
    said = []
    if check["languages"]:
        counts = (f"{spoken(code)} {number(count)}" for code, count in check["languages"].items())
        said.append(t("report.languages", counts=t("report.comma").join(counts)))
    if check["without_thought"]:
        said.append(t("report.without_thought", n=number(check["without_thought"])))
    return said


def token_facts(tokens: dict[str, Any]) -> list[str]:
    """End token, bytes per token and poor coverage, a sentence each."""
    part, whole = tokens["end_learned"]
    said = [t("report.end_learned", part=number(part), whole=number(whole))]
    if part < whole:
        said[0] += (" " if language() == "en" else "") + t("report.end_missing")
    if tokens["end_scored"][1]:
        part, whole = map(number, tokens["end_scored"])
        said.append(t("report.end_scored", n=number(tokens["scored"]), part=part, whole=whole))
    if tokens["bytes_per_token"]:
        each = (f"{spoken(code)} {value:.1f}" for code, value in tokens["bytes_per_token"].items())
        said.append(t("report.bytes_per_token", each=t("report.comma").join(each)))
    if tokens["poor"]:
        said.append(t("report.poor", n=number(tokens["poor"]), places=_named(tokens["poor_places"], tokens["poor"])))
    return said


def _named(places: list[str], count: int) -> str:
    """The first of so many places, and how many more there are."""
    shown = [str(place) for place in places[:POOR]]
    rest = [t("report.more_places", n=number(count - len(shown)))] if count > len(shown) else []
    return t("report.comma").join([*shown, *rest])


def recommendation(tokens: dict[str, Any]) -> str:
    """The recommended length and what it costs."""
    length = tokens["recommended"]
    over = next((row["dropped"] for row in tokens["candidates"] if row["length"] == length), 0)
    key = "recommended_cost" if over else "recommended_all"
    return t(f"report.{key}", length=number(length), n=number(over))


def next_step(check: dict[str, Any]) -> tuple[str, str]:
    """What to do next: a sentence and the command to type, which takes the same data under the same settings."""
    given, errors = check["given"], {f["kind"] for f in check["findings"] if f["severity"] == "error"}
    paths, flags = given["data"], list(given["flags"])
    data = quoted(*paths) if 0 < len(paths) <= NAMED_FILES and "-" not in paths else "DATA"
    looked = [*flags, *["--quick"] * given["quick"]]
    if not check["kept"]:
        return t("report.next_mend"), _typed("check", data, looked)
    if "mixed" in errors:
        mixed = ["mix" if word == "empty" and before == "--without-thought" else word
                 for before, word in zip(["", *looked], looked, strict=False)]  # fmt: skip
        return t("report.next_mix"), _typed("check", data, mixed)
    mend = t("report.or_mend") if errors else ""
    if tokens := check["tokens"]:
        train = _typed("train", data, ["--model", tokens["model"], "--length", str(tokens["recommended"]), *flags])
        return t("report.next_train", n=number(_learned(check)), or_mend=mend), train
    return t("report.next_model", or_mend=mend), _typed("check", data, ["--model", "MODEL", *looked])


def _typed(name: str, data: str, flags: list[str]) -> str:
    """A command line; data is quoted already, for it may be a word to be replaced."""
    return " ".join([command(), name, data, *([quoted(*flags)] if flags else [])])


def data_view(check: dict[str, Any]) -> dict[str, Any]:
    """Everything that data.html.j2 prints, already worded."""
    found = [{"severity": name, "title": title, "kinds": [_kind(f) for f in kinds]}
             for name, title, kinds in grouped(check)]  # fmt: skip
    step, typed = next_step(check)
    return {
        "version": check["buke"],
        "names": t("report.comma").join(str(file["path"]) for file in check["files"][:NAMED_FILES]),
        "more_files": max(len(check["files"]) - NAMED_FILES, 0),
        "headline": headline(check),
        "step": step,
        "command": typed,
        "figures": _figures(check),
        "findings": found,
        "files": [_file(file) for file in check["files"]],
        "facts": facts(check),
        "characters": [
            {"name": role(name), "median": number(value["median"]), "longest": number(value["longest"])}
            for name, value in check["characters"].items()
        ],
        "tokens": _tokens(check["tokens"], check["kept"]) if check["tokens"] else None,
        "samples": [_sample(sample) for sample in check["samples"]],
    }


def _kind(finding: dict[str, Any]) -> dict[str, Any]:
    """One kind of finding in print."""
    count, places = finding["count"], said_of_places(finding, PLACES)
    return {
        "count": number(count),
        "message": str(finding["message"]),
        "hint": str(finding["hint"] or ""),
        "places": places,
        "more": number(count - len(places)) if count > len(places) else "",
    }


def _figures(check: dict[str, Any]) -> list[dict[str, str]]:
    """The key figures under the headline."""
    warned = sum(finding["count"] for finding in check["findings"] if _group(finding) == "warning")
    rows = [("figure_train", number(_learned(check)))]
    if check["held_out"]:
        rows.append(("figure_held_out", number(check["held_out"]["held_out"])))
    rows += [("figure_left_out", number(check["left_out"])), ("figure_warnings", number(warned))]
    if check["tokens"]:
        rows.append(("figure_recommended", number(check["tokens"]["recommended"])))
    return [{"name": t(f"report.{key}"), "value": value} for key, value in rows]


def _file(file: dict[str, Any]) -> dict[str, Any]:
    """A file in print, in the columns of the table of files."""
    how = how_read(file | {"encoding": ""})
    return {
        "path": str(file["path"]),
        "sha256": str(file["sha256"] or ""),
        "format": t("report.comma").join(how) or t("report.none"),
        "encoding": str(file["encoding"] or "").upper() or t("report.none"),
        "shape": str(file["shape"] or "") or t("report.none"),
        "rows": number(file["rows"]),
        "bytes": number(file["bytes"]),
        "fields": fields(file),
    }


def _tokens(tokens: dict[str, Any], kept: int) -> dict[str, Any]:
    """Lengths in tokens in print."""
    histogram, length = tokens["histogram"], tokens["recommended"]
    return {
        "model": str(tokens["model"]),
        "facts": token_facts(tokens),
        **{name: number(tokens[name]) for name in ("all", "learned", "median", "p95", "longest")},
        "bars": bars(histogram, length),
        "mark": round(100 * min(place(histogram, length) / max(len(histogram), 1), 1), 1),
        "beyond": beyond(histogram, length),
        "recommendation": recommendation(tokens),
        "recommended": number(length),
        "candidates": [
            {
                "length": number(row["length"]),
                "recommended": row["length"] == length,
                **{name: number(row[name]) for name in ("dropped", "answer_lost")},
                **{f"{name}_of": f"{100 * row[name] / max(kept, 1):.1f} %" for name in ("dropped", "answer_lost")},
            }
            for row in tokens["candidates"]
        ],
    }


def _sample(sample: dict[str, Any]) -> dict[str, str]:
    """A record as it was read; what is very long is cut for the page, and says so."""
    shown = {"source": str(sample["source"])}
    for name in ("question", "thought", "answer"):
        text = str(sample[name] or "").strip()
        cut = t("report.cut", n=number(len(text))) if len(text) > SAMPLE else ""
        shown |= {name: text[:SAMPLE], f"{name}_cut": cut}
    return shown
