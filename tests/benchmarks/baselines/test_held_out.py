"""The held-out curve: fixed starts, persistence at 1, actions that count."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.baselines.held_out import HeldOut
from benchmarks.baselines.persistence import Persistence
from benchmarks.baselines.recorded import Recorded


class Oracle(Persistence):
    """Knows the start whose first chunk it is given, and what came of that."""

    def __init__(self, held_out: HeldOut) -> None:
        self.held_out = held_out

    def step(self, state, chunks, keys):
        store, rows, done = self.held_out.recorded.store, self.held_out.rows, state.memory.get("done")
        if done is None:
            done = torch.zeros(len(rows), dtype=torch.long)
            known = torch.cdist(chunks.flatten(1), self.held_out.chunks[:, 0].flatten(1)).argmin(dim=1)
        else:
            known = state.memory["known"]
        later = store.normalized(rows[known.numpy()] + (int(done[0]) + 1) * self.held_out.chunk)
        return state.moved(later, state.proprio, done=done + 1, known=known)


def test_persistence_is_one_and_the_truth_is_zero(episodes: Recorded) -> None:
    held_out = HeldOut(episodes, 4, 24)
    metrics = held_out.measure(Persistence())
    assert held_out.count == 6 and len(metrics) == 6
    assert all(value == pytest.approx(1.0) for value in metrics.values())
    metrics = {name.removeprefix("train_"): value for name, value in held_out.measure(Oracle(held_out)).items()}
    assert metrics["c1_ratio"] == metrics["c6_ratio"] == metrics["c1_moving"] == metrics["c6_moving"] == 0
    assert metrics["c1_moving_other_actions"] > 1 and metrics["c6_moving_other_actions"] > 0.5


def test_fewer_starts_are_the_first_ones(episodes: Recorded) -> None:
    many, few = HeldOut(episodes, 4, 24), HeldOut(episodes, 4, 3, longest=1)
    assert few.count == 1 and len(few.rows) == 3
    np.testing.assert_array_equal(HeldOut(episodes, 4, 3).rows, many.rows[:3])
    assert torch.equal(HeldOut(episodes, 4, 3).chunks, many.chunks[:3])
