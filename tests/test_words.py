"""The catalogue: both languages of every text, the same places to fill in, nothing missing and nothing left over."""

from __future__ import annotations

import ast
import locale
import os
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from buke import words
from buke.cli.commands import app
from buke.cli.common import Common
from buke.words import LANGUAGES, Refusal, catalogue, t

PACKAGE = Path(words.__file__).resolve().parents[1]
CATALOGUES = sorted(path.stem for path in (PACKAGE / "words").glob("*.py") if path.stem != "__init__")
SOURCES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".j2") and path.parent.name != "words")
SOURCES.append(PACKAGE / "words" / "__init__.py")  # which asks for the system's errors
PYDANTIC = {"int", "float", "bool", "string", "list"}  # names of its errors, which the texts of `config` go by
HAN = re.compile(r"[\u4e00-\u9fff]")


def keys() -> dict[str, tuple[str, str]]:
    return {f"{room}.{name}": pair for room in CATALOGUES for name, pair in catalogue(room).items()}


@pytest.mark.skipif(os.name == "nt", reason="another shell's quotes")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a", "runs/a"),
        ("补课-1", "runs/补课-1"),
        ("my run", "'runs/my run'"),
        ("$x", "'runs/$x'"),
        ("a;b", "'runs/a;b'"),
    ],
)
def test_a_name_in_a_command_is_quoted_where_the_shell_would_part_it(name: str, shown: str) -> None:
    assert t("cli.go_on", run=Path("runs") / name).endswith(f" --resume {shown}")


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def strings(path: Path) -> tuple[set[str], set[str]]:
    """Whole strings of a source file, and the fixed beginnings of its f-strings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".j2":
        joined = {f"report.{start}" for start in re.findall(r't\("(\w+_)" ~', text)}
        ends = re.findall(r't\(\w+ ~ "(_\w+)"\)', text)
        parts = set(re.findall(r"[\"'](\w+)[\"']", text))
        return parts | {part + end for part in parts for end in ends}, joined
    whole, begun = set(), set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            whole.add(node.value)
        elif isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant):
            begun.add(str(node.values[0].value))
    return whole, begun


def asked(path: Path) -> Iterator[tuple[int, ast.Call, str]]:
    """Every ``t("…", …)`` of a source file whose key is written out."""
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "t" and node.args:
                key = node.args[0]
                if isinstance(key, ast.Constant):
                    yield node.lineno, node, str(key.value)


@pytest.mark.parametrize("room", CATALOGUES)
def test_every_text_is_there_in_both_languages_with_the_same_places(room: str) -> None:
    for name, pair in catalogue(room).items():
        assert len(pair) == len(LANGUAGES), name
        english, chinese = pair
        assert english.strip(), name
        assert chinese.strip(), name
        assert places(english) == places(chinese), name
        assert not HAN.search(english), name


def test_the_chinese_texts_are_chinese() -> None:
    """All but a few, which are made of names, signs and commands alone."""
    same = {key for key, (_, chinese) in keys().items() if not HAN.search(chinese)}
    assert len(same) < len(keys()) / 20, sorted(same)


def test_every_key_asked_for_exists_and_is_given_its_values() -> None:
    known, wrong = keys(), []
    for path in SOURCES:
        for line, call, key in asked(path):
            if key not in known:
                wrong.append(f"{path.name}:{line}: {key} is in no catalogue")
                continue
            given = {"buke", *(keyword.arg for keyword in call.keywords)}  # the command is always given
            if None not in given and (missing := places(known[key][0]) - given):
                wrong.append(f"{path.name}:{line}: {key} is not given {sorted(missing)}")
    assert not wrong, "\n".join(wrong)
    assert sum(1 for path in SOURCES for _ in asked(path)) > 100  # the reader above does find them


def test_no_text_is_left_over() -> None:
    """A key is used where it is written out, or where an f-string begins with its room and its name is written out."""
    found = [strings(path) for path in SOURCES]
    whole = set().union(*(more for more, _ in found)) | PYDANTIC
    begun = {start for _, more in found for start in more if re.match(r"[a-z_]+\.", start)}
    families = tuple(start for start in begun if not start.endswith("."))  # such as cli.key_, train.part_
    unused = []
    for key in keys():
        room, _, name = key.partition(".")
        named = f"{room}." in begun and bool({name, name.removesuffix("_hint")} & whole)
        if not (key in whole or named or key.startswith(families)):
            unused.append(key)
    assert unused == []


def test_an_unknown_key_is_a_fault_and_values_are_filled_in() -> None:
    with pytest.raises(KeyError):
        t("cli.no_such_text")
    with pytest.raises(ModuleNotFoundError):
        t("nowhere.text")
    with pytest.raises(KeyError):
        t("runfolder.exists")
    assert t("runfolder.exists", run="x{0}") == "x{0}: a run of this name exists already"


def test_a_hint_names_the_command_as_the_user_types_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert t("intake.no_paths_hint") == "name a file: buke train records.jsonl"
    monkeypatch.setenv("BUKE_COMMAND", "python3 start.py")
    assert t("intake.no_paths_hint") == "name a file: python3 start.py train records.jsonl"


def commands() -> dict[str, set[str]]:
    """Every command of buke's with its options, and under "" those of all of them."""
    top: Any = typer.main.get_command(app(Common()))
    options = {
        name: {option for given in command.params for option in (*given.opts, *given.secondary_opts)}
        for name, command in {"buke": top, **top.commands}.items()
    }
    return {**options, "": set().union(*options.values(), {"--help", "--runs", "--lang"})}


def test_every_flag_and_command_in_a_text_exists() -> None:
    known, wrong, flags, called = commands(), [], 0, 0
    for key, pair in keys().items():
        for text in pair:
            for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text):
                flags += 1
                if flag not in known[""]:
                    wrong.append(f"{key}: there is no {flag}")
            for name in re.findall(r"\{buke\} ([a-z]+)", text):
                called += 1
                if name not in known:
                    wrong.append(f"{key}: there is no command {name}")
    assert not wrong, "\n".join(wrong)
    assert flags > 20  # the reader above does find them
    assert called > 4


def test_the_language_in_force_decides() -> None:
    assert (words.language(), t("cli.training")) == ("en", "Training")
    words.set_language("zh")
    assert (words.language(), t("cli.training")) == ("zh", "训练")
    with pytest.raises(ValueError, match="fr"):
        words.set_language("fr")
    assert words.language() == "zh"


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_TW"}, "zh"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.GBK"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),  # empty is as good as not set
    ],
)
def test_the_language_of_the_machine(variables: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert words.language_from_environment() == language


@pytest.mark.parametrize(
    ("name", "language"), [("Chinese (Simplified)_China", "zh"), ("zh_CN", "zh"), ("en_GB", "en"), (None, "en")]
)
def test_without_variables_the_locale_decides(name: str | None, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(locale, "getlocale", lambda: (name, None))
    assert words.language_from_environment() == language


def test_a_refusal_carries_its_parts() -> None:
    refusal = Refusal("a", "b", ("c",))
    assert (refusal.message, refusal.hint, refusal.details, str(refusal)) == ("a", "b", ("c",), "a")
