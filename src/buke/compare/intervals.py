"""Room `compare`, intervals: how sure a difference between before and after is.

Every question is asked twice, so the two samples are pairs and every interval here is a paired one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
SEED = 20_120_408
_CELLS = 2_000_000  # indices drawn at a time: 16 MB, however many records there are

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """After minus before, as estimated, and the interval that holds the true one at the level asked for."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of trials, 0 to 1, and its interval."""

    share: float
    low: float
    high: float


def rate(k: int, n: int, level: float = 0.95) -> Rate | None:
    """k of n with Wilson's score interval (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212); None where n is 0."""
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is not a rate")
    z = _z(level)
    if n == 0:
        return None
    share = k / n
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    # At k = 0 and k = n the formula gives 0 and 1 exactly; rounding must not push the share out of its interval.
    return Rate(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)))


def paired_rates(before: Sequence[bool], after: Sequence[bool], level: float = 0.95) -> Difference | None:
    """Share right after minus share right before; None where there is no pair.

    The interval is the adjusted Wald interval of Bonett and Price (2012, J. Educ. Behav. Stat. 37, 479-488): one is
    added to each kind of change, so that p = (gained + 1) / (n + 2), q = (lost + 1) / (n + 2) and the interval is
    p - q plus or minus z * sqrt((p + q - (p - q)^2) / (n + 2)), clipped to [-1, 1]. It keeps a width where every
    pair changed the same way or none did. `mean` is the difference as counted, (gained - lost) / n.
    """
    n = _pairs(before, after)
    z = _z(level)
    if n == 0:
        return None
    gained = sum(1 for was, now in zip(before, after, strict=True) if now and not was)
    lost = sum(1 for was, now in zip(before, after, strict=True) if was and not now)
    p, q = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = z * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    return Difference((gained - lost) / n, max(-1.0, p - q - half), min(1.0, p - q + half))


def paired_means(before: Sequence[float], after: Sequence[float], level: float = 0.95) -> Difference | None:
    """Mean after minus mean before, with a percentile bootstrap over the pairs (Efron 1979; 10,000 resamples).

    The seed is fixed, so the same numbers give the same interval. None where there is no pair. One pair says nothing
    about the spread: low and high are then the difference itself.
    """
    n = _pairs(before, after)
    change = _finite(after) - _finite(before)

    def mean(chosen: npt.NDArray[np.int64]) -> Floats:
        return np.asarray(change[chosen].mean(axis=-1), dtype=np.float64)

    return _bootstrap(mean, n, level) if n else None


def paired_ratio(
    before_sums: Sequence[float],
    before_counts: Sequence[float],
    after_sums: Sequence[float],
    after_counts: Sequence[float],
    level: float = 0.95,
) -> Difference | None:
    """Sum over count after minus sum over count before, as for a held-out loss: nats over tokens.

    Element i of all four belongs to record i. The bootstrap is that of ``paired_means``: whole records are drawn, and
    each resample is divided once, so a long record weighs what its tokens weigh. Records without a count on either
    side say nothing and are left out; None where none remains; ValueError where only one side has a count, or one is
    negative.
    """
    if len({len(before_sums), len(before_counts), len(after_sums), len(after_counts)}) != 1:
        raise ValueError("the four sequences are of different lengths")
    sums_0, counts_0, sums_1, counts_1 = (_finite(v) for v in (before_sums, before_counts, after_sums, after_counts))
    if (counts_0 < 0).any() or (counts_1 < 0).any() or ((counts_0 == 0) != (counts_1 == 0)).any():
        raise ValueError("a record has a negative count, or a count on one side only")
    kept = counts_0 > 0
    sums_0, counts_0, sums_1, counts_1 = sums_0[kept], counts_0[kept], sums_1[kept], counts_1[kept]

    def ratio(chosen: npt.NDArray[np.int64]) -> Floats:
        old = sums_0[chosen].sum(axis=-1) / counts_0[chosen].sum(axis=-1)
        new = sums_1[chosen].sum(axis=-1) / counts_1[chosen].sum(axis=-1)
        return np.asarray(new - old, dtype=np.float64)

    return _bootstrap(ratio, len(sums_0), level) if kept.any() else None


def _bootstrap(statistic: Callable[[npt.NDArray[np.int64]], Floats], n: int, level: float) -> Difference:
    """A statistic of the records with the percentile interval of its resamples.

    statistic: indices of shape (..., n) -> values of shape (...). n: at least 1.
    """
    _z(level)
    mean = float(statistic(np.arange(n, dtype=np.int64)))
    if n == 1:
        return Difference(mean, mean, mean)
    random = np.random.Generator(np.random.PCG64(SEED))
    size = max(1, min(RESAMPLES, _CELLS // n))
    drawn = [
        statistic(random.integers(0, n, size=(min(size, RESAMPLES - start), n)))
        for start in range(0, RESAMPLES, size)
    ]  # fmt: skip
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    return Difference(mean, float(low), float(high))


def _pairs(before: Sequence[Any], after: Sequence[Any]) -> int:
    """How many pairs there are; ValueError where the sides differ in length."""
    if len(before) != len(after):
        raise ValueError(f"{len(before)} before and {len(after)} after are not pairs")
    return len(before)


def _finite(values: Sequence[float]) -> Floats:
    """The values as float64; ValueError where one is infinite or not a number."""
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a value is not finite")
    return array


def _z(level: float) -> float:
    """The normal quantile of a two-sided interval; ValueError where the level is not between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not {level}")
    return NormalDist().inv_cdf((1 + level) / 2)
