"""pull-cube: pull a cube back from beyond the hand's reach, behind the foot of a hook."""

from __future__ import annotations

import numpy as np

from rla_gym.tasks.offscreen import Camera
from rla_gym.tasks.tabletop.hook_task import HookTask
from rla_gym.tasks.tabletop.simulation import DEFAULT_CAMERA
from rla_gym.tasks.tabletop.variants import PLAIN


class PullCube(HookTask):
    """Pull the orange cube back onto the green spot; success is at most 2.5 cm between their centres.

    The spot is 10 to 22 cm nearer than the cube and up to 5 cm to the side. The hook moves with the pusher and does
    not turn: it has to go round the cube to get its foot behind it. In the variants other hooks pull the cube, a disc
    and a slab.

    Args:
        frame_size: ``(height, width)`` in pixels.
        max_steps: control steps of an episode.
        variant: "train", "unseen" or "unseen-colours" (see :mod:`rla_gym.tasks.tabletop.variants`), "" for none.
        camera: "agentview", or a :class:`~rla_gym.tasks.offscreen.Viewpoint`.
    """

    def __init__(
        self,
        frame_size: tuple[int, int] = (112, 112),
        max_steps: int = 96,
        variant: str = PLAIN,
        camera: Camera = DEFAULT_CAMERA,
    ):
        super().__init__("pull-cube", frame_size, max_steps, variant, camera)

    def starting_positions(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Cube in the far half of the table, target in the near half."""
        cube = np.array([rng.uniform(-0.12, 0.04), rng.uniform(0.07, 0.12)])
        return cube, np.array([np.clip(cube[0] + rng.uniform(-0.05, 0.05), -0.14, 0.045), rng.uniform(-0.10, -0.03)])
