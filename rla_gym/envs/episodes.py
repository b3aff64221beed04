"""What single and batched environments share: where episodes start, how they are rewarded and when they end."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.pickling import packed, unpacked
from rla_gym.checkpoint.reference_data import load_references
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.envs.options import EpisodeOptions, checked_count
from rla_gym.envs.spaces import Observation, checked_chunks, observation_space, observe
from rla_gym.envs.starts import RESET_OPTIONS, check_options, given_goal, given_start
from rla_gym.rewards import VideoReward, VideoRewardConfig
from rla_gym.utils.devices import find_device
from rla_gym.utils.keyed_rng import keyed_uniform, make_keys
from rla_gym.utils.seeds import seed_words

START_STEP = 2**64 - 1
"""The step that an episode's start is drawn at; no episode gets there."""

PROCESS = os.getpid()
"""The process that imported this; processes forked from it keep its number here."""


@dataclass
class EpisodeStep:
    """One step of B episodes, as NumPy arrays."""

    observation: Observation
    reward: np.ndarray  # (B,) float32
    terminated: np.ndarray  # (B,) bool
    truncated: np.ndarray  # (B,) bool
    infos: list[dict[str, Any]] = field(default_factory=list)


class Episodes(ABC):
    """B episodes with starts drawn by key, observations, rewards and ends.

    Environment i has its own seed; what it draws is a function of that seed and of how many episodes it has begun
    since, so neither B nor the other environments matter.

    Pickles and copies by the module `copy` share the checkpoint's model instead of holding it, as far as it is that of
    its folder; see `Bundle`.

    Raises:
        ValueError: an option that the checkpoint does not allow.
    """

    def __init__(self, ckpt: str | Path | Bundle, batch: int, options: EpisodeOptions, device: str = "cpu") -> None:
        self.options, self.batch = options, checked_count("num_envs", batch)
        self.device = find_device(device)
        self.trained = self.bundle = load_checkpoint(ckpt).to(self.device)
        config = self.bundle.config
        self.chunk = config.chunk if options.chunk is None else options.chunk
        if self.chunk > config.chunk:
            raise ValueError(
                f"chunk={options.chunk}: checkpoint {config.name!r} takes 1 to {config.chunk} control steps"
            )
        observation_space(self.bundle, options.obs_mode)  # refuses unknown modes before anything runs
        which = "train" if options.references is None else options.references
        if options.dataset is not None:
            given = load_references(options.dataset, load_checkpoint(ckpt))
            self.bundle = replace(self.trained, references=given.to(str(self.device)))
            which = "all" if options.references is None else options.references
        self.chosen = self.bundle.references.select(which, options.successful_references)
        self.lengths = self.bundle.references.lengths.cpu().numpy()
        self.limit = self._limit()
        self.reset_options: tuple[str, ...] = RESET_OPTIONS
        batch = self.batch
        self.seeds = np.zeros(batch, np.uint64)
        self.episodes = np.zeros(batch, np.int64)
        self.chunks = np.zeros(batch, np.int64)
        self._video: VideoReward | None = None
        self.reference = np.zeros(batch, np.int64)
        self.frame = np.zeros(batch, np.int64)
        self.goals = np.zeros((batch, 2), np.int64)
        # Episodes that have ended and wait for `begin`: `step` ignores their actions and says nothing about them.
        self.resting = np.zeros(batch, bool)
        self._process = PROCESS

    def make_reward(self) -> VideoReward:
        """The video-aligned reward that the options ask for."""
        options = self.options
        settings = VideoRewardConfig(
            mode=options.reward,
            metric=options.metric,
            patches=options.patches,
            scale=options.reward_scale,
            threshold=options.success_threshold,
            gamma=options.gamma,
            success_bonus=options.success_bonus,
            normalize=options.normalize_reward,
        )
        self._video = VideoReward(self.bundle, self.batch, settings)
        return self._video

    def seed(self, rows: np.ndarray, seeds: Sequence[int]) -> None:
        """Give environments `rows` (n,) their seeds, modulo 2^64, and count their episodes anew."""
        self.seeds[rows] = seed_words(seeds)
        self.episodes[rows] = 0
        if self._video is not None and len(rows) == self.batch:
            self._video.restart()  # the same seeds give the same rewards, normalised ones too

    def begin(
        self, rows: np.ndarray, options: Sequence[Mapping[str, Any]] | None = None
    ) -> tuple[Observation, list[dict[str, Any]]]:
        """Begin new episodes in environments `rows` (n,) and return their observations and infos.

        Args:
            options: one mapping for each of `rows`, with "reference" and "frame" where they are not to be drawn, and
                "goal" where it is not the reference's last frame; see `rla_gym.envs.starts`.

        Raises:
            ValueError: an unknown option, or a reference or frame that does not exist; no episode has begun then.
        """
        self._notice_fork()
        references, frames = self._draw_starts(rows)
        goals = np.stack([references, self.lengths[references] - 1], axis=1)
        for index, given in enumerate(options or ()):
            check_options(given, self.reset_options)
            start = given_start(given, int(references[index]), int(frames[index]), self.lengths)
            references[index], frames[index] = start
            goals[index] = given_goal(given, start[0], self.lengths)
        self.episodes[rows] += 1
        self.chunks[rows] = 0
        self.resting[rows] = False
        self.reference[rows], self.frame[rows], self.goals[rows] = references, frames, goals
        observation, distances = self._start(rows)
        infos = [self._info(int(row), distance, distance) for row, distance in zip(rows, distances, strict=True)]
        return observation, infos

    @abstractmethod
    def step(self, actions: np.ndarray) -> EpisodeStep:
        """Let every episode go on by one chunk; `actions` (B, chunk * A) float32 in [-1, 1], clipped."""

    @abstractmethod
    def images(self) -> np.ndarray:
        """Pictures (B, H, W, 3) uint8 of the present states."""

    @abstractmethod
    def _start(self, rows: np.ndarray) -> tuple[Observation, np.ndarray]:
        """Begin at the drawn references and frames; observations of `rows` and goal distances (n,)."""

    def close(self) -> None:
        """Free what is held; safe to call twice."""

    @property
    def has_images(self) -> bool:
        """Whether `images` can show anything."""
        return True

    @property
    def inherited(self) -> bool:
        """Whether this process was forked from the one that used these episodes, and has not used them itself."""
        return os.getpid() != self._process

    def _notice_fork(self) -> None:
        """Make episodes in a forked process fit to go on; called before anything is computed."""
        if self.inherited:
            # The threads of torch stayed behind, and the first sum that is shared out to them would wait for ever.
            torch.set_num_threads(1)
            self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name != "trained"}
        return {"trained": self.trained, "state": packed(state, self.trained)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        trained: Bundle = state["trained"]
        self.__dict__.update(unpacked(state["state"], trained), trained=trained, _process=PROCESS)

    def __deepcopy__(self, memo: dict[int, Any]) -> Episodes:
        made = memo[id(self)] = type(self).__new__(type(self))
        made.__setstate__(self.__getstate__())
        return made

    def _chunks(self, actions: np.ndarray) -> np.ndarray:
        return checked_chunks(actions, self.batch, self.chunk, self.bundle.config.action_size, self.resting)

    def _observe(self, tokens: Tensor | None, proprio: Tensor, frames: np.ndarray | None = None) -> Observation:
        return observe(self.bundle, self.options.obs_mode, tokens, proprio, frames)

    def _draw_starts(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        keys = make_keys(self.seeds[rows], self.episodes[rows] + 1, np.full(len(rows), START_STEP, np.uint64))
        which, initial, place = keyed_uniform(keys, 3).T
        references = self.chosen[(which * len(self.chosen)).astype(np.int64)]
        # Later starts leave at least one chunk of the reference, so that there is something to be done.
        starts = np.maximum(self.lengths[references] - self.chunk, 1)
        frames = np.where(initial < self.options.p_initial_frame, 0, (place * starts).astype(np.int64))
        return references, frames

    def _limit(self) -> int:
        """Steps of the longest episode; shorter chunks than the checkpoint's get as much time as its own."""
        if self.options.time_limit is not None:
            return self.options.time_limit
        if self.options.end_with_reference:
            return int(self.lengths.max())
        config = self.bundle.config
        return ceil(config.max_episode_steps * config.chunk / self.chunk)

    def _truncated(self) -> np.ndarray:
        """(B,) bool: the limit is reached or, where that ends episodes, the reference is over."""
        over: np.ndarray = self.chunks >= self.limit
        if self.options.end_with_reference:
            over = over | (self.frame >= self.lengths[self.reference] - 1)
        return over

    def _goal_rows(self, rows: np.ndarray) -> Tensor:
        """(n,) int64, rows of the recorded frames that are the goals of environments `rows`."""
        references, frames = torch.from_numpy(self.goals[rows]).to(self.device).T
        return self.bundle.references.rows(references, frames)

    def _info(self, row: int, distance: float, goal_distance: float, success: bool = False) -> dict[str, Any]:
        reference = int(self.reference[row])
        return {
            "reference": reference,
            "frame": int(min(self.frame[row], self.lengths[reference] - 1)),
            "distance": float(distance),
            "goal_distance": float(goal_distance),
            "success": bool(success),
            "is_success": bool(success),
        }
