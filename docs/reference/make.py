"""Write settings.md and commands.md beside this file, from the settings and the command line themselves.

    .venv/bin/python docs/reference/make.py      (Windows: .venv\\Scripts\\python docs\\reference\\make.py)

tests/test_docs.py fails where the pages are not what this writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from buke.cli.commands import app
from buke.cli.common import Common
from buke.config import GROUPS, TUTORIAL, Settings, aliases_of, choices, group_of
from buke.words import catalogue, language, set_language

HERE = Path(__file__).resolve().parent
WIDTH = 100  # columns of the help pages
NOTE = "<!-- Written by docs/reference/make.py; change src/buke and run that again. -->"
SETTINGS_EN = (
    "Each setting is a flag of `buke train` (`held_out` is `--held-out`; underscores are understood too, and so is",
    "every other name longer than a letter) and a line of the TOML file that `--config` names. Only `data` is no flag:",
    "files stand by themselves. A flag wins over the file. Where the default is –, nothing is set, or the value is",
    "computed when model and data are known, as the meaning says. A run's `run.toml` tells where each of its values",
    "came from.",
)
SETTINGS_ZH = (
    "每个设置既是 `buke train` 的参数（`held_out` 写作 `--held-out`，用下划线也可以；"
    "“其他名字”只要不是单个字母也都可用），也是 `--config` 所指 TOML 文件里的一行；"
    "只有 `data` 不是参数，文件名直接写出即可。命令行优先于文件。"
    "默认值为 – 表示不设置，或在模型与数据确定后计算。每次运行的 `run.toml` 记有每个值的来源。"
)
COMMANDS = (
    "Data goes to stdout; progress, log and errors to stderr. Exit codes: 0 done, 1 a fault of buke's, 2 something for",
    "you to mend, 130 interrupted, 143 asked to end (SIGTERM), 129 terminal closed; `doctor`, `verify` and `train",
    "--again` also end with 1 where something is not as it should be. With `--json` whatever ends with an error is an",
    "object on stdout as well: `error`, `hint`, `details` (a list of lines), `code` (the exit code), and for what does",
    "not fit into memory `needed`, `budget` and `fits`. `--runs DIR` and `--lang en|zh` may stand",
    "anywhere; `--lang zh` says all this in Chinese. The settings among the flags are explained in",
    "[settings.md](settings.md).",
)
SIGNS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def pages() -> dict[str, str]:
    """File name -> text, whatever language is in force."""
    before = language()
    set_language("en")
    try:
        return {"settings.md": settings_page(), "commands.md": commands_page()}
    finally:
        set_language(before)


# settings


def settings_page() -> str:
    """Every setting by group: name, other names, default, range, meaning in both languages."""
    lines = [NOTE, "", "# Settings · 设置", "", *SETTINGS_EN, "", SETTINGS_ZH]
    for group in GROUPS:
        english, chinese = catalogue("cli")[f"group_{group}"]
        lines += ["", f"## {english}" + (f" · {chinese}" if chinese != english else ""), ""]
        lines += ["| name | other names | default | range | meaning | 含义 |", "|---|---|---|---|---|---|"]
        lines += [_row(name) for name in Settings.model_fields if group_of(name) == group]
    return "\n".join([*lines, *_tutorial()]) + "\n"


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    extra = field.json_schema_extra
    assert isinstance(extra, dict)
    others = ", ".join(f"`{alias}`" for alias in aliases_of(name)) or "–"
    cells = [f"`{name}`", others, _default(field.default), _range(field), str(extra["en"]), str(extra["zh"])]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: Any) -> str:
    """A default as the settings file writes it."""
    return "–" if value in (None, "", [], {}) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _range(field: Any) -> str:
    """What a setting admits: its words, its limits, its pattern."""
    if words := choices(field):
        return ", ".join(f"`{word}`" for word in words)
    if "bool" in str(field.annotation):
        return "`true`, `false`"
    limits = [f"{sign} {getattr(rule, key)}" for key, sign in SIGNS for rule in field.metadata if hasattr(rule, key)]
    patterns = [f"`{rule.pattern}`" for rule in field.metadata if getattr(rule, "pattern", None)]
    return ", ".join([*limits, *patterns]) or "–"


def _tutorial() -> Iterator[str]:
    """What the baseline recipe sets, and what it leaves as it is."""
    yield from ("", "## What `--recipe tutorial` sets", "")
    yield "Where you set nothing yourself; see [from the tutorial](../from-the-tutorial.md)."
    yield ""
    yield "仅在你没有自己设置时生效，见[从教程到 buke](../from-the-tutorial.zh-CN.md)。"
    yield from ("", "| name | tutorial | buke |", "|---|---|---|")
    for name, value in TUTORIAL.items():
        yield f"| `{name}` | {_default(value)} | {_default(Settings.model_fields[name].default)} |"


# commands


def command_tree() -> Any:
    """The command ``buke`` with its commands in ``commands``, as the library under typer has it."""
    return typer.main.get_command(app(Common()))


def commands_page() -> str:
    """The help of every command, as it prints it in English."""
    top = command_tree()
    context = _context(top, "buke", None)
    lines = [NOTE, "", "# Commands", "", *COMMANDS, "", "## buke", "", "```text", _help(top, context), "```"]
    for name, command in top.commands.items():
        lines += ["", f"## buke {name}", "", "```text", _help(command, _context(command, name, context)), "```"]
    return "\n".join(lines) + "\n"


def _context(command: Any, name: str, parent: Any) -> Any:
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    return command.context_class(command, info_name=name, parent=parent, **settings)


def _help(command: Any, context: Any) -> str:
    """The help text without spaces at the ends of lines."""
    return "\n".join(line.rstrip() for line in str(command.get_help(context)).strip().splitlines())


def main() -> None:
    """Write both pages."""
    for name, text in pages().items():
        (HERE / name).write_bytes(text.encode("utf-8"))  # bytes: the same line ends on every system


if __name__ == "__main__":
    main()
