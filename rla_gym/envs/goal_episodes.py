"""Dreams that pursue a goal which is part of what the agent sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.envs.dream_episodes import DreamEpisodes
from rla_gym.envs.episodes import EpisodeStep
from rla_gym.envs.options import EpisodeOptions
from rla_gym.envs.spaces import Observation, observation_space
from rla_gym.rewards import GOAL_REWARDS, FeatureGoal
from rla_gym.rewards.distances import OF_FEATURES

OBS_MODES = ("features", "tokens", "pixels")
DEFAULT_REWARD = "sparse"


class GoalEpisodes(DreamEpisodes):
    """Episodes of the world model towards the features of a recorded frame.

    Args:
        ckpt, batch, steps, temperature, precision, device: of `DreamEpisodes`.
        options: with `reward` "sparse" (also None) or "goal", `metric` "features" or "objects" (None: the checkpoint's
            if it is one of them, else "features"), and nothing else that changes the reward but `reward_scale` and
            `success_threshold`: it must be a function of the achieved and the desired goal alone.

    Attributes:
        goal_reward: `FeatureGoal`, what is paid.
        goal_weights: (F,) float32, what features are multiplied with to be a goal.
        desired: (B, F) float32, the goals.

    Raises:
        ValueError: an option that does not fit a goal environment.
    """

    def __init__(
        self,
        ckpt: str | Path | Bundle,
        batch: int,
        options: EpisodeOptions,
        steps: int | None = None,
        temperature: float | None = None,
        precision: str | None = None,
        device: str = "cpu",
    ) -> None:
        _check(options)
        usual = load_checkpoint(ckpt).config.reward.metric
        metric = options.metric or (usual if usual in OF_FEATURES else "features")
        # The base's own reward is not paid; it is put on the goal's terms, so that nothing in it can be refused.
        base = replace(options, reward="goal", metric=metric, patches="all")
        super().__init__(ckpt, batch, base, steps, temperature, precision, device)
        scale = 1.0 if options.reward_scale is None else options.reward_scale
        self.goal_reward = FeatureGoal(options.reward or DEFAULT_REWARD, scale, self.reward.threshold)
        self.goal_weights = np.ones(self.bundle.config.features.size, np.float32)
        if metric == "objects":
            assert self.bundle.object_weights is not None  # or the base would have refused
            self.goal_weights = self.bundle.object_weights.cpu().numpy().astype(np.float32)
        self.desired = np.zeros((batch, len(self.goal_weights)), np.float32)

    @property
    def observation_space(self) -> spaces.Dict:
        """Dict of "observation", by the observation mode, and "achieved_goal" and "desired_goal", Box (F,) float32."""
        limit = self.goal_weights.max()
        goal = spaces.Box(-limit, limit, self.goal_weights.shape, np.float32)
        seen = observation_space(self.bundle, self.options.obs_mode)
        return spaces.Dict({"observation": seen, "achieved_goal": goal, "desired_goal": goal})

    def step(self, actions: np.ndarray) -> EpisodeStep:
        step = super().step(actions)
        observation = self._with_goals(step.observation, self.dream.tokens, np.arange(self.batch))
        achieved, desired = observation["achieved_goal"], observation["desired_goal"]
        distances = self.goal_reward.distance(achieved, desired)
        reached = self.goal_reward.reached(distances)
        for info, distance, success in zip(step.infos, distances.tolist(), reached.tolist(), strict=True):
            info |= {"distance": distance, "goal_distance": distance, "success": success, "is_success": success}
        return replace(
            step,
            observation=observation,
            reward=self.goal_reward(achieved, desired),
            terminated=reached & self.options.terminate_on_success,
        )

    def _start(self, rows: np.ndarray) -> tuple[Observation, np.ndarray]:
        observation, _ = super()._start(rows)
        recorded = self.bundle.references.tokens[self._goal_rows(rows)]
        self.desired[rows] = self._features(self.bundle.standardize(recorded)) * self.goal_weights
        tokens = self.dream.tokens[torch.from_numpy(rows).to(self.device)]
        seen = self._with_goals(observation, tokens, rows)
        return seen, self.goal_reward.distance(seen["achieved_goal"], seen["desired_goal"])

    def _features(self, tokens: Tensor) -> np.ndarray:
        """Features (n, F) float32 of standardised tokens (n, L, C), as observations have them."""
        features: np.ndarray = self.bundle.feature_map(tokens).clamp(-1, 1).cpu().numpy()
        return features

    def _with_goals(self, observation: Observation, tokens: Tensor, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The observations of environments `rows` (n,) with the goals that they achieved and desire."""
        assert isinstance(observation, np.ndarray)
        known = self.options.obs_mode == "features"
        features = observation[:, : len(self.goal_weights)] if known else self._features(tokens)
        achieved = features * self.goal_weights
        return {"observation": observation, "achieved_goal": achieved, "desired_goal": self.desired[rows]}

    def _info(self, row: int, distance: float, goal_distance: float, success: bool = False) -> dict[str, Any]:
        info = super()._info(row, distance, goal_distance, success)
        reference, frame = self.goals[row].tolist()
        return {**info, "goal_reference": reference, "goal_frame": frame}


def _check(options: EpisodeOptions) -> None:
    """Refuse what cannot be had together with goals, before anything is loaded."""
    if options.obs_mode not in OBS_MODES:
        raise ValueError(f"obs_mode={options.obs_mode!r}: a goal environment has one of {', '.join(OBS_MODES)}")
    if options.reward not in (None, *GOAL_REWARDS):
        raise ValueError(f"reward={options.reward!r}: a goal environment has one of {', '.join(GOAL_REWARDS)}")
    if options.metric not in (None, *OF_FEATURES) or options.patches not in (None, "all"):
        raise ValueError(
            f"metric={options.metric!r}, patches={options.patches!r}: goals are features, so expected a metric of "
            f"{', '.join(OF_FEATURES)}, and 'all'"
        )
    for name, nothing in (("gamma", None), ("success_bonus", 0.0), ("normalize_reward", None)):
        if getattr(options, name) != nothing:
            raise ValueError(
                f"{name}={getattr(options, name)!r}: expected {nothing!r}, as the reward of a goal environment must "
                "follow from the achieved and the desired goal alone"
            )
