"""Skilled motion that is broken off again and again: the data of counterfactual actions.

An agent in training does other things from the states that skill leads to: it lets go, slips off, runs into the edge.
Demonstrations with noise on them do not hold that, since the demonstrator mends what the noise did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rla_gym.tasks.smooth_noise import SmoothNoise

if TYPE_CHECKING:
    from rla_gym.tasks.task import Policy

STILL, DISTURBED, STRAIGHT, RANDOM = range(4)
SHARES = (0.15, 0.25, 0.2, 0.4)
"""How often an interruption is of each kind."""
SKILLED_STEPS, OTHER_STEPS = (3, 18), (4, 20)
"""Control steps of skilled motion and of an interruption: at least the first, fewer than the second."""


class Interrupted:
    """A policy interrupted by rest, by strong noise on its actions, by straight motion or by smooth random motion.

    Args:
        skilled: the policy; it is asked at every step, so that it keeps track.
        size: A, width of the actions, which are in [-1, 1].
        rng: the only source of randomness of the interruptions.
    """

    def __init__(self, skilled: Policy, size: int, rng: np.random.Generator):
        self._skilled, self._size, self._rng = skilled, size, rng
        self._interrupting = bool(rng.random() < 0.5)
        self._left = 0
        self._kind = STILL
        self._direction = np.zeros(size)
        self._noise = SmoothNoise(size, 0.0, rng)

    def __call__(self) -> np.ndarray:
        """Next action ``(A,)`` float32 in [-1, 1]."""
        skilled = self._skilled()
        if self._left <= 0:
            self._turn()
        self._left -= 1
        if not self._interrupting:
            return skilled
        action = self._noise() + self._direction
        if self._kind == DISTURBED:
            action = action + skilled
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    def _turn(self) -> None:
        """Begin the next stretch."""
        rng = self._rng
        self._interrupting = not self._interrupting
        self._left = int(rng.integers(*(OTHER_STEPS if self._interrupting else SKILLED_STEPS)))
        self._kind = int(rng.choice(len(SHARES), p=SHARES))
        scale = {STILL: 0.0, STRAIGHT: 0.1}.get(self._kind, rng.uniform(0.3, 1.0))
        self._noise = SmoothNoise(self._size, scale, rng)
        direction = rng.standard_normal(self._size)
        speed = rng.uniform(0.3, 1.0) if self._kind == STRAIGHT else 0.0
        self._direction = speed * direction / np.abs(direction).max()
