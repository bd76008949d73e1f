"""Room `report`: the sections of the page. Each turns files of the run into plain values, already worded.

Counts in comparison.json are whole numbers of records; their differences are shares of the records, -1 to 1.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from buke import config
from buke.report.curve import describe, draw_svg, read_curve
from buke.report.folder import Absent, Folder
from buke.runfolder import (
    ANSWERS_AFTER,
    ANSWERS_BEFORE,
    COMPARISON,
    DATA,
    EVAL,
    HELD_OUT,
    MANIFEST,
    RUN_TOML,
    STEPS,
)
from buke.words import Refusal, language, t

LISTED = 200  # findings shown on the page; the rest stay in data.json

MEASURES = {  # name: (kind, direction); +1 more is better, -1 less is better, 0 neither is plain
    "right": ("count", 1),
    "wrong": ("count", 0),  # fewer of them may only be more without an answer
    "no_answer": ("count", -1),
    "unscored": ("count", 0),
    "closed": ("count", 1),
    "stopped": ("count", 1),
    "looped": ("count", -1),
    "held_out_loss": (".3f", -1),
    "tone_mean": (".2f", 1),
    "thought_tokens_mean": (",.0f", 0),
    "answer_tokens_mean": (",.0f", 0),
    "seconds_mean": (",.1f", 0),
}
KEY_FIGURES = ("right", "closed", "held_out_loss", "thought_tokens_mean")


def all_sections(run: Path) -> dict[str, Any]:
    """Every section of the page by its name; a section that cannot be filled says why."""
    folder = Folder(run)
    return {
        "headline": headline(folder),
        "data": folder.section(DATA, data),
        "curve": folder.section(STEPS, loss_curve),
        "numbers": folder.section(COMPARISON, numbers),
        "answers": folder.section(ANSWERS_AFTER, answers),
        "settings": folder.section(RUN_TOML, settings),
        "manifest": folder.section(MANIFEST, manifest),
    }


# Numbers


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    return float(value) if value is not None and math.isfinite(float(value)) else None


def _figure(value: Any, form: str) -> str:
    """A number in print, or a dash where there is none."""
    number = _number(value)
    return t("report.none") if number is None else format(number, form).replace("-", "\u2212")


def _count(value: Any) -> str:
    """A whole number with its thousands parted, or a dash."""
    return _figure(value, ",.0f")


def _signed(value: float, kind: str) -> str:
    """A difference with its sign: of counts in percentage points, else in the measure's own form."""
    text = format(100 * value, "+.1f") if kind == "count" else format(value, "+" + kind)
    return text.replace("-", "\u2212")


# The sections


def headline(folder: Folder) -> dict[str, Any]:
    """One sentence, what it means, and the key figures: from the comparison, else the losses, else that there is none.

    Only the section that fails falls away: each source is tried in turn.
    """
    for name, build in ((COMPARISON, _headline_compared), (EVAL, _headline_curve)):
        view = folder.section(name, build)["view"]
        if view:
            return dict(view)
    return {"sentence": t("report.headline_nothing"), "deck": "", "figures": []}


def _graded(side: dict[str, Any]) -> int:
    """How many answers of a side were judged."""
    return int(sum(side[verdict] for verdict in ("right", "wrong", "no_answer")))


def _headline_compared(folder: Folder) -> dict[str, Any] | None:
    """The headline of a run with a comparison: right answers, or held-out loss where nothing is graded."""
    comparison = folder.json(COMPARISON)
    before, after = comparison["before"], comparison["after"]
    rows = {row["key"]: row for row in numbers(folder)["rows"]}
    figures = [rows[key] for key in KEY_FIGURES if key in rows]
    if _graded(after):
        values = {"before": before["right"], "before_all": _graded(before)}
        values |= {"after": after["right"], "after_all": _graded(after)}
        deck = _deck(comparison["difference"].get("right"), comparison["records"])
        return {"sentence": t("report.headline_right", **values), "deck": deck, "figures": figures}
    losses = [_number(side["held_out_loss"]) for side in (before, after)]
    if None in losses:
        return None
    sentence = t("report.headline_loss", before=_figure(losses[0], ".3f"), after=_figure(losses[1], ".3f"))
    return {"sentence": sentence, "deck": t("report.deck_loss") + t("report.deck_ungraded"), "figures": figures}


def _deck(difference: dict[str, Any] | None, records: int) -> str:
    """What the change in right answers means, in a sentence that claims no more than its interval."""
    asked = t("report.asked", n=records)
    if not difference:
        return asked
    mean, low, high = (float(difference[name]) for name in ("mean", "low", "high"))
    key = "deck_more" if low > 0 else "deck_fewer" if high < 0 else "deck_unclear"
    shown = {name: f"{100 * value:.1f}".replace("-", "\u2212") for name, value in (("low", low), ("high", high))}
    words = t(f"report.{key}", mean=f"{100 * mean:.1f}".replace("-", "\u2212"), n=records, **shown)
    return words if key == "deck_unclear" else asked + (" " if language() == "en" else "") + words


def _headline_curve(folder: Folder) -> dict[str, Any] | None:
    """The headline of a run without a comparison: held-out loss, else training loss."""
    curve = read_curve(folder.run)
    if len(curve.held_out) > 1 and curve.best is not None:
        first, best = curve.held_out[0][1], curve.held_out[curve.best][1]
        sentence = t("report.headline_loss", before=f"{first:.3f}", after=f"{best:.3f}")
        return {"sentence": sentence, "deck": t("report.deck_loss"), "figures": []}
    points = [point for piece in curve.training for point in piece]
    if not points:
        return None
    (first_step, before), (last_step, after) = points[0], points[-1]
    values = {"before": f"{before:.3f}", "first": int(first_step), "after": f"{after:.3f}", "last": int(last_step)}
    return {"sentence": t("report.headline_training", **values), "deck": t("report.deck_training"), "figures": []}


def data(folder: Folder) -> dict[str, Any]:
    """What was read, kept, left out and learned, by the run's own figures."""
    found = folder.json(DATA)
    tokens = found["tokens"]
    read, kept, train, held_out = (_count(found[name]) for name in ("read", "kept", "train", "held_out"))
    findings = {
        name: {
            "n": len(found[name]),
            "shown": [(str(item["source"]), _finding(item)) for item in found[name][:LISTED]],
            "more": max(len(found[name]) - LISTED, 0),
        }
        for name in ("dropped", "warnings")
    }
    columns = ("path", "format", "encoding", "shape", "rows", "bytes", "sha256")
    return {
        "lead": t("report.data_lead", read=read, kept=kept, train=train, held_out=held_out),
        "end": t("report.end_learned", part=_count(found["end_learned"]), whole=kept),
        "end_missing": int(found["end_learned"]) < int(found["kept"]),
        "tokens": {name: _count(tokens[name]) for name in ("all", "learned", "longest", "median")},
        "bars": bars(tokens["histogram"]),
        "files": [{name: _cell(file.get(name)) for name in columns} for file in found["files"]],
        **findings,
    }


def bars(histogram: Sequence[Sequence[int]], limit: float = math.inf) -> list[dict[str, Any]]:
    """The bars of a histogram of ``[upper, count]``: heights in percent, about twelve of them labelled.

    limit: a bar all of whose records are longer is marked as ``over``.
    """
    lows = [0, *(int(upper) for upper, _ in histogram)]
    tallest = max((int(count) for _, count in histogram), default=0)
    apart = math.ceil(len(histogram) / 12)  # bars between two labels
    return [
        {
            "upper": _count(upper),
            "count": _count(count),
            "height": round(85 * int(count) / max(tallest, 1), 1),
            "labelled": index % apart == apart - 1,
            "over": lows[index] >= limit,
        }
        for index, (upper, count) in enumerate(histogram)
    ]


def _finding(item: dict[str, Any]) -> str:
    """What was found and how to mend it."""
    hint = str(item.get("hint") or "")
    return str(item["message"]) + (t("report.hint", hint=hint) if hint else "")


def _cell(value: Any) -> str:
    """A value of a table: a count with its thousands parted, text as it is."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return _count(value)
    return str(value)


def loss_curve(folder: Folder) -> dict[str, Any]:
    """The loss curve in two widths and what there is to say about it."""
    folder.lines(STEPS)
    if (folder.run / EVAL).is_file():
        folder.lines(EVAL)
    curve = read_curve(folder.run)
    drawn = [draw_svg(curve, 720, 360, "wide"), draw_svg(curve, 340, 280, "narrow")] if curve.points else []
    return {
        "drawn": drawn,
        "described": describe(curve),
        "held_out": bool(curve.held_out),
        "earlier": bool(curve.earlier),
        "skipped": curve.skipped,
    }


def numbers(folder: Folder) -> dict[str, Any]:
    """The table of measures, before, after and difference, and how the questions were asked."""
    comparison = folder.json(COMPARISON)
    before, after, records = comparison["before"], comparison["after"], int(comparison["records"])
    idle = {key for key in ("wrong", "no_answer", "unscored") if not before.get(key) and not after.get(key)}
    if not _graded(before) and not _graded(after):
        idle |= {"right", "wrong", "no_answer"}
    rows = [
        _row(key, before.get(key), after.get(key), comparison["difference"].get(key), records)
        for key in MEASURES
        if key not in idle and (key in before or key in after)
    ]
    sampling = {name: _cell(value) if value is None else str(value) for name, value in comparison["sampling"].items()}
    how = t("report.sampling", grader=comparison["grader"], **sampling)
    return {"lead": t("report.numbers_lead", n=records), "how": how, "rows": rows}


def _row(key: str, before: Any, after: Any, difference: dict[str, Any] | None, records: int) -> dict[str, str]:
    """One measure in print. It is called better or worse only where its interval excludes 0 and direction is plain."""
    kind, direction = MEASURES[key]
    if kind == "count":
        _check_counts(before, after, difference)
    row = {"key": key, "name": t(f"report.m_{key}"), "why": t(f"report.m_{key}_why"), "kind": kind}
    for side, value in (("before", before), ("after", after)):
        row[side] = _figure(value, ",.0f" if kind == "count" else kind)
        counted = kind == "count" and value is not None
        row[f"{side}_of"] = _figure(100 * value / records, ".1f") + " %" if counted else ""
    row |= {"difference": t("report.none"), "interval": "", "judgement": ""}
    if difference:
        mean, low, high = (float(difference[name]) for name in ("mean", "low", "high"))
        row["difference"] = _signed(mean, kind)
        if kind == "count":
            row["difference"] = t("report.points", value=row["difference"])
        row["interval"] = t("report.to", low=_signed(low, kind), high=_signed(high, kind))
        if direction and (low > 0 or high < 0):
            row["judgement"] = "better" if (low > 0) == (direction > 0) else "worse"
        elif direction:
            row["judgement"] = "unclear"
    return row


def _check_counts(before: Any, after: Any, difference: dict[str, Any] | None) -> None:
    """Refuse shares where counts belong and the other way round: the page would be wrong by the number of records."""
    if any(value is not None and value != int(value) for value in (before, after)):
        raise ValueError("a count is a whole number")
    if difference and max(abs(difference[name]) for name in ("mean", "low", "high")) > 1:
        raise ValueError("the difference of a count is a share of the records")


def answers(folder: Folder) -> dict[str, Any]:
    """Each question with the user's response and both answers, in the order of held-out.jsonl."""
    sides = []
    for name in (ANSWERS_BEFORE, ANSWERS_AFTER):
        try:
            sides.append({str(line["answer"]["id"]): _side(line) for line in folder.lines(name)})
        except Absent:
            sides.append({})
    before, after = sides
    if not before and not after:
        folder.lines(ANSWERS_BEFORE)
        folder.lines(ANSWERS_AFTER)
    try:
        records = {str(line["id"]): line for line in folder.lines(HELD_OUT)}
    except Absent:
        records = {}
    asked = [id for id in records if id in before or id in after]
    asked += [id for id in dict.fromkeys([*before, *after]) if id not in records]
    cards = [_card(id, records.get(id), before.get(id), after.get(id)) for id in asked]
    graded = any(side["verdict"] != "unscored" for card in cards for side in card["sides"].values() if side)
    return {"cards": cards, "graded": graded, "held_out_file": HELD_OUT}


def _side(line: dict[str, Any]) -> dict[str, Any]:
    """One judged answer in print."""
    answer = line["answer"]
    flags = [
        *([t("report.flag_forced")] if answer["forced"] else []),
        *([t("report.flag_open")] if not answer["closed"] and not answer["forced"] else []),
        *([t("report.flag_looped")] if line["looped"] else []),
    ]
    return {
        "verdict": str(line["verdict"]),
        "verdict_text": t(f"report.verdict_{line['verdict']}"),
        "ending": t(f"report.ending_{answer['ending']}"),
        "stopped": answer["ending"] == "stopped",
        "flags": flags,
        "thought": str(answer["thought"] or "").strip(),
        "text": str(answer["text"] or "").strip(),
        "thought_tokens": _count(answer["thought_tokens"]),
        "meta": t("report.answer_meta", n=_count(answer["answer_tokens"]), seconds=_figure(answer["seconds"], ".1f")),
    }


def _card(id: str, record: dict[str, Any] | None, before: Any, after: Any) -> dict[str, Any]:
    """One question: its text, the user's response, both sides and what changed between them."""
    verdicts = [side["verdict"] if side else None for side in (before, after)]
    change = "same"
    if None not in verdicts and verdicts[0] != verdicts[1]:
        change = "better" if verdicts[1] == "right" else "worse" if verdicts[0] == "right" else "changed"
    words = {name: str(record[name] or "").strip() for name in ("question", "answer", "source")} if record else None
    return {"id": id, "record": words, "sides": {"before": before, "after": after}, "change": change}


def settings(folder: Folder) -> dict[str, Any]:
    """The settings in run.toml with their meanings and the reasons written behind them."""
    path = folder.run / RUN_TOML
    if not path.is_file():
        raise Absent(t("report.absent", file=RUN_TOML))
    try:
        values = config.read_toml(path)
    except Refusal as refusal:
        raise Absent(t("report.unreadable", file=RUN_TOML, why=refusal.message)) from None
    reasons = _reasons(path.read_text(encoding="utf-8-sig"))
    rows = []
    for name in dict.fromkeys([*config.Settings.model_fields, *values]):
        if name not in values and name not in reasons:
            continue
        value = values.get(name)
        reason = reasons.get(name, "")
        rows.append({
            "name": name,
            "value": _setting(value),
            "meaning": config.meaning(name) if name in config.Settings.model_fields else "",
            "reason": t("report.origin_default") if reason == "default" else reason,
            "default": reason == "default",
        })  # fmt: skip
    return {
        "chosen": [row for row in rows if not row["default"]],
        "default": [row for row in rows if row["default"]],
    }


def _setting(value: Any) -> str:
    """A value of run.toml in print: a list without its brackets, an empty text as two quotes."""
    if value is None:
        return t("report.unset")
    if isinstance(value, list) and value:
        return ", ".join(str(item) for item in value)
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)


def _reasons(text: str) -> dict[str, str]:
    """Where each value comes from: the comment behind its line of run.toml, also where the line is ``# name =``."""
    reasons = {}
    for line in text.splitlines():
        match = re.match(r"(?:#\s*)?(\w+)\s*=\s*(.*)$", line)
        if not match:
            continue
        name, rest = match.groups()
        try:  # a value may hold a '#', so it is read before the comment is looked for
            rest = rest[json.JSONDecoder().raw_decode(rest)[1] :].lstrip()
        except ValueError:
            rest = rest[rest.rfind("#") :] if "#" in rest else ""
        if rest.startswith("#"):
            reasons[name] = rest[1:].strip()
    return reasons


def manifest(folder: Folder) -> dict[str, Any]:
    """What the run was made of: pairs of a name and a value, the template and the hashes."""
    found = folder.json(MANIFEST)
    model, machine, prompt = found["model"], found["machine"], found["prompt"]
    parts = [machine["system"], machine["processor"], t("report.cores", n=machine["cores"])]
    parts += [t("report.memory", n=machine["memory_gb"]), machine["device"]]
    base = [model["name"], model["architecture"], t("report.parameters", n=_count(model["parameters"]))]
    earlier = found.get("from")
    pairs = {
        "model": " · ".join(str(part) for part in base if part),
        "folder": str(model["folder"]),
        "machine": " · ".join(str(part) for part in parts if part),
        "seed": str(found["seed"]),
        "started": _time(found["started"]),
        "finished": _time(found.get("finished")) + _took(found["started"], found.get("finished")),
        "versions": " · ".join(f"{name} {v}" for name, v in {"buke": found["buke"], **found["packages"]}.items()),
        "end_token": str(prompt["end_token"]),
        "fingerprint": str(prompt["fingerprint"]),
    }
    if earlier:
        pairs["from"] = str(earlier["run"])
    hashes = [(str(file), str(digest)) for file, digest in model["sha256"].items()]
    hashes += [(str(file["path"]), str(file["sha256"])) for file in found["data"]]
    return {
        "pairs": [(t(f"report.{key}"), value) for key, value in pairs.items()],
        "template": str(prompt["template"]),
        "hashes": hashes,
    }


def _moment(text: str) -> datetime:
    """A moment in ISO 8601; Python 3.10 does not know the Z."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _time(text: str | None) -> str:
    """A moment to the minute, as it was written."""
    return _moment(text).strftime("%Y-%m-%d %H:%M") if text else t("report.unfinished")


def _took(started: str, finished: str | None) -> str:
    """How long it took, with the separator before it; empty where it has not ended."""
    if not finished:
        return ""
    seconds = round((_moment(finished) - _moment(started)).total_seconds())
    h, m, s = seconds // 3600, seconds // 60 % 60, seconds % 60
    return " · " + t("report.took" if h else "report.took_m" if m else "report.took_s", h=h, m=m, s=s)
