"""Ways for a hook round a block: where it would touch, and the way to a place without touching."""

from __future__ import annotations

from collections import deque

import numpy as np

from rla_gym.tasks.tabletop.blocks import Block
from rla_gym.tasks.tabletop.tools import Hook

_CELL = 0.01  # metres between the places that a way may lead through
_NEIGHBOURS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
_ON_A_LINE = 0.004  # metres between the places looked at on a straight line


def touches(tool: Hook, pushers: np.ndarray, block: Block, pose: np.ndarray, margin: float) -> np.ndarray:
    """Whether the hook comes nearer than ``margin`` to the box, along x and y, around the block.

    Args:
        tool: the hook.
        pushers: ``(..., 2)`` places of the pusher in metres.
        block: what stands in the way.
        pose: of the block, ``(x, y, yaw)``.
        margin: metres; may be negative.

    Returns:
        ``(...)`` bool.
    """
    extent = block.extent(pose[2]) + margin
    rectangles = tool.rectangles()
    low = pushers[..., None, :] + rectangles[:, 0]
    high = pushers[..., None, :] + rectangles[:, 1]
    return np.any(np.all((low < pose[:2] + extent) & (high > pose[:2] - extent), axis=-1), axis=-1)


def step_towards(
    tool: Hook, start: np.ndarray, goal: np.ndarray, block: Block, pose: np.ndarray, reach: np.ndarray, margin: float
) -> np.ndarray | None:
    """The furthest place on the shortest free way from ``start`` that a straight line reaches.

    The way is searched on a grid of 1 cm. Where the hook starts too near to the block, it first leaves by the
    nearest free place.

    Args:
        start, goal: places ``(2,)`` of the pusher in metres.
        reach: least and greatest ``(x, y)`` of the pusher, ``(2, 2)``.
        margin: metres to keep from the block.

    Returns:
        ``(2,)`` in metres, or None where no way leads there.
    """
    # The pusher lags behind its set-point and cuts corners: straight lines keep most of the margin as well, unless the
    # hook already is nearer.
    kept = 0.0 if touches(tool, start, block, pose, 0.75 * margin) else 0.75 * margin

    def straight(place: np.ndarray) -> bool:
        count = int(np.linalg.norm(place - start) / _ON_A_LINE) + 2
        line = start + np.linspace(0.0, 1.0, count)[:, None] * (place - start)
        return not touches(tool, line, block, pose, kept).any()

    if touches(tool, goal, block, pose, 0.0):
        return None
    if straight(goal):
        return goal
    counts = np.round((reach[1] - reach[0]) / _CELL).astype(int) + 1
    axes = [np.linspace(reach[0, axis], reach[1, axis], counts[axis]) for axis in (0, 1)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    free = ~touches(tool, places, block, pose, margin)
    if not free.any():
        return None
    cells = _search(free, _nearest(places, free, start), _nearest(places, free, goal))
    if cells is None:
        return None
    way = [*(places[cell] for cell in cells), goal]
    for place in reversed(way[1:]):
        if straight(place):
            return place
    return way[0] if touches(tool, start, block, pose, 0.0) else way[1]


def _nearest(places: np.ndarray, free: np.ndarray, place: np.ndarray) -> tuple[int, int]:
    """The free cell nearest to a place."""
    distances = np.where(free, np.linalg.norm(places - place, axis=-1), np.inf)
    i, j = np.unravel_index(int(np.argmin(distances)), distances.shape)
    return int(i), int(j)


def _search(free: np.ndarray, first: tuple[int, int], last: tuple[int, int]) -> list[tuple[int, int]] | None:
    """Free cells from ``first`` to ``last``, by breadth-first search; None where they are not connected."""
    came_from = {first: first}
    queue = deque([first])
    while queue and last not in came_from:
        cell = queue.popleft()
        for i, j in _NEIGHBOURS:
            following = (cell[0] + i, cell[1] + j)
            inside = 0 <= following[0] < free.shape[0] and 0 <= following[1] < free.shape[1]
            if inside and following not in came_from and free[following]:
                came_from[following] = cell
                queue.append(following)
    if last not in came_from:
        return None
    cells = [last]
    while cells[-1] != first:
        cells.append(came_from[cells[-1]])
    return cells[::-1]
