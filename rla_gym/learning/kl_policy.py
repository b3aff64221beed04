"""The agent: SB3's own actor and critic, with standardised inputs and an anchor that it may be kept near."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from rla_gym.learning.demonstrations import Demonstrations
from rla_gym.utils.optional import require

ActorCriticPolicy: Any = require("stable_baselines3.common.policies", extra="rl").ActorCriticPolicy
BaseFeaturesExtractor: Any = require("stable_baselines3.common.torch_layers", extra="rl").BaseFeaturesExtractor

SMALLEST_STD = 0.02
"""Observations that hardly vary (keypoints live in [-1, 1]) are not blown up."""
LIMIT = 5.0
"""Standardised observations are clipped: what demonstrations never showed must not push the network anywhere."""


class Standardize(BaseFeaturesExtractor):
    """Observations less `mean`, over `std`, clipped; fixed numbers that are saved with the agent."""

    def __init__(self, observation_space: Any, mean: Any = 0.0, std: Any = 1.0) -> None:
        size = int(np.prod(observation_space.shape))
        super().__init__(observation_space, size)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).expand(size).clone())
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).expand(size).clone())

    def forward(self, observations: Tensor) -> Tensor:
        """(B, F) float32 to the same shape."""
        standardized: Tensor = ((observations - self.mean) / self.std).clamp(-LIMIT, LIMIT)
        return standardized


class AnchoredPolicy(ActorCriticPolicy):
    """SB3's policy, kept near the policy that it was when `set_anchor` was called.

    PPO adds `ent_coef` times the negative mean entropy to its loss. Here minus a penalty stands in the place of the
    entropy, so with `ent_coef=1` the loss is PPO's plus the mean penalty, and SB3's PPO is used as it is:

        penalty = kl_weight * KL(policy || anchor) on the batch + bc_weight * squared error on the demonstrations

    Without an anchor the penalty is 0. The anchor is not part of the saved policy.
    """

    def set_anchor(
        self,
        kl_weight: float,
        bc_weight: float = 0.0,
        demonstrations: Demonstrations | None = None,
        seed: int = 0,
    ) -> None:
        """Take the present policy as the anchor.

        Raises:
            ValueError: `bc_weight` without demonstrations.
        """
        if bc_weight and demonstrations is None:
            raise ValueError(f"bc_weight={bc_weight} needs demonstrations")
        self._anchor: list[Any] = []
        # In a list, as a module would become part of this one and of what is saved.
        self._anchor = [copy.deepcopy(self).requires_grad_(False).eval()]
        self.kl_weight, self.bc_weight = kl_weight, bc_weight
        self._generator = torch.Generator().manual_seed(seed)
        self._pairs: tuple[Tensor, Tensor] | None = None
        if demonstrations is not None:
            self._pairs = torch.from_numpy(demonstrations.observations), torch.from_numpy(demonstrations.chunks)

    def kl_to_anchor(self, observations: Tensor) -> Tensor:
        """KL(policy || anchor) (B,) at observations (B, F), in nats over the whole chunk."""
        now = self.get_distribution(observations).distribution
        with torch.no_grad():
            then = self._anchor[0].get_distribution(observations).distribution
        divergence: Tensor = kl_divergence(now, then).sum(-1)
        return divergence

    def penalty(self, observations: Tensor, batch: int = 128) -> Tensor:
        """The penalty (B,) at observations (B, F); zeros without an anchor."""
        if not getattr(self, "_anchor", None):
            return torch.zeros(len(observations), device=observations.device)
        total = self.kl_weight * self.kl_to_anchor(observations)
        if self.bc_weight and self._pairs is not None:
            rows = torch.randint(len(self._pairs[0]), (batch,), generator=self._generator)
            seen, done = (part[rows].to(observations.device) for part in self._pairs)
            total = total + self.bc_weight * (self.mean_chunk(seen) - done).square().mean()
        return total

    def mean_chunk(self, observations: Tensor) -> Tensor:
        """Mean of the policy's actions (B, K * A) at observations (B, F)."""
        mean: Tensor = self.get_distribution(observations).distribution.mean
        return mean

    def evaluate_actions(self, obs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values, log-probabilities and minus the penalty, where SB3 expects the entropy."""
        values, log_probability, _ = super().evaluate_actions(obs, actions)
        return values, log_probability, -self.penalty(obs)
