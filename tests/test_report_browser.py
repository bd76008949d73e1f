"""The report in a real browser: its script runs, no other does, and a narrow screen shows it whole."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from buke import words
from buke.report import write_report
from test_report import edit_lines, stand_in

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--hide-scrollbars")  # fmt: skip
OWNED = '<script>document.title="owned"</script><img src=x onerror=\'document.title="owned"\'></script>"onload={{7*7}}'


def browse(page: Path) -> str:
    """What the browser makes of a page, as HTML, after its scripts have run."""
    assert BROWSER
    profile = page.parent.parent / "profile"
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.resolve().as_uri()]
    return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode("utf-8")


def with_script(page: Path, script: str) -> str:
    """The page with a script of the test at its end and without the policy that would stop it."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    return text.replace("</body>", f"<script>{script}</script></body>")


def probed(page: Path, script: str) -> str:
    """What the browser makes of ``with_script``."""
    probe = page.with_name("probe.html")
    probe.write_text(with_script(page, script), encoding="utf-8")
    return browse(probe)


def test_its_own_script_runs_under_its_policy_and_none_from_the_data(tmp_path: Path) -> None:
    words.set_language("en")
    run = stand_in(tmp_path / "r", questions=6, steps=20)
    edit_lines(run / "held-out.jsonl", lambda line: line.update(question=OWNED, answer=OWNED, source=OWNED))
    edit_lines(run / "answers-after.jsonl", lambda line: line["answer"].update(thought=OWNED, text=OWNED))
    seen = browse(write_report(run))
    assert "<title>buke report: r</title>" in seen
    assert '<div class="filter">' in seen
    assert "6 of 6 questions shown" in seen


def test_the_policy_stops_a_script_even_where_escaping_had_failed(tmp_path: Path) -> None:
    words.set_language("en")
    page = write_report(stand_in(tmp_path / "r", questions=2, steps=5))
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("<main>", "<main>" + OWNED), encoding="utf-8")
    assert "<title>buke report: r</title>" in browse(page)
    assert "<title>owned</title>" in probed(page, "")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [360, 800, 1280])
def test_no_width_scrolls_sideways(tmp_path: Path, language: str, width: int) -> None:
    words.set_language(language)
    run = stand_in(tmp_path / "r", language, questions=4)
    edit_lines(run / "answers-after.jsonl", lambda line: line["answer"].update(text="x" * 900, thought="长" * 900))
    unfold = 'document.querySelectorAll("details").forEach(function (d) { d.open = true; });'
    measure = "var e = document.documentElement, p = parent.document.documentElement;"
    tell = "p.dataset.widths = JSON.stringify([e.scrollWidth, window.innerWidth]);"
    inner = with_script(write_report(run), unfold + measure + tell)
    # a window is never narrower than 500 points, a frame may be
    frame = f'<iframe width="{width}" height="900" style="border:0" srcdoc="{html.escape(inner)}"></iframe>'
    page = run / "frame.html"
    page.write_text(f"<!doctype html>{frame}", encoding="utf-8")
    found = re.search(r'data-widths="\[(\d+),(\d+)\]"', browse(page))
    assert found
    assert int(found.group(2)) == width
    assert int(found.group(1)) <= width


def test_the_filter_shows_what_changed(tmp_path: Path) -> None:
    words.set_language("en")
    page = write_report(stand_in(tmp_path / "r"))
    for which, shown in (("worse", 1), ("better", 36), ("changed", 38), ("all", 40)):
        seen = probed(page, f"document.querySelector('[data-filter={which}]').click();")
        assert f"{shown} of 40 questions shown" in seen
        assert len(re.findall(r'<article class="card" data-change="\w+">', seen)) == shown
