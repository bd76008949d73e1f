"""Room `intake`, split: which records are held out for scoring, by the hash of their question alone, folded (see
``among.fold``): of a dialogue's records, the question it begins with, so that no dialogue is on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from buke.intake.among import HEAD, Marks, common_shingles, held_out, near, root
from buke.intake.among import leaks as found_leaks
from buke.intake.formats import find
from buke.records import Finding, Record, Severity


def split(records: Sequence[Record], share: float, least: int = 20) -> tuple[list[Record], list[Record]]:
    """(training records, held-out records), each in the order given.

    share: part to hold out, 0 to 1. The target is 0 where share is 0 or there are fewer than 10 records, else
    max(round(share * n), min(least, n // 10)).

    Questions (of a dialogue, the first) are taken in the order of their SHA-256 as long as all their records fit into
    the target, so a question is never on both sides, and neither the order of the records nor a seed matters. Where
    the next question has more records than there is room for, fewer than the target are held out.

    What holds when records are appended: as long as the target does not grow, no training record becomes held out,
    for its place in the order can only move back. A held-out record may become a training record, where appended
    questions have smaller hashes. When the target grows, training records may become held out; an adapter trained
    before that has seen them, so compare it only on records that were held out then.
    """
    mask = held_out([root(record) for record in records], share, least)
    parts: tuple[list[Record], list[Record]] = [], []
    for record, out in zip(records, mask.tolist(), strict=True):
        parts[out].append(record)
    return parts


def leaks(training: Sequence[Record], out: Sequence[Record]) -> tuple[list[Record], list[Finding]]:
    """(the training records that tell nothing of a held-out one, a finding for each that does).

    A record tells where its question, or one in its history, is that of a held-out record, or nearly.
    """
    both, marks = [*training, *out], Marks()
    common = common_shingles(both[:HEAD])
    for record in both:
        marks.add(record, common)
    mask = np.arange(len(both)) >= len(training)
    pairs = found_leaks(marks, near(marks), mask)
    told = dict(zip(pairs[:, 0].tolist(), pairs[:, 1].tolist(), strict=True))
    kept = [record for index, record in enumerate(training) if index not in told]
    return kept, [
        find(training[late].source, "leak", Severity.WARNING, first=both[first].source) for late, first in told.items()
    ]
