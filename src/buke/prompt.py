"""Room `prompt`: Record <-> token ids, and the mask of what is learned.

The only place that decides how `<think>`, BOS and end tokens become ids. Training, scoring, preview and generation all
get their ids here. Ids are built from parts: the chat template is rendered once around placeholders, and the user's
text is encoded by a tokenizer that knows no control tokens. So a template that deletes thoughts cannot delete them
here, and a question that contains ``<|im_end|>`` stays text.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from buke.records import CLOSE, OPEN, Example, Finding, Record
from buke.words import Refusal, t

QUESTION, SYSTEM, REPLY = "\ue000question\ue001", "\ue000system\ue001", "\ue000reply\ue001"
ROUND_TRIP = (
    "患者头痛 3 天，伴恶心。",
    "The dose is 12.5 mg/kg.\n\nCheck: 84 / 7 = 12.",
    "def f(x):\n    return {'a': x[0]}",
)


class Tokens:
    """A model folder's tokenizer, read with `tokenizers` directly (libraries above it have corrupted R1's ids)."""

    def __init__(self, folder: Path) -> None:
        """Raises Refusal naming the file that is missing, damaged, or no tokenizer."""
        path, self.config_path = folder / "tokenizer.json", folder / "tokenizer_config.json"
        self.text, parts = _json_object(path)
        try:
            self.full = Tokenizer.from_str(self.text)
            self.control = {token["content"]: int(token["id"]) for token in parts.get("added_tokens", [])}
            parts |= {"added_tokens": [], "post_processor": None, "padding": None, "truncation": None}
            self.plain = Tokenizer.from_str(json.dumps(parts))
        except Exception as error:  # the library raises bare Exception for what it cannot read
            raise Refusal(t("prompt.no_tokenizer", path=path, why=error), t("prompt.file_hint")) from None
        self.full.no_padding()
        self.full.no_truncation()
        self.config = _json_object(self.config_path)[1] if self.config_path.is_file() else {}

    def encode(self, text: str) -> list[int]:
        """Ids of text in which nothing is a control token."""
        return list(self.plain.encode(text, add_special_tokens=False).ids)

    def tag(self, text: str) -> list[int]:
        """Ids of a tag: one control token where the tokenizer has it, else its letters."""
        return [self.control[text]] if text in self.control else self.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, control tokens included."""
        return str(self.full.decode(list(ids), skip_special_tokens=False))

    def named(self, key: str) -> str | None:
        """A token such as ``eos_token`` from tokenizer_config.json, as text."""
        value = self.config.get(key)
        return value.get("content") if isinstance(value, dict) else value

    def check_round_trip(self, folder: Path) -> None:
        """Refuse a tokenizer that does not give back Chinese, English and code."""
        for text in ROUND_TRIP:
            if (back := self.decode(self.encode(text))) != text:
                import tokenizers

                problem = t("prompt.round_trip", folder=folder, text=text, back=back, version=tokenizers.__version__)
                raise Refusal(problem, t("prompt.round_trip_hint"))


def _json_object(path: Path) -> tuple[str, dict[str, Any]]:
    """The text of a model's JSON file and the object it holds. Raises Refusal naming the file."""
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Refusal(t("prompt.file", path=path, why=why), t("prompt.file_hint")) from None
    if not isinstance(found, dict):
        raise Refusal(t("prompt.file_object", path=path), t("prompt.file_hint"))
    return text, found


@dataclass(frozen=True)
class Prompt:
    """How one model is spoken to: the chat template around a question, and how thought, answer and end follow it.

    template: Jinja text of the chat template. system: the system message of every prompt, "" for the template's own.
    """

    tokens: Tokens
    template: str
    system: str = ""
    generation_eos: tuple[int, ...] = ()
    style: str = "chat"

    # what a prompt is made of

    def _render(self, system: bool, reply: bool) -> str:
        """The template around placeholders, with or without a system message and a reply."""
        messages = [{"role": "user", "content": QUESTION}]
        if system:
            messages.insert(0, {"role": "system", "content": SYSTEM})
        if reply:
            messages.append({"role": "assistant", "content": REPLY})
        names = {key: self.tokens.named(key) or "" for key in ("bos_token", "eos_token", "pad_token")}
        try:
            template = _environment().from_string(self.template)
            text = str(template.render(messages=messages, add_generation_prompt=not reply, **names))
        except (TemplateError, TypeError, ValueError) as error:
            raise Refusal(t("prompt.template", why=error), t("prompt.template_hint")) from None
        wanted = [QUESTION] + [SYSTEM] * system + [REPLY] * reply
        if any(text.count(mark) != 1 for mark in wanted):
            raise Refusal(t("prompt.template_drops"), t("prompt.template_hint"))
        return text

    @cached_property
    def _frames(self) -> dict[bool, str]:
        frames = {False: self._render(system=False, reply=False)}
        if self.system:
            frames[True] = self._render(system=True, reply=False)
        return frames

    def prompt_ids(self, question: str, system: str = "") -> list[int]:
        """Ids up to the point where the model writes: the same in training, scoring and generation."""
        system = system or self.system
        if system and True not in self._frames:
            self._frames[True] = self._render(system=True, reply=False)
        fill = {QUESTION: question.strip(), SYSTEM: system.strip()}
        ids: list[int] = []
        pending = ""
        for piece in re.split(f"({QUESTION}|{SYSTEM}|{self._controls})", self._frames[bool(system)]):
            if piece in fill:
                pending += fill[piece]
            elif piece in self.tokens.control:
                ids += (self.tokens.encode(pending) if pending else []) + [self.tokens.control[piece]]
                pending = ""
            else:
                pending += piece
        return ids + (self.tokens.encode(pending) if pending else [])

    @cached_property
    def _controls(self) -> str:
        longest_first = sorted(self.tokens.control, key=len, reverse=True)
        return "|".join(re.escape(text) for text in longest_first) or "(?!)"

    @cached_property
    def opened(self) -> bool:
        """Whether the template itself writes ``<think>`` after the question."""
        return self._frames[False].rstrip().endswith(OPEN)

    @cached_property
    def end(self) -> int:
        """The token that ends the model's turn: what the template writes after a reply, else the tokenizer's own."""
        after = self._render(system=False, reply=True).split(REPLY)[1]
        if found := re.match(rf"\s*({self._controls})", after):
            return self.tokens.control[found[1]]
        eos = self.tokens.named("eos_token")
        if eos in self.tokens.control:
            return self.tokens.control[str(eos)]
        raise Refusal(t("prompt.no_end"), t("prompt.template_hint"))

    @cached_property
    def stops(self) -> frozenset[int]:
        """Tokens at which generation ends."""
        eos = self.tokens.control.get(self.tokens.named("eos_token") or "")
        return frozenset({self.end, *self.generation_eos} | ({eos} if eos is not None else set()))

    # what is learned

    def example(self, record: Record) -> Example:
        """Prompt, then thought with its tags, answer and end token, which are what is learned."""
        prompt = self.prompt_ids(record.question, record.system)
        encode, tag = self.tokens.encode, self.tokens.tag
        if self.opened:
            lead = "" if self._frames[False].endswith("\n") else "\n"
            thought = encode(f"{lead}{record.thought}\n") + tag(CLOSE)
        else:
            thought = tag(OPEN) + encode(f"\n{record.thought}\n") + tag(CLOSE)
        answer = encode(f"\n\n{record.answer}")
        return _example(record, prompt, thought, answer, [self.end])

    scored = example  # scoring sees what training sees

    def completion_text(self, record: Record) -> str:
        """What the learned ids of a record have to decode to."""
        lead = ("" if self._frames[False].endswith("\n") else "\n") if self.opened else f"{OPEN}\n"
        end = self.tokens.decode([self.end])
        return f"{lead}{record.thought}\n{CLOSE}\n\n{record.answer}{end}"

    # what the model says

    open_text, close_text = OPEN, CLOSE

    @cached_property
    def close_ids(self) -> list[int]:
        """What closes a thought whose budget ran out."""
        return self.tokens.encode("\n") + self.tokens.tag(CLOSE)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides which ids a record becomes."""
        sample = Record.make("Q 问", "T 思", "A 答", "")
        parts = [self.style, self.template, self.system, self.tokens.text, self.scored(sample).ids, sorted(self.stops)]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()


@dataclass(frozen=True)
class TutorialPrompt(Prompt):
    """The tutorial's own text, as a baseline: one fixed string, cut and padded to ``length``, every token learned.

    Padding attends to the padding before it here, where the tutorial's trainer masks those keys.
    """

    length: int = 512
    style: str = "tutorial"
    open_text: str = field(default="", init=False)
    close_text: str = field(default="### 答案:\n", init=False)
    opened = True

    def _text(self, record: Record) -> tuple[str, str, str]:
        return (
            f"诊断问题:{record.question}\n详细分析:",
            f"{record.thought}\n### 答案:\n",
            f"{record.answer}<|endoftext|>",
        )

    def _bos(self) -> list[int]:
        bos = self.tokens.named("bos_token")
        return (
            [self.tokens.control[bos]] if self.tokens.config.get("add_bos_token") and bos in self.tokens.control else []
        )

    def prompt_ids(self, question: str, system: str = "") -> list[int]:
        return self._bos() + self.tokens.encode(f"诊断问题:{question}\n详细分析:")

    def _whole(self, record: Record) -> tuple[list[int], tuple[int, int, int]]:
        """Ids of the whole string, and where prompt, thought and answer end in them."""
        prompt, thought, answer = self._text(record)
        encoding = self.tokens.full.encode(prompt + thought + answer, add_special_tokens=False)
        bos = self._bos()
        ends = [stop for _, stop in encoding.offsets]
        edges = [len(prompt), len(prompt + thought), len(prompt + thought + record.answer)]
        bounds = [len(bos) + sum(stop <= edge for stop in ends) for edge in edges]
        return bos + list(encoding.ids), (bounds[0], bounds[1], bounds[2])

    def example(self, record: Record) -> Example:
        ids, bounds = self._whole(record)
        ids = ids[: self.length] + [self.end] * (self.length - len(ids))
        b0, b1, b2 = (min(bound, self.length) for bound in bounds)
        return Example(record.id, record.source, tuple(ids), (True,) * len(ids), (b0, b1, b2, len(ids)))

    def scored(self, record: Record) -> Example:
        """Thought and answer whole, nothing padded, so that its loss can be held against ours per character."""
        ids, (b0, b1, b2) = self._whole(record)
        return Example(
            record.id, record.source, tuple(ids), tuple(i >= b0 for i in range(len(ids))), (b0, b1, b2, len(ids))
        )

    @cached_property
    def end(self) -> int:
        """The tokenizer's own end token; the baseline has no other. Raises Refusal where there is none."""
        eos = self.tokens.named("eos_token")
        if eos not in self.tokens.control:
            raise Refusal(t("prompt.no_eos", path=self.tokens.config_path, eos=eos), t("prompt.no_eos_hint"))
        return self.tokens.control[str(eos)]

    @cached_property
    def close_ids(self) -> list[int]:
        return self.tokens.encode("\n### 答案:\n")


def load(folder: Path, *, chat_template: str | None = None, system: str = "", tutorial: int | None = None) -> Prompt:
    """The prompt of a model folder. tutorial: the length of the tutorial's text format, or None for the chat format.

    Raises Refusal where a file of the folder is damaged, the template cannot be used, or there is no end token.
    """
    tokens = Tokens(folder)
    tokens.check_round_trip(folder)
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
    eos = _json_object(path)[1].get("eos_token_id") if path.is_file() else None
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


def _environment() -> ImmutableSandboxedEnvironment:
    """Jinja as chat templates expect it; a sandbox, since a template comes with somebody else's model."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment.globals["raise_exception"] = raise_exception
    environment.filters["tojson"] = lambda value, **kw: json.dumps(value, ensure_ascii=False, indent=kw.get("indent"))
    return environment


def _example(record: Record, prompt: list[int], thought: list[int], answer: list[int], end: list[int]) -> Example:
    ids = prompt + thought + answer + end
    b0, b1, b2 = len(prompt), len(prompt + thought), len(prompt + thought + answer)
    learn = (False,) * b0 + (True,) * (len(ids) - b0)
    return Example(record.id, record.source, tuple(ids), learn, (b0, b1, b2, len(ids)))


# from records to examples, with proof


def build(
    prompt: Prompt, records: Iterable[Record], length: int, shorten: bool = False
) -> tuple[list[Example], list[Finding]]:
    """Every record as an Example that is proven to teach thought, answer and end token; findings for what is left out.

    A record longer than ``length`` tokens is left out, or shortened inside its thought where ``shorten`` asks for it.
    Raises Refusal naming the record where the proof fails: that is never a property of the data.
    """
    examples: list[Example] = []
    findings: list[Finding] = []
    for record in records:
        try:
            f"{record.system}{record.question}{record.thought}{record.answer}".encode()
        except UnicodeEncodeError:
            findings.append(Finding(record.source, "surrogate", t("prompt.surrogate"), t("prompt.surrogate_hint")))
            continue
        example = prompt.example(record)
        if prompt.style == "tutorial":
            examples.append(example)  # cut and padded by its own rule; nothing to prove
            continue
        prove(prompt, record, example)
        if len(example) > length:
            if not shorten or (cut := _shorten(prompt, record, length)) is None:
                message = t("prompt.overlong", tokens=len(example), length=length)
                findings.append(Finding(record.source, "overlong", message, t("prompt.overlong_hint")))
                continue
            example = cut
        examples.append(example)
    return examples, findings


def prove(prompt: Prompt, record: Record, example: Example) -> None:
    """Raise Refusal unless the prompt is whole and the learned ids are exactly thought, answer and end token."""
    b0 = example.bounds[0]
    learned = [i for i, flag in zip(example.ids, example.learn, strict=True) if flag]
    text = prompt.tokens.decode(learned)
    wanted = prompt.completion_text(record)
    same = text == wanted or unicodedata.normalize("NFC", text) == unicodedata.normalize("NFC", wanted)
    controls = set(prompt.tokens.control.values()) - set(prompt.tokens.tag(OPEN) + prompt.tokens.tag(CLOSE))
    stray = controls & set(learned[:-1])
    asked = list(example.ids[:b0]) == prompt.prompt_ids(record.question, record.system)
    at_once = example.learn == (False,) * b0 + (True,) * (len(example) - b0)
    if not (same and asked and at_once and not stray and learned and learned[-1] == prompt.end):
        raise Refusal(t("prompt.unproven", source=record.source), t("prompt.unproven_hint"))


def _shorten(prompt: Prompt, record: Record, length: int) -> Example | None:
    """The record with text taken out of the middle of its thought until it fits; None where that is too short."""
    kept = len(record.thought)
    while kept >= 32:
        shorter = replace(record, thought=_without_middle(record.thought, kept))
        example = prompt.example(shorter)
        if len(example) <= length:
            prove(prompt, shorter, example)
            return example
        kept = min(kept - 16, kept * length // len(example))
    return None


def _without_middle(text: str, kept: int) -> str:
    half = kept // 2
    return text if kept >= len(text) else f"{text[:half].rstrip()}\n…\n{text[-half:].lstrip()}"
