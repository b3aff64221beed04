"""The dream as a natively batched vector environment of Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import DEFAULT_CHECKPOINT
from rla_gym.envs.dream_episodes import DreamEpisodes
from rla_gym.envs.episodes import Episodes
from rla_gym.envs.options import episode_options
from rla_gym.envs.spaces import Observation, action_space, observation_space, put_rows, row_of
from rla_gym.utils.optional import require
from rla_gym.utils.seeds import checked_seed

VecEnv: Any = require("stable_baselines3.common.vec_env", extra="rl").VecEnv


class EpisodesVecEnv(VecEnv):
    """Any `Episodes` as an SB3 vector environment: same-step reset, the last observation in the info.

    Seeds given with `seed(s)` (environment i gets s + i) and options given with `set_options` are used by the next
    `reset`. Without a seed the first reset draws one: `np_random_seed`, with which it can be replayed.
    """

    def __init__(self, episodes: Episodes, render_mode: str | None = "rgb_array") -> None:
        self.episodes, self.render_mode = episodes, render_mode if episodes.has_images else None
        self.np_random_seed: int | None = None
        bundle, config = episodes.bundle, episodes.bundle.config
        self._seeded = False
        self._begun = False
        self._actions: np.ndarray | None = None
        super().__init__(
            episodes.batch,
            observation_space(bundle, episodes.options.obs_mode),
            action_space(bundle, episodes.chunk),
        )
        # SB3's own metadata has no frame rate, and a video recorder then takes 30.
        fps = max(1, round(config.control_hz / episodes.chunk))
        self.metadata: dict[str, Any] = {**self.metadata, "render_fps": fps}

    def reset(self) -> Observation:
        """Begin a new episode everywhere and return the observations."""
        if not self._seeded and all(seed is None for seed in self._seeds):
            self.seed()
        given = {index: seed for index, seed in enumerate(self._seeds) if seed is not None}
        if given:
            self.episodes.seed(np.array(list(given), np.int64), list(given.values()))
            self._seeded = True
        observation, self.reset_infos = self.episodes.begin(np.arange(self.num_envs), self._options)
        self._begun = True
        self._reset_seeds()
        self._reset_options()
        return observation

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Give environment i the seed `seed` + i (modulo 2^64) at the next `reset`; None: a drawn one.

        Raises:
            ValueError: no whole number of at least 0.
        """
        drawn = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        self.np_random_seed = drawn if seed is None else checked_seed(seed)
        seeds: Sequence[int | None] = super().seed(self.np_random_seed)
        return seeds

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions (num_envs, chunk * A) float32 in [-1, 1] for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Observation, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Observations, rewards (num_envs,) float32, dones (num_envs,) bool and infos of the step.

        Raises:
            ResetNeeded: before the first reset.
            ValueError: actions of another shape, or NaN.
        """
        self._check_begun("stepping")
        if self._actions is None:
            raise ValueError("step_wait without actions: call step(actions), or step_async(actions) first")
        actions, self._actions = self._actions, None
        step = self.episodes.step(actions)
        dones = step.terminated | step.truncated
        for info, truncated, terminated in zip(step.infos, step.truncated, step.terminated, strict=True):
            info["TimeLimit.truncated"] = bool(truncated and not terminated)
        ended = np.flatnonzero(dones)
        if len(ended):
            for row in ended.tolist():
                step.infos[row]["terminal_observation"] = row_of(step.observation, row)
            observation, infos = self.episodes.begin(ended)
            put_rows(step.observation, ended, observation)
            for row, info in zip(ended.tolist(), infos, strict=True):
                self.reset_infos[row] = info
        return step.observation, step.reward, dones, step.infos

    def get_images(self) -> Sequence[np.ndarray | None]:
        """One picture (H, W, 3) uint8 for each environment; a ResetNeeded before the first reset."""
        self._check_begun("rendering")
        return list(self.episodes.images())

    def _check_begun(self, what: str) -> None:
        if not self._begun:
            raise ResetNeeded(f"call reset() before {what}: no episode has begun")

    def close(self) -> None:
        """Free what the episodes hold; safe to call twice, and a later `reset` opens the environment again."""
        self._begun = False
        self.episodes.close()

    def get_attr(self, attr_name: str, indices: None | int | Iterable[int] = None) -> list[Any]:
        """The batch's one attribute, once for each asked environment."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: None | int | Iterable[int] = None) -> None:
        """Set an attribute of the whole batch; a ValueError for a part of it."""
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ValueError(f"{attr_name} is one for all {self.num_envs} environments: set it without indices")
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: None | int | Iterable[int] = None, **kwargs: Any
    ) -> list[Any]:
        """Refused: there are no single environments inside whose methods could be called."""
        raise AttributeError(
            f"{type(self).__name__} has no single environments to call {method_name!r} on; use RLAWorldEnv for that"
        )

    def env_is_wrapped(self, wrapper_class: type, indices: None | int | Iterable[int] = None) -> list[bool]:
        """No wrapper is inside: False for each asked environment."""
        return [False for _ in self._get_indices(indices)]


class RLAWorldVecEnv(EpisodesVecEnv):
    """`num_envs` dreams stepped as one batch; environment i seeded with s equals `RLAWorldEnv` seeded with s + i.

    Args:
        ckpt: checkpoint folder, built-in name or hub id (or a loaded `Bundle`); by default the built-in "push-cube".
        num_envs: number of environments.
        steps, temperature, precision, device: of `rla_gym.dream.dream.Dream`.
        options: as of `RLAWorldEnv`: obs_mode, reward, metric, patches, references, chunk, ...
    """

    def __init__(
        self,
        ckpt: str | Path | Bundle = DEFAULT_CHECKPOINT,
        num_envs: int = 1,
        steps: int | None = None,
        temperature: float | None = None,
        precision: str | None = None,
        device: str = "cpu",
        **options: Any,
    ) -> None:
        settings = episode_options(self, options)
        super().__init__(DreamEpisodes(ckpt, num_envs, settings, steps, temperature, precision, device))
