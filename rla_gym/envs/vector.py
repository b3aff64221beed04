"""`RLAWorld-v0` as a natively batched vector environment of Gymnasium: one forward pass for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import DEFAULT_CHECKPOINT
from rla_gym.envs.dream_episodes import DreamEpisodes
from rla_gym.envs.episodes import Episodes, EpisodeStep
from rla_gym.envs.options import episode_options
from rla_gym.envs.reset_arguments import asked_rows, listed_seeds, own_seed
from rla_gym.envs.spaces import Observation, action_space, observation_space, put_rows, row_of
from rla_gym.envs.time_limit import ToldLimit, shortened
from rla_gym.envs.viewer import beside, check_rendering, reference_picture


class EpisodesVectorEnv(ToldLimit, VectorEnv[Observation, np.ndarray, np.ndarray]):
    """Any `Episodes` as a Gymnasium vector environment; in all it returns like `SyncVectorEnv` over single ones.

    Args:
        episodes: what it plays; `episodes.batch` is `num_envs`.
        render_mode: None or "rgb_array".
        render_reference: put the reference's frame of the same time on the right of each picture.
        autoreset_mode: when an environment whose episode ended begins another, a `gymnasium.vector.AutoresetMode` or
            its value. "NextStep": in the next step, which ignores its action and returns its first observation and the
            reward 0. "SameStep": in the same step, whose info has `final_obs` and `final_info`. "Disabled": never; call
            `reset(options={"reset_mask": terminated | truncated})`.

    Raises:
        ValueError: an unknown mode, or `render_reference` without an image decoder.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10, "autoreset_mode": AutoresetMode.NEXT_STEP}
    closed = True  # until it is made: Gymnasium closes also what was refused

    def __init__(
        self,
        episodes: Episodes,
        render_mode: str | None = None,
        render_reference: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        config = episodes.bundle.config
        hint = "; for a window wrap it in gymnasium.wrappers.vector.HumanRendering"
        render_reference = check_rendering(
            episodes, render_mode, self.metadata["render_modes"], render_reference, hint
        )
        values = [mode.value for mode in AutoresetMode]
        if not isinstance(autoreset_mode, AutoresetMode) and autoreset_mode not in values:
            raise ValueError(f"autoreset_mode={autoreset_mode!r}: expected one of {', '.join(values)}")
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.episodes, self.render_mode, self.render_reference = episodes, render_mode, render_reference
        self.num_envs = episodes.batch
        self.metadata = {
            **self.metadata,
            "render_fps": max(1, round(config.control_hz / episodes.chunk)),
            "autoreset_mode": self.autoreset_mode,
        }
        self.single_observation_space = observation_space(episodes.bundle, episodes.options.obs_mode)
        self.single_action_space = action_space(episodes.bundle, episodes.chunk)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._seeded = np.zeros(self.num_envs, bool)
        self._ended = np.zeros(self.num_envs, bool)
        self._observation: Observation | None = None
        self.closed = False

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode in every environment, or in those of `options["reset_mask"]`.

        Args:
            seed: an int s, with which environment i gets s + i (modulo 2^64), or one for each; where it is None, the
                episodes go on from the seed before, and those that never had one get s = `np_random_seed`.
            options: "reset_mask", (num_envs,) bool, which environments to reset; the others keep their observations and
                have no infos. Further options say where all that are reset start; see the page of `RLAWorldEnv`.

        Raises:
            ValueError: another number of seeds, a mask of another shape or without a True, an unknown option, or a
                reference or frame that does not exist.
            TypeError: a mask that is no NumPy array of bools.
            gymnasium.error.ResetNeeded: the first reset has a mask that leaves some out.
        """
        given = dict(options or {})
        rows = asked_rows(given.pop("reset_mask", None), self.num_envs)
        if self._observation is None and len(rows) < self.num_envs:
            raise gym.error.ResetNeeded("reset_mask at the first reset: call reset() for all environments first")
        seeds = listed_seeds(seed, self.num_envs)
        super().reset(seed=seeds[0] if isinstance(seed, int | np.integer) else None)
        self._seed(rows, seeds)
        self.closed = False
        infos: dict[str, Any] = {}
        for row, info in self._begin(rows, given).items():
            infos = self._add_info(infos, info, row)
        return self._seen(), infos

    def step(self, actions: np.ndarray) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Let every environment go on by one chunk.

        Args:
            actions: (num_envs, chunk * A) float32; values outside [-1, 1] are clipped.

        Returns:
            observations, rewards (num_envs,) float64, terminated and truncated (num_envs,) bool, and infos as arrays
            (num_envs, ...) with a mask `_name` for each `name`.

        Raises:
            ValueError: another shape, or NaN or infinite values; the episodes stay where they were.
            gymnasium.error.ResetNeeded: no episode has begun, or one has ended and "Disabled" says that you reset it.
        """
        if self._observation is None:
            raise gym.error.ResetNeeded("step before a reset: call reset() to begin episodes")
        waiting = np.flatnonzero(self._ended)
        if len(waiting) and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(
                f"the episodes of environments {waiting.tolist()} have ended: call "
                "reset(options={'reset_mask': terminated | truncated})"
            )
        step = self._advance(actions, waiting)
        self._ended = step.terminated | step.truncated
        self._observation, finals = step.observation, {}
        begun = self._begin(waiting)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            finals = {row: row_of(step.observation, row) for row in np.flatnonzero(self._ended).tolist()}
            begun = self._begin(np.array(list(finals), np.int64))
        infos: dict[str, Any] = {}
        for row, info in enumerate(step.infos):
            if row in finals:
                infos = self._add_info(infos, {"final_obs": finals[row], "final_info": info}, row)
            infos = self._add_info(infos, begun.get(row, info), row)
        return self._seen(), step.reward.astype(np.float64), step.terminated, step.truncated, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One picture (H, W, 3) uint8 for each environment; None without a render mode.

        Raises:
            gymnasium.error.ResetNeeded: no episode has begun.
        """
        if self.render_mode is None:
            gym.logger.warn("render() shows nothing without a render mode: make it with render_mode='rgb_array'")
            return None
        if self._observation is None:
            raise gym.error.ResetNeeded("render before a reset: call reset() to begin episodes")
        pictures = self.episodes.images()
        if not self.render_reference:
            return tuple(pictures)
        places = zip(self.episodes.reference.tolist(), self.episodes.frame.tolist(), strict=True)
        references = [reference_picture(self.episodes.bundle, *place) for place in places]
        return tuple(beside(*pair) for pair in zip(pictures, references, strict=True))

    def close_extras(self, **kwargs: Any) -> None:
        """Free what the episodes hold; `close` calls it once, and a later `reset` opens the environment again."""
        self._observation = None
        self.episodes.close()

    def _begin(self, rows: np.ndarray, options: dict[str, Any] | None = None) -> dict[int, dict[str, Any]]:
        """Begin episodes in environments `rows` (n,), note their observations, and return their infos by row."""
        if not len(rows):
            return {}
        observation, infos = self.episodes.begin(rows, [options or {}] * len(rows))
        if self._observation is None or len(rows) == self.num_envs:
            self._observation = observation
        else:
            put_rows(self._observation, rows, observation)
        self._ended[rows] = False
        return dict(zip(rows.tolist(), infos, strict=True))

    def _seed(self, rows: np.ndarray, seeds: list[int | None]) -> None:
        """Seed those of environments `rows` (n,) that are given a seed, and those that never had one."""
        unseeded = [row for row in rows.tolist() if seeds[row] is None and not self._seeded[row]]
        if unseeded:
            first = own_seed(self)
            for row in unseeded:
                seeds[row] = first + row
        given = {row: seed for row in rows.tolist() if (seed := seeds[row]) is not None}
        if given:
            index = np.array(list(given), np.int64)
            self.episodes.seed(index, list(given.values()))
            self._seeded[index] = True

    def _advance(self, actions: np.ndarray, waiting: np.ndarray) -> EpisodeStep:
        """Step the episodes, but for `waiting` (n,), which get nothing here: reward 0, and no end."""
        if len(waiting) == self.num_envs:
            assert self._observation is not None
            reward, never = np.zeros(self.num_envs, np.float32), np.zeros(self.num_envs, bool)
            return EpisodeStep(self._observation, reward, never, never.copy(), [{}] * self.num_envs)
        self.episodes.resting[:] = False
        self.episodes.resting[waiting] = True
        step = self.episodes.step(actions)
        for values in (step.reward, step.terminated, step.truncated):
            values[waiting] = 0
        return step

    def _seen(self) -> Observation:
        """The present observations, copied."""
        assert self._observation is not None
        return row_of(self._observation, slice(None))


class RLAWorldVectorEnv(EpisodesVectorEnv, VectorEnv[Observation, np.ndarray, np.ndarray]):
    """`num_envs` dreams as one batch: what `gymnasium.make_vec("RLAWorld-v0", num_envs=...)` makes.

    Environment i reset with the seed s is `RLAWorldEnv` reset with the seed s + i: the same observations, rewards and
    infos, in every batch and in every autoreset mode; on the CPU in float32 to the last bit (`batch_invariant=False`
    gives that up for a little speed where there are only a few). Observations, actions, rewards, starts and ends are on
    the page of `RLAWorldEnv`.

    ## Arguments

    - `ckpt="push-cube"`: checkpoint folder, built-in name, hub id `owner/name@revision`, or a loaded `Bundle`.
    - `num_envs=1`.
    - `autoreset_mode="NextStep"`: also `"SameStep"` and `"Disabled"`; see `EpisodesVectorEnv`.
    - `render_mode=None`: or `"rgb_array"`, a tuple of pictures; `render_reference=False`.
    - `max_episode_steps=None`: steps after which an episode is truncated at the latest, as Gymnasium's `TimeLimit` does
      it around a single environment; it can only shorten what `time_limit` and the checkpoint say.
    - As of `RLAWorldEnv`: `steps`, `temperature`, `precision`, `device`, and all its options.
    """

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
        **options: Any,
    ) -> None:
        settings = episode_options(self, options)
        episodes = DreamEpisodes(ckpt, num_envs, settings, steps, temperature, precision, device)
        shortened(episodes, max_episode_steps)
        super().__init__(episodes, render_mode, render_reference, autoreset_mode)
