"""Streams of seeds do not meet."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rla_gym.envs.episodes import START_STEP
from rla_gym.learning.demonstrations import demonstration_seeds
from rla_gym.learning.seeds import ENVIRONMENTS, STREAMS, stream_seed
from rla_gym.utils.keyed_rng import keyed_bits, make_keys


def test_streams_are_disjoint() -> None:
    ranges = [
        set(range(stream_seed(stream, seed), stream_seed(stream, seed) + ENVIRONMENTS))
        for stream in STREAMS
        for seed in (0, 1, 2, 17)
    ]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(ranges, 2))


def test_demonstrations_start_where_no_evaluation_does() -> None:
    shown = {demonstration_seeds(seed, index)[0] for seed in range(3) for index in range(100)}
    assert len(shown) == 300
    judged: set[int] = set()
    for seed, episode in itertools.product(range(3), range(1, 20)):
        environments = stream_seed("evaluation", seed) + np.arange(20)
        keys = make_keys(environments, np.full(20, episode), np.full(20, START_STEP, np.uint64))
        judged |= {int(word) for word in keyed_bits(keys, 1)[:, 0] >> np.uint64(1)}  # as RealEpisodes resets the task
    assert len(judged) == 3 * 19 * 20
    assert shown.isdisjoint(judged)


@pytest.mark.parametrize(("stream", "seed"), [("games", 0), ("agent", -1)])
def test_refuses(stream: str, seed: int) -> None:
    with pytest.raises(ValueError, match="expected one of demonstrations"):
        stream_seed(stream, seed)
