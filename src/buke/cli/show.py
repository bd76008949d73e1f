"""``buke show``: records as they are learned, in colours or as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from buke import hub, prompt
from buke.config import Settings
from buke.prompt import Prompt
from buke.records import Example
from buke.train.lessons import read_data
from buke.train.settle import needs, resolve
from buke.words import t

SHOWN = 3  # records where the user sets no --limit
PARTS = (
    ("cli.part_prompt", "dim"),
    ("cli.part_thought", "cyan"),
    ("cli.part_answer", "green"),
    ("cli.part_end", "bold magenta"),
)


def show_records(settings: Settings, as_json: bool) -> None:
    """Print records of the data; with ``as_json`` one line a record with ids and the mask of what is learned."""
    needs(settings)
    read = read_data(settings, settings.data, settings.limit or (None if as_json else SHOWN))
    folder = hub.resolve(settings.model, lambda text: print(text, file=sys.stderr))
    settings, _ = resolve(settings, {}, folder)
    tutorial = settings.length if settings.recipe == "tutorial" else None
    spoken = prompt.load(Path(folder), chat_template=settings.chat_template, system=settings.system, tutorial=tutorial)
    examples, left_out = prompt.build(spoken, read.records, int(settings.length or 0), settings.overlong == "shorten")
    console = Console(soft_wrap=True)
    if not as_json and console.is_terminal:
        console.print(_legend())
    for example in examples:
        if as_json:
            line = {
                "id": example.id,
                "source": example.source,
                "ids": example.ids,
                "learn": [int(x) for x in example.learn],
            }
            print(json.dumps(line))
        else:
            console.print(_title(example), _coloured(example, spoken, console.is_terminal), sep="\n")
    if examples and not as_json and not settings.limit:
        print(t("cli.show_more", count=len(examples)), file=sys.stderr)
    for finding in [*read.findings, *left_out]:
        print(finding, file=sys.stderr)


def _legend() -> Text:
    text = Text()
    for key, style in PARTS:
        text.append(f"[{t(key)}] ", style=style)
    return text


def _title(example: Example) -> Text:
    counts = {"source": example.source, "tokens": len(example), "learned": example.learned}
    return Text("\n" + t("cli.show_title", **counts), style="bold")


# a control character in a record must not paint the terminal: it shows as its picture
PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421, 0x9B: 0x241B}


def _coloured(example: Example, spoken: Prompt, colours: bool) -> Text:
    """The record's own tokens, each part in its colour, or after its name. Markup in the text is text."""
    text, start = Text(), 0
    for stop, (key, style) in zip(example.bounds, PARTS, strict=True):
        if not colours:
            text.append(f"⟦{t(key)}⟧")
        text.append(spoken.tokens.decode(example.ids[start:stop]).translate(PICTURES), style=style)
        start = stop
    return text
