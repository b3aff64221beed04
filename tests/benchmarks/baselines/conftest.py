"""Ten recorded episodes with their tokens and frames, and a world model's worth of small sizes."""

from __future__ import annotations

import pytest

from benchmarks.baselines.recorded import Recorded
from rla_gym.data import EpisodeDataset, TokenStore


@pytest.fixture(scope="session")
def episodes(encoded: TokenStore, recorded: EpisodeDataset) -> Recorded:
    return Recorded(encoded, recorded)


@pytest.fixture(scope="session")
def sizes(episodes: Recorded) -> dict[str, int]:
    store = episodes.store
    return {
        "channels": store.tokens.shape[2],
        "patches": store.tokens.shape[1],
        "action_size": store.actions.shape[1],
        "proprio_size": store.proprio.shape[1],
    }
