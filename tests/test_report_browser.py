"""The report in a real browser: its script runs, no other does, and a narrow screen shows it whole."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_report import edit_lines, stand_in

from buke import words
from buke.report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--hide-scrollbars")  # fmt: skip
OWNED = '<script>document.title="owned"</script><img src=x onerror=\'document.title="owned"\'></script>"onload={{7*7}}'


def browse(page: Path, *flags: str) -> str:
    """What the browser makes of a page, as HTML, after its scripts have run."""
    assert BROWSER
    profile = page.parent.parent / "profile"
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", *flags, "--dump-dom", page.resolve().as_uri()]
    return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode("utf-8")


def probed(page: Path, script: str, *flags: str) -> str:
    """The page with a script of the test at its end and without the policy that would stop it."""
    html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    probe = page.with_name("probe.html")
    probe.write_text(html.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    return browse(probe, *flags)


def test_its_own_script_runs_under_its_policy_and_none_from_the_data(tmp_path: Path) -> None:
    words.set_language("en")
    run = stand_in(tmp_path / "r", questions=6, steps=20)
    edit_lines(run / "held-out.jsonl", lambda line: line.update(question=OWNED, answer=OWNED, source=OWNED))
    edit_lines(run / "answers-after.jsonl", lambda line: line["answer"].update(thought=OWNED, text=OWNED))
    seen = browse(write_report(run))
    assert "<title>buke report: r</title>" in seen
    assert '<div class="filter">' in seen and "6 of 6 questions shown" in seen


def test_the_policy_stops_a_script_even_where_escaping_had_failed(tmp_path: Path) -> None:
    words.set_language("en")
    page = write_report(stand_in(tmp_path / "r", questions=2, steps=5))
    html = page.read_text(encoding="utf-8")
    page.write_text(html.replace("<main>", "<main>" + OWNED), encoding="utf-8")
    assert "<title>buke report: r</title>" in browse(page)
    assert "<title>owned</title>" in probed(page, "")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [360, 800, 1280])
def test_no_width_scrolls_sideways(tmp_path: Path, language: str, width: int) -> None:
    words.set_language(language)
    run = stand_in(tmp_path / "r", language, questions=4)
    edit_lines(run / "answers-after.jsonl", lambda line: line["answer"].update(text="x" * 900, thought="长" * 900))
    words_of_page = 'document.querySelectorAll("details").forEach(function (d) { d.open = true; });'
    measure = "var e = document.documentElement; e.dataset.widths = JSON.stringify([e.scrollWidth, window.innerWidth]);"
    seen = probed(write_report(run), words_of_page + measure, f"--window-size={width},900")
    found = re.search(r'data-widths="(\[[^"]*\])"', seen)
    assert found
    scroll, inner = json.loads(found.group(1))
    assert inner == width and scroll <= width


def test_the_filter_shows_what_changed(tmp_path: Path) -> None:
    words.set_language("en")
    page = write_report(stand_in(tmp_path / "r"))
    for which, shown in (("worse", 1), ("better", 36), ("changed", 39), ("all", 40)):
        seen = probed(page, f"document.querySelector('[data-filter={which}]').click();")
        assert f"{shown} of 40 questions shown" in seen
        assert len(re.findall(r'<article class="card" data-change="\w+">', seen)) == shown
