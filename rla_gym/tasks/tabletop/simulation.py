"""One compiled tabletop scene: model, data, exact states and a camera."""

from __future__ import annotations

from typing import Any

import numpy as np

from rla_gym.tasks.offscreen import OffscreenCamera, load_mujoco
from rla_gym.tasks.simulator_state import SimulatorState


class Simulation:
    """A scene in MuJoCo.

    Args:
        xml: MJCF with a camera "agentview".
        frame_size: ``(height, width)`` of its pictures in pixels.
    """

    def __init__(self, xml: str, frame_size: tuple[int, int]):
        mujoco = load_mujoco()
        self.model: Any = mujoco.MjModel.from_xml_string(xml)
        self.data: Any = mujoco.MjData(self.model)
        self.state = SimulatorState(self.model, self.data)
        self._frame_size = frame_size
        self._camera: OffscreenCamera | None = None

    def frame(self) -> np.ndarray:
        """The close camera's picture, ``(H, W, 3)`` uint8."""
        if self._camera is None:
            self._camera = OffscreenCamera(self.model, "agentview", *self._frame_size)
        return self._camera.frame(self.data)

    def close(self) -> None:
        """Free the renderer; safe to call twice."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None
