"""A model folder's tokenizer: text to ids in which nothing the user wrote is a control token, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Tokenizer

from buke.records import CLOSE, OPEN
from buke.words import Refusal, of_system, t

ROUND_TRIP = (
    "患者头痛 3 天，伴恶心。",
    "The dose is 12.5 mg/kg.\n\nCheck: 84 / 7 = 12.",
    "def f(x):\n    return {'a': x[0]}",
)
GOLDEN = {  # SHA-256 of a known tokenizer.json -> texts and the ids its makers meant
    "2824e9e49b9193eaa1a4fc059fbebad8dc56508ac786c4d3f153fc0a804404cb": {  # DeepSeek-R1-Distill-Qwen
        "患者头痛 3 天": (101924, 109180, 220, 18, 40666, 102),
        "The dose is 12.5 mg/kg, twice a day.": (
            785, 19115, 374, 220, 16, 17, 13, 20, 13742, 44770, 11, 10917, 264, 1899, 13,
        ),
        "def f(x):\n    return {'a': x[0]}": (750, 282, 2075, 982, 262, 470, 5360, 64, 1210, 856, 58, 15, 13989),
        "先想一想：12 × 4 = 48，so 48 mg。": (
            60726, 99172, 14777, 99172, 5122, 16, 17, 24768, 220, 19, 284, 220, 19, 23, 3837, 704, 220, 19, 23, 13742,
            1773,
        ),
    }
}  # fmt: skip

# tokenizers 0.23 keeps the words that a BPE model has met after the model is gone, so a process that reads the same
# text again and again would grow; and reading it takes long. The next text takes the place of the one before.
_read = lru_cache(maxsize=1)(Tokenizer.from_str)


class Tokens:
    """A model folder's tokenizer, read with `tokenizers` directly (libraries above it have corrupted R1's ids)."""

    def __init__(self, folder: Path) -> None:
        """Raises Refusal naming the file that is missing, damaged, or no tokenizer."""
        path, self.config_path = folder / "tokenizer.json", folder / "tokenizer_config.json"
        self.text = _text(path)
        try:
            self.full = _read(self.text)
            added = self.full.get_added_tokens_decoder()
            self.control = {token.content: i for i, token in added.items()}
            meant = {token.content for token in added.values() if token.special} | {OPEN, CLOSE}
            self.special = {text: i for text, i in self.control.items() if text in meant}
            self.plain = Tokenizer(self.full.model)  # shares the model, which takes long to read
            self.plain.normalizer, self.plain.decoder = self.full.normalizer, self.full.decoder
            self.plain.pre_tokenizer = self.full.pre_tokenizer
        except Exception as error:  # the library raises bare Exception for what it cannot read
            json_object(path)  # where it is no JSON, that is the better complaint
            raise Refusal(t("prompt.no_tokenizer", path=path, why=error), t("prompt.file_hint")) from None
        self.full.no_padding()
        self.full.no_truncation()
        self.config = json_object(self.config_path) if self.config_path.is_file() else {}

    def encode(self, text: str) -> list[int]:
        """Ids of text in which nothing is a control token."""
        return list(self.plain.encode(text, add_special_tokens=False).ids)

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """The same for several texts at once, on all cores."""
        return [encoding.ids for encoding in self.plain.encode_batch_fast(list(texts), add_special_tokens=False)]

    def join(self, pieces: Iterable[str | int]) -> list[int]:
        """Ids of texts in which nothing is a control token, and of the control tokens between them."""
        return [i for piece in pieces for i in (self.encode(piece) if isinstance(piece, str) else [piece])]

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

    def check(self, folder: Path) -> None:
        """Refuse a tokenizer that does not give back Chinese, English and code, or gives other ids than it should,
        or that makes a control token of a user's letters.

        The ids are known of the tokenizers in GOLDEN. The refusal names the version of the library that read it.
        """
        for text, i in self.special.items():
            if i in self.encode(text):
                raise Refusal(t("prompt.reachable", folder=folder, text=text), t("prompt.reachable_hint"))
        for text in ROUND_TRIP:
            if (back := self.decode(self.encode(text))) != text:
                raise self._misread(folder, "round_trip", text=text, back=back)
        known = GOLDEN.get(hashlib.sha256(self.text.encode()).hexdigest(), {})
        for text, ids in known.items():
            if (found := self.encode(text)) != list(ids):
                raise self._misread(folder, "golden", text=text, ids=list(ids), found=found)

    def _misread(self, folder: Path, key: str, **values: object) -> Refusal:
        message = t(f"prompt.{key}", folder=folder, version=tokenizers.__version__, **values)
        return Refusal(message, t("prompt.misread_hint", version=tokenizers.__version__))


def json_object(path: Path) -> dict[str, Any]:
    """The object that a model's JSON file holds. Raises Refusal naming the file."""
    try:
        found = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise Refusal(t("prompt.file", path=path, why=error), t("prompt.file_hint")) from None
    if not isinstance(found, dict):
        raise Refusal(t("prompt.file_object", path=path), t("prompt.file_hint"))
    return found


def _text(path: Path) -> str:
    """The text of a model's file. Raises Refusal naming the file."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = of_system(error) if isinstance(error, OSError) else error
        raise Refusal(t("prompt.file", path=path, why=why), t("prompt.file_hint")) from None
