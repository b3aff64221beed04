"""`UncertaintyPenalty` for vector environments of Stable-Baselines3."""

from __future__ import annotations

from typing import Any

import numpy as np

from rla_gym.envs.wrappers import checked_scale, told
from rla_gym.utils.optional import require

VecEnvWrapper: Any = require("stable_baselines3.common.vec_env", extra="rl").VecEnvWrapper


class UncertaintyPenaltyVecEnv(VecEnvWrapper):
    """Takes `scale` times an uncertainty off each step's reward; see `rla_gym.envs.wrappers.UncertaintyPenalty`.

    Put it inside of VecNormalize, and outside of VecMonitor where episode returns are to be the dreamt ones. To end
    uncertain episodes make the environment with `disagreement_limit`.

    Args:
        venv: made with `uncertainty`, such as `RLAWorldVecEnv(num_envs=8, uncertainty="disagreement")`.
        scale: reward a unit, at least 0.
        of: key of the infos: "disagreement" (of this step), "disagreement_total" or "data_distance".

    Raises:
        ValueError: a scale that is no finite number of at least 0, or infos without that key.
    """

    def __init__(self, venv: Any, scale: float, of: str = "disagreement") -> None:
        super().__init__(venv)
        self.scale, self.of = checked_scale(scale), of

    def reset(self) -> Any:
        """The observations of new episodes."""
        return self.venv.reset()

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """As of the environment, with the penalties taken off; `info["reward_dreamt"]` is the reward before."""
        observations, rewards, dones, infos = self.venv.step_wait()
        for info, reward in zip(infos, rewards.tolist(), strict=True):
            info["reward_dreamt"] = reward
        penalties = np.array([self.scale * told(info, self.of) for info in infos], np.float32)
        return observations, rewards - penalties, dones, infos
