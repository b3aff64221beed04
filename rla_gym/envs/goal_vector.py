"""`RLAWorldGoal-v0` as a natively batched vector environment of Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import DEFAULT_CHECKPOINT
from rla_gym.envs.goal_episodes import GoalEpisodes
from rla_gym.envs.options import episode_options
from rla_gym.envs.sb3 import EpisodesVecEnv


class RLAWorldGoalVecEnv(EpisodesVecEnv):
    """`num_envs` goal environments stepped as one batch, for `HerReplayBuffer`.

    Environment i seeded with s equals `RLAWorldGoalEnv` seeded with s + i.

    Args:
        ckpt: checkpoint folder, built-in name or hub id (or a loaded `Bundle`); by default the built-in "push-cube".
        num_envs: number of environments.
        steps, temperature, precision, device: of `rla_gym.dream.dream.Dream`.
        terminate_on_success, options: as of `RLAWorldGoalEnv`.
    """

    episodes: GoalEpisodes

    def __init__(
        self,
        ckpt: str | Path | Bundle = DEFAULT_CHECKPOINT,
        num_envs: int = 1,
        steps: int | None = None,
        temperature: float | None = None,
        precision: str | None = None,
        device: str = "cpu",
        terminate_on_success: bool = False,
        **options: Any,
    ) -> None:
        settings = episode_options(self, options, terminate_on_success=terminate_on_success)
        super().__init__(GoalEpisodes(ckpt, num_envs, settings, steps, temperature, precision, device))
        self.observation_space = self.episodes.observation_space

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """Rewards (n,) float32 of goals achieved and desired, each (n, F); `info` is not used."""
        return self.episodes.goal_reward(achieved_goal, desired_goal)

    def env_method(
        self, method_name: str, *args: Any, indices: None | int | Iterable[int] = None, **kwargs: Any
    ) -> list[Any]:
        """Result of "compute_reward", one function for all, for each asked environment; other methods are refused."""
        if method_name != "compute_reward":
            return super().env_method(method_name, *args, indices=indices, **kwargs)
        rewards = self.compute_reward(*args, **kwargs)
        return [rewards for _ in self._get_indices(indices)]
