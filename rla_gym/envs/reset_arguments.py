"""The arguments of a vector environment's `reset`, checked as Gymnasium's own vector environments do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def listed_seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    """One seed or None for each of `count` environments: those given, or seed, seed + 1, ...

    Raises:
        ValueError: another number of seeds.
    """
    if seed is None:
        return [None] * count
    if isinstance(seed, int | np.integer):
        return [int(seed) + index for index in range(count)]
    if len(seed) != count:
        raise ValueError(f"{len(seed)} seeds for {count} environments: give one for each, or one number for all")
    return [None if each is None else int(each) for each in seed]


def asked_rows(mask: Any, count: int) -> np.ndarray:
    """Environments (n,) int64 where `mask` is True; all of `count` without a mask.

    Raises:
        ValueError: `mask` is no bool array (count,), or nowhere True.
    """
    if mask is None:
        return np.arange(count)
    if not (isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (count,) and mask.any()):
        raise ValueError(f"reset_mask={mask!r}: expected a NumPy array of {count} bools, at least one of them True")
    return np.flatnonzero(mask)
