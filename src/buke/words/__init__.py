"""Room `words`: everything a person reads, in English and Chinese, and the one way to refuse.

Each module of this folder holds a dictionary ``TEXTS`` of ``key: (English, Chinese)`` for one room; together they
are the catalogue. ``t(key, **values)`` gives the text in the language in force.
"""

from __future__ import annotations

import errno
import importlib
import locale
import os
import re
import shlex
import string
import subprocess
from collections.abc import Mapping
from functools import cache
from typing import Any

LANGUAGES = ("en", "zh")
_language = "en"


class Refusal(Exception):
    """Something the user has to mend. The doors print it as one sentence, its details and a hint, and exit with 2.

    message: one sentence saying what is wrong, with ``file:line`` where there is one.
    hint: how to mend it.
    details: further lines (all problems found in one pass), already worded.
    figures: what a program reads in place of the sentences, by name.
    """

    def __init__(
        self, message: str, hint: str = "", details: tuple[str, ...] = (), figures: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.hint, self.details, self.figures = message, hint, details, dict(figures or {})


def set_language(language: str) -> None:
    """Choose ``en`` or ``zh`` for every later ``t``."""
    global _language
    if language not in LANGUAGES:
        raise ValueError(f"language is one of {LANGUAGES}, not {language!r}")
    _language = language


def language() -> str:
    """The language in force, ``en`` or ``zh``."""
    return _language


def language_from_environment() -> str:
    """``zh`` where the locale of the machine is Chinese, else ``en``."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    name = (locale.getlocale()[0] or "").lower()
    return "zh" if name.startswith(("zh", "chinese")) else "en"


@cache
def catalogue(room: str) -> dict[str, tuple[str, str]]:
    """The texts of one room: ``key -> (English, Chinese)``."""
    texts: dict[str, tuple[str, str]] = importlib.import_module(f"buke.words.{room}").TEXTS
    return texts


def of_system(error: OSError) -> str:
    """Why the system refuses a file, in the language in force where we have its words, else in the system's."""
    name = errno.errorcode.get(error.errno or 0, "")
    known = f"error_{name}" in catalogue("runfolder")
    return t(f"runfolder.error_{name}") if known else error.strerror or str(error)


def command() -> str:
    """What the user types to reach buke: start.py says it in BUKE_COMMAND, an installed one is called ``buke``."""
    return os.environ.get("BUKE_COMMAND") or "buke"


def quoted(*words: Any) -> str:
    """Words as a shell of this system takes them. Letters of any script need no quotes."""
    texts = list(map(str, words))
    if os.name == "nt":
        return subprocess.list2cmdline(texts)
    return " ".join(text if re.fullmatch(r"[\w@%+=:,./-]+", text) else shlex.quote(text) for text in texts)


class _Texts(string.Formatter):
    """Fills texts in; ``{name!q}`` is a word of a command line."""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        return quoted(value) if conversion == "q" else super().convert_field(value, conversion)


def t(key: str, /, **values: Any) -> str:
    """The text ``room.key`` in the language in force, with ``{names}`` filled in. An unknown key is a KeyError.

    ``{buke}`` is the command itself and need not be given.
    """
    room, _, name = key.partition(".")
    text = catalogue(room)[name][LANGUAGES.index(_language)]
    filled = {"buke": command(), **values}
    return _Texts().vformat(text, (), filled) if "!q}" in text else text.format(**filled)
