"""Room `report`: a run folder -> one HTML page and one PNG. It reads files and writes these two, nothing else.

1. ``curve.py`` reads the losses and draws them, as a PNG and as SVG for the page.
2. ``folder.py`` reads the other files and ``sections.py`` turns them into plain values, already worded. A file that is
   missing or damaged costs its own section, never the page.
3. ``page.html.j2`` lays them out. Everything is escaped there; nothing that a model or a data file says is trusted.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

import jinja2

from buke import __version__
from buke.report.curve import draw_png, read_curve
from buke.report.folder import MALFORMED
from buke.report.sections import all_sections
from buke.report.summary import data_lines
from buke.runfolder import CURVE, REPORT, STEPS, write_text
from buke.words import Refusal, language, t

__all__ = ["data_lines", "render", "write_curve", "write_report"]


def write_report(run: Path) -> Path:
    """Write ``report.html`` into the run folder, in the language in force, and return its path.

    Raises Refusal where there is no such folder.
    """
    _check(run)
    # a lone surrogate in a record or an answer has no UTF-8; the page shows the replacement character
    write_text(run / REPORT, re.sub("[\ud800-\udfff]", "\ufffd", render(run)))
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
    temporary = run / f".{CURVE}.{os.getpid()}.part"
    try:
        temporary.write_bytes(draw_png(curve))
        os.replace(temporary, run / CURVE)
    finally:
        temporary.unlink(missing_ok=True)
    return run / CURVE


def _check(run: Path) -> None:
    """Refuse a folder that is not there."""
    if not run.is_dir():
        raise Refusal(t("runfolder.none", run=run))


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    """The page's template, compiled once. Everything it prints is escaped, whatever the file is called."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("buke", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["csp_hash"] = _csp_hash
    environment.filters["keep_figures_together"] = _keep_figures_together
    return environment.get_template("page.html.j2")


def render(run: Path) -> str:
    """The page as text. It is the same for the same files."""
    return _template().render(
        t=lambda key, /, **values: t(f"report.{key}", **values),
        language={"zh": "zh-CN"}.get(language(), language()),
        version=__version__,
        run=run.resolve().name,
        **all_sections(run),
    )


def _csp_hash(script: str) -> str:
    """The source expression by which a Content-Security-Policy admits one inline script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(str(script).encode()).digest()).decode()


def _keep_figures_together(sentence: str) -> str:
    """The sentence with no line break before a number or inside ``1 of 40``."""
    return re.sub(r" (?=\d)|(?<=\d) (?=of \d)", "\u00a0", sentence)
