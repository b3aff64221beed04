"""One compiled tabletop scene: model, data, exact states and a camera."""

from __future__ import annotations

from typing import Any

import numpy as np

from rla_gym.tasks.offscreen import Camera, OffscreenCamera, load_mujoco
from rla_gym.tasks.simulator_state import SimulatorState

DEFAULT_CAMERA = "agentview"
"""Close view of the table, in every scene."""


class Simulation:
    """A scene in MuJoCo.

    Args:
        xml: MJCF of the scene.
        frame_size: ``(height, width)`` of its frames in pixels.
        camera: name of a camera of the scene, or a viewpoint.

    Raises:
        ValueError: the scene has no such camera.
    """

    def __init__(self, xml: str, frame_size: tuple[int, int], camera: Camera = DEFAULT_CAMERA):
        mujoco = load_mujoco()
        self.model: Any = mujoco.MjModel.from_xml_string(xml)
        self.data: Any = mujoco.MjData(self.model)
        self.state = SimulatorState(self.model, self.data)
        self._camera = OffscreenCamera(self.model, camera, *frame_size)

    def frame(self) -> np.ndarray:
        """The camera's frame, ``(H, W, 3)`` uint8."""
        return self._camera.frame(self.data)

    def close(self) -> None:
        """Free the renderer; safe to call twice."""
        self._camera.close()
