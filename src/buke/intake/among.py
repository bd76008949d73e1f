"""Room `intake`, among: what records are to each other: the same, nearly the same, one question with two answers.

Only numbers are kept of a record, 104 bytes, so that a million records fit beside each other.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from buke.records import Record, content_id, number

Numbers = np.ndarray[tuple[int], np.dtype[np.uint64]]
Pairs = np.ndarray[tuple[int, int], np.dtype[np.intp]]  # (P, 2): a record, and the first one it is like, by index

SHINGLE, HAN_SHINGLE = 5, 3  # characters: a Han character says as much as two letters
PERMUTATIONS, BAND = 32, 4  # values of a signature, and how many of them have to agree for a first suspicion
NEAR = 0.8  # share of a signature that agrees in near-duplicates: an estimate of the Jaccard likeness of shingles
LEAST = 12  # shingles; a shorter question is only compared exactly
HEAD = 1000  # records from which the common shingles are learned
TEXT = 2000  # characters of a question that are compared
_NUMBER = re.compile(r"\d+")


def shingles(text: str) -> set[str]:
    """All runs of SHINGLE characters (HAN_SHINGLE in Chinese), without regard to case and white space."""
    text = " ".join(text[:TEXT].casefold().split())
    size = SHINGLE if max(text, default="") < "\u2e80" else HAN_SHINGLE
    return {text[i : i + size] for i in range(len(text) - size + 1)}


def common_shingles(records: Iterable[Record]) -> frozenset[str]:
    """What more than a fifth of the questions (and more than 20) share, such as an instruction before each of them.

    Left out of the comparison: otherwise a long instruction would make all of them near-duplicates.
    """
    counts: Counter[str] = Counter()
    n = 0
    for record in records:
        counts.update(shingles(record.question))
        n += 1
    return frozenset(shingle for shingle, count in counts.items() if count > max(20, n / 5))


@dataclass(slots=True)
class Marks:
    """What is compared of N records, in order: each a column of N (signatures: N * PERMUTATIONS) values."""

    ids: array[int] = field(default_factory=lambda: array("Q"))
    roots: array[int] = field(default_factory=lambda: array("Q"))  # of the question by which a record is held out
    questions: array[int] = field(default_factory=lambda: array("Q"))  # with all that stands before it
    answers: array[int] = field(default_factory=lambda: array("Q"))
    numbers: array[int] = field(default_factory=lambda: array("Q"))  # of the question, 0 where there are none
    signatures: array[int] = field(default_factory=lambda: array("H"))  # all 0 where the question is too short

    def add(self, record: Record, common: frozenset[str], near: bool = True) -> None:
        """Append a record. near: whether to sign its question, which takes most of the time."""
        question = number(record.question)
        self.ids.append(int(record.id, 16))
        self.roots.append(record.root if record.history else question)
        if record.system or record.history:
            before = [_content_id(record.system), *(turn.hashes[1] for turn in record.history)]
            question ^= number("\0".join(before))
        self.questions.append(question)
        self.answers.append(number(record.answer))
        found = _NUMBER.findall(record.question) if near else ()
        self.numbers.append(number(" ".join(found)) if found else 0)
        self.signatures.extend(_signature(record, common) if near else _UNSIGNED)

    def extend(self, other: Marks) -> None:
        """Append the records of another."""
        for name in self.__slots__:
            getattr(self, name).extend(getattr(other, name))

    def __len__(self) -> int:
        return len(self.ids)


# The system message is the same for a whole dialogue, and often for a whole file.
_content_id = lru_cache(maxsize=1)(content_id)
_UNSIGNED = array("H", [0] * PERMUTATIONS)


def _signature(record: Record, common: frozenset[str]) -> Iterable[int]:
    """MinHash of the question's shingles, 16 bits a value (Broder 1997); zeros where it is too short."""
    import rensa

    found = shingles(record.question) - common
    if len(found) < LEAST:
        return _UNSIGNED
    minhash = rensa.RMinHash(num_perm=PERMUTATIONS, seed=1)
    minhash.update(list(found))
    return [value & 0xFFFF for value in minhash.digest()]


def duplicates(marks: Marks, apart: int | None = None) -> Pairs:
    """Records met before, each with the first that is the same in question, thought and answer.

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
    signed = np.flatnonzero(signatures.any(1))
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


def leaks(marks: Marks, near_pairs: Pairs, out: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Pairs:
    """Training records whose question is that of a held-out record, or nearly; each with such a held-out record.

    near_pairs: of ``near``. out: which of the N records are held out. Nearness is passed on: where a is near b and b
    near c, all three belong together.
    """
    group = _first_of(_numbers(marks.questions))
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
    group = lookup[group]
    held = np.flatnonzero(out)[::-1]
    asked = dict(zip(group[held].tolist(), held.tolist(), strict=True))  # a group -> its first held-out record
    met = np.flatnonzero(~out & np.isin(group, group[held]))
    return np.array([(i, asked[g]) for i, g in zip(met.tolist(), group[met].tolist(), strict=True)], np.intp).reshape(
        -1, 2
    )


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
