"""Room `compare`, intervals: values worked out by hand, limits, and coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buke.compare.intervals import Difference, paired_means, paired_rates, paired_ratio, rate

Z = 1.959963984540054  # 0.975 quantile of the normal distribution


def test_wilson_by_hand() -> None:
    # 0 of n: high = z^2 / (n + z^2). With n = 10: 3.8415 / 13.8415.
    none = rate(0, 10)
    assert none is not None
    assert (none.share, none.low) == (0, 0)
    assert none.high == pytest.approx(3.841458820694124 / 13.841458820694124)
    # k = n / 2: 1/2 plus or minus z / (2 sqrt(n + z^2)).
    half = rate(8, 16)
    assert half is not None
    width = Z / 2 / math.sqrt(16 + Z * Z)
    assert (half.low, half.high) == pytest.approx((0.5 - width, 0.5 + width))
    # Newcombe (1998, Stat. Med. 17, 857-872), table I.
    for k, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)):
        found = rate(k, n)
        assert found is not None
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert rate(0, 0) is None


@given(st.integers(0, 300), st.integers(0, 300))
@settings(deadline=None)
def test_wilson_holds_the_share_and_is_symmetric(k: int, more: int) -> None:
    found, mirrored = rate(k, k + more), rate(more, k + more)
    if found is None or mirrored is None:
        assert k + more == 0
        return
    assert 0 <= found.low <= found.share <= found.high <= 1
    assert found.low < found.high
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)


def test_rates_by_hand() -> None:
    # 10 pairs, 4 gained, 1 lost: p = 5/12, q = 2/12, p - q = 1/4, half = z sqrt((7/12 - 1/16) / 12).
    before = [False] * 4 + [True] + [True] * 3 + [False] * 2
    after = [True] * 4 + [False] + [True] * 3 + [False] * 2
    found = paired_rates(before, after)
    assert found is not None
    half = Z * math.sqrt((7 / 12 - 1 / 16) / 12)
    assert (found.mean, found.low, found.high) == pytest.approx((0.3, 0.25 - half, 0.25 + half))


def test_rates_at_the_limits() -> None:
    all_gained = paired_rates([False] * 40, [True] * 40)
    assert all_gained is not None
    assert all_gained.mean == 1
    assert all_gained.high == 1
    assert all_gained.low == pytest.approx(40 / 42 - Z * math.sqrt((1 - (40 / 42) ** 2) / 42))
    assert 0.8 < all_gained.low < 0.9
    unchanged = paired_rates([True] * 40, [True] * 40)
    assert unchanged is not None
    assert unchanged.mean == 0
    assert -unchanged.low == unchanged.high == pytest.approx(Z * math.sqrt(2) / 42)
    assert paired_rates([], []) is None
    one = paired_rates([False], [True])
    assert one is not None
    assert one.low < 0 < one.high == 1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
@settings(deadline=None)
def test_rates_hold_the_difference_and_turn_with_the_sides(pairs: list[tuple[bool, bool]]) -> None:
    before, after = [was for was, _ in pairs], [now for _, now in pairs]
    found, turned = paired_rates(before, after), paired_rates(after, before)
    assert found is not None
    assert turned is not None
    assert -1 <= found.low <= found.mean <= found.high <= 1
    assert found.low < found.high
    assert (found.mean, found.low, found.high) == pytest.approx((-turned.mean, -turned.high, -turned.low), abs=1e-12)


def test_a_higher_level_is_wider() -> None:
    before, after = [0.1, 0.4, 0.9, 0.3, 0.8], [0.5, 0.6, 0.7, 0.8, 1.0]
    narrow, wide = paired_means(before, after, 0.5), paired_means(before, after, 0.99)
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high
    none, some = [False] * 9, [True, False] * 4 + [True]
    narrow, wide = paired_rates(none, some, 0.5), paired_rates(none, some)
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low < narrow.high < wide.high


def test_means_known() -> None:
    assert paired_means([], []) is None
    assert paired_means([1.0], [3.5]) == Difference(2.5, 2.5, 2.5)
    assert paired_means([1, 2, 3], [2, 3, 4]) == Difference(1, 1, 1)
    # Two pairs with changes 0 and 1: the resampled mean is 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4.
    assert paired_means([0, 0], [0, 1]) == Difference(0.5, 0, 1)
    # Many pairs: close to the mean plus or minus z standard errors.
    change = np.random.default_rng(5).normal(1, 2, 2_000)
    found = paired_means([0.0] * 2_000, change.tolist())
    assert found is not None
    error = change.std() / math.sqrt(2_000)
    expected = (change.mean() - Z * error, change.mean() + Z * error)
    assert (found.low, found.high) == pytest.approx(expected, abs=0.1 * error)


def test_means_are_of_the_pairs() -> None:
    before = np.random.default_rng(1).normal(0, 100, 50)
    found = paired_means(before.tolist(), (before + 1).tolist())
    assert found is not None
    assert (found.low, found.high) == pytest.approx((1, 1)), "what both sides share cancels"


def test_bootstrap_is_deterministic_whatever_the_global_seed() -> None:
    before, after = [0.1, 0.4, 0.9], [0.5, 0.6, 0.7]
    np.random.seed(1)
    first = paired_means(before, after)
    np.random.seed(2)
    assert paired_means(before, after) == first


def test_ratio_is_a_ratio_of_sums() -> None:
    # Before 30 / 20 = 1.5, after 20 / 20 = 1; the mean of the records' own ratios would differ.
    found = paired_ratio([20.0, 10.0], [10, 10], [15.0, 5.0], [5, 15])
    assert found is not None
    assert found.mean == pytest.approx(-0.5)
    # Resampled (i, i): 15/5 - 20/10 = 1, and 5/15 - 10/10 = -2/3, each with probability 1/4.
    assert (found.low, found.high) == pytest.approx((-2 / 3, 1))
    assert paired_ratio([], [], [], []) is None
    assert paired_ratio([0.0], [0], [0.0], [0]) is None
    assert paired_ratio([3.0, 0.0], [2, 0], [2.0, 0.0], [2, 0]) == Difference(-0.5, -0.5, -0.5)


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=2, max_size=12))
@settings(max_examples=25, deadline=None)
def test_ratio_with_equal_counts_is_a_mean(pairs: list[tuple[float, float]]) -> None:
    before, after = [was for was, _ in pairs], [now for _, now in pairs]
    ones = [1.0] * len(pairs)
    means, ratio = paired_means(before, after), paired_ratio(before, ones, after, ones)
    assert means is not None
    assert ratio is not None
    assert (ratio.mean, ratio.low, ratio.high) == pytest.approx((means.mean, means.low, means.high), abs=1e-9)


def test_what_is_not_data_is_refused() -> None:
    for wrong, says in (
        (lambda: paired_rates([True], []), "not pairs"),
        (lambda: paired_means([1.0], []), "not pairs"),
        (lambda: paired_means([math.nan], [1.0]), "not finite"),
        (lambda: paired_ratio([1.0], [1], [1.0], []), "different lengths"),
        (lambda: paired_ratio([1.0], [0], [1.0], [1]), "one side only"),
        (lambda: paired_ratio([1.0], [-1], [1.0], [-1]), "negative count"),
        (lambda: rate(3, 2), "not a rate"),
        (lambda: rate(1, 2, level=1.0), "level"),
        (lambda: paired_means([1.0, 2.0], [1.0, 2.0], level=0.0), "level"),
    ):
        with pytest.raises(ValueError, match=says):
            wrong()


SETS = 500


@pytest.mark.parametrize(("right_before", "gain", "loss"), [(0.4, 0.5, 0.1), (0.02, 0.6, 0.0), (0.9, 0.3, 0.05)])
def test_coverage_of_rates(right_before: float, gain: float, loss: float) -> None:
    random = np.random.default_rng(20)
    truth = (1 - right_before) * gain - right_before * loss
    held = 0
    for _ in range(SETS):
        before = random.random(40) < right_before
        after = np.where(before, random.random(40) >= loss, random.random(40) < gain)
        found = paired_rates(before.tolist(), after.tolist())
        assert found is not None
        held += found.low <= truth <= found.high
    assert held / SETS >= 0.92


def test_coverage_of_wilson() -> None:
    counts = np.random.default_rng(3).binomial(40, 0.15, SETS)
    found = [interval for k in counts.tolist() if (interval := rate(k, 40))]
    assert len(found) == SETS
    assert sum(i.low <= 0.15 <= i.high for i in found) / SETS >= 0.92


@pytest.mark.slow
def test_coverage_of_means_and_ratio() -> None:
    random = np.random.default_rng(11)
    held = {"means": 0, "ratio": 0}
    for _ in range(SETS):
        skill = random.normal(0, 3, 40)
        means = paired_means(skill.tolist(), (skill + random.normal(0.7, 1, 40)).tolist())
        tokens = random.integers(50, 150, 40)
        # Nats a token: 2.0 before and 1.6 after, with a difficulty of the record that both share.
        hard = random.normal(0, 0.5, 40)
        before, after = tokens * (2.0 + hard), tokens * (1.6 + hard + random.normal(0, 0.3, 40))
        ratio = paired_ratio(before.tolist(), tokens.tolist(), after.tolist(), tokens.tolist())
        assert means is not None
        assert ratio is not None
        held["means"] += means.low <= 0.7 <= means.high
        held["ratio"] += ratio.low <= -0.4 <= ratio.high
    assert held["means"] / SETS >= 0.92
    assert held["ratio"] / SETS >= 0.92
