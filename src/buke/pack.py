"""Room `pack`: Examples -> Rows. A row holds several examples end to end, and none of them sees another.

The order is a function of (seed, epoch, position) alone, so a run can be taken up at any step, and an optimizer step
always holds the same records however they are laid into rows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence, Sized
from typing import TypeVar

from buke.records import Example, Row

S = TypeVar("S", bound=Sized)


def order(count: int, seed: int, epoch: int) -> list[int]:
    """The order in which an epoch takes ``count`` examples."""
    places = list(range(count))
    random.Random(f"{seed}/{epoch}").shuffle(places)
    return places


def step_count(count: int, per_step: int, epochs: float) -> int:
    """Optimizer steps in a run of ``epochs`` passes over ``count`` examples."""
    return math.ceil(max(round(count * epochs), 1) / per_step)


def rows(examples: Sequence[Example], batch: int, row_tokens: int) -> list[Row]:
    """Rows of at most ``batch`` examples and at most ``row_tokens`` tokens, in order; a longer example stands alone."""
    return [Row(tuple(group)) for group in groups(examples, batch, row_tokens)]


def longest_row(examples: Sequence[Example], batch: int, row_tokens: int) -> Row:
    """The longest row that packing may make, or nearly: the longest example, and after it each that still fits."""
    found: list[Example] = []
    room = row_tokens
    for example in sorted(examples, key=len, reverse=True):
        if not found or (len(found) < batch and len(example) <= room):
            found.append(example)
            room -= len(example)
    return Row(tuple(found))


def groups(items: Sequence[S], most: int, tokens: int) -> list[list[S]]:
    """Runs of at most ``most`` items and ``tokens`` tokens in all, in order; a longer item stands alone."""
    found: list[list[S]] = []
    for item in items:
        if not found or len(found[-1]) == most or sum(map(len, found[-1])) + len(item) > tokens:
            found.append([])
        found[-1].append(item)
    return found


def steps(
    examples: Sequence[Example],
    *,
    batch: int,
    accumulation: int,
    epochs: float,
    seed: int,
    row_tokens: int,
    first: int = 0,
    rank: int = 0,
    ranks: int = 1,
) -> Iterator[list[Row]]:
    """The rows of each optimizer step from step ``first`` on, for one of ``ranks`` processes.

    A step holds batch × accumulation records, epochs following each other without a gap; the last may hold fewer.
    """
    count, per_step = len(examples), batch * accumulation
    last = round(count * epochs)
    orders: dict[int, list[int]] = {}
    for step in range(first, step_count(count, per_step, epochs)):
        chosen = []
        for position in range(step * per_step, min((step + 1) * per_step, max(last, 1))):
            epoch, place = divmod(position, count)
            if epoch not in orders:
                orders = {epoch - 1: orders.get(epoch - 1, []), epoch: order(count, seed, epoch)}
            chosen.append(examples[orders[epoch][place]])
        yield rows(chosen[rank::ranks], batch, row_tokens)
