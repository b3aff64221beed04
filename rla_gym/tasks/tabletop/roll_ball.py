"""roll-ball: strike a ball so that it rolls over a spot out of reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rla_gym.tasks.offscreen import Camera
from rla_gym.tasks.tabletop.base import TabletopTask
from rla_gym.tasks.tabletop.blocks import BALLS, Block, target_spot
from rla_gym.tasks.tabletop.scene import PUSHER_REACH, TABLE_HALF, Sliding, scene_xml
from rla_gym.tasks.tabletop.simulation import DEFAULT_CAMERA
from rla_gym.tasks.tabletop.tools import POSTS, Post
from rla_gym.tasks.tabletop.variants import PLAIN, combinations

if TYPE_CHECKING:
    from rla_gym.tasks.task import Policy

SUCCESS_RADIUS = 0.03
"""Success: the ball's centre is within this many metres of the spot's centre, moving or not."""

REACH_Y = (-PUSHER_REACH, -0.02)
"""Least and greatest y of the pusher in metres: it cannot follow the ball to the spot."""

ROLLING_FRICTION = 0.006
"""Newtons that slow the ball: 3 cm/s a second, so that a stroke at full speed carries across the table and back."""

FORCE = 8.0
"""Greatest force on the pusher along an axis in N; unbounded, a ball pressed to the rim would be shot away."""

FOVY = 38.0
"""Degrees; the ball, whose shape hides less than a cube's, then covers two 14-pixel patches mid-table."""


def _scene(tool: Post, ball: Block) -> str:
    # A rolling solid ball is 2/5 of its mass harder to speed up than a sliding one; the soft, springy limits of the
    # joints are the rim that it bounces from.
    rolling = Sliding(
        damping=0.01,
        friction=ROLLING_FRICTION,
        extra=f'armature="{0.4 * ball.mass:g}" solreflimit="0.03 0.12" solimplimit="0.95 0.99 0.001"',
    )
    middle = TABLE_HALF + ball.radius + 0.006
    walls = [
        f'<geom name="rim_{name}" type="box" size="{size}" pos="{place}" rgba="0.45 0.30 0.18 1" contype="0" '
        'conaffinity="0"/>'
        for name, size, place in (
            ("left", f"0.006 {middle + 0.006:g} 0.01", f"{-middle:g} 0 0.01"),
            ("right", f"0.006 {middle + 0.006:g} 0.01", f"{middle:g} 0 0.01"),
            ("near", f"{middle - 0.006:g} 0.006 0.01", f"0 {-middle:g} 0.01"),
            ("far", f"{middle - 0.006:g} 0.006 0.01", f"0 {middle:g} 0.01"),
        )
    ]
    return scene_xml(
        "roll-ball",
        ball.mjcf(),
        target_spot(0.04),
        tool.mjcf(),
        sliding=rolling,
        reach_y=REACH_Y,
        force=FORCE,
        fovy=FOVY,
        rim="\n    ".join(walls),
    )


class RollBall(TabletopTask[Post, Block]):
    """Strike the orange ball so that it rolls over the green spot; success is at most 3 cm between their centres.

    The pusher reaches the near half of the table only and the spot lies in the far half, so that the ball rolls the
    last 4 cm or more by itself; it bounces from the rim. A single picture shows where it is, not how fast it rolls.
    In the variants other posts strike a larger and a smaller ball.

    Args:
        frame_size: ``(height, width)`` in pixels.
        max_steps: control steps of an episode.
        variant: "train", "unseen" or "unseen-colours" (see :mod:`rla_gym.tasks.tabletop.variants`), "" for none.
        camera: "agentview", or a :class:`~rla_gym.tasks.offscreen.Viewpoint`.
    """

    def __init__(
        self,
        frame_size: tuple[int, int] = (112, 112),
        max_steps: int = 60,
        variant: str = PLAIN,
        camera: Camera = DEFAULT_CAMERA,
    ):
        pairs = combinations(POSTS, BALLS, variant)
        super().__init__(
            "roll-ball",
            variant,
            pairs,
            [_scene(each.tool, each.block) for each in pairs],
            frame_size,
            max_steps,
            ("ball_x", "ball_y", "target_x", "target_y"),
            camera,
        )

    @property
    def ball_velocity(self) -> np.ndarray:
        """``(2,)`` in metres a second, float64."""
        return self.data.qvel[:2].copy()

    @property
    def slowing(self) -> float:
        """What a rolling ball loses of its speed, in metres a second a second, resistance of the air apart."""
        return ROLLING_FRICTION / (1.4 * self.block.mass)

    def starting_poses(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ball at rest in the near half, spot in the far half, pusher anywhere in reach and clear of the ball."""
        ball = np.array([rng.uniform(-0.10, 0.10), rng.uniform(-0.09, -0.03), 0.0])
        target = np.array([rng.uniform(-0.13, 0.13), rng.uniform(0.09, 0.15), 0.0])
        clearance = self.block.radius + self.tool.girth + 0.01
        return ball, self.free_pusher_position(rng, ball, clearance), target

    def success(self) -> bool:
        """Ball's centre within 3 cm of the spot's."""
        return bool(np.linalg.norm(self.block_pose[:2] - self.target_pose[:2]) <= SUCCESS_RADIUS)

    def object_state(self) -> np.ndarray:
        """``(ball_x, ball_y, target_x, target_y)`` float32, metres."""
        return np.array([*self.block_pose[:2], *self.target_pose[:2]], np.float32)

    def policy(self, kind: str, noise: float, rng: np.random.Generator) -> Policy:
        """Play as in push-cube; the others strike the ball, to the spot or to hidden ones."""
        from rla_gym.tasks.interrupted import Interrupted
        from rla_gym.tasks.tabletop.demonstrators import Play
        from rla_gym.tasks.tabletop.striker import Striker

        if kind == "play":
            return Play(self, noise, rng)
        striker = Striker(self, noise, rng, hidden=kind != "expert")
        return Interrupted(striker, 2, rng) if kind == "interrupted" else striker
