"""Counter-based random numbers: each is a function of (seed, episode, step, its index) alone.

What one environment draws therefore depends neither on how many others there are nor on what they do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the Weyl increment of SplitMix64
_MULTIPLY = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_MANTISSA = np.uint64(11)  # 64 - 53 bits


def make_keys(seeds: np.ndarray, episodes: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Keys (B, 3) uint64 of three integer vectors (B,); negative numbers wrap around."""
    parts = [np.asarray(values).astype(np.uint64) for values in (seeds, episodes, steps)]
    return np.stack(parts, axis=1)


def keyed_bits(keys: np.ndarray, count: int) -> np.ndarray:
    """`count` random 64-bit words for each key: (B, count) uint64.

    SplitMix64 (Steele, Lea and Flood, 2014): the three parts of the key are mixed one after another into a state, and
    word i is the mix of state + (i + 1) * increment.

    Raises:
        ValueError: keys of another shape or type.
    """
    if keys.ndim != 2 or keys.shape[1] != 3 or keys.dtype != np.uint64:
        raise ValueError(
            f"keys are {keys.dtype} {keys.shape}, expected uint64 (batch, 3): seed, episode, step; see make_keys"
        )
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
        state = np.zeros(len(keys), np.uint64)
        for part in range(3):
            state = _mix(state + _GOLDEN + _mix(keys[:, part] + _GOLDEN))
        counters = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * _GOLDEN
        return _mix(state[:, None] + counters)


def keyed_uniform(keys: np.ndarray, count: int) -> np.ndarray:
    """`count` uniform numbers in (0, 1) for each key (B, 3) uint64: (B, count) float64."""
    uniform: np.ndarray = ((keyed_bits(keys, count) >> _MANTISSA).astype(np.float64) + 0.5) * 2.0**-53
    return uniform


def keyed_normal(keys: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Standard normal numbers for each key (B, 3) uint64, by Box and Muller: (B, *shape) float32."""
    count = int(np.prod(tuple(shape), dtype=np.int64))
    half = (count + 1) // 2
    uniform = keyed_uniform(keys, 2 * half)
    radius = np.sqrt(-2.0 * np.log(uniform[:, :half]))
    angle = 2.0 * np.pi * uniform[:, half:]
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :count]
    return normal.astype(np.float32).reshape(len(keys), *shape)


def _mix(words: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        words = (words ^ (words >> _SHIFTS[0])) * _MULTIPLY[0]
        words = (words ^ (words >> _SHIFTS[1])) * _MULTIPLY[1]
        mixed: np.ndarray = words ^ (words >> _SHIFTS[2])
        return mixed
