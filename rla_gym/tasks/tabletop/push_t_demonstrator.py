"""Scripted pushing of the T, to the shown target (expert) or to hidden ones (goal-blind).

The demonstrator is privileged: it tries straight pushes from points all round the T in a simulation of its
own, walks to the best one, and tries variations of the push at each step of it. The task's own simulation
stays untouched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rla_gym.tasks.smooth_noise import SmoothNoise
from rla_gym.tasks.tabletop.base import STEP_LENGTH
from rla_gym.tasks.tabletop.push_simulation import PushSimulation
from rla_gym.tasks.tabletop.t_shape import pose_error
from rla_gym.tasks.tabletop.t_walk import TWalk

if TYPE_CHECKING:
    from rla_gym.tasks.tabletop.push_t import PushT

_SIDEWAYS = np.deg2rad([-30.0, 0.0, 30.0])  # directions tried for a new push, from straight inwards
_PUSH_STEPS = 6  # longest new push tried
_STEERING = np.deg2rad([-75.0, -50.0, -25.0, 0.0, 25.0, 50.0, 75.0])  # directions tried while pushing
_SPEEDS = np.array([1.0, 0.5, 0.25])  # slow pushes are for the last millimetres
_LOOKAHEAD = 4  # steps that each of them is tried for
_OVERHEAD = 3.0  # steps that a change of contact costs beyond the way
_WORTHWHILE = 3e-4  # metres of pose error a step; a push that gains less ends
_ARRIVED = 0.004  # metres
_WALK_PATIENCE = 30  # steps
_HIDDEN_PATIENCE = 40  # steps for one hidden goal
_HIDDEN_ERROR = 0.01  # metres; the next hidden goal is drawn at once


class TPusher:
    """Pushes the T to a goal pose.

    Args:
        task: the task to act in.
        noise: standard deviation of the smooth noise on the action.
        rng: the only source of randomness.
        hidden: push to random poses of its own instead of to the shown target.
    """

    def __init__(self, task: PushT, noise: float, rng: np.random.Generator, hidden: bool):
        self._task, self._rng, self._hidden = task, rng, hidden
        self._noise = SmoothNoise(2, noise, rng)
        self._simulation = PushSimulation(task.model)
        self._walk = TWalk(shape=task.block, radius=task.tool.girth)
        self._goal = self._draw_goal() if hidden else task.target_pose
        self._patience = 0
        self._contact: int | None = None  # point of the walk's ring where the next push starts
        self._pushing = False
        self._walked = 0
        self._refused: set[int] = set()  # contacts that proved useless since the T last moved

    def __call__(self) -> np.ndarray:
        """Next action ``(2,)`` float32."""
        pose = self._task.block_pose
        if self._hidden:
            self._patience += 1
            if self._patience > _HIDDEN_PATIENCE or pose_error(pose, self._goal, self._task.block) < _HIDDEN_ERROR:
                self._goal, self._patience, self._contact, self._pushing = self._draw_goal(), 0, None, False
        solved = not self._hidden and self._task.success()
        move = np.zeros(2) if solved else self._move(pose)
        return np.clip(move / STEP_LENGTH + self._noise(), -1.0, 1.0).astype(np.float32)

    def _draw_goal(self) -> np.ndarray:
        return np.array([*self._rng.uniform(-0.10, 0.10, 2), self._rng.uniform(-np.pi, np.pi)])

    def _move(self, pose: np.ndarray) -> np.ndarray:
        """Displacement ``(2,)`` of the set-point in metres: of the push, or of the way to the next one."""
        setpoint = self._task.data.ctrl.copy()
        if self._contact is not None and (self._pushing or self._arrived(setpoint, pose, self._contact)):
            move = self._push(setpoint, pose)
            if move is not None:
                self._pushing = True
                self._refused.clear()
                return move
            if not self._pushing:
                self._refused.add(self._contact)
            self._contact, self._pushing = None, False
        if self._contact is None or self._walked >= _WALK_PATIENCE:
            self._contact, self._walked = self._choose_contact(setpoint, pose), 0
        self._walked += 1
        return self._walk.step(setpoint, pose, self._contact)

    def _arrived(self, setpoint: np.ndarray, pose: np.ndarray, contact: int) -> bool:
        return bool(np.linalg.norm(self._walk.points(pose)[contact] - setpoint) < _ARRIVED)

    def _push(self, setpoint: np.ndarray, pose: np.ndarray) -> np.ndarray | None:
        """The step that begins the best short push from here, or None where pushing on gains too little."""
        headings = self._walk.inwards(pose)[self._walk.nearest(setpoint, pose)] + _STEERING
        moves = (_SPEEDS[:, None, None] * _steps_along(headings)).reshape(-1, 2)
        poses = self._simulation.push(self._task.data, np.tile(setpoint, (len(moves), 1)), moves, _LOOKAHEAD)
        costs = pose_error(poses, self._goal, self._task.block) + _WORTHWHILE * np.arange(1, _LOOKAHEAD + 1)
        best = int(np.argmin(costs.min(axis=1)))
        return moves[best] if costs[best].min() < pose_error(pose, self._goal, self._task.block) else None

    def _choose_contact(self, setpoint: np.ndarray, pose: np.ndarray) -> int:
        """The point of the ring whose best straight push gains most a step, the way there included."""
        way = self._walk.lengths(setpoint, pose) / STEP_LENGTH + _OVERHEAD
        way[list(self._refused)] = np.inf
        contacts = np.flatnonzero(np.isfinite(way))
        if len(contacts) == 0:
            self._refused.clear()
            return int(self._rng.integers(self._walk.count))
        moves = _steps_along(self._walk.inwards(pose)[contacts, None] + _SIDEWAYS).reshape(-1, 2)
        starts = np.repeat(self._walk.points(pose)[contacts], len(_SIDEWAYS), axis=0)
        poses = self._simulation.push(self._task.data, starts, moves, _PUSH_STEPS)
        gains = pose_error(pose, self._goal, self._task.block) - pose_error(poses, self._goal, self._task.block)
        steps = way[contacts].repeat(len(_SIDEWAYS))[:, None] + np.arange(1, _PUSH_STEPS + 1)
        return int(contacts[np.argmax((gains / steps).max(axis=1)) // len(_SIDEWAYS)])


def _steps_along(headings: np.ndarray) -> np.ndarray:
    """Full steps ``(..., 2)`` in metres in the directions ``headings`` ``(...)``."""
    return STEP_LENGTH * np.stack([np.cos(headings), np.sin(headings)], axis=-1)
