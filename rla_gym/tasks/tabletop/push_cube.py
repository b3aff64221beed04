"""push-cube: move a cube onto a target spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rla_gym.tasks.offscreen import Camera
from rla_gym.tasks.tabletop.base import TabletopTask
from rla_gym.tasks.tabletop.blocks import BLOCKS, Block, target_spot
from rla_gym.tasks.tabletop.scene import scene_xml
from rla_gym.tasks.tabletop.simulation import DEFAULT_CAMERA
from rla_gym.tasks.tabletop.tools import POSTS, Post
from rla_gym.tasks.tabletop.variants import PLAIN, combinations

if TYPE_CHECKING:
    from rla_gym.tasks.task import Policy

SUCCESS_RADIUS = 0.025
"""Success: the cube's centre is within this many metres of the target's centre."""


class PushCube(TabletopTask[Post, Block]):
    """Push the orange cube onto the green spot; success is at most 2.5 cm between their centres.

    In its variants other posts push the cube, a disc and a slab. Mid-table the cube covers two 14-pixel patches.

    Args:
        frame_size: ``(height, width)`` in pixels.
        max_steps: control steps of an episode.
        variant: "train", "unseen" or "unseen-colours" (see :mod:`rla_gym.tasks.tabletop.variants`), "" for none.
        camera: "agentview", or a :class:`~rla_gym.tasks.offscreen.Viewpoint`.
    """

    def __init__(
        self,
        frame_size: tuple[int, int] = (112, 112),
        max_steps: int = 48,
        variant: str = PLAIN,
        camera: Camera = DEFAULT_CAMERA,
    ):
        pairs = combinations(POSTS, BLOCKS, variant)
        super().__init__(
            "push-cube",
            variant,
            pairs,
            [scene_xml("push-cube", each.block.mjcf(), target_spot(0.038), each.tool.mjcf()) for each in pairs],
            frame_size,
            max_steps,
            ("cube_x", "cube_y", "cube_yaw", "target_x", "target_y"),
            camera,
        )

    def starting_poses(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cube and target 10 to 25 cm apart, pusher anywhere clear of the cube."""
        while True:
            cube, target = rng.uniform(-0.13, 0.13, (2, 2))
            if 0.10 <= np.linalg.norm(cube - target) <= 0.25:
                break
        block = np.array([*cube, rng.uniform(-np.pi, np.pi)])
        return block, self.free_pusher_position(rng, block, 0.09), np.array([*target, 0.0])

    def success(self) -> bool:
        """Cube's centre within 2.5 cm of the target's."""
        return bool(np.linalg.norm(self.block_pose[:2] - self.target_pose[:2]) <= SUCCESS_RADIUS)

    def object_state(self) -> np.ndarray:
        """``(cube_x, cube_y, cube_yaw, target_x, target_y)`` float32, metres and radians."""
        return np.array([*self.block_pose, *self.target_pose[:2]], np.float32)

    def policy(self, kind: str, noise: float, rng: np.random.Generator) -> Policy:
        """Scripted pushes or play."""
        from rla_gym.tasks.tabletop.demonstrators import make_demonstrator

        return make_demonstrator(self, kind, noise, rng)
