"""What single and batched environments share: where episodes start, how they are rewarded and when they end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rla_gym.bundle import Bundle
from rla_gym.checkpoint import load_checkpoint
from rla_gym.dream import Dream
from rla_gym.envs.spaces import Observation, checked_chunks, observation_space, observe
from rla_gym.noise import keyed_uniform, make_keys
from rla_gym.rewards import VideoReward, VideoRewardConfig

START_STEP = 2**64 - 1
"""The step that an episode's start is drawn at; no episode gets there."""

RESET_OPTIONS = ("reference", "frame")


@dataclass(frozen=True)
class EpisodeOptions:
    """Options of every environment; their meaning is on the page of `RLAWorldEnv`."""

    obs_mode: str = "features"
    reward: str | None = None
    metric: str | None = None
    patches: str | None = None
    reward_scale: float | None = None
    success_threshold: float | None = None
    terminate_on_success: bool = True
    references: str | Sequence[int] = "train"
    successful_references: bool = True
    p_initial_frame: float = 0.5
    max_episode_steps: int | None = None
    chunk: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.p_initial_frame <= 1.0:
            raise ValueError(f"p_initial_frame={self.p_initial_frame}: expected a probability")
        if self.max_episode_steps is not None and self.max_episode_steps < 1:
            raise ValueError(f"max_episode_steps={self.max_episode_steps}: expected at least 1 chunk, or None")


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
        self.limit = options.max_episode_steps or config.max_episode_steps
        self.chosen = self.bundle.references.select(options.references, options.successful_references)
        self.lengths = self.bundle.references.lengths.cpu().numpy()
        self.seeds = np.zeros(batch, np.uint64)
        self.episodes = np.zeros(batch, np.int64)
        self.chunks = np.zeros(batch, np.int64)
        self.reference = np.zeros(batch, np.int64)
        self.frame = np.zeros(batch, np.int64)

    def make_reward(self) -> VideoReward:
        """The video-aligned reward that the options ask for."""
        options = self.options
        settings = VideoRewardConfig(
            options.reward, options.metric, options.patches, options.reward_scale, options.success_threshold
        )
        return VideoReward(self.bundle, self.batch, settings)

    def seed(self, rows: np.ndarray, seeds: Sequence[int]) -> None:
        """Give environments `rows` (n,) their seeds and count their episodes anew."""
        self.seeds[rows] = np.asarray(seeds).astype(np.uint64)
        self.episodes[rows] = 0

    def begin(
        self, rows: np.ndarray, options: Sequence[Mapping[str, Any]] | None = None
    ) -> tuple[Observation, list[dict[str, Any]]]:
        """Begin new episodes in environments `rows` (n,) and return their observations and infos.

        Args:
            options: one mapping for each of `rows`, with "reference" and "frame" where they are not to be drawn; a
                reference without a frame starts at its first frame.

        Raises:
            ValueError: an unknown option, or a reference or frame that does not exist.
        """
        self.episodes[rows] += 1
        self.chunks[rows] = 0
        references, frames = self._draw_starts(rows)
        for index, given in enumerate(options or ()):
            references[index], frames[index] = self._given_start(given, references[index], frames[index])
        self.reference[rows], self.frame[rows] = references, frames
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
        return checked_chunks(actions, self.batch, self.chunk, self.bundle.config.action_size)

    def _observe(self, tokens: Tensor | None, proprio: Tensor, frames: np.ndarray | None = None) -> Observation:
        return observe(self.bundle, self.options.obs_mode, tokens, proprio, frames)

    def _draw_starts(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        keys = make_keys(self.seeds[rows], self.episodes[rows], np.full(len(rows), START_STEP, np.uint64))
        which, initial, place = keyed_uniform(keys, 3).T
        references = self.chosen[(which * len(self.chosen)).astype(np.int64)]
        # Later starts leave at least one chunk of the reference, so that there is something to be done.
        starts = np.maximum(self.lengths[references] - self.chunk, 1)
        frames = np.where(initial < self.options.p_initial_frame, 0, (place * starts).astype(np.int64))
        return references, frames

    def _given_start(self, given: Mapping[str, Any], reference: int, frame: int) -> tuple[int, int]:
        unknown = sorted(set(given) - set(RESET_OPTIONS))
        if unknown:
            raise ValueError(f"reset options {unknown} are unknown: expected {' and '.join(RESET_OPTIONS)}")
        if "reference" in given:
            reference, frame = int(given["reference"]), 0
        if not 0 <= reference < len(self.lengths):
            raise ValueError(f"reference={reference}: expected 0 to {len(self.lengths) - 1}")
        frame = int(given.get("frame", frame))
        if not 0 <= frame < self.lengths[reference]:
            raise ValueError(f"frame={frame}: reference {reference} has frames 0 to {self.lengths[reference] - 1}")
        return reference, frame

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
        self.dream = Dream(self.bundle, batch, steps, temperature, precision, device)
        self.reward = self.make_reward()

    def seed(self, rows: np.ndarray, seeds: Sequence[int]) -> None:
        super().seed(rows, seeds)
        mask = np.zeros(self.batch, bool)
        mask[rows] = True
        self.dream.seed(self.seeds, mask)

    def step(self, actions: np.ndarray) -> EpisodeStep:
        state = self.dream.step(self._chunks(actions))
        scored = self.reward.step(state.tokens, state.frame)
        self.frame, self.chunks = self.frame + self.chunk, self.chunks + 1
        success = scored.success.cpu().numpy()
        distances, goals = scored.distance.cpu().numpy(), scored.goal_distance.cpu().numpy()
        return EpisodeStep(
            observation=self._observe(state.tokens, state.proprio),
            reward=scored.reward.cpu().numpy(),
            terminated=success & self.options.terminate_on_success,
            truncated=self.chunks >= self.limit,
            infos=[self._info(i, distances[i], goals[i], success[i]) for i in range(self.batch)],
        )

    def images(self) -> np.ndarray:
        return self.dream.images()

    def _start(self, rows: np.ndarray) -> tuple[Observation, np.ndarray]:
        mask = np.zeros(self.batch, bool)
        mask[rows] = True
        state = self.dream.reset(mask, self.reference, self.frame)
        index = torch.from_numpy(rows).to(self.device)
        tokens = state.tokens[index]
        self.reward.reset(index, state.reference[index], tokens)
        return self._observe(tokens, state.proprio[index]), self.reward.goal_distance[index].cpu().numpy()
