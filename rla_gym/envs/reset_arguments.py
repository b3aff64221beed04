"""The arguments of a vector environment's `reset`, checked as Gymnasium's own vector environments do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rla_gym.utils.seeds import checked_seed


def listed_seeds(seed: Any, count: int) -> list[int | None]:
    """One seed or None for each of `count` environments: those given, or seed, seed + 1, ...

    Raises:
        ValueError: another number of seeds, or one that is no whole number of at least 0.
    """
    if seed is None:
        return [None] * count
    if isinstance(seed, int | np.integer):
        first = checked_seed(seed)
        return [first + index for index in range(count)]
    given: Any = seed  # a text is a sequence too, though not one of numbers
    if not isinstance(given, Sequence | np.ndarray) or isinstance(given, str):
        raise ValueError(f"seed={seed!r}: expected a whole number, a list of {count} of them, or None")
    if len(seed) != count:
        raise ValueError(f"{len(seed)} seeds for {count} environments: give one for each, or one number for all")
    return [None if each is None else checked_seed(each) for each in seed]


def own_seed(env: Any) -> int:
    """The seed of an environment that was given none: its `np_random_seed`, with which it can be replayed."""
    known: int = env.np_random_seed
    # Gymnasium says -1 of a generator that was put in by hand: what follows is then drawn from it.
    return known if known >= 0 else int(env.np_random.integers(2**63))


def asked_rows(mask: Any, count: int) -> np.ndarray:
    """Environments (n,) int64 where `mask` is True; all of `count` without a mask.

    Raises:
        TypeError: `mask` is no NumPy array of bools.
        ValueError: it has another shape than (count,), or is nowhere True.
    """
    if mask is None:
        return np.arange(count)
    wrong = f"reset_mask={mask!r}: expected a NumPy array of {count} bools, at least one of them True"
    if not (isinstance(mask, np.ndarray) and mask.dtype == np.bool_):
        raise TypeError(wrong)
    if mask.shape != (count,) or not mask.any():
        raise ValueError(wrong)
    return np.flatnonzero(mask)
