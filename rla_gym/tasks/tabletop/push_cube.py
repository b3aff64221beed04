"""push-cube: move a cube onto a target spot."""

from __future__ import annotations

import numpy as np

from rla_gym.tasks.tabletop.base import TabletopTask
from rla_gym.tasks.tabletop.scene import scene_xml

CUBE_HALF = 0.04
"""Half the cube's side in metres; mid-table it covers the area of about two 14-pixel patches."""

SUCCESS_RADIUS = 0.025
"""Success: the cube's centre is within this many metres of the target's centre."""

_BLOCK = (
    f'<geom name="cube" type="box" size="{CUBE_HALF} {CUBE_HALF} 0.03" pos="0 0 0.03" mass="0.15" '
    'rgba="0.85 0.35 0.15 1" friction="0.3"/>'
)
_TARGET = (
    '<geom name="target" type="cylinder" size="0.038 0.0005" rgba="0.10 0.60 0.25 1" contype="0" conaffinity="0"/>'
)


class PushCube(TabletopTask):
    """Push the orange cube onto the green spot; success is at most 2.5 cm between their centres."""

    def __init__(self, frame_size: tuple[int, int] = (112, 112), max_steps: int = 48):
        super().__init__(
            "push-cube",
            scene_xml("push-cube", _BLOCK, _TARGET),
            frame_size,
            max_steps,
            ("cube_x", "cube_y", "cube_yaw", "target_x", "target_y"),
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
