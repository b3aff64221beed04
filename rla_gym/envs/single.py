"""One environment of `Episodes`, as Gymnasium wants it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from rla_gym.envs.episodes import Episodes
from rla_gym.envs.reset_arguments import own_seed
from rla_gym.envs.spaces import Observation, action_space, observation_space, real_array, row_of
from rla_gym.envs.time_limit import ToldLimit
from rla_gym.envs.viewer import Window, beside, check_rendering, keys_to_action, reference_picture
from rla_gym.utils.seeds import checked_seed

RENDER_MODES = ("human", "rgb_array", "rgb_array_list")


class EpisodeEnv(ToldLimit, gym.Env[Any, np.ndarray]):
    """A Gymnasium environment over `Episodes` of batch 1.

    Args:
        episodes: what it plays.
        render_mode: "rgb_array": `render` gives a picture; "rgb_array_list": all pictures since the last `render` or
            `reset`; "human": `reset` and `step` show them in a window, at the task's own pace.
        render_reference: put the reference's frame of the same time on the right of each picture.

    Raises:
        ValueError: an unknown render mode, or `render_reference` without an image decoder.
        ImportError: "human" without pygame.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 10}

    def __init__(self, episodes: Episodes, render_mode: str | None, render_reference: bool = False) -> None:
        config = episodes.bundle.config
        render_reference = check_rendering(episodes, render_mode, RENDER_MODES, render_reference)
        self.episodes, self.render_mode, self.render_reference = episodes, render_mode, render_reference
        self.observation_space = observation_space(episodes.bundle, episodes.options.obs_mode)
        self.action_space = action_space(episodes.bundle, episodes.chunk)
        pace = config.control_hz / episodes.chunk
        self.metadata = {**self.metadata, "render_fps": max(1, round(pace))}
        self._window = Window(f"{config.name} ({config.task})", pace) if render_mode == "human" else None
        self._pictures: list[np.ndarray] = []
        self._seeded = self._begun = False
        self._ended: str | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; a closed environment opens again.

        Args:
            seed: of this and all later episodes, modulo 2^64; without one the episodes go on from the seed before. At
                the first reset that is `np_random_seed`, with which it can be replayed.
            options: where to start, if that is not to be drawn; see the environment's page.

        Raises:
            ValueError: an unknown option, a reference or frame that does not exist, or a seed that is none.
        """
        seed = None if seed is None else checked_seed(seed)
        super().reset(seed=seed)
        if seed is None and not self._seeded:
            seed = own_seed(self)
        row = np.zeros(1, np.int64)
        if seed is not None:
            self.episodes.seed(row, [seed])
            self._seeded = True
        observation, infos = self.episodes.begin(row, [options or {}])
        self._begun, self._ended = True, None
        self._pictures = []
        self._show()
        return row_of(observation, 0), infos[0]

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Go on by one chunk, `action` (chunk * A,) float32; values outside [-1, 1] are clipped.

        Raises:
            ValueError: another shape, or NaN or infinite values; the episode stays where it was.
            gymnasium.error.ResetNeeded: no episode has begun, or it has ended.
        """
        self._need_episode("step")
        if self._ended is not None:
            raise gym.error.ResetNeeded(f"step after the episode was {self._ended}: call reset() to begin another")
        step = self.episodes.step(real_array(action, "actions")[None])
        terminated, truncated = bool(step.terminated[0]), bool(step.truncated[0])
        if terminated or truncated:
            self._ended = "terminated" if terminated else "truncated"
        self._show()
        return row_of(step.observation, 0), float(step.reward[0]), terminated, truncated, step.infos[0]

    def render(self) -> Any:
        """The present state as the render mode says: a picture (H, W, 3) uint8, a list of them, or None.

        Raises:
            gymnasium.error.ResetNeeded: no episode has begun.
        """
        if self.render_mode is None:
            gym.logger.warn("render() shows nothing without a render mode: make it with render_mode='rgb_array'")
            return None
        self._need_episode("render")
        if self.render_mode == "rgb_array_list":
            pictures, self._pictures = self._pictures, []
            return pictures
        if self._window is not None:
            self._window.show(self._picture())
            return None
        return self._picture()

    def get_keys_to_action(self) -> dict[tuple[str, ...], np.ndarray]:
        """Pressed keys and their actions, for `gymnasium.utils.play`: a, d move the first number, s, w the second."""
        return keys_to_action(self.episodes.bundle.config.action_size, self.episodes.chunk)

    def close(self) -> None:
        """Free what is held; safe to call twice, and a later `reset` opens the environment again."""
        self._begun = False
        if self._window is not None and not self.episodes.inherited:  # what a parent opened is the parent's to close
            self._window.close()
        self.episodes.close()

    def _show(self) -> None:
        """What `render` would have to be called for after every step in the modes that follow by themselves."""
        if self._window is not None:
            self._window.show(self._picture())
        elif self.render_mode == "rgb_array_list":
            self._pictures.append(self._picture())

    def _picture(self) -> np.ndarray:
        picture: np.ndarray = self.episodes.images()[0]
        if not self.render_reference:
            return picture
        return beside(picture, reference_picture(self.episodes.bundle, *self._reference_frame()))

    def _reference_frame(self) -> tuple[int, int]:
        """Reference and frame that `render_reference` shows."""
        return int(self.episodes.reference[0]), int(self.episodes.frame[0])

    def _need_episode(self, what: str) -> None:
        if not self._begun:
            raise gym.error.ResetNeeded(f"{what} before a reset: call reset() to begin an episode")
