"""Room `intake`, columns: what the columns of a table hold where no name says it, told by the texts themselves.

Learning an answer as the thought spoils a run without a word, so whatever is not clear is left to the person.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

MOST = 50  # rows looked at
_CLOSERS = " \t\r\n\"'”’」』)）]】"  # may stand after a question mark


def order(rows: Sequence[Sequence[str]]) -> tuple[int, int, int] | None:
    """Columns of the question, the thought and the answer in rows of three cells; None where they are not clear.

    The question ends with a question mark, or comes first; of the others the thought is the longer one in most rows.
    """
    columns = [[row[at].strip() for row in rows] for at in range(3)]
    if not rows or any(2 * column.count("") > len(column) for column in columns):
        return None
    question = _question(columns)
    if question is None:
        return None
    first, second = (at for at in range(3) if at != question)
    for thought, answer in ((first, second), (second, first)):
        if _longer(columns[thought], columns[answer]):
            return question, thought, answer
    return None


def _question(columns: list[list[str]]) -> int | None:
    """The column of questions: the one where most end with a question mark; without any, the first if it may be."""
    asked = [sum(cell.rstrip(_CLOSERS).endswith(("?", "？")) for cell in column) / len(column) for column in columns]
    best = asked.index(max(asked))
    if asked[best] >= 0.5:
        return best if all(2 * share <= asked[best] for at, share in enumerate(asked) if at != best) else None
    distinct = len({*columns[0]}) >= 0.9 * len(columns[0])
    lengths = [statistics.median(map(len, column)) for column in columns]
    # An answer, too, may come first; the shortest column and the longest are no sure question.
    return 0 if len(columns[0]) > 2 and distinct and lengths[0] == sorted(lengths)[1] else None


def _longer(thoughts: list[str], answers: list[str]) -> bool:
    """Whether one column is so much longer than another that they can only be thoughts and answers."""
    pairs = list(zip(thoughts, answers, strict=True))
    longer = sum(len(thought) > len(answer) for thought, answer in pairs)
    times = statistics.median(map(len, thoughts)) / max(statistics.median(map(len, answers)), 1)
    concluded = sum(answer.strip(" .。") in thought for thought, answer in pairs)
    return 4 * longer >= 3 * len(pairs) and (times >= 1.3 or 2 * concluded >= len(pairs))
