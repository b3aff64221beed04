"""The one home of intervals, tests, rank correlations and bootstraps.

scipy does what it has. Ours are the bootstraps over clusters (values of one episode belong together) and over training
seeds crossed with them, and the measures of a judge of policies. Resamples come from generators that belong to the
call, so one seed gives one interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rla_gym.utils.optional import require

DRAWS = 1000
"""Resamples of a bootstrap over clusters."""
FLIPS = 10_000
"""Random flips of signs of a test."""
FEW = 5
"""Clusters below which there is neither an interval nor a test."""
BOUNDS = (0.025, 0.975)
"""Quantiles of a 95 % interval."""
NAN = float("nan")


def _stats() -> Any:
    # Imported at the first use: it takes a second, and an installation without benchmarks needs none of it.
    return require("scipy.stats", extra="bench")


def wilson(successes: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson, 1927).

    Raises:
        ValueError: not 0 <= successes <= count, or count is 0.
    """
    if count < 1 or not 0 <= successes <= count:
        raise ValueError(f"{successes} successes of {count}: expected 0 <= successes <= count, count at least 1")
    interval = _stats().binomtest(int(successes), int(count)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean of independent `values` (n,) and Student's t interval of it; NaN bounds for a single value.

    Raises:
        ValueError: no values.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"values of shape {array.shape}: expected a list with at least one number")
    mean = float(array.mean())
    if len(array) == 1:
        return mean, NAN, NAN
    half = float(_stats().t.ppf((1 + confidence) / 2, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array)))
    return mean, mean - half, mean + half


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p-value of McNemar's test: of `gained + lost` fair coins, so uneven or more."""
    if not gained + lost:
        return 1.0
    return float(_stats().binomtest(int(gained), int(gained + lost)).pvalue)


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
    before: Sequence[bool] | np.ndarray, after: Sequence[bool] | np.ndarray, resamples: int = 10_000, seed: int = 0
) -> PairedDifference:
    """Difference of two success rates on the same starts, with a 95 % percentile bootstrap interval over starts.

    Raises:
        ValueError: lists of different lengths, or empty ones.
    """
    if len(before) != len(after) or not len(before):
        raise ValueError(f"{len(before)} episodes before, {len(after)} after: expected the same starts, at least one")
    change = np.asarray(after, np.int64) - np.asarray(before, np.int64)
    gained, lost, count = int((change > 0).sum()), int((change < 0).sum()), len(change)
    # A resample of the starts is a multinomial draw of the three kinds of change.
    generator = np.random.Generator(np.random.Philox(key=seed))
    draws = generator.multinomial(count, [gained / count, lost / count, 1 - (gained + lost) / count], resamples)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / count, BOUNDS)
    return PairedDifference(float(change.mean()), float(low), float(high), mcnemar(gained, lost), gained, lost)


def permutation_test(first: np.ndarray, second: np.ndarray, resamples: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value that two paired samples (n,) have one mean, by exchanging within pairs; exact for few pairs.

    Raises:
        ValueError: arrays of different shapes, or under two pairs.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise ValueError(f"samples of shapes {first.shape} and {second.shape}: expected the same pairs, at least two")
    found = _stats().permutation_test(
        (first - second,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        random_state=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def rate_text(rate: float, interval: Sequence[float]) -> str:
    """A rate and its interval as people read them: ``"40.5 % [33.9, 47.4]"``."""
    low, high = interval
    return f"{100 * rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def difference_text(difference: float, low: float, high: float) -> str:
    """A difference in percentage points and its interval: ``"+9.0 [+2.0, +16.0]"``."""
    return f"{100 * difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


# Correlation and agreement


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation of two arrays of one shape; 0 where one of them is constant."""
    return _correlation("spearmanr", first, second)


def pearson(first: np.ndarray, second: np.ndarray) -> float:
    """Linear correlation of two arrays of one shape; 0 where one of them is constant."""
    return _correlation("pearsonr", first, second)


def _correlation(name: str, first: np.ndarray, second: np.ndarray) -> float:
    one, two = np.ravel(first), np.ravel(second)
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return float(getattr(_stats(), name)(one, two).statistic)


def mmrv(real: Sequence[float] | np.ndarray, simulated: Sequence[float] | np.ndarray) -> Any:
    """Mean maximum rank violation of N policies (SimplerEnv, arXiv 2405.05941): 0 where the orders agree.

    (1/N) sum_i max_j |R_i - R_j| [(S_i < S_j) != (R_i < R_j)], R (..., N) what each is worth in reality, S in the
    simulation. A float, or an array (...).

    Raises:
        ValueError: not equally many of both, or under two.
    """
    r, s = np.asarray(real, np.float64), np.asarray(simulated, np.float64)
    if r.shape != s.shape or not r.ndim or r.shape[-1] < 2:
        raise ValueError(f"real {r.shape} and simulated {s.shape}: expected one number for each of at least 2 policies")
    violated = (s[..., :, None] < s[..., None, :]) != (r[..., :, None] < r[..., None, :])
    found = (np.abs(r[..., :, None] - r[..., None, :]) * violated).max(axis=-1).mean(axis=-1)
    return float(found) if r.ndim == 1 else found


def cohens_kappa(first: Sequence[bool] | np.ndarray, second: Sequence[bool] | np.ndarray) -> float | None:
    """Agreement of two yes-or-no judgements of the same episodes beyond chance (Cohen, 1960).

    1 where they always agree, 0 where as often as by chance. None where chance alone agrees always (both say one and
    the same of every episode), as nothing is known then.

    Raises:
        ValueError: lists of different lengths, or empty ones.
    """
    one, two = np.asarray(first, bool), np.asarray(second, bool)
    if one.shape != two.shape or one.ndim != 1 or not len(one):
        raise ValueError(f"judgements of shapes {one.shape} and {two.shape}: expected the same episodes, at least one")
    observed = float((one == two).mean())
    chance = float(one.mean() * two.mean() + (1 - one.mean()) * (1 - two.mean()))
    return None if chance == 1.0 else (observed - chance) / (1 - chance)


# Bootstraps over clusters


def resampled(count: int, draws: int, key: int | Sequence[int]) -> np.ndarray:
    """(draws, count) int64: how often each of `count` clusters is in each of `draws` resamples; `key` is the seed."""
    return np.random.default_rng(key).multinomial(count, np.full(count, 1 / count), size=draws)


def cluster_interval(
    statistic: Callable[..., float], values: Sequence[np.ndarray], clusters: np.ndarray, draws: int = 500, seed: int = 0
) -> list[float]:
    """[statistic, low, high] of any statistic of `values`, arrays (N, ...) each, resampling the `clusters` (N,)."""
    _, places = np.unique(clusters, return_inverse=True)
    members = [np.flatnonzero(places == place) for place in range(int(places.max()) + 1)]
    drawn = np.random.default_rng(seed).integers(len(members), size=(draws, len(members)))
    chosen = (np.concatenate([members[place] for place in row]) for row in drawn)
    spread = [statistic(*(value[rows] for value in values)) for rows in chosen]
    low, high = np.quantile(spread, BOUNDS)
    return [statistic(*values), float(low), float(high)]


@dataclass(frozen=True)
class Clusters:
    """Which episode each of H values belongs to.

    Attributes:
        episodes: (H,) any integers.
        seed: of the resamples.
        draws: resamples.
    """

    episodes: np.ndarray
    seed: int = 0
    draws: int = DRAWS

    @cached_property
    def places(self) -> np.ndarray:
        """(H,) number of the episode, from 0."""
        places: np.ndarray = np.unique(self.episodes, return_inverse=True)[1]
        return places

    @property
    def count(self) -> int:
        """Episodes."""
        return int(self.places.max()) + 1

    @cached_property
    def weights(self) -> np.ndarray:
        """(draws, episodes) how often each is drawn; the same in every comparison."""
        return resampled(self.count, self.draws, [self.seed, 1]).astype(np.float64)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(S, episodes) sums of values (S, H)."""
        return np.stack([np.bincount(self.places, row, self.count) for row in values])

    def seed_weights(self, count: int, stream: int) -> np.ndarray:
        """(draws, count) how often each training seed is drawn."""
        return resampled(count, self.draws, [self.seed, 2 + stream]).astype(np.float64)


def ratio_of_means(values: np.ndarray, over: np.ndarray | None, clusters: Clusters) -> list[float] | None:
    """[value, low, high] of the mean of `values` (S, H), or of its ratio to that of `over` (S', H), S' = S or 1.

    S training seeds, H values each; seeds and episodes are resampled, crossed. Only values that both have count. None
    without any; no interval (NaN) with fewer than `FEW` episodes.
    """
    valid = np.isfinite(values)
    below = np.where(valid, 1.0, 0.0) if over is None else np.broadcast_to(over, values.shape)
    valid = valid & np.isfinite(below)
    top, bottom = (clusters.sums(np.where(valid, part, 0.0)) for part in (values, below))
    if not valid.any() or bottom.sum() == 0:
        return None
    found = float(top.sum() / bottom.sum())
    if len(np.unique(clusters.places[valid.any(axis=0)])) < FEW:
        return [found, NAN, NAN]
    seeds = clusters.seed_weights(len(values), 0)
    drawn = [np.einsum("ds,se,de->d", seeds, part, clusters.weights) for part in (top, bottom)]
    return [found, *_bounds(drawn[0], drawn[1])]


def difference(first: np.ndarray, second: np.ndarray, clusters: Clusters) -> dict[str, float] | None:
    """Mean of `first` (S, H) less that of `second` (S', H) on the values that both have, None without any.

    "difference", "low", "high": 95 % interval by resampling episodes, and the seeds of each. "p": of the hypothesis
    that signs of differences are random, episode by episode, two-sided, after averaging over seeds. "handles".
    """
    valid = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0)
    count = int(valid.sum())
    if not count:
        return None
    one, other = (clusters.sums(np.where(valid, part, 0.0)) for part in (first, second))
    here = clusters.sums(valid[None].astype(np.float64))[0]
    sums = one.mean(axis=0) - other.mean(axis=0)
    found = {"difference": float(sums.sum() / count), "handles": count}
    if int((here > 0).sum()) < FEW:
        return {**found, "low": NAN, "high": NAN, "p": NAN}
    means = [
        np.einsum("ds,se,de->d", clusters.seed_weights(len(part), stream), part, clusters.weights) / len(part)
        for stream, part in enumerate((one, other))
    ]
    low, high = _bounds(means[0] - means[1], clusters.weights @ here)
    return {**found, "low": low, "high": high, "p": sign_flip(sums[here > 0], clusters.seed)}


def sign_flip(sums: np.ndarray, seed: int = 0, flips: int = FLIPS) -> float:
    """Two-sided p-value of the sum of `sums` (E,) under random signs, never below 1 / (flips + 1).

    What `permutation_test` does too; kept for its own draws, which published p-values come from.
    """
    rng = np.random.default_rng([seed, 99])
    signs = rng.integers(2, size=(flips, len(sums)), dtype=np.int8) * 2 - 1
    # A hair below, so that a flip that changes nothing counts as extreme whatever the order of the sum.
    least = abs(sums.sum()) * (1 - 1e-9)
    return float((1 + int((np.abs(signs @ sums) >= least).sum())) / (flips + 1))


def _bounds(top: np.ndarray, bottom: np.ndarray) -> tuple[float, float]:
    kept = bottom != 0
    if not kept.any():
        return NAN, NAN
    low, high = np.quantile(top[kept] / bottom[kept], BOUNDS)
    return float(low), float(high)
