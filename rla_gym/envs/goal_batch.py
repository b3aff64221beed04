"""`RLAWorldGoal-v0` as a natively batched vector environment of Gymnasium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import DEFAULT_CHECKPOINT
from rla_gym.envs.goal_episodes import GoalEpisodes
from rla_gym.envs.options import episode_options
from rla_gym.envs.time_limit import shortened
from rla_gym.envs.vector import EpisodesVectorEnv


class RLAWorldGoalVectorEnv(EpisodesVectorEnv, VectorEnv[Any, np.ndarray, np.ndarray]):
    """`num_envs` goal environments: what `gymnasium.make_vec("RLAWorldGoal-v0", num_envs=...)` makes.

    Environment i reset with the seed s is `RLAWorldGoalEnv` reset with the seed s + i. Observations, goals, rewards and
    options are on the page of `RLAWorldGoalEnv`; `render_mode`, `render_reference`, `autoreset_mode` and
    `max_episode_steps` are as of `RLAWorldVectorEnv`.
    """

    episodes: GoalEpisodes

    def __init__(
        self,
        ckpt: str | Path | Bundle = DEFAULT_CHECKPOINT,
        num_envs: int = 1,
        render_mode: str | None = None,
        steps: int | None = None,
        temperature: float | None = None,
        precision: str | None = None,
        device: str = "cpu",
        render_reference: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        terminate_on_success: bool = False,
        **options: Any,
    ) -> None:
        settings = episode_options(self, options, terminate_on_success=terminate_on_success)
        episodes = GoalEpisodes(ckpt, num_envs, settings, steps, temperature, precision, device)
        shortened(episodes, max_episode_steps)
        super().__init__(episodes, render_mode, render_reference, autoreset_mode)
        self.single_observation_space = episodes.observation_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """Rewards (n,) float32 of goals achieved and desired, each (n, F); `info` is not used."""
        return self.episodes.goal_reward(achieved_goal, desired_goal)
