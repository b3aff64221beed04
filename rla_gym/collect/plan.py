"""What each collected episode does: a function of (seed, index) alone, whatever process collects it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EpisodePlan:
    """How to collect one episode."""

    index: int
    seed: int  # of the task's reset, 63 bits
    demonstrator_seed: int  # 63 bits
    kind: str  # "expert", "play", "goal-blind" or "interrupted"
    noise: float  # the level given to the demonstrator


def plan_episode(
    seed: int, index: int, play: float, goal_blind: float, noise: float, interrupted: float = 0.0
) -> EpisodePlan:
    """Draw the plan of episode `index` of a collection with `seed`.

    The kind is "play" with probability `play`, "goal-blind" with probability `goal_blind`, "interrupted" with
    probability `interrupted`, else "expert". The noise level is uniform in [0, 2 * noise], and 0 for play, which
    explores by itself. All four draws are made whatever the kind, so that changing one share leaves the other
    draws of an episode as they were.
    """
    sequence = np.random.SeedSequence([seed, index])
    # 63 bits: positive in a signed 64-bit attribute, and collisions between collections practically excluded
    reset_seed, demonstrator_seed = (int(word) >> 1 for word in sequence.generate_state(2, np.uint64))
    generator = np.random.Generator(np.random.Philox(sequence.spawn(1)[0]))
    which, level = generator.random(2)
    bounds = np.cumsum([play, goal_blind, interrupted])
    kind = ("play", "goal-blind", "interrupted", "expert")[int(np.searchsorted(bounds, which, side="right"))]
    return EpisodePlan(
        index, reset_seed, demonstrator_seed, kind, 0.0 if kind == "play" else float(2.0 * noise * level)
    )
