"""Seeds of any size: modulo 2^64, without floats in between."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rla_gym.utils.seeds import checked_seed, seed_words


def test_words_are_exact() -> None:
    seeds = [0, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 2**64 + 5, 3 * 2**128 + 2**63 + 7, np.random.SeedSequence().entropy]
    assert seed_words(seeds).tolist() == [int(seed) % 2**64 for seed in seeds]
    drawn = np.random.default_rng(0).integers(2**64, size=100, dtype=np.uint64)
    assert np.array_equal(seed_words(drawn), drawn) and np.array_equal(seed_words(drawn.tolist()), drawn)


@pytest.mark.parametrize("seed", [-1, 2.0, "3", True, None])
def test_other_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(ValueError, match="seed=.*expected a whole number of at least 0"):
        checked_seed(seed)
