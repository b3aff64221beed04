"""Pictures are upright, a function of the state alone, and their absence is explained."""

import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest

from rla_gym.tasks.offscreen import OffscreenCamera, Viewpoint

SCENE = """
<mujoco>
  <visual>
    <quality offsamples="4"/>
    <headlight ambient="1 1 1"/>
  </visual>
  <worldbody>
    <camera name="front" pos="0 -2 0" xyaxes="1 0 0 0 0 1"/>
    <geom name="high" type="sphere" size="0.2" pos="0 0 0.5" rgba="1 0 0 1"/>
    <geom name="low" type="sphere" size="0.2" pos="0 0 -0.5" rgba="0 0 1 1"/>
    <geom name="hidden" type="box" size="0.6 0.1 0.1" pos="0 -0.5 0" rgba="0 1 0 1" group="2"/>
    <body name="moving" pos="0.5 0 0">
      <joint name="slide" type="slide" axis="1 0 0"/>
      <geom type="sphere" size="0.1" rgba="0 1 0 1"/>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.fixture
def scene():
    model = mujoco.MjModel.from_xml_string(SCENE)
    return model, mujoco.MjData(model)


def _middle(frame, channel):
    """Row and column of the middle of the pixels in which one colour prevails."""
    others = np.delete(frame, channel, axis=2).max(axis=2).astype(int)
    return np.argwhere(frame[..., channel] > others + 60).mean(axis=0)


def test_frame_is_upright_and_has_the_size_asked_for(scene):
    model, data = scene
    camera = OffscreenCamera(model, "front", 48, 80)
    frame = camera.frame(data)
    camera.close()
    camera.close()
    assert frame.shape == (48, 80, 3) and frame.dtype == np.uint8
    assert _middle(frame, 0)[0] < 24 < _middle(frame, 2)[0]
    assert model.vis.quality.offsamples == 0


def test_hidden_groups_are_left_out(scene):
    model, data = scene
    hidden = OffscreenCamera(model, "front", 64, 64, hidden_geom_groups=(2,)).frame(data)
    shown = OffscreenCamera(model, "front", 64, 64).frame(data)
    assert tuple(shown[32, 32]) != tuple(hidden[32, 32]) and hidden[32, 32].max() < 10


def test_frame_follows_positions_without_a_forward_call(scene):
    model, data = scene
    camera = OffscreenCamera(model, "front", 64, 64, hidden_geom_groups=(2,))
    before = _middle(camera.frame(data), 1)
    data.qpos[0] = -1.0
    after = _middle(camera.frame(data), 1)
    camera.close()
    assert after[1] < 32 < before[1]


def test_viewpoint_places_a_camera(scene):
    model, data = scene
    camera = OffscreenCamera(model, Viewpoint(distance=2.5, azimuth=90.0, elevation=0.0), 64, 64)
    frame = camera.frame(data)
    camera.close()
    assert _middle(frame, 0)[0] < 32 < _middle(frame, 2)[0]
    following = Viewpoint(distance=1.0, elevation=0.0, follow_body=model.body("moving").id)
    camera = OffscreenCamera(model, following, 64, 64, hidden_geom_groups=(2,))
    for data.qpos[0] in (0.0, 3.0):
        assert np.abs(_middle(camera.frame(data), 1) - 31.5).max() < 3
    camera.close()


def test_frames_larger_than_the_models_buffer(scene):
    model, data = scene
    model.vis.global_.offwidth = model.vis.global_.offheight = 32
    camera = OffscreenCamera(model, -1, 40, 44)
    assert camera.frame(data).shape == (40, 44, 3)
    camera.close()


@pytest.mark.parametrize("camera", ["back", 1, -2])
def test_unknown_camera_lists_those_that_exist(scene, camera):
    with pytest.raises(ValueError, match="front"):
        OffscreenCamera(scene[0], camera, 32, 32)


@pytest.mark.parametrize(
    "settings",
    [
        {"MUJOCO_GL": "glfw"},
        {"MUJOCO_GL": "no-such-backend"},
        {"MUJOCO_GL": "egl", "MUJOCO_EGL_DEVICE_ID": "99"},
    ],
)
def test_without_a_context_the_error_says_what_to_do(settings):
    program = (
        "from rla_gym.tasks.offscreen import OffscreenCamera, RenderingError, load_mujoco\n"
        "try:\n"
        "    mujoco = load_mujoco()\n"
        "    model = mujoco.MjModel.from_xml_string('<mujoco/>')\n"
        "    OffscreenCamera(model, -1, 32, 32).frame(mujoco.MjData(model))\n"
        "except RenderingError as error:\n"
        "    print(error)\n"
    )
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "PYOPENGL_PLATFORM")
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | settings
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "MUJOCO_GL=egl" in done.stdout and "libegl1" in done.stdout and settings["MUJOCO_GL"] in done.stdout


def test_torchvision_can_be_imported_after_rendering() -> None:
    """Mesa's LLVM and triton's clash in one order of loading: that killed the process."""
    script = (
        "from rla_gym.tasks import make_task; t = make_task('push-cube'); t.reset(0); t.render(); "
        "import torchvision.ops; print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "alive" in done.stdout, (done.returncode, done.stderr[-2000:])
