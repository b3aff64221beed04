"""Scripted grasping for robosuite's Lift: an expert, and a goal-blind one that does as it pleases.

Both go through phases, each a place for the gripper, a command for the fingers and a limit of control steps.
Goal-blind episodes grasp as skilfully but carry the cube to random places, drop it, miss it or only push it,
so that a world model cannot learn that a closing gripper is always followed by a lifted cube.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rla_gym.tasks.robosuite_arm import turned
from rla_gym.tasks.smooth_noise import SmoothNoise

if TYPE_CHECKING:
    from rla_gym.tasks.robosuite import RobosuiteTask

OPEN, CLOSED = -1.0, 1.0
_TABLE_HEIGHT = 0.8
_GRASP_HEIGHT = _TABLE_HEIGHT + 0.018
"""Height of the fingertips when grasping: just below the cube's middle."""

NOISE_SHARE = np.array([0.5, 0.5, 0.5, 0.2, 0.2, 0.2])
"""Standard deviation of the arm's action at noise 1: a grasp leaves 2 cm on either side of the cube."""


@dataclass(frozen=True)
class _Phase:
    """Go to a place, in metres from the cube's or the world's origin, until there or for ``steps`` steps."""

    place: tuple[float, float, float]
    grip: float
    steps: int
    of_cube: bool = False
    tolerance: float = 0.012


def _grasp() -> Iterator[_Phase]:
    yield _Phase((0.0, 0.0, 0.06), OPEN, 25, of_cube=True)
    yield _Phase((0.0, 0.0, 0.0), OPEN, 14, of_cube=True, tolerance=0.008)
    yield _Phase((0.0, 0.0, 0.0), CLOSED, 5, of_cube=True, tolerance=0.0)


class LiftDemonstrator:
    """Follows a script of phases, reading the true pose of the cube.

    The expert grasps, lifts 12 cm and holds, and begins again when the cube has slipped.

    Args:
        task: a robosuite Lift task.
        noise: level of smooth noise on the arm's action; 1 is a standard deviation of half the range.
        rng: the only source of randomness.
        goal_blind: do random things with the cube instead of lifting it.
    """

    def __init__(self, task: RobosuiteTask, noise: float, rng: np.random.Generator, goal_blind: bool):
        self._task, self._rng = task, rng
        self._arm = task.arms[0]
        self._level = self._arm.rotation()
        self._noise = SmoothNoise(6, noise, rng)
        self._script = self._pastime() if goal_blind else self._lift()
        self._phase = next(self._script)
        self._steps = 0
        self._anchor = np.zeros(3)
        self._rotation = self._level
        self._begin(self._phase)

    def __call__(self) -> np.ndarray:
        """Next action ``(7,)`` float32."""
        there = np.linalg.norm(self._target() - self._arm.position()) < self._phase.tolerance
        if there or self._steps >= self._phase.steps:
            self._begin(next(self._script))
        self._steps += 1
        motion = self._arm.toward(self._target(), self._rotation) + NOISE_SHARE * self._noise()
        return np.append(np.clip(motion, -1.0, 1.0), self._phase.grip).astype(np.float32)

    def _begin(self, phase: _Phase) -> None:
        self._phase, self._steps = phase, 0
        if phase.of_cube:
            self._rotation = self._aligned()
        # Once the fingers close, follow the cube no longer: it moves with them.
        self._anchor = self._cube()

    def _cube(self) -> np.ndarray:
        return self._task.free_objects()[0]

    def _target(self) -> np.ndarray:
        if not self._phase.of_cube:
            return np.array(self._phase.place)
        base = self._anchor if self._phase.grip == CLOSED else self._cube()
        return np.array([base[0], base[1], _GRASP_HEIGHT]) + self._phase.place

    def _aligned(self) -> np.ndarray:
        """The level hand, turned by at most 45 degrees so that its fingers face two sides of the cube."""
        yaw = float(self._task.object_state()[3])
        hand = float(np.arctan2(self._level[1, 0], self._level[0, 0]))
        return turned(self._level, (yaw - hand + np.pi / 4) % (np.pi / 2) - np.pi / 4)

    def _lift(self) -> Iterator[_Phase]:
        while True:
            yield from _grasp()
            while True:
                x, y, _ = self._cube()
                yield _Phase((x, y, _GRASP_HEIGHT + 0.12), CLOSED, 15, tolerance=0.0)
                if not self._task.success():
                    break

    def _pastime(self) -> Iterator[_Phase]:
        """Endless random pastimes; each ends with the gripper somewhere else."""
        while True:
            pastime = self._rng.choice(["carry", "drop", "miss", "push", "touch"])
            if pastime in ("carry", "drop"):
                yield from _grasp()
                yield _Phase(self._place(0.03, 0.14), CLOSED, int(self._rng.integers(6, 16)))
                yield _Phase(self._place(0.0, 0.10), CLOSED, int(self._rng.integers(4, 14)))
                if pastime == "drop":
                    yield _Phase(self._place(0.02, 0.12), OPEN, int(self._rng.integers(4, 10)))
            elif pastime == "miss":
                angle = self._rng.uniform(-np.pi, np.pi)
                aside = (0.06 * float(np.cos(angle)), 0.06 * float(np.sin(angle)))
                yield _Phase((*aside, 0.06), OPEN, 20, of_cube=True)
                yield _Phase((*aside, 0.0), OPEN, 12, of_cube=True)
                yield _Phase((*aside, 0.0), CLOSED, 4, of_cube=True, tolerance=0.0)
                yield _Phase(self._place(0.06, 0.14), CLOSED, 12)
            elif pastime == "push":
                angle = self._rng.uniform(-np.pi, np.pi)
                behind = (0.075 * float(np.cos(angle)), 0.075 * float(np.sin(angle)))
                yield _Phase((*behind, 0.06), CLOSED, 20, of_cube=True)
                yield _Phase((*behind, 0.005), CLOSED, 12, of_cube=True)
                beyond = self._cube()[:2] - self._rng.uniform(0.2, 1.0) * np.array(behind)
                yield _Phase((*np.clip(beyond, -0.09, 0.09), _GRASP_HEIGHT + 0.005), CLOSED, 12)
            else:
                yield _Phase((0.0, 0.0, float(self._rng.uniform(0.02, 0.06))), OPEN, 20, of_cube=True)
                yield _Phase(self._place(0.04, 0.14), OPEN, 10)

    def _place(self, low: float, high: float) -> tuple[float, float, float]:
        """A place of the gripper above the middle of the table, ``low`` to ``high`` metres over a grasp."""
        x, y = self._rng.uniform(-0.09, 0.09, 2)
        return float(x), float(y), _GRASP_HEIGHT + float(self._rng.uniform(low, high))
