"""The reward of the real simulator that needs no reference: the task's own rule of success."""

from __future__ import annotations

import numpy as np
import torch

from rla_gym.envs.options import EpisodeOptions
from rla_gym.rewards import RunningNormalization, VideoRewardConfig


class TaskReward:
    """`reward_scale` and `success_bonus` in every step in which the task is solved, else 0; normalised if asked for.

    Args:
        batch: B.
        options: of these only `reward_scale` (None: 1), `success_bonus`, `normalize_reward` and `gamma` count.

    Raises:
        ValueError: a scale that is not positive, another number out of its range, or a discount that nothing would use.
    """

    def __init__(self, batch: int, options: EpisodeOptions) -> None:
        config = VideoRewardConfig(
            mode="success",
            gamma=options.gamma,
            success_bonus=options.success_bonus,
            normalize=options.normalize_reward,
        )
        scale = 1.0 if options.reward_scale is None else options.reward_scale
        if not scale > 0:
            raise ValueError(f"reward_scale={scale}: expected a positive factor")
        if config.gamma is not None and config.normalize != "returns":
            raise ValueError(
                f"gamma={config.gamma} would do nothing to reward='success': expected normalize_reward='returns' too"
            )
        self.worth = scale + config.success_bonus
        self.normalization: RunningNormalization | None = None
        if config.normalize is not None:
            self.normalization = RunningNormalization(batch, config.normalize, config.gamma or 1.0)
        self._running = np.zeros(batch, bool)

    def restart(self) -> None:
        """Forget the statistics of normalised rewards, so that what follows is as in a new environment."""
        if self.normalization is not None:
            self.normalization.restart()

    def begin(self, rows: np.ndarray) -> None:
        """Episodes begin in environments `rows` (n,)."""
        self._running[rows] = True
        if self.normalization is not None:
            self.normalization.begin(torch.from_numpy(rows))

    def step(self, success: np.ndarray) -> np.ndarray:
        """Rewards (B,) float32 of a step of all episodes, in which those of `success` (B,) bool were solved."""
        reward = self.worth * success.astype(np.float32)
        if self.normalization is None:
            return reward
        normalized: np.ndarray = self.normalization(torch.from_numpy(reward), torch.from_numpy(self._running)).numpy()
        return normalized

    def end(self, over: np.ndarray) -> None:
        """Episodes where `over` (B,) bool ended: until they begin anew, normalisation learns nothing from them."""
        self._running &= ~over
