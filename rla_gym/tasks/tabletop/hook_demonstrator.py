"""Scripted use of a hook, to the shown spot (expert) or to hidden ones (goal-blind).

First the shaft's flank pushes the block sideways until it is in line with the goal, then the foot pokes it away with
its front or pulls it back from behind. Between two of these the hook goes round the block without touching it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rla_gym.tasks.smooth_noise import SmoothNoise
from rla_gym.tasks.tabletop.base import STEP_LENGTH
from rla_gym.tasks.tabletop.demonstrators import limited
from rla_gym.tasks.tabletop.hook_route import step_towards

if TYPE_CHECKING:
    from rla_gym.tasks.tabletop.hook_task import HookTask

_IN_LINE = 0.014  # metres to the side that poking and pulling leave
_ARRIVED = 0.008  # metres from the goal along the motion
_READY = 0.012  # metres from where a motion begins
_GAP = 0.008  # metres between hook and block where a motion begins
_MARGIN = 0.008  # metres that the way round the block keeps
_MOTION_STEPS = 18
_HIDDEN_PATIENCE = 45  # steps for one hidden goal


class HookUser:
    """Moves the block to a goal with the sides of the hook.

    Args:
        task: the task to act in.
        noise: standard deviation of the smooth noise on the action.
        rng: the only source of randomness.
        hidden: move the block to random places of its own instead of the shown spot.
    """

    def __init__(self, task: HookTask, noise: float, rng: np.random.Generator, hidden: bool):
        self._task, self._rng, self._hidden = task, rng, hidden
        self._noise = SmoothNoise(2, noise, rng)
        self._goal = self._draw_goal() if hidden else task.target_pose[:2]
        self._patience = 0
        self._axis: int | None = None  # 0 or 1 while the block is moved along x or y
        self._sign = 0.0
        self._moved = 0

    def __call__(self) -> np.ndarray:
        """Next action ``(2,)`` float32."""
        error = self._goal - self._task.block_pose[:2]
        if self._hidden:
            self._patience += 1
            if self._patience > _HIDDEN_PATIENCE or np.abs(error).max() < _IN_LINE:
                self._goal, self._patience, self._axis = self._draw_goal(), 0, None
                error = self._goal - self._task.block_pose[:2]
        return np.clip(self._move(error) / STEP_LENGTH + self._noise(), -1.0, 1.0).astype(np.float32)

    def _draw_goal(self) -> np.ndarray:
        return np.array([self._rng.uniform(-0.13, 0.13), self._rng.uniform(-0.10, 0.16)])

    def _move(self, error: np.ndarray) -> np.ndarray:
        """Displacement ``(2,)`` of the set-point in metres."""
        setpoint = self._task.data.ctrl.copy()
        if self._axis is not None:
            self._moved += 1
            left = self._sign * error[self._axis]
            if left > 0.3 * _ARRIVED and self._moved <= _MOTION_STEPS:
                return self._motion(setpoint, left)
            self._axis = None
        if np.abs(error).max() < _ARRIVED:
            return np.zeros(2)
        # Sideways first: poking and pulling keep the block in line, but the flank may turn it.
        axes = (0, 1) if abs(error[0]) > _IN_LINE else (1, 0)
        for axis in axes:
            if abs(error[axis]) < 0.5 * _ARRIVED:
                continue
            sign = float(np.sign(error[axis]))
            begin = self.begins_at(axis, sign)
            if np.linalg.norm(begin - setpoint) < _READY:
                self._axis, self._sign, self._moved = axis, sign, 0
                return self._motion(setpoint, abs(error[axis]))
            place = step_towards(
                self._task.tool, setpoint, begin, self._task.block, self._task.block_pose, self._limits, _MARGIN
            )
            if place is not None:
                return limited(place - setpoint)
        if self._hidden:  # nothing leads there: another goal at the next step
            self._patience = _HIDDEN_PATIENCE
        return np.zeros(2)

    @property
    def _limits(self) -> np.ndarray:
        return self._task.model.actuator_ctrlrange.T

    def begins_at(self, axis: int, sign: float) -> np.ndarray:
        """Where the pusher is, ``(2,)`` in metres, when a motion of the block along ``sign`` times an axis begins."""
        tool, pose = self._task.tool, self._task.block_pose
        x, y = pose[:2]
        across, along = self._task.block.extent(pose[2]) + _GAP
        behind_foot = y + along + 2 * tool.half - tool.length  # the foot is beyond the block
        if axis == 0 and sign == tool.side:
            return self._inside(x - sign * (across + tool.radius), behind_foot)
        if axis == 0:
            return self._inside(x - sign * (across + tool.radius), y - 0.6 * tool.length)
        if sign > 0:
            return self._inside(x - tool.side * (tool.foot - tool.half) / 2, y - along - tool.length)
        return self._inside(x - tool.side * (across + tool.radius), behind_foot)

    def _inside(self, x: float, y: float) -> np.ndarray:
        return np.clip(np.array([x, y]), *self._limits)

    def _motion(self, setpoint: np.ndarray, left: float) -> np.ndarray:
        """One step along the axis, through the gap and then as far as the block is to go."""
        assert self._axis is not None
        begin = self.begins_at(self._axis, self._sign)
        gap = self._sign * (begin - setpoint)[self._axis] + _GAP
        move = 0.5 * (begin - setpoint)
        if self._axis == 1 and self._sign < 0 and move[0] * self._task.tool.side > 0:
            move[0] = 0.0  # the shaft would press the block sideways: it only gives way
        elif self._axis == 0:
            move[1] = max(move[1], 0.0)  # and so does the foot
        move[self._axis] = self._sign * min(max(gap, 0.0) + left, STEP_LENGTH)
        return limited(move)
