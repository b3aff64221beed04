"""What single and batched environments share: where episodes start, how they are rewarded and when they end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rla_gym.bundle import Bundle
from rla_gym.checkpoint import load_checkpoint
from rla_gym.dream import Dream, DreamStep
from rla_gym.envs.options import EpisodeOptions
from rla_gym.envs.spaces import Observation, checked_chunks, observation_space, observe
from rla_gym.envs.starts import RESET_OPTIONS, check_options, given_goal, given_start
from rla_gym.noise import keyed_uniform, make_keys
from rla_gym.reference_data import load_references
from rla_gym.rewards import VideoReward, VideoRewardConfig
from rla_gym.uncertainty import DataDistance, wanted

START_STEP = 2**64 - 1
"""The step that an episode's start is drawn at; no episode gets there."""


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

    Raises:
        ValueError: an option that the checkpoint does not allow.
    """

    def __init__(self, ckpt: str | Path | Bundle, batch: int, options: EpisodeOptions, device: str = "cpu") -> None:
        if batch < 1:
            raise ValueError(f"num_envs={batch}: expected at least 1")
        self.options, self.batch = options, batch
        self.bundle = load_checkpoint(ckpt).to(device)
        self.device = torch.device(device)
        config = self.bundle.config
        self.chunk = config.chunk if options.chunk is None else int(options.chunk)
        if not 1 <= self.chunk <= config.chunk:
            raise ValueError(
                f"chunk={options.chunk}: checkpoint {config.name!r} takes 1 to {config.chunk} control steps"
            )
        observation_space(self.bundle, options.obs_mode)  # refuses unknown modes before anything runs
        self.trained_on = self.bundle.references
        which = "train" if options.references is None else options.references
        if options.dataset is not None:
            given = load_references(options.dataset, load_checkpoint(ckpt))
            self.bundle = replace(self.bundle, references=given.to(device), _copies={})
            which = "all" if options.references is None else options.references
        self.chosen = self.bundle.references.select(which, options.successful_references)
        self.lengths = self.bundle.references.lengths.cpu().numpy()
        self.limit = self._limit()
        self.reset_options: tuple[str, ...] = RESET_OPTIONS
        self.seeds = np.zeros(batch, np.uint64)
        self.episodes = np.zeros(batch, np.int64)
        self.chunks = np.zeros(batch, np.int64)
        self._video: VideoReward | None = None
        self.reference = np.zeros(batch, np.int64)
        self.frame = np.zeros(batch, np.int64)
        self.goals = np.zeros((batch, 2), np.int64)
        # Episodes that have ended and wait for `begin`: `step` ignores their actions and says nothing about them.
        self.resting = np.zeros(batch, bool)

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
        """Give environments `rows` (n,) their seeds and count their episodes anew."""
        self.seeds[rows] = np.asarray(seeds).astype(np.uint64)
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

    def _chunks(self, actions: np.ndarray) -> np.ndarray:
        if self.resting.any() and np.shape(actions)[:1] == (self.batch,):
            actions = np.array(actions, np.float32)
            actions[self.resting] = 0.0
        return checked_chunks(actions, self.batch, self.chunk, self.bundle.config.action_size)

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
        if self.options.max_episode_steps is not None:
            return self.options.max_episode_steps
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
        }


class DreamEpisodes(Episodes):
    """Episodes of the world model.

    Args:
        steps, temperature, precision, device: of `Dream`.
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
        super().__init__(ckpt, batch, options, device)
        self.dream = Dream(
            self.bundle,
            batch,
            steps,
            temperature,
            precision,
            device,
            disagreement=options.disagreement(),
            batch_invariant=options.batch_invariant,
        )
        self.reward = self.make_reward()
        self.data_distance: DataDistance | None = None
        if "data_distance" in wanted(options.uncertainty):
            self.data_distance = DataDistance(self.bundle, self.chunk, self.trained_on)
        self.disagreement_total = np.zeros(batch, np.float32)

    def seed(self, rows: np.ndarray, seeds: Sequence[int]) -> None:
        super().seed(rows, seeds)
        mask = np.zeros(self.batch, bool)
        mask[rows] = True
        self.dream.seed(self.seeds, mask)

    def step(self, actions: np.ndarray) -> EpisodeStep:
        chunks = self._chunks(actions)
        away = None if self.data_distance is None else self.data_distance(self.dream.tokens, self.dream.proprio, chunks)
        state = self.dream.step(chunks)
        scored = self.reward.step(state.tokens, state.frame)
        self.frame, self.chunks = self.frame + self.chunk, self.chunks + 1
        success = scored.success.cpu().numpy()
        distances, goals = scored.distance.cpu().numpy(), scored.goal_distance.cpu().numpy()
        step = EpisodeStep(
            observation=self._observe(state.tokens, state.proprio),
            reward=scored.reward.cpu().numpy(),
            terminated=success & self.options.terminate_on_success,
            truncated=self._truncated(),
            infos=[self._info(i, distances[i], goals[i], success[i]) for i in range(self.batch)],
        )
        self._tell_uncertainty(step, state, away)
        self.reward.end(torch.from_numpy(step.terminated | step.truncated))
        return step

    def images(self) -> np.ndarray:
        return self.dream.images()

    def _start(self, rows: np.ndarray) -> tuple[Observation, np.ndarray]:
        mask = np.zeros(self.batch, bool)
        mask[rows] = True
        state = self.dream.reset(mask, self.reference, self.frame)
        index = torch.from_numpy(rows).to(self.device)
        tokens = state.tokens[index]
        self.reward.reset(index, state.reference[index], tokens, self._goal_rows(rows))
        self.disagreement_total[rows] = 0
        return self._observe(tokens, state.proprio[index]), self.reward.goal_distance[index].cpu().numpy()

    def _tell_uncertainty(self, step: EpisodeStep, state: DreamStep, away: np.ndarray | None) -> None:
        """Put what was asked for into the infos of `step`, and truncate what is too uncertain."""
        told: dict[str, np.ndarray] = {}
        if state.disagreement is not None:
            found = state.disagreement.cpu().numpy()
            self.disagreement_total = np.sqrt(self.disagreement_total**2 + found**2)
            told = {"disagreement": found, "disagreement_total": self.disagreement_total}
            if self.options.disagreement_limit is not None:
                step.truncated = step.truncated | (self.disagreement_total > self.options.disagreement_limit)
        if away is not None:
            told["data_distance"] = away
        for name, values in told.items():
            for info, value in zip(step.infos, values.tolist(), strict=True):
                info[name] = value
