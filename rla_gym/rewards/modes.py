"""What a step is worth, given how far it is from its reference: one small class a reward.

Source: `Corresponding` is the reward of the paper (arXiv 2605.07079), the negative distance to the expert video's frame
of the same time. `Goal`, `Progress` and `Success` are ours; the form of `Progress` is that of Ng, Harada and Russell,
"Policy invariance under reward transformations" (1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from rla_gym.checkpoint.reward_names import MODES


@dataclass(frozen=True)
class Distances:
    """What a reward sees of one step of B episodes; each is (B,)."""

    goal: Tensor
    """float32, at least 0: to the goal frame, after the step."""
    goal_before: Tensor
    """float32: the same before the step."""
    corresponding: Tensor
    """float32: to the reference's frame of the same time (its last, once it is over), after the step."""
    solved: Tensor
    """bool: whether the goal distance after the step is under the threshold."""


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
    """-scale times the distance to the goal frame."""

    scale: float = 1.0

    def __call__(self, distances: Distances) -> Tensor:
        return -self.scale * distances.goal


@dataclass(frozen=True)
class Progress:
    """The discounted increase of a potential, gamma * Phi(after) - Phi(before) with Phi = -scale * goal distance.

    The sum of an episode of T steps, discounted by the same gamma, is gamma^T * Phi(end) - Phi(start), however it went:
    added to another reward (such as `Success`) it does not change which policy is best, as long as the agent discounts
    by this gamma and episodes end at potential 0 or are truncated and bootstrapped. (An episode that success ends has a
    distance under the threshold left, so its potential is nearly 0: within scale * threshold.) Without gamma it is the
    plain decrease of the distance, scale * (before - after), whose undiscounted sum is scale * (first distance - last).
    """

    scale: float = 1.0
    gamma: float | None = None

    def potential(self, distance: Tensor) -> Tensor:
        """Phi (B,) of goal distances (B,): 0 at the goal, negative elsewhere."""
        return -self.scale * distance

    def __call__(self, distances: Distances) -> Tensor:
        if self.gamma is None:
            return self.scale * (distances.goal_before - distances.goal)
        return self.gamma * self.potential(distances.goal) - self.potential(distances.goal_before)


@dataclass(frozen=True)
class Success:
    """scale in every step after which the goal distance is under the threshold, else 0.

    It depends on the state after the step alone; where success ends an episode it is paid once.
    """

    scale: float = 1.0

    def __call__(self, distances: Distances) -> Tensor:
        return self.scale * distances.solved.float()


REWARDS: dict[str, type[Corresponding] | type[Goal] | type[Progress] | type[Success]] = dict(
    zip(MODES, (Corresponding, Goal, Progress, Success), strict=True)
)


def make_reward(mode: str, scale: float, gamma: float | None = None) -> Reward:
    """The reward called `mode`; `gamma` is for "progress" and ignored by others.

    Raises:
        ValueError: an unknown mode; the text lists those that exist.
    """
    if mode not in REWARDS:
        raise ValueError(f"reward={mode!r}: expected one of {', '.join(REWARDS)}")
    return Progress(scale, gamma) if mode == "progress" else REWARDS[mode](scale)
