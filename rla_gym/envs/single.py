"""One environment of `Episodes`, as Gymnasium wants it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from rla_gym.envs.episodes import Episodes
from rla_gym.envs.spaces import Observation, action_space, observation_space, row_of

RENDER_MODES = (None, "rgb_array")


class EpisodeEnv(gym.Env[Any, np.ndarray]):
    """A Gymnasium environment over `Episodes` of batch 1.

    Raises:
        ValueError: an unknown render mode.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, episodes: Episodes, render_mode: str | None) -> None:
        if render_mode not in RENDER_MODES:
            raise ValueError(f"render_mode={render_mode!r}: expected None or 'rgb_array'")
        self.episodes, self.render_mode = episodes, render_mode
        self.observation_space = observation_space(episodes.bundle, episodes.options.obs_mode)
        self.action_space = action_space(episodes.bundle, episodes.chunk)
        self._seeded = self._begun = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: of this and all later episodes; without one the episodes go on from the seed before.
            options: "reference" and "frame" to start from, where they are not to be drawn.

        Raises:
            ValueError: an unknown option, or a reference or frame that does not exist.
        """
        super().reset(seed=seed)
        if seed is None and not self._seeded:
            seed = int(self.np_random.integers(2**31))
        row = np.zeros(1, np.int64)
        if seed is not None:
            self.episodes.seed(row, [seed])
            self._seeded = True
        observation, infos = self.episodes.begin(row, [options or {}])
        self._begun = True
        return row_of(observation, 0), infos[0]

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Go on by one chunk, `action` (chunk * A,) float32; values outside [-1, 1] are clipped.

        Raises:
            ValueError: another shape, or NaN or infinite values.
            gymnasium.error.ResetNeeded: there was no reset yet.
        """
        if not self._begun:
            raise gym.error.ResetNeeded("step before the first reset: call reset() to begin an episode")
        step = self.episodes.step(np.asarray(action)[None])
        terminated, truncated = bool(step.terminated[0]), bool(step.truncated[0])
        return row_of(step.observation, 0), float(step.reward[0]), terminated, truncated, step.infos[0]

    def render(self) -> Any:
        """Picture (H, W, 3) uint8 of the present state; None without a render mode."""
        if self.render_mode is None:
            return None
        if not self._begun:
            raise gym.error.ResetNeeded("render before the first reset: call reset() to begin an episode")
        picture: np.ndarray = self.episodes.images()[0]
        return picture

    def close(self) -> None:
        """Free what is held; safe to call twice."""
        self.episodes.close()
