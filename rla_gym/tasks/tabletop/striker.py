"""Scripted strokes for roll-ball, to the shown spot (expert) or to hidden ones (goal-blind).

A stroke has four parts: wait until the ball is slow and near enough, walk round it to behind it, run up and push
through its middle towards the goal, let go. The speed is drawn anew for each stroke, so that like pictures have
unlike futures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rla_gym.tasks.smooth_noise import SmoothNoise
from rla_gym.tasks.tabletop.base import CONTROL_HZ, STEP_LENGTH
from rla_gym.tasks.tabletop.demonstrators import limited, push_action

if TYPE_CHECKING:
    from rla_gym.tasks.tabletop.roll_ball import RollBall

_SLOW = 0.04  # m/s; a faster ball is waited for
_LOST = 0.025  # metres between pusher and ball after which a stroke has ended
_STRIKE_STEPS = 12
_IN_LINE = 0.006  # metres beside the line to the goal where a stroke may begin
_RUN_UP = 0.022  # metres between pusher and ball there
_WAITING_Y = -0.15
_RUN_OUT = 1.3  # how much further than to the goal a stroke is meant to carry, at least
_HIDDEN_PATIENCE = 30  # steps for one hidden goal


class Striker:
    """Strikes the ball towards a goal.

    Args:
        task: the task to act in.
        noise: standard deviation of the smooth noise on the action.
        rng: the only source of randomness.
        hidden: strike towards random spots of its own instead of the shown one.
    """

    def __init__(self, task: RollBall, noise: float, rng: np.random.Generator, hidden: bool):
        self._task, self._rng, self._hidden = task, rng, hidden
        self._noise = SmoothNoise(2, noise, rng)
        self._goal = self._draw_goal() if hidden else task.target_pose[:2]
        self._patience = 0
        self._striking = 0  # steps since the run-up began, 0 before it
        self._speed = 1.0

    def __call__(self) -> np.ndarray:
        """Next action ``(2,)`` float32."""
        if self._hidden:
            self._patience += 1
            if self._patience > _HIDDEN_PATIENCE and not self._striking:
                self._goal, self._patience = self._draw_goal(), 0
        return np.clip(self._move() / STEP_LENGTH + self._noise(), -1.0, 1.0).astype(np.float32)

    def _draw_goal(self) -> np.ndarray:
        return np.array([self._rng.uniform(-0.15, 0.15), self._rng.uniform(0.05, 0.17)])

    def _move(self) -> np.ndarray:
        """Displacement ``(2,)`` of the set-point in metres."""
        task = self._task
        ball, setpoint = task.block_pose[:2], task.data.ctrl.copy()
        direction = self._direction(ball)
        point = self._point(direction)
        contact = task.block.radius + task.tool.thickness
        offset = setpoint + point - ball
        if self._striking:
            lost = self._striking > 2 and np.linalg.norm(task.pusher_position + point - ball) > contact + _LOST
            if lost or self._striking > _STRIKE_STEPS:
                self._striking = 0
                if self._hidden:
                    self._goal, self._patience = self._draw_goal(), 0
            else:
                self._striking += 1
                return self._stroke(offset, direction)
        high = task.model.actuator_ctrlrange[1, 1]
        if np.linalg.norm(task.ball_velocity) > _SLOW or ball[1] > high + 0.5 * contact:
            return 0.5 * limited(np.array([np.clip(ball[0], -0.15, 0.15), _WAITING_Y]) - setpoint)
        along, lateral = float(offset @ direction), float(offset @ [-direction[1], direction[0]])
        if -along > contact and abs(lateral) < _IN_LINE:
            self._striking = 1
            self._speed = self._draw_speed(ball)
            return self._stroke(offset, direction)
        # Walk a full radius behind the ball: push_action's own push would begin before the pusher is in line.
        if along < -0.6 * contact and abs(lateral) < 0.5 * contact:
            return limited(ball - (contact + _RUN_UP) * direction - point - setpoint)
        return push_action(setpoint, ball, self._goal, task.block.radius + task.tool.girth)

    def _direction(self, ball: np.ndarray) -> np.ndarray:
        to_goal = self._goal - ball
        return to_goal / max(float(np.linalg.norm(to_goal)), 1e-6)

    def _point(self, direction: np.ndarray) -> np.ndarray:
        """The foremost point of the tool in that direction, relative to the pusher, ``(2,)`` in metres."""
        points = self._task.tool.points
        return points[int(np.argmax(points @ direction))]

    def _stroke(self, offset: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Forward along the line through the ball's middle to the goal, and back towards that line."""
        normal = np.array([-direction[1], direction[0]])
        return limited(self._speed * STEP_LENGTH * direction - 0.8 * float(offset @ normal) * normal)

    def _draw_speed(self, ball: np.ndarray) -> float:
        """Share of full speed: at least what carries the ball beyond the goal."""
        slowing = self._task.slowing
        needed = np.sqrt(2 * slowing * _RUN_OUT * np.linalg.norm(self._goal - ball)) / (STEP_LENGTH * CONTROL_HZ)
        return float(self._rng.uniform(min(needed, 0.95), 1.0))
