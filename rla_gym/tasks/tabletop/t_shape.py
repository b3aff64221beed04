"""The T of push-t as geometry: its rectangles, how much of one T another covers, distances and an outline.

Proportions are those of the PushT benchmark (Diffusion Policy, Chi et al. 2023): a bar of 4 by 1 units on a
stem of 1 by 3 units. The frame of the T has its origin in the centre of mass and the bar on the +y side.
The same holds for other shapes of two rectangles that do not overlap: an L and an S.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rla_gym.tasks.tabletop.blocks import ORANGE

UNIT = 0.03
"""Metres a unit: the T is 12 cm wide and 12 cm long."""

_CENTRE = (4.0 * 0.5 + 3.0 * 2.5) / 7.0  # units from the top of the bar to the centre of mass

CENTRES = UNIT * np.array([[0.0, _CENTRE - 0.5], [0.0, _CENTRE - 2.5]])
"""Centres of bar and stem, ``(2, 2)`` metres."""

HALVES = UNIT * np.array([[2.0, 0.5], [0.5, 1.5]])
"""Half widths and half heights of bar and stem, ``(2, 2)`` metres."""


@dataclass(frozen=True, eq=False)
class Shape:
    """Two rectangles that touch and do not overlap, the centre of mass of both in the origin.

    Attributes:
        name: what messages and geoms are called.
        centres: of the rectangles, ``(2, 2)`` metres.
        halves: half widths and half heights, ``(2, 2)`` metres.
        colour: "red green blue", each in [0, 1].
        other_colour: the one in pictures of colours that training never shows.
    """

    name: str
    centres: np.ndarray
    halves: np.ndarray
    colour: str
    other_colour: str

    @cached_property
    def area(self) -> float:
        """Square metres of the footprint."""
        return float(4.0 * self.halves.prod(axis=1).sum())

    @cached_property
    def gyration(self) -> float:
        """Root-mean-square distance in metres of the footprint's points from its centre of mass."""
        shares = 4.0 * self.halves.prod(axis=1) / self.area
        return float(np.sqrt(shares @ ((self.centres**2).sum(axis=1) + (self.halves**2).sum(axis=1) / 3.0)))


T = Shape("t", CENTRES, HALVES, ORANGE, "0.10 0.65 0.70")
"""The T."""


def _shape(name: str, corners: list[list[list[float]]], colour: str, other_colour: str) -> Shape:
    """A shape from least and greatest ``(x, y)`` of its rectangles in units, wherever its centre of mass is."""
    low, high = UNIT * np.moveaxis(np.array(corners), 1, 0)
    centres, halves = (low + high) / 2.0, (high - low) / 2.0
    areas = halves.prod(axis=1)
    return Shape(name, centres - areas @ centres / areas.sum(), halves, colour, other_colour)


SHAPES = (
    T,
    _shape("l", [[[0.0, 0.0], [4.0, 1.0]], [[0.0, 1.0], [1.0, 4.0]]], "0.93 0.75 0.15", "0.95 0.95 0.95"),
    _shape("s", [[[0.0, 0.0], [2.8, 1.25]], [[-1.4, 1.25], [1.4, 2.5]]], "0.90 0.45 0.65", "0.45 0.05 0.10"),
)
"""Blocks of push-t; the first is that of the plain task."""

AREA = T.area
"""Square metres of the T's footprint."""

GYRATION = T.gyration
"""Root-mean-square distance in metres of the T's points from its centre of mass."""

_CORNER_SIGNS = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])


def to_world(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Take points ``(..., 2)`` of the T's frame to the table; the T lies at ``pose`` ``(x, y, yaw)``."""
    return points @ _rotation(pose[2]).T + pose[:2]


def to_local(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """The inverse of :func:`to_world`."""
    return (points - pose[:2]) @ _rotation(pose[2])


def coverage(block: np.ndarray, target: np.ndarray, shape: Shape = T) -> float:
    """Share of the T (or other ``shape``) at pose ``target`` that the T at pose ``block`` covers, in [0, 1].

    Exact: bar and stem do not overlap, so the area shared by two Ts is the sum over four pairs of rectangles.

    Args:
        block, target: poses ``(x, y, yaw)`` in metres and radians.
    """
    # In the target's frame its rectangles are axis-aligned, so that clipping needs no general polygons.
    relative = np.array([*to_local(np.asarray(block[:2]), target), block[2] - target[2]])
    shared = 0.0
    for centre, half in zip(shape.centres, shape.halves, strict=True):
        corners = to_world(centre + _CORNER_SIGNS * half, relative)
        for low, high in zip(shape.centres - shape.halves, shape.centres + shape.halves, strict=True):
            shared += _area(_clip(corners, low, high))
    return min(shared / shape.area, 1.0)


def pose_error(poses: np.ndarray, target: np.ndarray, shape: Shape = T) -> np.ndarray:
    """Root-mean-square distance in metres of the T's points from where they lie at ``target``.

    Args:
        poses: ``(..., 3)``, x, y and yaw.
        target: ``(3,)``.

    Returns:
        ``(...)``.
    """
    offset = poses - target
    return np.sqrt((offset[..., :2] ** 2).sum(axis=-1) + 2.0 * shape.gyration**2 * (1.0 - np.cos(offset[..., 2])))


def distance(points: np.ndarray, shape: Shape = T) -> np.ndarray:
    """Distance ``(...)`` in metres of points ``(..., 2)`` of the T's frame from the T, 0 inside."""
    beyond = np.maximum(np.abs(points[..., None, :] - shape.centres) - shape.halves, 0.0)
    return np.linalg.norm(beyond, axis=-1).min(axis=-1)


def outline(clearance: float, count: int, shape: Shape = T) -> np.ndarray:
    """Evenly spaced points at ``clearance`` from the T, anticlockwise, ``(count, 2)`` metres in its frame.

    Raises:
        ValueError: ``clearance`` is too small; rays from the centre of mass may then cross the outline twice.
    """
    least = float(np.maximum(np.abs(shape.centres) - shape.halves, 0.0).max())
    if clearance < least:
        # Only if both rectangles, grown by the clearance, hold the centre of mass is their union star-shaped.
        raise ValueError(f"the outline needs a clearance of at least {least:.4f} m, got {clearance:.4f} m")
    angles = np.linspace(-np.pi, np.pi, 1441)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    inside, outside = np.zeros(len(rays)), np.full(len(rays), 8.0 * UNIT + clearance)
    for _ in range(40):
        middle = (inside + outside) / 2.0
        near = distance(rays * middle[:, None], shape) < clearance
        inside, outside = np.where(near, middle, inside), np.where(near, outside, middle)
    dense = rays * outside[:, None]
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
    even = np.linspace(0.0, travelled[-1], count, endpoint=False)
    return np.stack([np.interp(even, travelled, dense[:, axis]) for axis in (0, 1)], axis=1)


def _rotation(yaw: float) -> np.ndarray:
    return np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])


def _clip(polygon: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The part ``(n, 2)`` of a convex polygon inside an axis-aligned rectangle (Sutherland and Hodgman)."""
    for axis, bound, sign in ((0, low, 1.0), (1, low, 1.0), (0, high, -1.0), (1, high, -1.0)):
        depth = sign * (polygon[:, axis] - bound[axis])
        kept = []
        for i in range(len(polygon)):
            if depth[i - 1] * depth[i] < 0.0:
                share = depth[i - 1] / (depth[i - 1] - depth[i])
                kept.append(polygon[i - 1] + share * (polygon[i] - polygon[i - 1]))
            if depth[i] >= 0.0:
                kept.append(polygon[i])
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def _area(polygon: np.ndarray) -> float:
    """Area of an anticlockwise polygon ``(n, 2)``, 0 for an empty one."""
    x, y = polygon.T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
