"""Room `intake`, among: what records are to each other: the same, nearly the same, one question with two answers.

Only numbers are kept of a record, 112 bytes, so that a million records fit beside each other; of a dialogue's record
some more, for the questions before its own.

What is learned twice or contradicts itself is compared letter by letter. What would give a held-out question away is
compared as a reader would: without regard to case, white space, full-width forms and the system message.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from buke.records import Record, Turn, number, same_again

Numbers = np.ndarray[tuple[int], np.dtype[np.uint64]]
Indices = np.ndarray[tuple[int], np.dtype[np.intp]]
Pairs = np.ndarray[tuple[int, int], np.dtype[np.intp]]  # (P, 2): a record, and the first one it is like, by index

SHINGLE, HAN_SHINGLE = 5, 3  # characters: a Han character says as much as two letters
PERMUTATIONS, BAND = 32, 4  # values of a signature, and how many of them have to agree for a first suspicion
NEAR = 0.8  # share of a signature that agrees in near-duplicates: an estimate of the Jaccard likeness of shingles
LEAST = 12  # shingles; a shorter question is only compared as a whole
HEAD = 1000  # records from which the common shingles are learned
TEXT = 2000  # characters of a question that are compared: half of them at its beginning, half at its end
LONG = 500  # characters from which a question's ends have to be alike for themselves
END, HAN_END = 120, 60  # characters of an end: about a question
PIECE = 500  # characters normalised at a time, since Python orders long runs of accents in quadratic time
_EASTERN = re.compile("[\u2e80-\U0010ffff]")
_NUMBER = re.compile(r"\d+")
_nfkc, _is_nfkc = partial(unicodedata.normalize, "NFKC"), partial(unicodedata.is_normalized, "NFKC")


def _checksum(text: str) -> int:
    """32 bits, at a third of the price: enough between the few texts that are compared for one question."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def fold(text: str) -> str:
    """A text without what does not make another question of it: case, white space, full-width and other NFKC forms."""
    if not text.isascii():
        # first nearly all there is to fold in Chinese, at a tenth of the price of the whole
        text = text.replace("，", ",").replace("？", "?").replace("：", ":").replace("！", "!")
        text = text.replace("（", "(").replace("）", ")").replace("；", ";")
        if len(text) > PIECE:
            text = "".join([_nfkc(text[at : at + PIECE]) for at in range(0, len(text), PIECE)])
        elif not _is_nfkc(text):
            text = _nfkc(text)
    return " ".join(text.casefold().split())


def root(record: Record) -> int:
    """64 bits of the first question of its dialogue: all records of a dialogue stand on the same side of the split."""
    return number(fold(record.history[0].question if record.history else record.question))


def shingles(folded: str) -> set[str]:
    """All runs of SHINGLE characters (HAN_SHINGLE in Chinese) at the ends of a folded text."""
    if len(folded) > TEXT:
        return _runs(folded[: TEXT // 2]) | _runs(folded[-TEXT // 2 :])
    return _runs(folded)


def _is_eastern(text: str) -> bool:
    return not text.isascii() and _EASTERN.search(text) is not None


def _runs(text: str) -> set[str]:
    size = HAN_SHINGLE if _is_eastern(text) else SHINGLE
    return {text[i : i + size] for i in range(len(text) - size + 1)}


def common_shingles(records: Iterable[Record]) -> frozenset[str]:
    """What more than a fifth of the questions (and more than 20) share, such as an instruction before each of them.

    Left out of the comparison: otherwise a long instruction would make all of them near-duplicates.
    """
    counts: Counter[str] = Counter()
    n = 0
    for record in records:
        counts.update(shingles(fold(record.question)))
        n += 1
    return frozenset(shingle for shingle, count in counts.items() if count > max(20, n / 5))


class _Chain:
    """The questions of a dialogue, kept from one of its records to the next, which has all of them and one more.

    Without it a dialogue would cost the square of its turns, in time and in numbers kept.
    """

    def __init__(self) -> None:
        self.turns: tuple[Turn, ...] = ()
        self.keys: list[int] = []  # of each of its turns and of the question then asked, each with all before it

    def follow(self, history: tuple[Turn, ...]) -> tuple[bool, list[int]]:
        """(whether a history goes on from the last one, the numbers of its questions that are new)."""
        begin = len(self.turns)
        goes_on = 0 < begin < len(history) and history[:begin] == self.turns
        if not goes_on:
            begin, self.keys = 0, []
        new: list[int] = []
        for turn in history[begin:]:
            alone = number(fold(turn.question))
            new += {alone, self.then(alone)}
            self.keys.append(self.then(alone))
        self.turns = history
        return goes_on, new

    def then(self, alone: int) -> int:
        """The number of a question after the questions followed so far."""
        return (self.keys[-1] * 0x9E3779B97F4A7C15 + alone) & (1 << 64) - 1 if self.keys else alone


@dataclass(slots=True)
class Marks:
    """What is compared of N records, in order: each a column of N (signatures: N * PERMUTATIONS) values.

    Of a dialogue's records there is also: ``told``, each question that stands in the record, as a number of its own and
    as one with the questions before it, but for those of the record before where the record goes on from that;
    ``by``, the index of the record for each; ``onward``, the indices of the records that go on.
    """

    ids: array[int] = field(default_factory=lambda: array("Q"))
    roots: array[int] = field(default_factory=lambda: array("Q"))  # folded, of the question it is held out by
    asked: array[int] = field(default_factory=lambda: array("Q"))  # folded, of the question and those before it
    questions: array[int] = field(default_factory=lambda: array("Q"))  # to the letter, with all that stands before it
    answers: array[int] = field(default_factory=lambda: array("Q"))
    numbers: array[int] = field(default_factory=lambda: array("Q"))  # of the question, 0 where there are none
    signatures: array[int] = field(default_factory=lambda: array("H"))  # all 0 or 1 where there is none, see _signature
    told: array[int] = field(default_factory=lambda: array("Q"))
    by: array[int] = field(default_factory=lambda: array("Q"))
    onward: array[int] = field(default_factory=lambda: array("Q"))
    chain: _Chain = field(default_factory=_Chain, compare=False, repr=False)

    def add(self, record: Record, common: frozenset[str], near: bool = True) -> None:
        """Append a record. near: whether to sign its question, which takes most of the time."""
        folded = fold(record.question)
        asked = number(folded)
        question = asked ^ _checksum(record.question) << 20  # tells apart what folds to the same
        if record.system or record.history:
            before = [same_again(record.system), *(turn.hashes[1] for turn in record.history)]
            question ^= number("\0".join(before))
        self.roots.append(asked)
        self.asked.append(asked)
        if record.history:
            self._dialogue(record.history, asked)
        self.ids.append(int(record.id, 16))
        self.questions.append(question)
        self.answers.append(_checksum(record.answer))
        found = _NUMBER.findall(folded) if near else ()
        self.numbers.append(number(" ".join(found)) if found else 0)
        self.signatures.extend(_signature(folded, common) if near else _UNSIGNED)

    def _dialogue(self, history: tuple[Turn, ...], asked: int) -> None:
        """Note the questions that stand before the last record's own."""
        at = len(self.ids)
        goes_on, new = self.chain.follow(history)
        self.roots[at], self.asked[at] = self.chain.keys[0], self.chain.then(asked)
        new.append(asked)
        self.told.extend(new)
        self.by.extend([at] * len(new))
        if goes_on:
            self.onward.append(at)

    def extend(self, other: Marks) -> None:
        """Append the records of another."""
        count = len(self)
        for name in COLUMNS:
            getattr(self, name).extend(getattr(other, name))
        for name in ("by", "onward"):
            getattr(self, name).extend([index + count for index in getattr(other, name)])

    def __len__(self) -> int:
        return len(self.ids)


COLUMNS = ("ids", "roots", "asked", "questions", "answers", "numbers", "signatures", "told")
_UNSIGNED, _ALIKE = array("H", [0] * PERMUTATIONS), array("H", [1] * PERMUTATIONS)


def _signature(folded: str, common: frozenset[str]) -> Iterable[int]:
    """MinHash of a question's shingles, 16 bits a value (Broder 1997); zeros where it is too short, ones where most of
    its shingles are common.

    Of a long question each value is of the whole and of both ends at once, so that it agrees only where they all do:
    two questions about one passage are not the same question.
    """
    all_found = shingles(folded)
    found = all_found - common
    if len(found) < LEAST:
        return _ALIKE if len(all_found) >= LEAST and 2 * len(found) < len(all_found) else _UNSIGNED
    whole = _minhash(found)
    if len(folded) <= LONG:
        return [value & 0xFFFF for value in whole]
    end = HAN_END if _is_eastern(folded) else END
    ends = zip(whole, _minhash(_runs(folded[:end])), _minhash(_runs(folded[-end:])), strict=True)
    return [(value + 3 * first + 7 * last) & 0xFFFF for value, first, last in ends]


def _minhash(found: set[str]) -> list[int]:
    import rensa

    minhash = rensa.RMinHash(num_perm=PERMUTATIONS, seed=1)
    minhash.update(list(found))
    values: list[int] = minhash.digest()
    return values


def duplicates(marks: Marks, apart: int | None = None) -> Pairs:
    """Records met before, each with the first that is the same in every text.

    apart: index from which on records are of the files held out; those are held against each other only.
    """
    ids = _numbers(marks.ids).copy()
    ids[len(ids) if apart is None else apart :] ^= np.uint64(0x9E3779B97F4A7C15)  # any number: another name for each
    first = _first_of(ids)
    return _pairs(first, first != np.arange(len(ids)))


def contradictions(marks: Marks) -> Pairs:
    """Records whose question was met before with another answer, each with the first of that question."""
    answers = _numbers(marks.answers)
    first = _first_of(_numbers(marks.questions))
    return _pairs(first, answers != answers[first])


def near(marks: Marks) -> Pairs:
    """Records whose question is nearly that of an earlier one: other words, the same numbers.

    Candidates are records with the same numbers that agree in one band of BAND values (locality-sensitive hashing);
    each is held against the first of its bucket, so the work grows with N, not with its square.
    """
    signatures = np.frombuffer(marks.signatures, np.uint16).reshape(-1, PERMUTATIONS)
    numbers, questions = _numbers(marks.numbers), _numbers(marks.questions)
    signed = np.flatnonzero(signatures.any(1) & (signatures != 1).any(1))
    first_like = np.arange(len(marks))
    for band in range(0, PERMUTATIONS, BAND):
        values = np.ascontiguousarray(signatures[signed, band : band + BAND]).view(np.uint64).ravel()
        first = signed[_first_of(values ^ numbers[signed])]
        met = np.flatnonzero((first != signed) & (questions[first] != questions[signed]))
        for some in np.array_split(met, len(met) // 100_000 + 1):
            i, j = signed[some], first[some]
            like = (signatures[i] == signatures[j]).mean(1) >= NEAR
            first_like[i[like]] = np.minimum(first_like[i[like]], j[like])
    return _pairs(first_like, first_like != np.arange(len(marks)))


def too_alike(marks: Marks) -> Indices:
    """Records whose question shares nearly all of its text with many others: ``near`` says nothing of them."""
    return np.flatnonzero((np.frombuffer(marks.signatures, np.uint16).reshape(-1, PERMUTATIONS) == 1).all(1))


def leaks(marks: Marks, near_pairs: Pairs, out: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Pairs:
    """Training records in which a held-out question stands, or nearly; each with such a held-out record.

    near_pairs: of ``near``. out: which of the N records are held out. Nearness is passed on: where a is near b and b
    near c, all three belong together. A question in a record's history counts as its own does.
    """
    group = _groups(marks, near_pairs)
    held = np.flatnonzero(out)[::-1]
    asked = dict(zip(group[held].tolist(), held.tolist(), strict=True))  # a group -> its first held-out record
    met = np.flatnonzero(~out & np.isin(group, group[held]))
    found = {i: asked[g] for i, g in zip(met.tolist(), group[met].tolist(), strict=True)}
    if held.size and marks.by:
        _through_dialogues(marks, group, asked, out, found)
    return np.array(sorted(found.items()), np.intp).reshape(-1, 2)


def _groups(marks: Marks, near_pairs: Pairs) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """For each of N records the first that asks the same, or nearly, over any number of steps."""
    group = _first_of(_numbers(marks.asked))
    joined: dict[int, int] = {}  # a group -> an earlier one it belongs to

    def whole(one: int) -> int:
        while one in joined:
            one = joined[one]
        return one

    for late, early in near_pairs.tolist():
        a, b = whole(int(group[late])), whole(int(group[early]))
        if a != b:
            joined[max(a, b)] = min(a, b)
    lookup = np.arange(len(group))
    for one in joined:
        lookup[one] = whole(one)
    return lookup[group]


def _through_dialogues(
    marks: Marks,
    group: np.ndarray[tuple[int], np.dtype[np.intp]],
    asked: dict[int, int],
    out: np.ndarray[tuple[int], np.dtype[np.bool_]],
    found: dict[int, int],
) -> None:
    """Add to ``found`` the training records in whose history, or after another history, a held-out question stands.

    group, asked: see ``leaks``. A question that was held out by itself counts wherever it stands; one that was held out
    with questions before it counts after those.
    """
    values, first = np.unique(_numbers(marks.asked), return_index=True)
    told = _numbers(marks.told)
    place = np.minimum(np.searchsorted(values, told), len(values) - 1)
    known = np.flatnonzero(values[place] == told)
    by = _numbers(marks.by)[known].tolist()
    for i, g in zip(by, group[first[place[known]]].tolist(), strict=True):
        if g in asked and not out[i]:
            found.setdefault(i, asked[g])
    for i in marks.onward:
        before = found.get(i - 1, i - 1 if out[i - 1] else None)
        if before is not None and not out[i]:
            found.setdefault(i, before)


def held_out(roots: Sequence[int] | Numbers, share: float, least: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of N records are held out, by the hashes of their questions. See ``split`` for what that means."""
    count = len(roots)
    target = 0 if share == 0 or count < 10 else max(round(share * count), min(least, count // 10))
    hashes = np.asarray(roots, np.uint64)
    values, sizes = np.unique(hashes, return_counts=True)
    chosen = values[: np.searchsorted(np.cumsum(sizes), target, "right")]
    mask: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.isin(hashes, chosen)
    return mask


def _numbers(column: array[int]) -> Numbers:
    return np.frombuffer(column, np.uint64)


def _first_of(values: Numbers) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """For each of N values the index of the first that is equal to it."""
    _, first, group = np.unique(values, return_index=True, return_inverse=True)
    return first[group]


def _pairs(
    first: np.ndarray[tuple[int], np.dtype[np.intp]], which: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> Pairs:
    late = np.flatnonzero(which)
    return np.column_stack([late, first[late]])
