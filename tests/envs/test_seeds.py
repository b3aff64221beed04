"""Seeds of any size give the same episodes through every face, and episodes without one can be replayed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rla_gym
from rla_gym.checkpoint.bundle import Bundle

LARGE = [
    *map(int, np.random.default_rng(0).integers(2**63, 2**64, size=2, dtype=np.uint64)),
    2**64 - 1,
    int(np.random.SeedSequence(5).generate_state(4, np.uint32).astype(object) @ [1, 2**32, 2**64, 2**96]),
]


@pytest.mark.parametrize("seed", LARGE)
def test_faces_agree(bundle: Bundle, seed: int) -> None:
    singles = [rla_gym.RLAWorldEnv(bundle).reset(seed=seed + index)[0] for index in range(2)]
    native, sb3 = rla_gym.RLAWorldVectorEnv(bundle, 2), rla_gym.RLAWorldVecEnv(bundle, 2)
    sb3.seed(seed)
    for seen in (native.reset(seed=seed)[0], native.reset(seed=[seed, seed + 1])[0], sb3.reset()):
        assert np.array_equal(seen, singles)
    assert native.episodes.seeds.tolist() == sb3.episodes.seeds.tolist() == [seed % 2**64, (seed + 1) % 2**64]


def test_lists_of_mixed_sizes_are_exact(bundle: Bundle) -> None:
    seeds = [3, 2**63 + 1, 2**64 + 4]
    env = rla_gym.RLAWorldVectorEnv(bundle, 3)
    env.reset(seed=seeds)
    assert env.episodes.seeds.tolist() == [3, 2**63 + 1, 4]
    env.reset(seed=np.array([*seeds[:2], 5], np.uint64))
    assert env.episodes.seeds.tolist() == [3, 2**63 + 1, 5]


def test_numpy_seeds_are_those_of_python(bundle: Bundle) -> None:
    sb3, single = rla_gym.RLAWorldVecEnv(bundle, 2), rla_gym.RLAWorldEnv(bundle)
    sb3.seed(np.uint64(2**63 + 1))
    sb3.reset()
    assert sb3.episodes.seeds.tolist() == [2**63 + 1, 2**63 + 2]
    assert np.array_equal(single.reset(seed=np.int64(4))[0], single.reset(seed=4)[0])


@pytest.mark.parametrize("seed", [-1, 1.5, "a"])
def test_what_is_no_seed_is_refused_alike(bundle: Bundle, seed: Any) -> None:
    for call in (
        lambda: rla_gym.RLAWorldEnv(bundle).reset(seed=seed),
        lambda: rla_gym.RLAWorldVectorEnv(bundle, 2).reset(seed=seed),
        lambda: rla_gym.RLAWorldVecEnv(bundle, 2).seed(seed),
    ):
        with pytest.raises(ValueError, match="seed="):
            call()


def test_episodes_without_a_seed_are_replayed_from_the_one_that_they_took(bundle: Bundle) -> None:
    single = rla_gym.RLAWorldEnv(bundle)
    first, _ = single.reset()
    second, _ = single.reset()
    again = rla_gym.RLAWorldEnv(bundle)
    assert np.array_equal(again.reset(seed=single.np_random_seed)[0], first)
    assert np.array_equal(again.reset()[0], second)

    native = rla_gym.RLAWorldVectorEnv(bundle, 3)
    first, _ = native.reset()
    assert np.array_equal(rla_gym.RLAWorldVectorEnv(bundle, 3).reset(seed=native.np_random_seed)[0], first)

    sb3 = rla_gym.RLAWorldVecEnv(bundle, 3)
    first = sb3.reset()
    assert np.array_equal(rla_gym.RLAWorldVectorEnv(bundle, 3).reset(seed=sb3.np_random_seed)[0], first)


def test_a_generator_put_in_by_hand_decides(bundle: Bundle) -> None:
    drawn = []
    for _ in range(2):
        env = rla_gym.RLAWorldEnv(bundle)
        env.np_random = np.random.default_rng(7)
        drawn.append(env.reset()[0])
    assert np.array_equal(*drawn)
