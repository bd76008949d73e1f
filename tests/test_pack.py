"""Packing: every example once an epoch, the same records in a step however they lie in rows, resumable at any step."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buke.pack import longest_row, order, rows, step_count, steps
from buke.records import Example, Row


def example(name: int, length: int) -> Example:
    return Example(str(name), f"f:{name}", (0,) * length, (True,) * length, (0, 1, 2, length))


def examples(count: int) -> list[Example]:
    return [example(i, 3 + 7 * i % 11) for i in range(count)]


def names(step: list[Row]) -> list[str]:
    return [e.id for row in step for e in row.examples]


def stream(count: int, **given_: float) -> list[list[str]]:
    """Names of each step's records."""
    settings = {"batch": 4, "accumulation": 1, "epochs": 1, "seed": 0, "row_tokens": 10**6} | given_
    return [names(step) for step in steps(examples(count), **settings)]  # type: ignore[arg-type]


counts = st.integers(1, 40)
sizes = st.integers(1, 9)


@given(counts, sizes, sizes, st.integers(1, 3), st.integers(0, 5))
def test_every_example_once_an_epoch(count: int, batch: int, accumulation: int, epochs: int, seed: int) -> None:
    got = stream(count, batch=batch, accumulation=accumulation, epochs=epochs, seed=seed)
    flat = [name for step in got for name in step]
    for epoch in range(epochs):
        part = flat[epoch * count : (epoch + 1) * count]
        assert sorted(part) == sorted(str(i) for i in range(count))
        assert part == [str(i) for i in order(count, seed, epoch)]
    assert len(flat) == epochs * count
    assert all(len(step) == batch * accumulation for step in got[:-1])
    assert len(got) == step_count(count, batch * accumulation, epochs)


def test_epochs_and_seeds_differ_in_order() -> None:
    assert order(50, 0, 0) != order(50, 0, 1)
    assert order(50, 0, 0) != order(50, 1, 0)
    assert order(50, 3, 2) == order(50, 3, 2)
    assert sorted(order(50, 3, 2)) == list(range(50))


@given(counts, st.sampled_from([1.0, 1.5, 3.0]), st.integers(16, 40))
def test_a_step_holds_the_same_records_however_they_are_laid(count: int, epochs: float, row_tokens: int) -> None:
    laid = [
        stream(count, batch=batch, accumulation=8 // batch, epochs=epochs, row_tokens=row_tokens)
        for batch in (8, 4, 2, 1)
    ]
    assert all(other == laid[0] for other in laid)


@given(counts, sizes, st.floats(0.1, 4), st.data())
def test_taken_up_at_any_step_the_stream_is_the_same(
    count: int, batch: int, epochs: float, data: st.DataObject
) -> None:
    whole = stream(count, batch=batch, accumulation=2, epochs=epochs)
    first = data.draw(st.integers(0, len(whole) + 1))
    assert stream(count, batch=batch, accumulation=2, epochs=epochs, first=first) == whole[first:]


@given(counts, sizes, st.integers(1, 5))
def test_ranks_share_a_step_among_them(count: int, batch: int, ranks: int) -> None:
    whole = stream(count, batch=batch, accumulation=2, epochs=2)
    parts = [stream(count, batch=batch, accumulation=2, epochs=2, rank=rank, ranks=ranks) for rank in range(ranks)]
    for number, step in enumerate(whole):
        shares = [part[number] for part in parts]
        assert Counter(name for share in shares for name in share) == Counter(step)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert {len(part) for part in parts} == {len(whole)}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 6), st.integers(1, 100))
def test_the_longest_row_begins_with_the_longest_and_takes_what_still_fits(
    lengths: list[int], batch: int, row_tokens: int
) -> None:
    examples = [example(number, length) for number, length in enumerate(lengths)]
    longest = longest_row(examples, batch, row_tokens)
    assert max(lengths) <= len(longest) <= max(row_tokens, max(lengths))
    assert len(longest.examples) <= batch
    left = [each for each in examples if each not in longest.examples]
    full = len(longest.examples) == batch
    assert full or all(len(longest) + len(each) > row_tokens for each in left)


@given(st.lists(st.integers(1, 30), max_size=30), sizes, st.integers(1, 40))
def test_rows_keep_order_and_limits(lengths: list[int], batch: int, row_tokens: int) -> None:
    given_ = [example(i, length) for i, length in enumerate(lengths)]
    packed = rows(given_, batch, row_tokens)
    assert [e for row in packed for e in row.examples] == given_
    for row in packed:
        assert 1 <= len(row.examples) <= batch
        assert len(row) <= row_tokens or len(row.examples) == 1
    for row, after in pairwise(packed):  # no row ends before it has to
        assert len(row.examples) == batch or len(row) + len(after.examples[0]) > row_tokens


def test_rows_by_hand() -> None:
    packed = rows([example(i, n) for i, n in enumerate((4, 4, 9, 1, 1, 1))], 3, 8)
    assert [names([row]) for row in packed] == [["0", "1"], ["2"], ["3", "4", "5"]]
    assert [row.starts for row in packed] == [(0, 4, 8), (0, 9), (0, 1, 2, 3)]


@pytest.mark.parametrize(("epochs", "records"), [(0.5, 5), (2.5, 25), (0.25, 2), (0.01, 1)])
def test_part_of_an_epoch(epochs: float, records: int) -> None:
    flat = [name for step in stream(10, epochs=epochs) for name in step]
    assert len(flat) == records
    whole = [name for step in stream(10, epochs=math.ceil(epochs)) for name in step]
    assert flat == whole[:records]


@pytest.mark.parametrize(
    ("count", "per_step", "epochs", "wanted"), [(8, 8, 1, 1), (9, 8, 1, 2), (10, 4, 3, 8), (1, 64, 1, 1)]
)
def test_step_count(count: int, per_step: int, epochs: float, wanted: int) -> None:
    assert step_count(count, per_step, epochs) == wanted
