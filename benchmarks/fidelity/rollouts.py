"""States that a model predicts, chunk after chunk, fed back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines.interface import State, WorldModel
from rla_gym.utils.keyed_rng import make_keys


def states(
    model: WorldModel, state: State, chunks: Tensor, seeds: np.ndarray, samples: int = 1, bf16: bool = False
) -> Iterator[State]:
    """The state of B·S rows after each of n chunks; row b·S + s is sample s of episode b.

    Args:
        state: of B episodes.
        chunks: (B, n, K, A).
        seeds: (B,) integers, one stream of noise each; sample s of row b has the key (seeds[b], s, step), as in
            `benchmarks.baselines.interface.rollout`.
        bf16: predict under autocast to bfloat16; what is fed back stays as the model gives it.
    """
    state = state.repeat(samples)
    streams, numbers = np.repeat(np.asarray(seeds), samples), np.tile(np.arange(samples), len(chunks))
    for index, chunk in enumerate(chunks.repeat_interleave(samples, dim=0).unbind(dim=1)):
        keys = make_keys(streams, numbers, np.full(len(streams), index))
        device = state.tokens.device
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            state = model.predict(state, chunk.to(device), keys)
        yield state
