"""Intervals and tests of means over handles that come from the same episodes, and over training seeds.

Handles of one episode belong together, so episodes are resampled, and so are seeds, crossed with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

DRAWS = 1000
"""Resamples of a bootstrap."""
FLIPS = 10_000
"""Random flips of signs of a test."""
FEW = 5
"""Episodes below which there is neither an interval nor a test."""


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
        return self._multinomial(self.count, 1)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(S, episodes) sums of values (S, H)."""
        return np.stack([np.bincount(self.places, row, self.count) for row in values])

    def seed_weights(self, count: int, stream: int) -> np.ndarray:
        """(draws, count) how often each training seed is drawn."""
        return self._multinomial(count, 2 + stream)

    def _multinomial(self, count: int, stream: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, stream])
        return rng.multinomial(count, np.full(count, 1 / count), size=self.draws).astype(np.float64)


def ratio_of_means(values: np.ndarray, over: np.ndarray | None, clusters: Clusters) -> list[float] | None:
    """[value, low, high] of the mean of `values` (S, H), or of its ratio to that of `over` (S', H), S' = S or 1.

    Only handles that both have count. None without any; no interval (NaN) with fewer than `FEW` episodes.
    """
    valid = np.isfinite(values)
    below = np.where(valid, 1.0, 0.0) if over is None else np.broadcast_to(over, values.shape)
    valid = valid & np.isfinite(below)
    top, bottom = (clusters.sums(np.where(valid, part, 0.0)) for part in (values, below))
    if not valid.any() or bottom.sum() == 0:
        return None
    found = float(top.sum() / bottom.sum())
    if len(np.unique(clusters.places[valid.any(axis=0)])) < FEW:
        return [found, float("nan"), float("nan")]
    seeds = clusters.seed_weights(len(values), 0)
    drawn = [np.einsum("ds,se,de->d", seeds, part, clusters.weights) for part in (top, bottom)]
    return [found, *_bounds(drawn[0], drawn[1])]


def difference(first: np.ndarray, second: np.ndarray, clusters: Clusters) -> dict[str, float] | None:
    """Mean of `first` (S, H) less that of `second` (S', H) on the handles that both have, None without any.

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
        return {**found, "low": float("nan"), "high": float("nan"), "p": float("nan")}
    means = [
        np.einsum("ds,se,de->d", clusters.seed_weights(len(part), stream), part, clusters.weights) / len(part)
        for stream, part in enumerate((one, other))
    ]
    low, high = _bounds(means[0] - means[1], clusters.weights @ here)
    return {**found, "low": low, "high": high, "p": sign_flip(sums[here > 0], clusters.seed)}


def sign_flip(sums: np.ndarray, seed: int = 0, flips: int = FLIPS) -> float:
    """Two-sided p-value of the sum of `sums` (E,) under random signs, never below 1 / (flips + 1)."""
    rng = np.random.default_rng([seed, 99])
    signs = rng.integers(2, size=(flips, len(sums)), dtype=np.int8) * 2 - 1
    # A hair below, so that a flip that changes nothing counts as extreme whatever the order of the sum.
    least = abs(sums.sum()) * (1 - 1e-9)
    return float((1 + int((np.abs(signs @ sums) >= least).sum())) / (flips + 1))


def _bounds(top: np.ndarray, bottom: np.ndarray) -> tuple[float, float]:
    kept = bottom != 0
    if not kept.any():
        return float("nan"), float("nan")
    low, high = np.quantile(top[kept] / bottom[kept], [0.025, 0.975])
    return float(low), float(high)
