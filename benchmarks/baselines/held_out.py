"""The held-out curve of the comparison: the same starts, chunks and measures for every model."""

from __future__ import annotations

import numpy as np

from benchmarks.baselines.interface import WorldModel, device_of, rollout
from benchmarks.baselines.recorded import Recorded
from rla_gym.data.sampling import sample_chunks
from rla_gym.training.batches import held_out, keyed_generators
from rla_gym.training.metrics import moving_patches, persistence_ratio

LONGEST = 6
"""Chunks rolled out, fewer where episodes are too short."""


class HeldOut:
    """Fixed starts in validation episodes, their chunks, and the tokens that truly followed.

    Args:
        recorded: the episodes.
        chunk: K.
        count: starts; a smaller number takes the first ones of a larger.
        longest: chunks rolled out.
    """

    def __init__(self, recorded: Recorded, chunk: int, count: int, longest: int = LONGEST) -> None:
        store = recorded.store
        frames = int(store.lengths[store.split("validation")].max(initial=0)) or int(store.lengths.max())
        self.recorded, self.chunk, self.count = recorded, chunk, max(1, min(longest, (frames - 1) // chunk))
        episodes, self.prefix = held_out(store, self.count * chunk + 1)
        generator, _ = keyed_generators("baselines held out", chunk)
        self.rows = sample_chunks(store, episodes, max(count, 256), generator, chunk, self.count)[:count]
        self.chunks = recorded.chunks(self.rows, chunk, self.count)

    def measure(self, model: WorldModel) -> dict[str, float]:
        """L1 of predicted tokens over that of persistence, after one chunk and after the last.

        Names: `c6_ratio` is after 6 chunks over all patches, `c6_moving` over the quarter that truly moved most,
        `c6_moving_other_actions` the same with the actions of other episodes: a model that ignores its actions is as
        good there.
        """
        store, metrics = self.recorded.store, {}
        device = device_of(model)
        start, chunks = self.recorded.start(model, self.rows).to(device), self.chunks.to(device)
        other = chunks.roll(len(self.rows) // 2, dims=0)
        seeds = np.arange(len(self.rows))
        found = rollout(model, start, chunks, seeds)[:, 0].cpu()
        misled = rollout(model, start, other, seeds)[:, 0].cpu()
        still = store.normalized(self.rows)
        for n in sorted({1, self.count}):
            true = store.normalized(self.rows + n * self.chunk)
            moving = moving_patches(true - still)
            name = f"{self.prefix}c{n}"
            metrics[f"{name}_ratio"] = persistence_ratio(found[:, n - 1], still, true)
            metrics[f"{name}_moving"] = persistence_ratio(found[:, n - 1], still, true, moving)
            ratio = persistence_ratio(misled[:, n - 1], still, true, moving)
            metrics[f"{name}_moving_other_actions"] = ratio
        return metrics
