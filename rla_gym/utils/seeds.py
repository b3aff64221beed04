"""Seeds of environments: whole numbers of at least 0, as large as one likes, taken modulo 2^64."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rla_gym.utils.checks import Whole, checked

MODULUS = 2**64


def checked_seed(seed: Any) -> int:
    """`seed` as a Python int, of any size; a ValueError for what is none, or negative."""
    number: int = checked("seed", seed, Whole)
    return number


def seed_words(seeds: Iterable[Any]) -> np.ndarray:
    """Seeds (n,) as uint64, each modulo 2^64. No floats are between: a list of mixed sizes would be rounded by them."""
    if isinstance(seeds, np.ndarray) and seeds.dtype == np.uint64:
        return seeds
    return np.array([int(seed) % MODULUS for seed in seeds], np.uint64)
