"""The documentation holds: reference pages as made, commands that parse, links that lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from buke.cli.common import common

ROOT = Path(__file__).resolve().parents[1]
READMES = ["README.md", "README.zh-CN.md"]
PAGES = sorted(
    path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
)  # fmt: skip
HAND_WRITTEN = [page for page in PAGES if not page.startswith("docs/reference/")]
STARTS = (("buke",), ("python3", "start.py"), ("python", "start.py"), ("py", "start.py"))


def maker(place: str = "reference/make.py") -> ModuleType:
    """docs/reference/make.py, or another script of the documentation, as a module."""
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / place)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def code(text: str) -> Iterator[str]:
    """Every line of a shell block and every inline code span."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def arguments_of(line: str) -> list[str] | None:
    """The arguments that a line gives to buke; None where it calls something else."""
    words = shlex.split(line, comments=True)
    for start in STARTS:
        if tuple(words[: len(start)]) == start:
            return words[len(start) :]
    return None


def parse(arguments: list[str]) -> None:
    """Parse a command line as buke does, without running it. Raises what the command line raises."""
    rest, _ = common(arguments)
    top: Any = maker().command_tree()
    if not rest or rest in (["--version"], ["--help"]):
        return
    assert rest[0] in top.commands, f"there is no command {rest[0]}"
    if len(rest) > 1:  # the name alone is a mention
        top.commands[rest[0]].make_context(rest[0], rest[1:])


def known_flags() -> set[str]:
    top: Any = maker().command_tree()
    options = [option for command in (top, *top.commands.values()) for option in command.params]
    return {name for option in options for name in (*option.opts, *option.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("name", ["settings.md", "commands.md"])
def test_the_reference_is_what_the_code_says(name: str) -> None:
    assert read(f"docs/reference/{name}") == maker().pages()[name], "stale: run docs/reference/make.py"


def test_the_reference_is_the_same_in_any_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    here = maker().pages()
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert maker().pages() == here


def test_the_tables_of_performance_are_what_its_figures_say() -> None:
    made, page = maker("performance_pictures.py"), read("docs/performance.md")
    figures = json.loads(read("docs/performance.json"))
    assert made.filled(page, figures) == page, "stale: run docs/performance_pictures.py"
    assert set(re.findall(r"<!-- table: (\w+) -->", page)) == set(figures)
    assert made.filled("<!-- table: step -->\n| old |\nnext", figures).count("| buke |") == 1


@pytest.mark.parametrize("page", HAND_WRITTEN)
def test_commands_in_the_documentation_parse(page: str) -> None:
    for line in code(read(page)):
        try:
            arguments = arguments_of(line)
        except ValueError:  # an inline span with a lone quotation mark is no command
            continue
        if arguments and arguments[0] != "test":
            try:
                parse(arguments)
            except Exception as error:
                raise AssertionError(f"{page}: `{line}`: {error!r} {error}") from error


@pytest.mark.parametrize(
    "page", [*READMES, "docs/from-the-tutorial.md", "docs/from-the-tutorial.zh-CN.md", "CHANGELOG.md"]
)
def test_flags_in_the_documentation_exist(page: str) -> None:
    known = known_flags()
    named = {word for line in code(read(page)) if line.startswith("--") for word in [re.split(r"[ =]", line)[0]]}
    assert named <= known, f"{page}: {sorted(named - known)}"


@pytest.mark.parametrize("readme", READMES)
def test_each_readme_shows_the_demo_the_tests_and_training(readme: str) -> None:
    first = {tuple(arguments[:1]) for line in code(read(readme)) if (arguments := arguments_of(line))}
    assert {("demo",), ("test",), ("train",)} <= first


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / page).parent / path if path else ROOT / page
        assert found.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(found.read_text(encoding="utf-8")), f"{page}: {target}"


def anchors(text: str) -> set[str]:
    """Names of a page's headings as links use them: lower case, signs left out, spaces as hyphens."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_a_wrong_command_would_be_noticed() -> None:
    for arguments in (
        ["teach"],
        ["train", "a.jsonl", "--no-such-flag", "1"],
        ["compare", "--json"],
        ["train", "--rank"],
    ):
        with pytest.raises(Exception, match=r"(?i)no such option|no command|missing|requires"):
            parse(arguments)
