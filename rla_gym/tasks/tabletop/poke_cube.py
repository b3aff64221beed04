"""poke-cube: push a cube away to a spot out of the hand's reach, with the front of a hook."""

from __future__ import annotations

import numpy as np

from rla_gym.tasks.offscreen import Camera
from rla_gym.tasks.tabletop.hook_task import HookTask
from rla_gym.tasks.tabletop.simulation import DEFAULT_CAMERA
from rla_gym.tasks.tabletop.variants import PLAIN


class PokeCube(HookTask):
    """Poke the orange cube onto the green spot behind it; success is at most 2.5 cm between their centres.

    The spot is 5 to 13 cm further away than the cube, up to 5 cm to the side, and out of the hand's reach. The hook
    moves with the pusher and does not turn. In the variants other hooks poke the cube, a disc and a slab.

    Args:
        frame_size: ``(height, width)`` in pixels.
        max_steps: control steps of an episode.
        variant: "train", "unseen" or "unseen-colours" (see :mod:`rla_gym.tasks.tabletop.variants`), "" for none.
        camera: "agentview", or a :class:`~rla_gym.tasks.offscreen.Viewpoint`.
    """

    def __init__(
        self,
        frame_size: tuple[int, int] = (112, 112),
        max_steps: int = 80,
        variant: str = PLAIN,
        camera: Camera = DEFAULT_CAMERA,
    ):
        super().__init__("poke-cube", frame_size, max_steps, variant, camera)

    def starting_positions(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Cube in the middle of the table, target behind it."""
        cube = np.array([rng.uniform(-0.12, 0.04), rng.uniform(0.03, 0.06)])
        return cube, np.array([np.clip(cube[0] + rng.uniform(-0.05, 0.05), -0.14, 0.14), rng.uniform(0.11, 0.16)])
