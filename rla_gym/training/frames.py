"""Recorded frames kept in memory beside their token rows: reading them one at a time at random is slow."""

from __future__ import annotations

import numpy as np

from rla_gym.data.episodes import EpisodeDataset
from rla_gym.data.tokens import TokenStore


def check_same_data(store: TokenStore, dataset: EpisodeDataset) -> None:
    """Raise a ValueError unless the tokens of `store` are those of the frames of `dataset`."""
    if store.info["dataset"] != dataset.hash:
        raise ValueError(
            f"the tokens of {store.path} were made from data set {store.info['dataset'][:12]}, the frames are of "
            f"{dataset.hash[:12]}: give the data set that was encoded"
        )


def some_rows(store: TokenStore, episodes: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Up to `count` different rows of the episodes, drawn evenly, in rising order: (n,) int64."""
    rows = store.rows(episodes)
    return np.sort(generator.permutation(rows)[:count])


def read_frames(store: TokenStore, dataset: EpisodeDataset, rows: np.ndarray) -> np.ndarray:
    """Frames (n, H, W, 3) uint8 of rising rows."""
    episodes = store.episode_of(rows)
    pieces = []
    for episode in np.unique(episodes):
        steps = rows[episodes == episode] - store.starts[episode]
        # All frames between the first and the last: one read of a span is faster than several of single frames.
        first = int(steps[0])
        pieces.append(dataset.frames(int(episode), first, int(steps[-1]) + 1)[steps - first])
    return np.concatenate(pieces)
