"""Play for any robosuite environment: each arm wanders near objects and grips now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rla_gym.tasks.robosuite_arm import Arm, turned
from rla_gym.tasks.smooth_noise import SmoothNoise

if TYPE_CHECKING:
    from rla_gym.tasks.robosuite import RobosuiteTask

_REACH = 0.35
"""Objects farther than this from an arm's starting place are left alone, in metres."""


class RobosuitePlay:
    """Random waypoints at varied speed, most of them at objects, with smooth noise.

    Args:
        task: the task whose true state is read.
        noise: standard deviation of noise in addition to play's own.
        rng: the only source of randomness.
    """

    def __init__(self, task: RobosuiteTask, noise: float, rng: np.random.Generator):
        self._task, self._rng = task, rng
        self._noise = SmoothNoise(len(task.spec.action_low), 0.15 + noise, rng)
        self._wanderers = [_Wanderer(arm, arm.rotation(), rng) for arm in task.arms]

    def __call__(self) -> np.ndarray:
        """Next action ``(A,)`` float32."""
        action = self._noise()
        objects = self._task.free_objects()
        for wanderer in self._wanderers:
            wanderer.act(action, objects)
        return np.clip(action, self._task.spec.action_low, self._task.spec.action_high).astype(np.float32)


class _Wanderer:
    """One arm on its way from waypoint to waypoint."""

    def __init__(self, arm: Arm, rotation: np.ndarray, rng: np.random.Generator):
        self._arm, self._level, self._rng = arm, rotation, rng
        self._steps = 0
        self._target, self._rotation = arm.position(), rotation
        self._speed, self._grip = 1.0, -1.0

    def act(self, action: np.ndarray, objects: np.ndarray) -> None:
        """Add this arm's motion to ``action`` and set its gripper."""
        if self._steps <= 0 or np.linalg.norm(self._target - self._arm.position()) < 0.015:
            self._choose(objects)
        self._steps -= 1
        motion = self._arm.toward(self._target, self._rotation, self._speed)
        # Other controllers than OSC_POSE take other widths; they are left to the noise.
        if self._arm.move.stop - self._arm.move.start == len(motion):
            action[self._arm.move] += motion
        action[self._arm.grip] = self._grip

    def _choose(self, objects: np.ndarray) -> None:
        self._steps = int(self._rng.integers(10, 28))
        self._speed = float(self._rng.uniform(0.3, 1.0))
        self._rotation = turned(self._level, float(self._rng.uniform(-0.7, 0.7)))
        near = objects[np.linalg.norm(objects - self._arm.home, axis=1) < _REACH] if len(objects) else objects
        if len(near) and self._rng.uniform() < 0.8:
            self._target = near[self._rng.integers(len(near))] + self._rng.normal(0, [0.03, 0.03, 0.015])
        else:
            self._target = self._arm.home + self._rng.uniform([-0.1, -0.1, -0.15], [0.1, 0.1, 0.05])
        if self._rng.uniform() < 0.4:
            self._grip = -self._grip
