"""Video-aligned rewards: how near dreamt (or real) tokens are to those of a reference episode.

Source: the reward of the paper (arXiv 2605.07079), the negative distance to the expert video's frame; `goal` and
`progress` are ours. Three parts: `Distance` compares tokens, `Reward` turns distances into a reward, `VideoReward`
follows a batch of episodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from rla_gym.bundle import Bundle

METRICS = ("l1", "l2", "cosine", "features")
PATCHES = ("all", "moving")


@dataclass(frozen=True)
class Distances:
    """What a reward sees of one step of B episodes; each is (B,) float32, at least 0."""

    goal: Tensor
    """To the reference's last frame, after the step."""
    goal_before: Tensor
    """The same before the step."""
    corresponding: Tensor
    """To the reference's frame of the same time (its last, once it is over), after the step."""


class Reward(Protocol):
    """Turns the distances of a step into a reward (B,) float32."""

    def __call__(self, distances: Distances) -> Tensor: ...


@dataclass(frozen=True)
class Corresponding:
    """-scale times the distance to the reference's frame of the same time (the paper's reward)."""

    scale: float = 1.0

    def __call__(self, distances: Distances) -> Tensor:
        return -self.scale * distances.corresponding


@dataclass(frozen=True)
class Goal:
    """-scale times the distance to the reference's last frame."""

    scale: float = 1.0

    def __call__(self, distances: Distances) -> Tensor:
        return -self.scale * distances.goal


@dataclass(frozen=True)
class Progress:
    """scale times the decrease of the goal distance.

    Potential-based: an episode's sum is scale * (first goal distance - last), however it went.
    """

    scale: float = 1.0

    def __call__(self, distances: Distances) -> Tensor:
        return self.scale * (distances.goal_before - distances.goal)


REWARDS: dict[str, type[Corresponding] | type[Goal] | type[Progress]] = {
    "corresponding": Corresponding,
    "goal": Goal,
    "progress": Progress,
}


def make_reward(mode: str, scale: float) -> Reward:
    """The reward called `mode`; a ValueError lists those that exist."""
    if mode not in REWARDS:
        raise ValueError(f"reward={mode!r}: expected one of {', '.join(REWARDS)}")
    return REWARDS[mode](scale)


def token_distance(tokens: Tensor, targets: Tensor, metric: str, weights: Tensor | None = None) -> Tensor:
    """Distance (B,) float32 between standardised tokens (B, L, C).

    Args:
        metric: "l1", the mean absolute difference; "l2", the root of the mean squared difference; "cosine", the mean
            over patches of 1 - cosine similarity.
        weights: (B, L) of mean 1, how much each patch counts; None: all the same.
    """
    if metric == "cosine":
        per_patch = 1.0 - F.cosine_similarity(tokens, targets, dim=-1)
    else:
        difference = tokens - targets
        per_patch = difference.abs().mean(-1) if metric == "l1" else difference.square().mean(-1)
    mean = per_patch.mean(-1) if weights is None else (per_patch * weights).mean(-1)
    return mean.clamp(min=0).sqrt() if metric == "l2" else mean


def change_weights(frames: Tensor) -> Tensor:
    """Weights (L,) of mean 1: by how much each patch of `frames` (T, L, C) ever differs from the first frame.

    Where nothing changes all patches weigh the same.
    """
    change = (frames[1:] - frames[:1]).abs().mean(-1).amax(0)
    mean = change.mean()
    return change / mean if float(mean) > 0 else torch.ones_like(change)


@dataclass(frozen=True)
class VideoRewardConfig:
    """Which distance and reward; None takes the checkpoint's default.

    Attributes:
        mode: "corresponding", "goal" or "progress".
        metric: "l1", "l2" or "cosine" over tokens, or "features", the Euclidean distance between feature maps.
        patches: "all", or "moving": patches count by how much the reference changes them (not for "features").
        scale: factor of the reward.
        threshold: goal distance under which an episode counts as solved; None: the checkpoint's, if it has one.
    """

    mode: str | None = None
    metric: str | None = None
    patches: str | None = None
    scale: float | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class RewardStep:
    """Result of one step of B episodes, each (B,)."""

    reward: Tensor
    goal_distance: Tensor
    distance: Tensor
    """The distance that the reward is about: to the frame of the same time for "corresponding", else to the goal."""
    success: Tensor
    """bool; always False without a threshold."""


class VideoReward:
    """Rewards of a batch of episodes against their reference episodes.

    Args:
        bundle: the checkpoint, on the device that tokens will be on.
        batch: B.

    Raises:
        ValueError: an unknown mode, metric or kind of patches, or a scale that is not positive.
    """

    def __init__(self, bundle: Bundle, batch: int, config: VideoRewardConfig | None = None) -> None:
        config, defaults = config or VideoRewardConfig(), bundle.config.reward
        self.mode = config.mode or defaults.mode
        self.metric = config.metric or defaults.metric
        self.patches = config.patches or defaults.patches
        self.scale = defaults.scale if config.scale is None else config.scale
        if self.metric not in METRICS:
            raise ValueError(f"metric={self.metric!r}: expected one of {', '.join(METRICS)}")
        if self.patches not in PATCHES:
            raise ValueError(f"patches={self.patches!r}: expected one of {', '.join(PATCHES)}")
        if not self.scale > 0:
            raise ValueError(f"scale={self.scale}: expected a positive factor")
        self.reward = make_reward(self.mode, self.scale)
        self.bundle, self.references = bundle, bundle.references
        self.threshold = bundle.config.thresholds.get(self.key) if config.threshold is None else config.threshold
        tokens = self.references.tokens
        device, (_, patches, channels) = tokens.device, tokens.shape
        self.reference = torch.zeros(batch, dtype=torch.long, device=device)
        self.goal_distance = torch.zeros(batch, device=device)
        self._goal = torch.zeros(batch, patches, channels, device=device)
        self._goal_weights = torch.ones(batch, patches, device=device)
        self._path_weights = torch.ones(batch, patches, device=device)
        self._known_weights: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def key(self) -> str:
        """Name of the goal distance, the key of the checkpoint's thresholds: "l2", "l2/moving", "features"."""
        return self.metric if self.patches == "all" or self.metric == "features" else f"{self.metric}/{self.patches}"

    @property
    def weighted(self) -> bool:
        return "/" in self.key

    def reset(self, rows: Tensor, references: Tensor, tokens: Tensor) -> None:
        """Begin episodes.

        Args:
            rows: (n,) int64, the environments that begin one.
            references: (n,) int64, their reference episodes.
            tokens: (n, L, C) standardised tokens that they begin with.
        """
        episodes = self.references
        self.reference[rows] = references
        last = episodes.starts[references] + episodes.lengths[references] - 1
        self._goal[rows] = self.bundle.standardize(episodes.tokens[last])
        if self.weighted:
            weights = [self._weights_of(episode) for episode in references.tolist()]
            self._goal_weights[rows] = torch.stack([goal for goal, _ in weights])
            self._path_weights[rows] = torch.stack([path for _, path in weights])
        self.goal_distance[rows] = self.measure(tokens, self._goal[rows], self._goal_weights[rows])

    def step(self, tokens: Tensor, frames: Tensor) -> RewardStep:
        """Rewards of a step of all B episodes.

        Args:
            tokens: (B, L, C) standardised tokens after the step.
            frames: (B,) int64, the frame of the reference that they correspond to in time.
        """
        before, self.goal_distance = self.goal_distance, self.measure(tokens, self._goal, self._goal_weights)
        distance = self.goal_distance
        if self.mode == "corresponding":
            rows = self.references.rows(self.reference, frames)
            same_time = self.bundle.standardize(self.references.tokens[rows])
            distance = self.measure(tokens, same_time, self._path_weights)
        reward = self.reward(Distances(self.goal_distance, before, distance))
        success = torch.zeros_like(distance, dtype=torch.bool)
        if self.threshold is not None:
            success = self.goal_distance < self.threshold
        return RewardStep(reward, self.goal_distance, distance, success)

    def _weights_of(self, episode: int) -> tuple[Tensor, Tensor]:
        """Weights (L,) of a reference for its goal (what differs at its end) and for its whole course."""
        if episode not in self._known_weights:
            references = self.references
            start, length = int(references.starts[episode]), int(references.lengths[episode])
            frames = self.bundle.standardize(references.tokens[start : start + length])
            self._known_weights[episode] = change_weights(frames[[0, -1]]), change_weights(frames)
        return self._known_weights[episode]

    def measure(self, tokens: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Distance (B,) between standardised tokens (B, L, C) in this reward's metric."""
        if self.metric == "features":
            return (self.bundle.feature_map(tokens) - self.bundle.feature_map(targets)).norm(dim=-1)
        return token_distance(tokens, targets, self.metric, weights if self.weighted else None)
