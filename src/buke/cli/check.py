"""``buke check``: what is in files of records, what is wrong with it, and what to do."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

import buke
from buke import hub, intake, prompt, report, runfolder
from buke.cli import can_write
from buke.config import Settings
from buke.intake.check import Checked, Told
from buke.intake.language import language_of
from buke.intake.tally import PLACES
from buke.records import Record
from buke.words import Refusal, language, of_system, t

CANDIDATES = (512, 1024, 2048, 4096, 8192, 16384, 32768)  # lengths people choose from, in tokens
MAY_DROP = 0.01  # share of the records that the recommended length may leave out
POOR = 1.6  # bytes a token below which a tokenizer hardly knows the language of a record
ENOUGH = 100  # bytes of text from which this can be told
BARS = 16
LEARNED, SCORED = "learned", "scored"  # what becomes of a good record; of one that leaks, neither
PIPE = 100  # columns where there is no terminal


class Wanted(NamedTuple):
    """What the command is to do beside printing."""

    as_json: bool
    report: str  # a folder; "" for none
    fix: str  # a file; "" for none
    strict: bool
    quick: bool
    flags: tuple[str, ...] = ()  # what was said beside data and model, as it was typed


def check_data(settings: Settings, wanted: Wanted) -> int:
    """Check, print, write; returns the exit code."""
    if not settings.data:
        raise Refusal(t("intake.no_paths"), t("intake.no_paths_hint"))
    with _standard_input(settings.data) as (paths, shown):
        return _check(settings, wanted, paths, shown)


def _check(settings: Settings, wanted: Wanted, paths: list[Path], shown: Callable[[Any], Any]) -> int:
    options = intake.options_of(settings)
    if wanted.fix:
        intake.check_free(Path(wanted.fix), [*paths, *_apart(settings)])
    held_out = _apart(settings) or settings.held_out
    with _progress() as told:
        mix = settings.without_thought != "empty"
        checked = intake.check(paths, options, held_out=held_out, quick=wanted.quick, mix=mix, told=told)
    found = as_dict(checked) | {
        "given": {"data": list(settings.data), "flags": list(wanted.flags), "quick": wanted.quick}
    }
    if settings.model and found["kept"]:
        found["tokens"] = _tokens(settings, checked, options)
    found = shown(found)
    if wanted.report:
        _write_report(Path(wanted.report), found)
    fixed = intake.fix(paths, options, Path(wanted.fix), shown) if wanted.fix else None
    if wanted.as_json:
        text = json.dumps(found, ensure_ascii=False)
        print(text if can_write(text) else json.dumps(found))
    else:
        _show(found)
    if fixed:
        _say_fixed(fixed)
    refused = any(finding["kind"] == "mixed" for finding in found["findings"])
    return 2 if not found["kept"] or refused or (wanted.strict and found["findings"]) else 0


def _apart(settings: Settings) -> list[Path]:
    """The file of its own that is held out, where there is one."""
    return [Path(settings.held_out_file)] if settings.held_out_file else []


def _say_fixed(fixed: intake.Fixed) -> None:
    """What was written as a mended copy, and what of the data it lacks."""
    values = fixed._asdict()
    print(t("cli.check_fixed" if fixed.records else "cli.check_fixed_none", **values), file=sys.stderr)
    if fixed.records and fixed.not_whole:
        print(t("cli.check_fixed_broken", n=fixed.not_whole, changes=fixed.changes), file=sys.stderr)


@contextmanager
def _standard_input(data: list[str]) -> Iterator[tuple[list[Path], Callable[[Any], Any]]]:
    """(the paths, with a copy of standard input for "-", since files are read more than once; what names it "stdin").

    The copy is deleted at the end.
    """
    if "-" not in data:
        yield [Path(path) for path in data], lambda found: found
        return
    with tempfile.TemporaryDirectory(prefix="buke-") as folder:
        copy = Path(folder) / "stdin"
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield [copy if path == "-" else Path(path) for path in data], lambda found: _renamed(found, str(copy), "stdin")


def _renamed(found: Any, old: str, new: str) -> Any:
    """Plain values with a path in them replaced by a name."""
    if isinstance(found, dict):
        return {key: _renamed(value, old, new) for key, value in found.items()}
    if isinstance(found, list):
        return [_renamed(value, old, new) for value in found]
    return found.replace(old, new) if isinstance(found, str) else found


@contextmanager
def _progress() -> Iterator[Told]:
    """A bar on a terminal; nothing in a pipe."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, of: None
        return
    with Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def as_dict(checked: Checked) -> dict[str, Any]:
    """What was found, in plain values and in a settled order: the same files give the same bytes."""
    tally = checked.tally
    kept = int(checked.kept.sum())
    out = int((checked.out & checked.kept).sum())
    leaks = int((checked.leaking & checked.kept).sum())
    left_out = {"rows": tally.rows - tally.good, "turns": tally.turns, "duplicates": len(tally.marks) - kept}
    return {
        "buke": buke.__version__,
        "language": language(),
        "files": runfolder.plain(checked.files),
        "read": tally.rows,
        "records": len(tally.marks),
        "kept": kept,
        "left_out": sum(left_out.values()),
        "left_out_of": left_out,
        "leaks": leaks,
        "without_thought": tally.without_thought,
        "findings": tally.findings(),
        "characters": tally.figures(),
        "languages": dict(tally.languages.most_common()),
        "samples": [
            {"source": r.source, "question": r.question, "thought": r.thought, "answer": r.answer}
            for r in tally.samples
        ],
        "held_out": {"train": kept - out - leaks, "held_out": out},
        "tokens": None,
    }


def _kept(checked: Checked, options: intake.Options, parts: list[str]) -> Iterator[Record]:
    """The records that were kept, read once more; for each its part, learned, scored or neither, is added to parts."""
    index = 0
    for file in checked.files:
        for reading in intake.readings_of(Path(file.path), options):
            for record in reading.records:
                if checked.kept[index]:
                    parts.append(SCORED if checked.out[index] else "" if checked.leaking[index] else LEARNED)
                    yield record
                index += 1


def _tokens(settings: Settings, checked: Checked, options: intake.Options) -> dict[str, Any]:
    """Lengths in tokens, with the prompt and the tokenizer of the model."""
    folder = hub.resolve(settings.model, lambda text: print(text, file=sys.stderr))
    spoken = prompt.load(folder, chat_template=settings.chat_template, system=settings.system)
    totals, before_answer, parts = list[int](), list[int](), list[str]()
    sums = {LEARNED: [0, 0, 0], SCORED: [0, 0, 0], "": [0, 0, 0]}  # tokens, end tokens, records
    covered = _Covered(next(prompt.lengths(spoken, [Record.make("", "", "", "")])))
    records, same = itertools.tee(_kept(checked, options, parts))  # intake leaves out what no tokenizer takes
    for record, tokens in zip(records, prompt.lengths(spoken, same), strict=True):
        part = sums[parts[len(totals)]]
        part[0] += tokens.learned
        part[1] += tokens.prompt + tokens.learned == tokens.all  # the last token is proven to be the end token
        part[2] += 1
        totals.append(tokens.all)
        before_answer.append(tokens.prompt + tokens.thought)
        covered.add(record, tokens)
    return {
        "model": settings.model, "all": sum(totals), "learned": sums[LEARNED][0], "end_learned": sums[LEARNED][1:],
        "scored": sums[SCORED][0], "end_scored": sums[SCORED][1:],
        **_lengths(totals, before_answer), "bytes_per_token": covered.per_token(), "poor": covered.poor,
        "poor_places": covered.places,
    }  # fmt: skip


class _Covered:
    """How well a tokenizer knows the text of records: questions, thoughts and answers, without what stands around them.

    Each text is taken to have the tokens of its part less those of the part of a record without text.
    """

    def __init__(self, bare: prompt.Lengths) -> None:
        self.bare = bare
        self.sums: dict[str, list[int]] = {}  # language -> bytes, tokens
        self.poor = 0
        self.places: list[str] = []  # the first of them

    def add(self, record: Record, tokens: prompt.Lengths) -> None:
        """Count a record, where it has text enough. After other messages its question has no count of its own."""
        alone = not (record.system or record.history)
        text = (record.question if alone else "") + record.thought + record.answer
        size = len(text.encode())
        if size < ENOUGH:
            return
        count = tokens.thought + tokens.answer - self.bare.thought - self.bare.answer
        count += tokens.prompt - self.bare.prompt if alone else 0
        sums = self.sums.setdefault(language_of(text), [0, 0])
        sums[0] += size
        sums[1] += max(count, 1)
        if size < POOR * count:
            self.poor += 1
            self.places += [record.source][: PLACES - len(self.places)]

    def per_token(self) -> dict[str, float]:
        """Bytes a token of each language, by its name."""
        return {name: round(size / tokens, 2) for name, (size, tokens) in sorted(self.sums.items())}


def _lengths(totals: list[int], before_answer: list[int]) -> dict[str, Any]:
    """Histogram of the lengths, and what each length people choose from would cost."""
    ordered = sorted(totals)
    count, longest = len(ordered), ordered[-1]
    width = -(-longest // BARS)
    tops = range(width, width * BARS + 1, width)
    lengths = [n for n in CANDIDATES if n < longest] + [next((n for n in CANDIDATES if n >= longest), longest)]
    candidates = [
        {"length": n, "dropped": sum(x > n for x in totals), "answer_lost": sum(x >= n for x in before_answer)}
        for n in lengths
    ]
    return {
        "median": ordered[count // 2],
        "p95": ordered[min(count - 1, count * 95 // 100)],
        "longest": longest,
        "histogram": [[top, sum(top - width < x <= top for x in totals)] for top in tops],
        "candidates": candidates,
        "recommended": next(c["length"] for c in candidates if c["dropped"] <= MAY_DROP * count),
    }


def _write_report(folder: Path, found: dict[str, Any]) -> None:
    """report.html, check.json and, with a model, lengths.png in a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(t("cli.check_no_folder", folder=folder, why=of_system(error)), t("cli.needs_report")) from None
    runfolder.write_json(folder / "check.json", found)
    report.write_data_page(folder / "report.html", found)
    if found["tokens"]:
        report.write_lengths(folder / "lengths.png", found)
    print(t("cli.check_report", path=folder / "report.html"), file=sys.stderr)


def _show(found: dict[str, Any]) -> None:
    """The summary, as wide as the terminal."""
    console = Console(soft_wrap=True, highlight=False)
    width = console.width if console.is_terminal else PIPE
    console.print(*report.data_lines(found, width), sep="\n")
