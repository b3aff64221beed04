"""Rewards divided by their running spread, so that settings of an algorithm carry over between metrics."""

from __future__ import annotations

import math

import torch
from torch import Tensor

KINDS = ("returns", "rewards")
LIMIT = 10.0
"""Normalised rewards are clipped to this absolute value."""


class RunningNormalization:
    """Divides rewards by the running standard deviation of returns or of rewards.

    Nothing is subtracted: a positive factor changes no preference between policies, an offset would pay for long or
    short episodes. The factor changes as statistics gather, less and less.

    Statistics are merged batch by batch (Chan, Golub and LeVeque's form of Welford's update) in float64. They begin as
    if one value of variance 1 had been seen, so first rewards are scaled by about 1. They are a function of the rewards
    seen since `restart`, of all B episodes together: the same seeds and actions give the same numbers, but another
    number of environments gives others.

    Args:
        batch: B.
        kind: "returns", the discounted sum of rewards so far in each episode, or "rewards".
        gamma: discount of these sums.

    Raises:
        ValueError: an unknown kind.
    """

    def __init__(self, batch: int, kind: str = "returns", gamma: float = 1.0) -> None:
        if kind not in KINDS:
            raise ValueError(f"normalize_reward={kind!r}: expected None or one of {', '.join(KINDS)}")
        self.kind, self.gamma = kind, gamma
        self._returns = torch.zeros(batch, dtype=torch.float64)
        self.restart()

    def restart(self) -> None:
        """Forget everything."""
        self.count, self.mean, self._squares = 1.0, 0.0, 1.0
        self._returns.zero_()

    def begin(self, rows: Tensor) -> None:
        """Episodes `rows` (n,) int64 begin: their returns so far are 0."""
        self._returns[rows.cpu()] = 0.0

    @property
    def variance(self) -> float:
        """Of the returns or rewards seen since `restart`."""
        return self._squares / self.count

    def __call__(self, reward: Tensor, counted: Tensor | None = None) -> Tensor:
        """Take in a step's rewards (B,) and return them normalised, (B,) float32.

        Args:
            counted: (B,) bool, which of them belong to running episodes; the others do not touch the statistics.
        """
        values = reward.detach().cpu().double()
        self._returns = self.gamma * self._returns + values
        seen = self._returns if self.kind == "returns" else values
        self._merge(seen if counted is None else seen[counted.cpu()])
        return (reward / math.sqrt(self.variance)).clamp(-LIMIT, LIMIT)

    def _merge(self, values: Tensor) -> None:
        count = len(values)
        if not count:
            return
        mean = float(values.mean())
        squares = float((values - mean).square().sum())
        delta, total = mean - self.mean, self.count + count
        self.mean += delta * count / total
        self._squares += squares + delta * delta * self.count * count / total
        self.count = total
