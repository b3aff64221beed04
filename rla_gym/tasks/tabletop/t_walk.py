"""The pusher's way round the T: a ring of points at a small distance, all starts of pushes."""

from __future__ import annotations

import numpy as np

from rla_gym.tasks.tabletop.demonstrators import limited
from rla_gym.tasks.tabletop.scene import PUSHER_RADIUS, PUSHER_REACH
from rla_gym.tasks.tabletop.t_shape import Shape, T, distance, outline, to_local, to_world

_CLEARANCE = 0.006
_TOUCH = 0.002  # straight lines nearer than this may move the T


class TWalk:
    """Leads the pusher round the T without touching it.

    Args:
        count: points of the ring; with 64 they are 9 mm apart.
        shape: what to walk round.
        radius: of the pusher in metres, about its middle.
    """

    def __init__(self, count: int = 64, shape: Shape = T, radius: float = PUSHER_RADIUS):
        self._shape, self._touch = shape, radius + _TOUCH
        self._ring = outline(radius + _CLEARANCE, count, shape)
        self._spacing = float(np.linalg.norm(self._ring[1] - self._ring[0]))
        along = np.roll(self._ring, -1, axis=0) - np.roll(self._ring, 1, axis=0)
        self._inwards = np.arctan2(along[:, 0], -along[:, 1])

    @property
    def count(self) -> int:
        """Points of the ring."""
        return len(self._ring)

    def points(self, pose: np.ndarray) -> np.ndarray:
        """The ring round a T at ``pose`` ``(x, y, yaw)``, anticlockwise, ``(count, 2)`` in metres."""
        return to_world(self._ring, pose)

    def inwards(self, pose: np.ndarray) -> np.ndarray:
        """Direction from each point straight to the T, ``(count,)`` radians on the table."""
        return self._inwards + pose[2]

    def nearest(self, position: np.ndarray, pose: np.ndarray) -> int:
        """Index of the point nearest to ``position`` ``(2,)``."""
        return int(np.argmin(np.linalg.norm(self._ring - to_local(position, pose), axis=1)))

    def lengths(self, position: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """Metres from ``position`` along the ring to each point, ``(count,)``; infinite is out of reach."""
        points = self.points(pose)
        here = self.nearest(position, pose)
        lengths = np.full(self.count, np.inf)
        for turn in (1, -1):
            order = self._order(here, turn)
            open_way = np.logical_and.accumulate(_reachable(points[order]))
            lengths[order] = np.minimum(
                lengths[order], np.where(open_way, self._spacing * np.arange(self.count), np.inf)
            )
        return lengths + np.linalg.norm(points[here] - position)

    def step(self, position: np.ndarray, pose: np.ndarray, goal: int) -> np.ndarray:
        """One step from ``position`` towards point ``goal``, cutting corners where the straight line is free.

        Returns:
            Displacement ``(2,)`` in metres, at most one step long.
        """
        points = self.points(pose)
        here = self.nearest(position, pose)
        ways = [self._order(here, turn)[: (turn * (goal - here)) % self.count + 1] for turn in (1, -1)]
        way = min(ways, key=lambda indices: (not _reachable(points[indices]).all(), len(indices)))
        for point in points[way[::-1]]:
            line = position + np.linspace(0.0, 1.0, 12)[:, None] * (point - position)
            if distance(to_local(line, pose), self._shape).min() > self._touch:
                return limited(point - position)
        return limited(points[here] - position)

    def _order(self, here: int, turn: int) -> np.ndarray:
        """All indices from ``here`` on, anticlockwise for a ``turn`` of 1, clockwise for −1."""
        return (here + turn * np.arange(self.count)) % self.count


def _reachable(points: np.ndarray) -> np.ndarray:
    return np.abs(points).max(axis=-1) < PUSHER_REACH
