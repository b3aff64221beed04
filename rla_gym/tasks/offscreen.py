"""Pictures of a MuJoCo scene without a window; shadows, reflections and multisampling are off, for speed."""

from __future__ import annotations

import atexit
import json
import os
import weakref
from collections.abc import Mapping, Sequence
from ctypes.util import find_library
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from rla_gym.utils.optional import require

LIBRARIES = {"egl": ("EGL", "GL"), "osmesa": ("OSMesa",)}
"""System libraries that MuJoCo's backends load, by the name in MUJOCO_GL."""


class RenderingError(RuntimeError):
    """No OpenGL context to render in; the text says what to set and install."""


@dataclass(frozen=True)
class Viewpoint:
    """A camera of your own; its vertical field of view is the model's global one (by default 45 degrees).

    Attributes:
        lookat: point in the middle of the picture, ``(x, y, z)`` in metres; unused when a body is followed.
        distance: from the camera to that point in metres.
        azimuth: degrees; at 90 the picture's right is +x, at 180 it is +y.
        elevation: degrees; −90 looks straight down.
        follow_body: id of a body to keep in the middle, or −1.
    """

    lookat: tuple[float, float, float] = (0.0, 0.0, 0.0)
    distance: float = 1.0
    azimuth: float = 90.0
    elevation: float = -45.0
    follow_body: int = -1


Camera = str | int | Viewpoint | Mapping[str, Any]
"""A camera of the model by name or id (-1: its default view), or a viewpoint, also as a mapping or JSON."""


def as_camera(camera: Camera) -> str | int | Viewpoint:
    """Return a name, id or viewpoint of what an option, a command line or a data set says.

    Raises:
        ValueError: a viewpoint with other entries than :class:`Viewpoint`'s, or other values.
    """
    if isinstance(camera, str):
        if camera.lstrip("-").isdigit():
            return int(camera)
        if not camera.lstrip().startswith("{"):
            return camera
    if not isinstance(camera, str | Mapping):
        return camera
    try:
        entries = json.loads(camera) if isinstance(camera, str) else dict(camera)
        if "lookat" in entries:
            x, y, z = (float(value) for value in entries["lookat"])
            entries["lookat"] = (x, y, z)
        for name in ("distance", "azimuth", "elevation"):
            if name in entries:
                entries[name] = float(entries[name])
        return Viewpoint(**entries)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"camera={camera!r} ({error}): expected a camera's name or number, or a viewpoint such as "
            '{"lookat": [0, 0, 0.8], "distance": 1.2, "azimuth": 180, "elevation": -30}'
        ) from error


def load_mujoco() -> Any:
    """Import MuJoCo, which fails at import already where ``MUJOCO_GL`` names a backend that is not installed.

    Raises:
        ImportError: MuJoCo is not installed.
        RenderingError: ``MUJOCO_GL`` names an unknown backend, or one whose library is missing.
    """
    try:
        return require("mujoco", extra="mujoco")
    except (AttributeError, RuntimeError) as error:
        raise _no_context(error) from error


def load_triton_first() -> None:
    """Import triton, where it is installed, before Mesa's software renderer is loaded.

    Both carry an LLVM of their own. Seen with torch 2.14 and Mesa 22: a process that renders first and imports triton
    later (as torchvision does) dies of a segmentation fault; the other order works.
    """
    if find_spec("triton") is not None:
        import_module("triton")


class OffscreenCamera:
    """Renders one camera of a MuJoCo model. The OpenGL context is made by the first frame.

    Args:
        model: an ``mjModel``; its offscreen buffer is grown and its multisampling switched off.
        camera: name or id of one of the model's cameras, −1 for its default view, or a :class:`Viewpoint`, also as a
            mapping or JSON.
        height: of the frames in pixels.
        width: of the frames in pixels.
        hidden_geom_groups: geom groups left out, such as robosuite's collision shapes (0).

    Raises:
        ValueError: the model has no such camera; the message lists those it has.
    """

    def __init__(
        self,
        model: Any,
        camera: Camera,
        height: int,
        width: int,
        hidden_geom_groups: Sequence[int] = (),
    ):
        self._mujoco = load_mujoco()
        self._model = model
        self._camera = self._find(as_camera(camera))
        self._size = (height, width)
        self._option = self._mujoco.MjvOption()
        self._option.geomgroup[list(hidden_geom_groups)] = 0
        self._renderer: Any = None

    def frame(self, data: Any) -> np.ndarray:
        """The picture of ``data``'s present positions, ``(H, W, 3)`` uint8, upright.

        Raises:
            RenderingError: MuJoCo could not make an OpenGL context; the message says what to set and install.
        """
        if self._renderer is None:
            self._renderer = self._open()
        # A simulation step ends with poses one substep older than its positions; without this, a state's
        # picture would differ between the moment that it is reached and the moment that it is restored.
        self._mujoco.mj_kinematics(self._model, data)
        self._mujoco.mj_comPos(self._model, data)
        self._mujoco.mj_camlight(self._model, data)
        self._renderer.update_scene(data, self._camera, self._option)
        return self._renderer.render()

    def close(self) -> None:
        """Free the OpenGL context; safe to call twice."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _find(self, camera: str | int | Viewpoint) -> Any:
        """The MjvCamera that ``camera`` stands for."""
        found = self._mujoco.MjvCamera()
        kinds = self._mujoco.mjtCamera
        if isinstance(camera, Viewpoint):
            found.type = kinds.mjCAMERA_FREE if camera.follow_body < 0 else kinds.mjCAMERA_TRACKING
            found.trackbodyid = camera.follow_body
            found.lookat[:] = camera.lookat
            found.distance, found.azimuth, found.elevation = camera.distance, camera.azimuth, camera.elevation
            return found
        names = [self._model.camera(i).name for i in range(self._model.ncam)]
        index = names.index(camera) if camera in names else camera
        if not isinstance(index, int) or not -1 <= index < len(names):
            raise ValueError(
                f"the model has no camera {camera!r}; it has {', '.join(names) or 'none'}, -1 is its default view, "
                'and a Viewpoint such as {"lookat": [0, 0, 0.8], "distance": 1.2, "azimuth": 180, "elevation": -30} '
                "places a camera of your own"
            )
        if index < 0:
            self._mujoco.mjv_defaultFreeCamera(self._model, found)
        else:
            found.type, found.fixedcamid = kinds.mjCAMERA_FIXED, index
        return found

    def _open(self) -> Any:
        """Make the renderer, with everything off that is slow in software."""
        load_triton_first()
        height, width = self._size
        visual = self._model.vis
        visual.quality.offsamples = 0
        visual.global_.offheight = max(visual.global_.offheight, height)
        visual.global_.offwidth = max(visual.global_.offwidth, width)
        try:
            renderer = self._mujoco.Renderer(self._model, height, width)
        except (self._mujoco.FatalError, RuntimeError, ImportError, AttributeError) as error:
            # MuJoCo's half-made context prints an AttributeError when it is freed, unless its class has this.
            if hasattr(self._mujoco, "GLContext"):
                self._mujoco.GLContext._context = None
            raise _no_context(error) from error
        for flag in (self._mujoco.mjtRndFlag.mjRND_SHADOW, self._mujoco.mjtRndFlag.mjRND_REFLECTION):
            renderer.scene.flags[flag] = 0
        # EGL is shut down at exit; a renderer freed after that prints an error.
        atexit.register(_close, weakref.ref(self))
        return renderer


def _close(reference: weakref.ref[OffscreenCamera]) -> None:
    camera = reference()
    if camera is not None:
        camera.close()


def _no_context(error: Exception) -> RenderingError:
    backend = os.environ.get("MUJOCO_GL") or "not set"
    missing = [f"lib{name}" for name in LIBRARIES.get(backend.lower(), ()) if find_library(name) is None]
    lacking = f"{' and '.join(missing)} cannot be found; " if missing else ""
    return RenderingError(
        f"MuJoCo cannot make an OpenGL context (MUJOCO_GL is {backend}; {lacking}{error}). "
        "On a machine without a display set MUJOCO_GL=egl before Python starts and install the EGL library "
        "(Debian, Ubuntu: apt-get install libegl1 libgl1); "
        "MUJOCO_GL=osmesa with libosmesa6 works as well"
    )
