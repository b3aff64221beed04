"""Scripted reaching for Reacher: inverse kinematics of two links and a proportional-derivative controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rla_gym.tasks.smooth_noise import SmoothNoise

if TYPE_CHECKING:
    from rla_gym.tasks.gymnasium import GymnasiumTask

LINKS = (0.10, 0.11)
"""Lengths of the two links in metres, the second to the fingertip."""

STIFFNESS = 1.1
"""Action a radian; the motor's gear of 200 and an armature of 1 make this a natural frequency of 15 rad/s."""

DAMPING = 0.14
"""Action a rad/s, about critical."""

NOISE_SHARE = 1 / 3
"""Standard deviation of the torque at noise 1, low as a torque integrates twice into a displacement."""


def joint_angles(point: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Angles ``(2,)`` that put the fingertip at ``point`` ``(2,)`` in metres, or as near as the arm reaches.

    Of the two elbow solutions, and of the turns of the free first joint, the one closest to the angles
    ``near``.
    """
    first, second = LINKS
    distance = float(np.clip(np.linalg.norm(point), second - first, second + first))
    cosine = (distance**2 - first**2 - second**2) / (2 * first * second)
    bend = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
    solutions = []
    for elbow in (bend, -bend):
        shoulder = np.arctan2(point[1], point[0]) - np.arctan2(second * np.sin(elbow), first + second * np.cos(elbow))
        turns = np.round((near[0] - shoulder) / (2 * np.pi))
        solutions.append(np.array([shoulder + 2 * np.pi * turns, elbow]))
    return min(solutions, key=lambda angles: float(np.abs(angles - near).max()))


class ReacherDemonstrator:
    """Reaches for the target, or for hidden random points that change when reached or after 15 steps.

    Args:
        task: the Reacher task whose true state is read.
        noise: level of smooth noise on the action; 1 is a standard deviation of a third of the motors' range.
        rng: the only source of randomness.
        hidden: reach for hidden points and ignore the target.
    """

    def __init__(self, task: GymnasiumTask, noise: float, rng: np.random.Generator, hidden: bool):
        self._task, self._rng, self._hidden = task, rng, hidden
        self._noise = SmoothNoise(2, NOISE_SHARE * noise, rng)
        self._point = self._draw()
        self._steps = 0

    def __call__(self) -> np.ndarray:
        """Next action ``(2,)`` float32."""
        data = self._task.data
        if self._hidden:
            self._steps += 1
            tip = data.body("fingertip").xpos[:2]
            if self._steps > 15 or np.linalg.norm(tip - self._point) < 0.015:
                self._point, self._steps = self._draw(), 0
        else:
            self._point = data.body("target").xpos[:2].copy()
        angles, speeds = data.qpos[:2], data.qvel[:2]
        torque = STIFFNESS * (joint_angles(self._point, angles) - angles) - DAMPING * speeds
        return np.clip(torque + self._noise(), -1.0, 1.0).astype(np.float32)

    def _draw(self) -> np.ndarray:
        """A point spread evenly over the disc that Reacher draws its targets from."""
        radius, angle = 0.2 * np.sqrt(self._rng.uniform()), self._rng.uniform(-np.pi, np.pi)
        return radius * np.array([np.cos(angle), np.sin(angle)])
