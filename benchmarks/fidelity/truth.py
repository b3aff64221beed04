"""What truly comes of actions: the simulator, put back into recorded states and driven."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rla_gym.data import TokenStore
from rla_gym.tasks import Task


@dataclass(frozen=True)
class Truth:
    """H starts, what was done from them and what truly came of it.

    Attributes:
        rows: (H,) rows of the token store to start from.
        chunks: (H, n, K, A) float32 actions in [-1, 1].
        counts: (H,) chunks that were driven; what the others would give is NaN or zero.
        tokens: (H, n + 1, L, C) float32 standardised, at the start and after each chunk.
        objects, proprio: (H, n + 1, O) and (H, n + 1, P) float32, in the task's units.
        frames: (H, len(horizons) + 1, H', W', 3) uint8, at the start and after each horizon.
    """

    rows: np.ndarray
    chunks: np.ndarray
    counts: np.ndarray
    tokens: Tensor
    objects: np.ndarray
    proprio: np.ndarray
    frames: np.ndarray

    def valid(self, horizons: Sequence[int]) -> np.ndarray:
        """Bool (H, len(horizons)): whether the handle was driven so far."""
        return self.counts[:, None] >= np.asarray(horizons)


def simulate(
    task: Task,
    store: TokenStore,
    rows: np.ndarray,
    chunks: np.ndarray,
    counts: np.ndarray,
    horizons: Sequence[int],
    tokenize: Callable[[np.ndarray], Tensor],
) -> Truth:
    """Drive the simulator from `rows` with `chunks`, the first `counts` of each.

    Args:
        horizons: chunks after which frames are kept.
        tokenize: frames (B, H', W', 3) uint8 to standardised tokens (B, L, C).
    """
    total, length = chunks.shape[:2]
    low = np.asarray(task.spec.action_low, np.float64)
    width = np.asarray(task.spec.action_high, np.float64) - low
    driven = low + (chunks.astype(np.float64) + 1) / 2 * width
    objects = np.full((total, length + 1, store.objects.shape[1]), np.nan, np.float32)
    proprio = np.full((total, length + 1, store.proprio.shape[1]), np.nan, np.float32)
    frames = np.zeros((total, len(horizons) + 1, *task.spec.frame_size, 3), np.uint8)
    tokens = torch.zeros(total, length + 1, *store.tokens.shape[1:])
    tokens[:, 0] = store.normalized(rows)
    kept = {0: 0} | {horizon: place for place, horizon in enumerate(horizons, start=1)}
    for handle, row in enumerate(rows):
        task.set_state(store.states[row])
        shown = []
        for index in range(int(counts[handle]) + 1):
            if index:
                for action in driven[handle, index - 1]:
                    task.step(action)
            objects[handle, index], proprio[handle, index] = task.object_state(), task.proprioception()
            shown.append(task.render())
            if index in kept:
                frames[handle, kept[index]] = shown[-1]
        if len(shown) > 1:
            tokens[handle, 1 : len(shown)] = tokenize(np.stack(shown[1:]))
    return Truth(rows, chunks, counts, tokens, objects, proprio, frames)
