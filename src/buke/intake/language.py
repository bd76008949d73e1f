"""Room `intake`, language: how much of a text is Chinese, and whether question and thought agree."""

from __future__ import annotations

import re

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z][a-z]{2,}")  # neither variables nor commands of LaTeX
_OTHER = re.compile(r"[\u3041-\u30ff\uac00-\ud7a3]")  # kana and hangul: not Chinese, whatever Han letters stand around
LEAST = 6  # letters or words of the language a text is said to be in


def mixed(question: str, thought: str) -> tuple[int, int] | None:
    """The Chinese share of question and thought in percent where they speak different languages, else None.

    A text is Chinese where Han letters are at least 60 % of its Han letters and English words, and not Chinese where
    they are at most 10 %; what lies between (English terms in a Chinese text, a sentence to translate) is neither.
    """
    if _wide(question) == _wide(thought) or _OTHER.search(question) or _OTHER.search(thought):
        return None
    (han, words), (thought_han, thought_words) = _count(question), _count(thought)
    first, second = (_percent(han, words), _percent(thought_han, thought_words))
    chinese_first = han >= LEAST and first >= 60 and thought_words >= LEAST and second <= 10
    chinese_second = words >= LEAST and first <= 10 and thought_han >= LEAST and second >= 60
    return (first, second) if chinese_first or chinese_second else None


def language_of(text: str) -> str:
    """ "zh", "en" or "other", by the last letters of a text."""
    end = text[-300:]
    if end.isascii():
        return "en"
    if _OTHER.search(end):
        return "other"
    if len(end.encode("utf-8", "surrogatepass")) > 1.5 * len(end):  # as in _wide, which would cut and look again
        return "zh"
    han, words = _count(end)
    return "zh" if han > 2 * words else "en" if words >= LEAST else "other"


def _wide(text: str) -> bool:
    """A quick first look: whether over a quarter of the last characters take three bytes."""
    end = text[-300:]
    return not end.isascii() and len(end.encode("utf-8", "surrogatepass")) > 1.5 * len(end)


def _count(text: str) -> tuple[int, int]:
    """(Han letters, English words)."""
    return len(_HAN.findall(text)), len(_WORD.findall(text))


def _percent(han: int, words: int) -> int:
    return round(100 * han / max(han + words, 1))
