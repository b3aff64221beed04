"""The reward between two points of the feature space, as hindsight relabelling needs it: of states and goals alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GOAL_REWARDS = ("sparse", "goal")


@dataclass(frozen=True)
class FeatureGoal:
    """What it is worth to have achieved a point of the feature space while another one was desired.

    Worked row by row in float64 and rounded once, so that a row's result does not depend on what it is batched with:
    relabelled rewards are those of the step, to the last bit.

    Attributes:
        mode: "sparse": 0 where the distance is under the threshold, else -scale; "goal": -scale times the distance.
        scale: positive factor.
        threshold: Euclidean distance of features under which a goal counts as reached; None: none ever does.

    Raises:
        ValueError: an unknown mode, a scale that is not positive, or "sparse" without a threshold.
    """

    mode: str = "sparse"
    scale: float = 1.0
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.mode not in GOAL_REWARDS:
            raise ValueError(f"reward={self.mode!r}: expected one of {', '.join(GOAL_REWARDS)}")
        if not self.scale > 0:
            raise ValueError(f"scale={self.scale}: expected a positive factor")
        if self.mode == "sparse" and self.threshold is None:
            raise ValueError("reward='sparse' has no threshold to tell success by: pass success_threshold")

    def distance(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Euclidean distances (...,) float32 of features (..., F)."""
        difference = np.asarray(achieved, np.float64) - np.asarray(desired, np.float64)
        # In C order: the order of the sum, and with it the last bit, would otherwise follow the memory's layout.
        rows = np.ascontiguousarray(np.square(difference)).reshape(-1, difference.shape[-1])
        distances: np.ndarray = np.sqrt(rows.sum(axis=1)).astype(np.float32)
        return distances.reshape(difference.shape[:-1])

    def reached(self, distances: np.ndarray) -> np.ndarray:
        """bool (...,): which of `distances` (...,) count as reached."""
        if self.threshold is None:
            return np.zeros(np.shape(distances), bool)
        return np.asarray(np.asarray(distances) < self.threshold)

    def __call__(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Rewards (...,) float32 of features (..., F)."""
        distances = self.distance(achieved, desired)
        if self.mode == "goal":
            return np.asarray(-np.float32(self.scale) * distances)
        return np.where(self.reached(distances), np.float32(0.0), -np.float32(self.scale))
