"""The common part of poke-cube and pull-cube: a hook, a cube beyond the hand's reach, a spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rla_gym.tasks.offscreen import Camera
from rla_gym.tasks.tabletop.base import TabletopTask
from rla_gym.tasks.tabletop.blocks import BLOCKS, Block, target_spot
from rla_gym.tasks.tabletop.hook_route import touches
from rla_gym.tasks.tabletop.scene import PUSHER_REACH, scene_xml
from rla_gym.tasks.tabletop.simulation import DEFAULT_CAMERA
from rla_gym.tasks.tabletop.tools import HOOKS, Hook
from rla_gym.tasks.tabletop.variants import PLAIN, combinations

if TYPE_CHECKING:
    from rla_gym.tasks.task import Policy

SUCCESS_RADIUS = 0.025
"""Success: the cube's centre is within this many metres of the target's centre."""

REACH_Y = (-PUSHER_REACH, 0.06)
"""Least and greatest y of the pusher in metres; its hook reaches 15 cm further."""

FORCE = 10.0
"""Greatest force on the pusher along an axis in N; unbounded, rods slip through a block that they press to the edge."""

FOVY = 38.0
"""Degrees; the cube, further away than in push-cube, then covers two 14-pixel patches."""


class HookTask(TabletopTask[Hook, Block]):
    """The pusher carries an L-shaped hook, which moves with it and does not turn; see the subclasses.

    Args:
        name: registered name.
        frame_size: ``(height, width)`` in pixels.
        max_steps: control steps of an episode.
        variant: "train", "unseen" or "unseen-colours" (see :mod:`rla_gym.tasks.tabletop.variants`), "" for none.
        camera: "agentview", or a :class:`~rla_gym.tasks.offscreen.Viewpoint`.
    """

    def __init__(
        self,
        name: str,
        frame_size: tuple[int, int],
        max_steps: int,
        variant: str = PLAIN,
        camera: Camera = DEFAULT_CAMERA,
    ):
        pairs = combinations(HOOKS, BLOCKS, variant)
        scenes = [
            scene_xml(
                name, each.block.mjcf(), target_spot(0.038), each.tool.mjcf(), reach_y=REACH_Y, force=FORCE, fovy=FOVY
            )
            for each in pairs
        ]
        objects = ("cube_x", "cube_y", "cube_yaw", "target_x", "target_y")
        super().__init__(name, variant, pairs, scenes, frame_size, max_steps, objects, camera)

    def starting_positions(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw ``(x, y)`` of cube and target, for a hook whose foot points to −x."""
        raise NotImplementedError(f"{type(self).__name__} has to say where its episodes start")

    def starting_poses(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cube and target where the subclass says, pusher anywhere in reach with its hook clear of the cube."""
        mirror = np.array([-self.tool.side, 1.0])
        cube, target = self.starting_positions(rng)
        block = np.array([*(mirror * cube), rng.uniform(-np.pi, np.pi)])
        while True:
            pusher = rng.uniform(*self.reach)
            if not touches(self.tool, pusher[None], self.block, block, 0.005)[0]:
                return block, pusher, np.array([*(mirror * target), 0.0])

    def success(self) -> bool:
        """Cube's centre within 2.5 cm of the target's."""
        return bool(np.linalg.norm(self.block_pose[:2] - self.target_pose[:2]) <= SUCCESS_RADIUS)

    def object_state(self) -> np.ndarray:
        """``(cube_x, cube_y, cube_yaw, target_x, target_y)`` float32, metres and radians."""
        return np.array([*self.block_pose, *self.target_pose[:2]], np.float32)

    def policy(self, kind: str, noise: float, rng: np.random.Generator) -> Policy:
        """Play with all sides of the hook; the others push, poke and pull, to the spot or to hidden ones."""
        from rla_gym.tasks.interrupted import Interrupted
        from rla_gym.tasks.tabletop.demonstrators import Play
        from rla_gym.tasks.tabletop.hook_demonstrator import HookUser

        if kind == "play":
            return Play(self, noise, rng)
        user = HookUser(self, noise, rng, hidden=kind != "expert")
        return Interrupted(user, 2, rng) if kind == "interrupted" else user
