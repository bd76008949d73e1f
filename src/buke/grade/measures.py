"""Room `grade`, measures: what can be said of any answer: does it go round in circles, does it sound like the user."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

SPAN, TIMES = 60, 4  # a text that ends on one block TIMES over, SPAN characters or more in all, has looped
SIGNS_SPAN = 200  # the same for a block without a letter or digit: a ruled line is no loop
SHARE, GRAMS, WINDOW = 0.5, 60, 300

_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")


def looped(text: str) -> bool:
    """Whether a text repeats itself without end.

    True where it ends on the same block of at least 4 characters, TIMES times over and SPAN characters or more in
    all (SIGNS_SPAN for a block of signs only; a last block may be cut short), or where more than SHARE of its
    n-grams, or of its last WINDOW n-grams, are repeats of another one there: n-grams of 4 words, or of 8 tokens
    where most are Chinese or Japanese characters. The second measure asks for GRAMS n-grams or more. White space
    and the signs at the very end do not count. Time is linear in the length.
    """
    plain = " ".join(text.lower().split()).rstrip(" .,;:!?。，；：！？、…*")
    return _ends_on_a_block(plain) or _repeats(_TOKEN.findall(plain))


def _ends_on_a_block(text: str) -> bool:
    """Whether the end of the text has a period p with enough repetitions, from the Z function of its reverse."""
    turned = text[::-1]
    reach = _z_function(turned)
    for period in range(4, len(turned) // TIMES + 1):
        span = reach[period] + period
        needed = max(SPAN, TIMES * period)
        if span >= needed and (span >= SIGNS_SPAN or any(character.isalnum() for character in turned[:period])):
            return True
    return False


def _z_function(text: str) -> list[int]:
    """For each place, how far the text from there agrees with its beginning (Gusfield 1997, chapter 1)."""
    size = len(text)
    reach = [size] + [0] * (size - 1) if size else []
    left = right = 0
    for place in range(1, size):
        length = min(right - place, reach[place - left]) if place < right else 0
        while place + length < size and text[length] == text[place + length]:
            length += 1
        reach[place] = length
        if place + length > right:
            left, right = place, place + length
    return reach


def _repeats(tokens: list[str]) -> bool:
    """Whether more than SHARE of the n-grams, in the whole or at the end, are repeats."""
    characters = sum(1 for token in tokens if re.match(f"[{_CJK}]", token))
    size = 8 if 2 * characters > len(tokens) else 4
    grams = list(zip(*(tokens[start:] for start in range(size))))  # noqa: B905 - the tails are shorter by design
    return any(len(part) >= GRAMS and 1 - len(set(part)) / len(part) > SHARE for part in (grams, grams[-WINDOW:]))


class Tone:
    """How alike the tone of a text is to the user's own responses.

    With c(g) the count of the character trigram g in the text and r(g) its count in the responses taken together, the
    likeness is the cosine sum c(g) r(g) / sqrt(sum c(g)^2 * sum r(g)^2): 1 for the same proportions, 0 where no
    trigram is shared. Before counting, white space is collapsed and a space put at either end; case and signs stay,
    for they are part of the tone. It measures wording, not truth.
    """

    def __init__(self, references: Sequence[str]) -> None:
        self._known = Counter(references)
        self._pool: Counter[str] = Counter()
        for reference in references:
            self._pool.update(_trigrams(reference))
        self._square = sum(count * count for count in self._pool.values())

    def likeness(self, text: str, leave_out: str | None = None) -> float:
        """0 to 1. leave_out: the user's response to the same question; one copy of it is taken out of the responses,
        so that the facts of that question do not count as tone. 0.0 for an empty text or where no response remains.
        """
        counts = _trigrams(text)
        out = _trigrams(leave_out) if leave_out is not None and self._known[leave_out] else Counter()
        product = sum(count * (self._pool[gram] - out[gram]) for gram, count in counts.items())
        square = self._square + sum(count * (count - 2 * self._pool[gram]) for gram, count in out.items())
        if not counts or square <= 0:
            return 0.0
        return min(1.0, product / math.sqrt(square) / math.sqrt(sum(count * count for count in counts.values())))


def _trigrams(text: str) -> Counter[str]:
    """The character trigrams of a text, counted; none for an empty one."""
    joined = " ".join(text.split())
    plain = f" {joined} " if joined else ""
    return Counter(plain[place : place + 3] for place in range(len(plain) - 2))
