"""Intervals of success rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np

Z95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution."""


def wilson(successes: int, count: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's interval of a proportion (Wilson, 1927), by default of 95 %.

    Raises:
        ValueError: not 0 <= successes <= count, or count is 0.
    """
    if count < 1 or not 0 <= successes <= count:
        raise ValueError(f"{successes} successes of {count}: expected 0 <= successes <= count, count at least 1")
    rate, square = successes / count, z * z / count
    centre = (rate + square / 2) / (1 + square)
    half = z * sqrt(rate * (1 - rate) / count + square / (4 * count)) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class PairedDifference:
    """After minus before, on the same starts."""

    difference: float
    low: float
    high: float
    p_value: float
    """McNemar's exact two-sided test that before and after are equally good."""
    gained: int
    """Starts solved after and not before."""
    lost: int


def paired_difference(
    before: Sequence[bool], after: Sequence[bool], resamples: int = 10_000, seed: int = 0
) -> PairedDifference:
    """Difference of two success rates on the same starts, with a 95 % percentile bootstrap interval over starts.

    Raises:
        ValueError: lists of different lengths, or empty ones.
    """
    if len(before) != len(after) or not before:
        raise ValueError(f"{len(before)} episodes before, {len(after)} after: expected the same starts, at least one")
    change = np.asarray(after, np.int64) - np.asarray(before, np.int64)
    gained, lost, count = int((change > 0).sum()), int((change < 0).sum()), len(change)
    # A resample of the starts is a multinomial draw of the three kinds of change.
    generator = np.random.Generator(np.random.Philox(key=seed))
    draws = generator.multinomial(count, [gained / count, lost / count, 1 - (gained + lost) / count], resamples)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / count, [0.025, 0.975])
    return PairedDifference(float(change.mean()), float(low), float(high), mcnemar(gained, lost), gained, lost)


def rate_text(rate: float, interval: Sequence[float]) -> str:
    """A rate and its interval as people read them: ``"40.5 % [33.9, 47.4]"``."""
    low, high = interval
    return f"{100 * rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def difference_text(difference: float, low: float, high: float) -> str:
    """A difference in percentage points and its interval: ``"+9.0 [+2.0, +16.0]"``."""
    return f"{100 * difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p-value of McNemar's test: of `gained + lost` fair coins, so uneven or more."""
    total = gained + lost
    tail = sum(comb(total, k) for k in range(min(gained, lost) + 1)) / 2**total
    return min(1.0, 2 * tail)
