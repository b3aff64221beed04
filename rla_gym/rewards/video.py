"""A batch of episodes followed against their reference episodes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.reward_names import METRICS, PATCHES
from rla_gym.rewards.config import VideoRewardConfig
from rla_gym.rewards.distances import OF_FEATURES, change_weights, token_distance
from rla_gym.rewards.modes import Distances, Success, make_reward
from rla_gym.rewards.normalization import RunningNormalization


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
        ValueError: an unknown mode, metric or kind of patches, a scale that is not positive, a discount that nothing
            would use, or success to be paid for without a threshold.
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
        self.reward = make_reward(self.mode, self.scale, config.gamma)
        if config.gamma is not None and self.mode != "progress" and config.normalize != "returns":
            raise ValueError(
                f"gamma={config.gamma} would do nothing to reward={self.mode!r}: expected reward='progress' or "
                "normalize_reward='returns' with it"
            )
        self.bundle, self.references = bundle, bundle.references
        self.threshold = bundle.config.thresholds.get(self.key) if config.threshold is None else config.threshold
        self.bonus = Success(config.success_bonus) if config.success_bonus else None
        if self.threshold is None and (self.bonus is not None or self.mode == "success"):
            raise ValueError(
                f"checkpoint {bundle.config.name!r} has no calibrated threshold for the distance {self.key!r} to tell "
                f"success by (it has {', '.join(bundle.config.thresholds) or 'none'}): pass success_threshold, or take "
                "another metric or patches"
            )
        self.normalization = None
        if config.normalize is not None:
            self.normalization = RunningNormalization(batch, config.normalize, config.gamma or 1.0)
        tokens = self.references.tokens
        device, (_, patches, _) = tokens.device, tokens.shape
        self.reference = torch.zeros(batch, dtype=torch.long, device=device)
        self.goal_distance = torch.zeros(batch, device=device)
        self._running = torch.zeros(batch, dtype=torch.bool, device=device)
        self._goal = self._view(torch.zeros(batch, *tokens.shape[1:], device=device))
        self._goal_weights = torch.ones(batch, patches, device=device)
        self._path_weights = torch.ones(batch, patches, device=device)
        self._known_weights: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def key(self) -> str:
        """Name of the goal distance, the key of the checkpoint's thresholds: "l2", "l2/moving", "features"."""
        return self.metric if self.patches == "all" or self.metric in OF_FEATURES else f"{self.metric}/{self.patches}"

    @property
    def weighted(self) -> bool:
        return "/" in self.key

    def restart(self) -> None:
        """Forget the statistics of normalised rewards, so that what follows is as in a new environment."""
        if self.normalization is not None:
            self.normalization.restart()

    def reset(self, rows: Tensor, references: Tensor, tokens: Tensor, goals: Tensor | None = None) -> None:
        """Begin episodes.

        Args:
            rows: (n,) int64, the environments that begin one.
            references: (n,) int64, their reference episodes.
            tokens: (n, L, C) standardised tokens that they begin with.
            goals: (n,) int64, rows of the recorded frames (of any reference) that are their goals; None: each
                reference's last frame.
        """
        episodes = self.references
        self.reference[rows] = references
        last = episodes.starts[references] + episodes.lengths[references] - 1
        goals = last if goals is None else goals
        self._goal[rows] = self._view(self.bundle.standardize(episodes.tokens[goals]))
        if self.weighted:
            pairs = list(zip(references.tolist(), goals.tolist(), strict=True))
            self._goal_weights[rows] = torch.stack([self._weights_to(*pair) for pair in pairs])
            self._path_weights[rows] = torch.stack([self._weights_of(episode)[1] for episode, _ in pairs])
        self.goal_distance[rows] = self._distance(self._view(tokens), self._goal[rows], self._goal_weights[rows])
        self._running[rows] = True
        if self.normalization is not None:
            self.normalization.begin(rows)

    def end(self, over: Tensor) -> None:
        """Episodes where `over` (B,) bool ended: until they begin anew, normalisation learns nothing from them."""
        self._running &= ~over.to(self._running.device)

    def step(self, tokens: Tensor, frames: Tensor) -> RewardStep:
        """Rewards of a step of all B episodes.

        Args:
            tokens: (B, L, C) standardised tokens after the step.
            frames: (B,) int64, the frame of the reference that they correspond to in time.
        """
        seen = self._view(tokens)
        before, self.goal_distance = self.goal_distance, self._distance(seen, self._goal, self._goal_weights)
        distance = self.goal_distance
        if self.mode == "corresponding":
            rows = self.references.rows(self.reference, frames)
            same_time = self._view(self.bundle.standardize(self.references.tokens[rows]))
            distance = self._distance(seen, same_time, self._path_weights)
        success = torch.zeros_like(distance, dtype=torch.bool)
        if self.threshold is not None:
            success = self.goal_distance < self.threshold
        distances = Distances(self.goal_distance, before, distance, success)
        reward = self.reward(distances)
        if self.bonus is not None:
            reward = reward + self.bonus(distances)
        if self.normalization is not None:
            reward = self.normalization(reward, self._running)
        return RewardStep(reward, self.goal_distance, distance, success)

    def _view(self, tokens: Tensor) -> Tensor:
        """What distances are taken between: standardised tokens (B, L, C) themselves, or maps (B, F) of them."""
        if self.metric == "objects":
            return self.bundle.object_map(tokens)
        return self.bundle.feature_map(tokens) if self.metric == "features" else tokens

    def _distance(self, seen: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Distance (B,) between two views in this reward's metric."""
        if self.metric in OF_FEATURES:
            return (seen - targets).norm(dim=-1)
        return token_distance(seen, targets, self.metric, weights if self.weighted else None)

    def _weights_of(self, episode: int) -> tuple[Tensor, Tensor]:
        """Weights (L,) of a reference for its last frame and for its whole course, kept."""
        if episode not in self._known_weights:
            references = self.references
            start, length = int(references.starts[episode]), int(references.lengths[episode])
            frames = self.bundle.standardize(references.tokens[start : start + length])
            self._known_weights[episode] = change_weights(frames[[0, -1]]), change_weights(frames)
        return self._known_weights[episode]

    def _weights_to(self, episode: int, goal: int) -> Tensor:
        """Weights (L,) for the recorded frame in row `goal`: by how much it differs from the reference's first one."""
        first, length = int(self.references.starts[episode]), int(self.references.lengths[episode])
        if goal == first + length - 1:
            return self._weights_of(episode)[0]
        return change_weights(self.bundle.standardize(self.references.tokens[[first, goal]]))
