"""The text format of the tutorial this project starts from, kept as a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from buke.prompt.chat import Prompt
from buke.records import Example, Record, Turn
from buke.words import Refusal, t


@dataclass(frozen=True)
class TutorialPrompt(Prompt):
    """The tutorial's own text, as a baseline: one fixed string, cut and padded to ``length``, every token learned.

    Padding attends to the padding before it here, where the tutorial's trainer masks those keys. The text has no place
    for a system message, which is left out, nor for earlier turns, which are refused.
    """

    length: int = 512
    style: str = "tutorial"
    open_text: str = field(default="", init=False)
    close_text: str = field(default="### 答案:\n", init=False)
    opened = True

    def prompt_ids(self, question: str, system: str = "", history: Sequence[Turn] = ()) -> list[int]:
        if history:
            raise Refusal(t("prompt.tutorial_turns"), t("prompt.tutorial_turns_hint"))
        return self._bos() + self.tokens.encode(f"诊断问题:{question}\n详细分析:")

    def _text(self, record: Record) -> tuple[str, str, str]:
        if record.history:
            raise Refusal(f"{record.source}: {t('prompt.tutorial_turns')}", t("prompt.tutorial_turns_hint"))
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

    def examples(self, records: Sequence[Record]) -> list[Example]:
        return [self.example(record) for record in records]

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
