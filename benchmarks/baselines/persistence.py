"""Persistence: nothing moves. Every model has to beat it."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from benchmarks.baselines.interface import State, WorldModel


class Persistence(WorldModel):
    """The state stays as it is."""

    name = "persistence"

    def step(self, state: State, chunks: Tensor, keys: np.ndarray) -> State:
        """The same state."""
        return state

    def networks(self) -> dict[str, nn.Module]:
        """None."""
        return {}
