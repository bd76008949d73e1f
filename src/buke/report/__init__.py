"""Room `report`: a run folder -> one HTML page and one PNG. It reads files and writes these two, nothing else.
The same for data that was checked, from the dictionary that ``buke check`` makes, and its lines for the terminal.

1. ``curve.py`` reads the losses and draws them, as a PNG and as SVG for the page.
2. ``folder.py`` reads the other files and ``sections.py`` turns them into plain values, already worded. A file that is
   missing or damaged costs its own section, never the page.
3. ``page.html.j2`` lays them out. Everything is escaped there; nothing that a model or a data file says is trusted.
4. For a check of data: ``data.py`` words it, ``lengths.py`` draws it, ``data.html.j2`` and ``terminal.py`` lay it out.
   ``style.css`` and ``parts.html.j2`` serve both pages.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from buke import __version__
from buke.report.curve import draw_png, read_curve
from buke.report.data import data_view
from buke.report.folder import MALFORMED
from buke.report.lengths import draw_lengths
from buke.report.sections import all_sections
from buke.report.terminal import data_lines
from buke.runfolder import CURVE, REPORT, STEPS, write_pieces, write_text
from buke.words import Refusal, language, t

__all__ = ["data_lines", "render", "write_curve", "write_data_page", "write_lengths", "write_report"]


def write_report(run: Path) -> Path:
    """Write ``report.html`` into the run folder, in the language in force, and return its path.

    Raises Refusal where there is no such folder.
    """
    _check(run)
    write_text(run / REPORT, render(run))
    return run / REPORT


def write_curve(run: Path) -> Path:
    """Write ``loss_curve.png`` into the run folder and return its path.

    Raises Refusal where there is no such folder, or where steps.jsonl or eval.jsonl cannot be read.
    """
    _check(run)
    try:
        curve = read_curve(run)
    except MALFORMED as error:
        raise Refusal(t("report.unreadable", file=run / STEPS, why=error)) from None
    write_pieces(run / CURVE, [draw_png(curve)])
    return run / CURVE


def write_data_page(path: Path, check: dict[str, Any]) -> Path:
    """Write what ``buke check`` found as one page, in the language in force, and return its path."""
    write_text(path, _page("data.html.j2", **data_view(check)))
    return path


def write_lengths(path: Path, check: dict[str, Any]) -> Path:
    """Write the histogram of lengths as a PNG and return its path. The check was made with a model."""
    write_pieces(path, [draw_lengths(check["tokens"])])
    return path


def _check(run: Path) -> None:
    """Refuse a folder that is not there."""
    if not run.is_dir():
        raise Refusal(t("runfolder.none", run=run))


@lru_cache(maxsize=2)
def _template(name: str) -> jinja2.Template:
    """A page's template, compiled once. Everything it prints is escaped, whatever the file is called."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("buke", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["csp_hash"] = _csp_hash
    environment.filters["keep_figures_together"] = _keep_figures_together
    return environment.get_template(name)


def render(run: Path) -> str:
    """The page as text. It is the same for the same files."""
    return _page("page.html.j2", version=__version__, run=run.resolve().name, **all_sections(run))


def _page(template: str, **values: Any) -> str:
    """A template filled in, in the language in force.

    A lone surrogate in a record or an answer has no UTF-8; the page shows the replacement character.
    """
    page = _template(template).render(
        t=lambda key, /, **values: t(f"report.{key}", **values),
        language={"zh": "zh-CN"}.get(language(), language()),
        **values,
    )
    return re.sub("[\ud800-\udfff]", "\ufffd", page)


def _csp_hash(script: str) -> str:
    """The source expression by which a Content-Security-Policy admits one inline script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(str(script).encode()).digest()).decode()


def _keep_figures_together(sentence: str) -> str:
    """The sentence with no line break before a number, inside ``1 of 40`` or before a Chinese measure word."""
    return re.sub(r" (?=\d)|(?<=\d) (?=of \d|[\u4e00-\u9fff])", "\u00a0", sentence)
