"""What is said of a command line that cannot be read, and the frame of help pages, in the language in force.

typer's own words are English; its errors are told by their class, for which of its two bases they come from depends on
its version.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

from buke.words import Refusal, language, t


def refusal_of(error: Any, asked: str) -> Refusal:
    """An error of typer's as one of ours. asked: the command, for an error that does not tell it."""
    context = getattr(error, "ctx", None)
    command = asked if context is None else context.info_name if context.parent is not None else ""
    return Refusal(_said(error), t("cli.usage_hint", command=f"{command} " if command else ""))


def _said(error: Any) -> str:
    """What is wrong; in typer's own words where it is something rare."""
    kind, message = type(error).__name__, str(error.format_message()).rstrip(".")
    if kind == "NoSuchOption":
        return t("cli.no_option", name=error.option_name) + _nearest(error.option_name, error.possibilities or ())
    if kind == "BadOptionUsage":
        takes_none = "not take" in message
        return t("cli.takes_none" if takes_none else "cli.needs", name=error.option_name)
    if kind == "MissingParameter" and error.param is not None:
        return t("cli.missing", name=error.param.opts[0])
    if kind == "BadParameter" and error.param is not None:
        limits = error.param if hasattr(error.param, "min") else error.param.type  # an older typer has them there
        if (low := getattr(limits, "min", None)) is not None:  # as every number has that is no setting
            key = "cli.number_from" if limits.max is None else "cli.number_between"
            return t(key, name=error.param.opts[0], low=low, high=limits.max)
    if found := re.match(r"No such command '(.*?)'(?:\. Did you mean (.*)\?)?$", message):
        return t("cli.no_command", name=found[1]) + _nearest(found[1], re.findall(r"'(.*?)'", found[2] or ""))
    if found := re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)$", message):
        return t("cli.too_much", words=found[1])
    return message


def _nearest(word: str, names: Iterable[str]) -> str:
    """The name that was likely meant, of those that typer offers."""
    near = difflib.get_close_matches(word, list(names), n=1, cutoff=0)
    return t("config.nearest", name=near[0]) if near else ""


FRAME = {  # of a help page; what stands at its start, at its end, or anywhere in brackets
    r"^Usage:": "help_usage", r"^Arguments:$": "help_arguments", r"^Options:$": "help_options",
    r"^Commands:$": "help_commands", r"(?<=  )Show this message and exit\.$": "help_help",
    r"(?<=\[)default: ": "help_default", r"(?<=[\[ ])required\]$": "help_required",
}  # fmt: skip


def framed(page: str) -> str:
    """A help page with typer's words in the language in force."""
    if language() != "en":
        for pattern, key in FRAME.items():
            page = re.sub(pattern, lambda _, key=key: t(f"cli.{key}"), page, flags=re.MULTILINE)  # type: ignore[misc]
    return page


class Command(TyperCommand):
    """A command whose help page is in the language in force."""

    def get_help(self, ctx: Any) -> str:
        """The help page."""
        return framed(super().get_help(ctx))


class Group(TyperGroup):
    """The command ``buke`` itself, likewise."""

    def get_help(self, ctx: Any) -> str:
        """The help page."""
        return framed(super().get_help(ctx))
