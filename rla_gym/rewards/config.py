"""Which reward an environment pays."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class VideoRewardConfig:
    """Which distance and reward; None takes the checkpoint's default where it has one.

    Attributes:
        mode: "corresponding", "goal", "progress" or "success".
        metric: "l1", "l2" or "cosine" over tokens, or the Euclidean distance between feature maps:
            "features", or "objects", where keypoints count by how well they follow objects.
        patches: "all", or "moving": patches count by how much the reference changes them (not for maps).
        scale: factor of the reward.
        threshold: goal distance under which an episode counts as solved; None: the checkpoint's, if it has one.
        gamma: discount of the potential of "progress" and of the returns of `normalize`, over one step (a chunk);
            None: 1, and "progress" is the plain decrease of the distance.
        success_bonus: added in every step after which the goal distance is under the threshold.
        normalize: None, or "returns" or "rewards": what rewards are divided by the running spread of.

    Raises:
        ValueError: gamma outside (0, 1], or a bonus that is negative or not finite.
    """

    mode: str | None = None
    metric: str | None = None
    patches: str | None = None
    scale: float | None = None
    threshold: float | None = None
    gamma: float | None = None
    success_bonus: float = 0.0
    normalize: str | None = None

    def __post_init__(self) -> None:
        if self.gamma is not None and not 0.0 < self.gamma <= 1.0:
            raise ValueError(f"gamma={self.gamma}: expected a discount over 0 and at most 1, or None")
        if not (math.isfinite(self.success_bonus) and self.success_bonus >= 0):
            raise ValueError(f"success_bonus={self.success_bonus}: expected a number of at least 0")
