"""Room `intake`, split: which records are held out for scoring, by the hash of their question alone: of a dialogue's
records, the question it begins with, so that no dialogue is on both sides."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from buke.records import Record


def split(records: Sequence[Record], share: float, least: int = 20) -> tuple[list[Record], list[Record]]:
    """(training records, held-out records), each in the order given.

    share: part to hold out, 0 to 1. The target is 0 where share is 0 or there are fewer than 10 records, else
    max(round(share * n), min(least, n // 10)).

    Questions are taken in the order of their SHA-256 as long as all their records fit into the target, so a question
    is never on both sides, and neither the order of the records nor a seed matters. Where the next question has more
    records than there is room for, fewer than the target are held out.

    What holds when records are appended: as long as the target does not grow, no training record becomes held out,
    for its place in the order can only move back. A held-out record may become a training record, where appended
    questions have smaller hashes. When the target grows, training records may become held out; an adapter trained
    before that has seen them, so compare it only on records that were held out then.
    """
    count = len(records)
    target = 0 if share == 0 or count < 10 else max(round(share * count), min(least, count // 10))
    first = [record.history[0].question if record.history else record.question for record in records]
    sizes = Counter(first)
    chosen: set[str] = set()
    for question in sorted(sizes, key=lambda text: hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()):
        target -= sizes[question]
        if target < 0:
            break
        chosen.add(question)
    sides = list(zip(records, first, strict=True))
    training = [record for record, question in sides if question not in chosen]
    return training, [record for record, question in sides if question in chosen]
