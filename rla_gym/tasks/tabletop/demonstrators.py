"""Scripted pushing for the tabletop tasks: an expert, smooth random play, and goal-blind skilled pushing.

Goal-blind episodes push skilfully to hidden random targets while another target is shown. Without them a
world model learns "the block goes to the target", and agents exploit that (Shortcut measured: +9.6 mm of
goal-ward motion a chunk predicted where the truth was +0.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rla_gym.tasks.interrupted import Interrupted
from rla_gym.tasks.smooth_noise import SmoothNoise
from rla_gym.tasks.tabletop.base import STEP_LENGTH
from rla_gym.tasks.tabletop.scene import TABLE_HALF

if TYPE_CHECKING:
    from rla_gym.tasks.tabletop.base import TabletopTask
    from rla_gym.tasks.tabletop.blocks import Block
    from rla_gym.tasks.tabletop.tools import Post
    from rla_gym.tasks.task import Policy


def push_action(pusher: np.ndarray, block: np.ndarray, goal: np.ndarray, extent: float) -> np.ndarray:
    """One step of pushing a compact block to ``goal``.

    Walks round the block on a circle until behind it, then pushes and steers by the lateral offset.

    Args:
        pusher, block, goal: ``(2,)`` positions in metres.
        extent: distance between pusher and block centres at contact, in metres.

    Returns:
        Desired pusher displacement ``(2,)`` in metres, at most one step long.
    """
    to_goal = goal - block
    distance = float(np.linalg.norm(to_goal))
    direction = to_goal / max(distance, 1e-6)
    normal = np.array([-direction[1], direction[0]])
    offset = pusher - block
    along, lateral = float(offset @ direction), float(offset @ normal)
    behind = along < -0.6 * extent and abs(lateral) < 0.5 * extent
    if behind:
        gap = max(-along - extent, 0.0)
        travel = min(gap + distance, STEP_LENGTH)
        return limited(travel * direction - 0.8 * lateral * normal)
    clear = extent + 0.022
    start = -direction * clear
    radius = float(np.linalg.norm(offset))
    if radius > clear + 0.03 and float((start - offset) @ offset) > -radius * 0.02:
        return limited(start - offset)
    angle = np.arctan2(offset[1], offset[0])
    goal_angle = np.arctan2(start[1], start[0])
    turn = (goal_angle - angle + np.pi) % (2 * np.pi) - np.pi
    step = np.clip(turn, -STEP_LENGTH / clear, STEP_LENGTH / clear)
    waypoint = clear * np.array([np.cos(angle + step), np.sin(angle + step)])
    return limited(waypoint - offset)


def limited(move: np.ndarray) -> np.ndarray:
    """``move`` ``(2,)`` cut to the length of one step."""
    length = float(np.linalg.norm(move))
    return move if length <= STEP_LENGTH else move * (STEP_LENGTH / length)


class Pusher:
    """Pushes the block to a goal that the subclass or caller chooses, with smooth noise on the action."""

    def __init__(self, task: TabletopTask[Post, Block], noise: float, rng: np.random.Generator, hidden: bool):
        self._task, self._rng, self._hidden = task, rng, hidden
        self._noise = SmoothNoise(2, noise, rng)
        self._goal = self._draw_goal() if hidden else task.target_pose[:2]
        self._patience = 0

    def _draw_goal(self) -> np.ndarray:
        return self._rng.uniform(-0.75 * TABLE_HALF, 0.75 * TABLE_HALF, 2)

    def __call__(self) -> np.ndarray:
        """Next action ``(2,)`` float32."""
        block = self._task.block_pose[:2]
        if self._hidden:
            self._patience += 1
            if np.linalg.norm(block - self._goal) < 0.015 or self._patience > 30:
                self._goal, self._patience = self._draw_goal(), 0
        pusher = self._task.data.ctrl.copy()
        move = push_action(pusher, block, self._goal, self._task.block.radius + self._task.tool.radius)
        return np.clip(move / STEP_LENGTH + self._noise(), -1.0, 1.0).astype(np.float32)


class Play:
    """Smooth random motion: waypoints near, through and away from the block, at varied speed, with pauses.

    ``spread`` is the standard deviation in metres of the waypoints meant for the block, more for a large one.
    """

    def __init__(self, task: TabletopTask[Any, Any], noise: float, rng: np.random.Generator, spread: float = 0.03):
        self._task, self._rng, self._spread = task, rng, spread
        self._noise = SmoothNoise(2, 0.15 + noise, rng)
        self._left = 0
        self._waypoint = np.zeros(2)
        self._speed = 1.0

    def _choose(self) -> None:
        self._left = int(self._rng.integers(3, 14))
        self._speed = float(self._rng.uniform(0.2, 1.0))
        kind = self._rng.uniform()
        block = self._task.block_pose[:2]
        if kind < 0.12:
            self._speed = 0.0
        if kind < 0.55:
            points = self._task.tool.points
            point = points[self._rng.integers(len(points)) if len(points) > 1 else 0]
            touching = self._task.pusher_position + point
            self._waypoint = block + 0.12 * (block - touching) + self._rng.normal(0, self._spread, 2) - point
        else:
            self._waypoint = self._rng.uniform(*self._task.reach)

    def __call__(self) -> np.ndarray:
        """Next action ``(2,)`` float32."""
        offset = self._waypoint - self._task.data.ctrl
        if self._left <= 0 or np.linalg.norm(offset) < 0.01:
            self._choose()
            offset = self._waypoint - self._task.data.ctrl
        self._left -= 1
        if self._speed == 0.0:
            return np.zeros(2, np.float32)
        move = self._speed * limited(offset) / STEP_LENGTH + self._noise()
        return np.clip(move, -1.0, 1.0).astype(np.float32)


def make_demonstrator(task: TabletopTask[Post, Block], kind: str, noise: float, rng: np.random.Generator) -> Policy:
    """The scripted policy of this kind (one of the task's ``demonstrators``), bound to ``task``."""
    if kind == "play":
        return Play(task, noise, rng)
    if kind == "interrupted":
        return Interrupted(Pusher(task, noise, rng, hidden=True), 2, rng)
    return Pusher(task, noise, rng, hidden=kind == "goal-blind")
