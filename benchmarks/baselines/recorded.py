"""Recorded episodes as the models of the comparison see them: starts, the actions that followed, and what came."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines.interface import State, WorldModel
from rla_gym.data.episodes import EpisodeDataset
from rla_gym.data.sampling import chunk_actions, scale_actions
from rla_gym.data.tokens import TokenStore
from rla_gym.training.batches import standardized_proprio
from rla_gym.training.frames import check_same_data


class Recorded:
    """A token store, and the data set of its frames for models of pixels.

    Raises:
        ValueError: the data set is not the one that was encoded.
    """

    def __init__(self, store: TokenStore, dataset: EpisodeDataset | None = None) -> None:
        if dataset is not None:
            check_same_data(store, dataset)
        self.store, self.dataset = store, dataset

    @cached_property
    def proprio(self) -> Tensor | None:
        """Standardised proprioception (N, P) float32 of all rows; None where nothing was recorded."""
        if not self.store.proprio.shape[1]:
            return None
        return standardized_proprio(self.store)

    def start(self, model: WorldModel, rows: np.ndarray) -> State:
        """The recorded state at `rows` (B,), with the memory that `model` asks for.

        Before an episode's first frame, that frame stood still: it is repeated, with actions of zero.

        Raises:
            ValueError: the model needs frames and there is no data set.
        """
        rows = np.asarray(rows, np.int64)
        memory: dict[str, Tensor] = {}
        if model.history:
            past, moved = self.before(rows, model.history)
            memory["past_tokens"] = self.tokens(past)
            memory["past_actions"] = self.actions(past, moved)
            if self.proprio is not None:
                memory["past_proprio"] = self.proprio[past]
        if model.needs_frames:
            memory["frames"] = torch.from_numpy(self.frames(rows))
        return State(self.store.normalized(rows), None if self.proprio is None else self.proprio[rows], memory)

    def before(self, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (B, count) of the frames before `rows` (B,), oldest first, and where they truly were (bool)."""
        wanted = rows[:, None] - np.arange(count, 0, -1)
        first = self.store.starts[self.store.episode_of(rows)][:, None]
        return np.maximum(wanted, first), wanted >= first

    def tokens(self, rows: np.ndarray) -> Tensor:
        """Standardised tokens (*rows.shape, L, C) float32."""
        return self.store.normalized(rows.reshape(-1)).unflatten(0, rows.shape)

    def actions(self, rows: np.ndarray, valid: np.ndarray) -> Tensor:
        """Actions (*rows.shape, A) in [-1, 1] that follow each row; zero where not `valid`."""
        scaled = scale_actions(self.store.actions[rows], self.store.info["spec"])
        return torch.from_numpy(np.where(valid[..., None], scaled, np.float32(0.0)))

    def chunks(self, rows: np.ndarray, length: int, count: int) -> Tensor:
        """The `count` recorded chunks (B, count, K, A) that follow each row."""
        found = [chunk_actions(self.store, rows + i * length, length) for i in range(count)]
        return torch.from_numpy(np.stack(found, axis=1))

    def frames(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames (B, H, W, 3) uint8 of rows in any order.

        Raises:
            ValueError: there is no data set.
        """
        if self.dataset is None:
            raise ValueError("this model needs frames: give the data set that the tokens were made from")
        rows = np.asarray(rows, np.int64)
        episodes = self.store.episode_of(rows)
        places = rows - self.store.starts[episodes]
        read = [self.dataset.frames(int(e), int(t), int(t) + 1) for e, t in zip(episodes, places, strict=True)]
        return np.concatenate(read)
