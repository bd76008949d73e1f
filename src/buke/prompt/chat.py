"""How a model is spoken to through its chat template: prompt, thought, answer and end token as ids."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from buke.prompt.tokens import Tokens
from buke.records import CLOSE, OPEN, Example, Record, Turn
from buke.words import Refusal, t

QUESTION, SYSTEM, REPLY = "\ue000question\ue001", "\ue000system\ue001", "\ue000reply\ue001"
EARLIER = "\ue000{part}{turn}\ue001"  # the placeholder of a part of an earlier turn: asked, thought, answered
PLACEHOLDER = "\ue000[a-z]+[0-9]*\ue001"


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

    def _render(self, system: bool = False, turns: int = 0, reply: bool = False) -> str:
        """The template around placeholders: system message, earlier turns, question, reply.

        Raises Refusal where the template fails or does not write each of them once and the turns in order.
        """
        messages = [("system", SYSTEM)] * system
        for turn in range(turns):
            messages += [("user", _mark("asked", turn)), ("assistant", _mark("answered", turn))]
        messages += [("user", QUESTION)] + [("assistant", REPLY)] * reply
        names = {key: self.tokens.named(key) or "" for key in ("bos_token", "eos_token", "pad_token")}
        spoken = [{"role": role, "content": content} for role, content in messages]
        try:
            template = _environment().from_string(self.template)
            text = str(template.render(messages=spoken, add_generation_prompt=not reply, **names))
        except (TemplateError, TypeError, ValueError) as error:
            raise Refusal(t("prompt.template", why=error), t("prompt.template_hint")) from None
        found = re.findall(PLACEHOLDER, text)
        if SYSTEM in found:  # some templates write it into the last question
            found.insert(0, found.pop(found.index(SYSTEM)))
        if found != [content for _, content in messages]:
            raise Refusal(t("prompt.template_drops"), t("prompt.template_hint"))
        return text

    @cached_property
    def _bare(self) -> str:
        """The template around a question alone."""
        return self._render()

    @cached_property
    def _frames(self) -> dict[tuple[bool, tuple[bool, ...]], list[str]]:
        return {}

    def _frame(self, system: bool, thoughts: tuple[bool, ...]) -> list[str]:
        """The rendered template in pieces: placeholders, control tokens, and the text between them.

        thoughts: for each earlier turn, whether its thought is sent back. Templates strip those, so they are put in
        here, in place of the empty ones that some templates write.
        """
        if (system, thoughts) not in self._frames:
            text = self._render(system, len(thoughts)) if system or thoughts else self._bare
            for turn in (turn for turn, thought in enumerate(thoughts) if thought):
                answered = _mark("answered", turn)
                whole = f"{OPEN}\n{_mark('thought', turn)}\n{CLOSE}\n\n{answered}"
                text = re.sub(rf"({OPEN}\s*{CLOSE}\s*)?{answered}", whole, text)
            self._frames[system, thoughts] = re.split(f"({PLACEHOLDER}|{self._controls})", text)
        return self._frames[system, thoughts]

    def prompt_ids(self, question: str, system: str = "", history: Sequence[Turn] = ()) -> list[int]:
        """Ids up to the point where the model writes: the same in training, scoring and generation.

        history: the exchanges before the question, oldest first. White space around each text is left out.
        Raises Refusal where the template has no place for the system message or for earlier turns.
        """
        return self.tokens.join(self._prompt(question, system, history))

    def _prompt(self, question: str, system: str, history: Sequence[Turn]) -> list[str | int]:
        """A prompt in pieces: texts to be encoded, and control tokens between them."""
        system = system or self.system
        fill = {QUESTION: question, SYSTEM: system}
        for n, turn in enumerate(history):
            parts = {"asked": turn.question, "thought": turn.thought, "answered": turn.answer}
            fill |= {_mark(part, n): text for part, text in parts.items()}
        pieces: list[str | int] = []
        text = ""
        for piece in self._frame(bool(system), tuple(bool(turn.thought.strip()) for turn in history)):
            if piece in self.tokens.control:
                pieces += [text, self.tokens.control[piece]]
                text = ""
            else:
                text += fill[piece].strip() if piece in fill else piece
        return [piece for piece in [*pieces, text] if piece != ""]

    @cached_property
    def _controls(self) -> str:
        longest_first = sorted(self.tokens.control, key=len, reverse=True)
        return "|".join(re.escape(text) for text in longest_first) or "(?!)"

    @cached_property
    def opened(self) -> bool:
        """Whether the template itself writes ``<think>`` after the question."""
        return self._bare.rstrip().endswith(OPEN)

    @cached_property
    def end(self) -> int:
        """The token that ends the model's turn: what the template writes after a reply, else the tokenizer's own."""
        after = self._render(reply=True).split(REPLY)[1]
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
        return self.examples([record])[0]

    def examples(self, records: Sequence[Record]) -> list[Example]:
        """Several at once, which is faster."""
        parts = [self._parts(record) for record in records]
        texts = [piece for part in parts for pieces in part for piece in pieces if isinstance(piece, str)]
        ids = iter(self.tokens.encode_all(texts))
        made = []
        for record, part in zip(records, parts, strict=True):
            joined: list[int] = []
            ends = []
            for pieces in part:
                for piece in pieces:
                    joined += next(ids) if isinstance(piece, str) else [piece]
                ends.append(len(joined))
            b0, b1, b2, b3 = ends
            learn = (False,) * b0 + (True,) * (b3 - b0)
            made.append(Example(record.id, record.source, tuple(joined), learn, (b0, b1, b2, b3)))
        return made

    def _parts(self, record: Record) -> tuple[list[str | int], ...]:
        """Prompt, thought with its tags, answer and end, each in pieces as a prompt is."""
        control = self.tokens.control
        opening = [] if self.opened else [control.get(OPEN, OPEN)]
        return (
            self._prompt(record.question, record.system, record.history),
            [*opening, f"{self._lead}{record.thought}\n", control.get(CLOSE, CLOSE)],
            [f"\n\n{record.answer}"],
            [self.end],
        )

    scored = example  # scoring sees what training sees

    @cached_property
    def _lead(self) -> str:
        """What stands between ``<think>`` and the thought, where the template did not write it already."""
        return "" if self.opened and self._bare.endswith("\n") else "\n"

    def completion_text(self, record: Record) -> str:
        """What the learned ids of a record have to decode to."""
        opening = "" if self.opened else OPEN
        end = self.tokens.decode([self.end])
        return f"{opening}{self._lead}{record.thought}\n{CLOSE}\n\n{record.answer}{end}"

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


def _mark(part: str, turn: int) -> str:
    return EARLIER.format(part=part, turn=turn)


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
