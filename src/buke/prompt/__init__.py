"""Room `prompt`: Record <-> token ids, and the mask of what is learned.

The only place that decides how `<think>`, BOS and end tokens become ids. Training, scoring, preview and generation all
get their ids here. Ids are built from parts: the chat template is rendered once around placeholders, and the user's
text is encoded by a tokenizer that knows no control tokens. So a template that deletes thoughts cannot delete them
here, and a question that contains ``<|im_end|>`` stays text.
"""

from __future__ import annotations

from pathlib import Path

from buke.prompt.chat import QUESTION, REPLY, SYSTEM, Prompt
from buke.prompt.proof import Lengths, build, lengths, prove
from buke.prompt.tokens import Tokens, json_object
from buke.prompt.tutorial import TutorialPrompt
from buke.records import CLOSE, OPEN
from buke.words import Refusal, t

__all__ = [
    "CLOSE", "OPEN", "QUESTION", "REPLY", "SYSTEM", "Lengths", "Prompt", "Tokens", "TutorialPrompt", "build", "lengths",
    "load", "prove",
]  # fmt: skip


def load(folder: Path, *, chat_template: str | None = None, system: str = "", tutorial: int | None = None) -> Prompt:
    """The prompt of a model folder. tutorial: the length of the tutorial's text format, or None for the chat format.

    Raises Refusal where a file of the folder is damaged, the template cannot be used, or there is no end token.
    """
    tokens = Tokens(folder)
    tokens.check(folder)
    eos_ids = _generation_eos(folder / "generation_config.json")
    template = _template(folder, tokens, chat_template)
    if tutorial:
        baseline = TutorialPrompt(tokens, template, system, eos_ids, length=tutorial)
        _ = baseline.end
        return baseline
    if not template:
        raise Refusal(t("prompt.no_template", folder=folder), t("prompt.no_template_hint"))
    prompt = Prompt(tokens, template, system, eos_ids)
    _ = prompt.end, prompt.prompt_ids("?")
    return prompt


def _generation_eos(path: Path) -> tuple[int, ...]:
    """The end tokens that generation_config.json names; none where there is no such file. Raises Refusal."""
    eos = json_object(path).get("eos_token_id") if path.is_file() else None
    ids = eos if isinstance(eos, list) else [] if eos is None else [eos]
    if not all(type(value) is int for value in ids):
        raise Refusal(t("prompt.bad_eos", path=path, value=eos), t("prompt.file_hint"))
    return tuple(ids)


def _template(folder: Path, tokens: Tokens, chosen: str | None) -> str:
    """The chat template: the user's file, else chat_template.jinja, else the one in tokenizer_config.json."""
    if chosen:
        try:
            return Path(chosen).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Refusal(t("prompt.template_file", path=chosen, why=error), t("prompt.no_template_hint")) from None
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    found = tokens.config.get("chat_template") or ""
    if isinstance(found, list):  # several named templates
        found = {entry["name"]: entry["template"] for entry in found}.get("default", "")
    return str(found)
