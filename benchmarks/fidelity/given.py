"""What no model can do: give the truth. Measured like a model, it shows what probe and image decoder make of it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.baselines.interface import State, WorldModel


class TrueTokens(WorldModel):
    """The tokens that truly follow.

    Args:
        truth: (B, n, L, C) standardised tokens after each chunk; a rollout of these B episodes takes them in order.
    """

    name = "truth"

    def __init__(self, truth: Tensor) -> None:
        self.truth = truth

    def step(self, state: State, chunks: Tensor, keys: np.ndarray) -> State:
        """The next true tokens; a ValueError past their end."""
        done = state.memory.get("done", torch.zeros(len(state.tokens), dtype=torch.long))
        if int(done.max()) >= self.truth.shape[1]:
            raise ValueError(f"the truth was given for {self.truth.shape[1]} chunks, this is one more")
        later = self.truth[torch.arange(len(done)), done.cpu()]
        return state.moved(later.to(state.tokens), state.proprio, done=done + 1)

    def networks(self) -> dict[str, nn.Module]:
        """None."""
        return {}
