"""Command-line flags made from the settings, and settings made from flags."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from buke.config import Settings, aliases_of, choices, group_of, make, meaning, read_toml
from buke.words import t


def with_settings(
    command: Callable[..., None], groups: Iterable[str], leave_out: tuple[str, ...] = (), defaults: bool = True
) -> Callable[..., None]:
    """Give a command, declared with ``**given``, a flag for every setting of the groups, under all its usual names.

    defaults: whether the help states the default, which is not what a finished run goes by.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    added = []
    for name, field in Settings.model_fields.items():
        if group_of(name) in groups and name not in leave_out:
            kind = _kind(field)
            help_text = meaning(name) + (_default(field.default) if defaults else "")
            panel, metavar = t(f"cli.group_{group_of(name)}"), "|".join(choices(field)) or None
            option = typer.Option(_flag(name, kind), help=help_text, rich_help_panel=panel, metavar=metavar)
            added.append(_parameter(name, kind, option))
            for alias in aliases_of(name):
                if len(alias) > 1:
                    added.append(_parameter(alias, kind, typer.Option(_flag(alias, kind), hidden=True)))
    command.__signature__ = signature.replace(parameters=own + added)  # type: ignore[attr-defined]
    return command


def _flag(name: str, kind: Any) -> str:
    flag = f"--{name.replace('_', '-')}"
    return f"{flag}/--no-{flag[2:]}" if kind is bool else flag


def _parameter(name: str, kind: Any, option: Any) -> inspect.Parameter:
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=None, annotation=Annotated[kind | None, option])


def _kind(field: Any) -> Any:
    """The type typer parses a setting as: bool, or text that pydantic reads, so that every problem is told at once."""
    return bool if field.annotation is bool or set(get_args(field.annotation)) == {bool, type(None)} else str


def _default(value: Any) -> str:
    return "" if value in (None, "", [], {}) else f" [{value}]"


def flags_of(settings: Settings, names: Iterable[str]) -> list[str]:
    """Settings as words of a command line, without the data and the model."""
    words: list[str] = []
    for name in names:
        flag, value = f"--{name.replace('_', '-')}", getattr(settings, name)
        if name == "map":
            words += [flag, *(f"{role}={place}" for role, place in value.items())]
        elif name not in ("data", "model"):
            words += [f"{flag}={value}"] if str(value).startswith("-") else [flag, str(value)]
    return words


def by_name(given: dict[str, Any]) -> dict[str, Any]:
    """The flags that were given, under the settings' own names."""
    names = {alias: name for name in Settings.model_fields for alias in (name, *aliases_of(name))}
    return {names[alias]: value for alias, value in given.items() if value is not None}


def settings_from(
    given: dict[str, Any], positional: dict[str, Any], config: Path | None = None
) -> tuple[Settings, dict[str, str]]:
    """Settings of a TOML file, overlaid by flags; each remembers where it came from."""
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    if config is not None:
        values = read_toml(config)
        places = {name: str(config) for name in values}
    names = {alias: name for name in Settings.model_fields for alias in (name, *aliases_of(name))}
    for alias, value in {**given, **positional}.items():
        if value is not None and value != []:
            values = {key: old for key, old in values.items() if names.get(key, key) != names.get(alias, alias)}
            values[alias] = value
            places[alias] = f"--{alias.replace('_', '-')}" if alias in given else t("cli.command_line")
    return make(values, places)
