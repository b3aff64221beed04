"""Random numbers that change smoothly from one control step to the next."""

from __future__ import annotations

import numpy as np


class SmoothNoise:
    """A discrete Ornstein-Uhlenbeck process, started in its stationary distribution.

    Args:
        size: values a call.
        scale: standard deviation of each value.
        rng: the only source of randomness.
        memory: correlation of a value with that of the step before; 0.8 lasts about five steps.
    """

    def __init__(self, size: int, scale: float, rng: np.random.Generator, memory: float = 0.8):
        self._scale, self._rng, self._memory = scale, rng, memory
        self._value = rng.standard_normal(size)

    def __call__(self) -> np.ndarray:
        """The next values, ``(size,)`` float64."""
        fresh = self._rng.standard_normal(len(self._value))
        self._value = self._memory * self._value + np.sqrt(1.0 - self._memory**2) * fresh
        return self._scale * self._value
