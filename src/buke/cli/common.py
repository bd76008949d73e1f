"""What every command has in common, taken out of the command line before a command is looked for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from buke.words import LANGUAGES, Refusal, t


@dataclass
class Common:
    """What may stand anywhere on the command line."""

    runs: Path = Path("runs")
    lang: str = ""


def common(arguments: list[str]) -> tuple[list[str], Common]:
    """Take ``--runs`` and ``--lang`` out of the arguments, let ``--learning_rate`` mean ``--learning-rate``, and put
    the words after every ``--map`` together into one value."""
    found, rest = Common(), []
    waiting = iter(_one_map(arguments))
    for argument in waiting:
        name, equals, value = argument.partition("=")
        if name in ("--runs", "--lang"):
            value = value if equals else next(waiting, "")
            if value and name == "--lang" and value not in LANGUAGES:
                raise Refusal(t("cli.bad_lang", value=value), t("cli.needs_lang"))
            if not value:
                raise Refusal(
                    t("cli.needs", name=name), t("cli.needs_lang") if name == "--lang" else t("cli.needs_folder")
                )
            if name == "--runs":
                found.runs = Path(value)
            else:
                found.lang = value
        elif name.startswith("--") and len(name) > 2:
            rest.append(name.replace("_", "-") + equals + value)
        else:
            rest.append(argument)
    return rest, found


def _one_map(arguments: list[str]) -> list[str]:
    """The arguments with every ``--map role=… role=…`` put together into one, in JSON, where the first stood.

    The words of a map end at the first that is not ``name=…``. Raises Refusal for a map without words, and for a role
    said twice.
    """
    rest: list[str] = []
    roles: dict[str, str] = {}
    at, inside, needed = -1, False, False  # needed: --map waits for its first word
    for argument in arguments:
        opens = argument == "--map" or argument.startswith("--map=")
        word = argument[len("--map=") :] if opens else argument
        is_word = (inside or opens) and re.match(r"[^\W\d]\w*=", word) is not None
        if not is_word and (needed or (opens and word)):
            raise Refusal(t("cli.needs", name="--map"), t("cli.needs_map"))
        if is_word:
            role, _, place = word.partition("=")
            if role in roles:
                raise Refusal(t("cli.map_twice", role=role), t("cli.needs_map"))
            roles[role] = place
        elif not opens:
            rest.append(argument)
        at = len(rest) if opens and at < 0 else at
        inside, needed = is_word or opens, opens and not is_word
    if needed:
        raise Refusal(t("cli.needs", name="--map"), t("cli.needs_map"))
    if roles:
        rest.insert(at, f"--map={json.dumps(roles, ensure_ascii=False)}")
    return rest
