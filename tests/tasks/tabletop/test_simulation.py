"""One compiled scene."""

import numpy as np

from rla_gym.tasks.tabletop.blocks import BLOCKS, target_spot
from rla_gym.tasks.tabletop.scene import Sliding, scene_xml
from rla_gym.tasks.tabletop.simulation import Simulation
from rla_gym.tasks.tabletop.tools import POSTS


def simulation(**options):
    xml = scene_xml("example", BLOCKS[0].mjcf(), target_spot(0.03), POSTS[0].mjcf(), **options)
    return Simulation(xml, (42, 56))


def test_frames_and_states():
    scene = simulation()
    assert scene.frame().shape == (42, 56, 3) and scene.frame().dtype == np.uint8
    before, frame = scene.state.read(), scene.frame()
    scene.data.qpos[:2] = [0.1, 0.1]
    scene.state.refresh()
    assert not np.array_equal(scene.frame(), frame)
    scene.state.write(before)
    assert np.array_equal(scene.frame(), frame)
    scene.close()
    scene.close()
    assert np.array_equal(scene.frame(), frame), "a closed camera opens again when it is needed"
    scene.close()


def test_options_of_a_scene_reach_the_model():
    scene = simulation(
        sliding=Sliding(0.1, 0.2, 'armature="0.3"'),
        reach_y=(-0.15, 0.05),
        fovy=30.0,
        rim='<geom name="wall" type="box" size="0.01 0.1 0.01" contype="0" conaffinity="0"/>',
    )
    model = scene.model
    assert model.geom("wall").size[1] == 0.1 and model.cam_fovy[0] == 30.0
    assert model.actuator_ctrlrange.tolist() == [[-0.19999999999999998, 0.19999999999999998], [-0.15, 0.05]]
    assert model.joint("pusher_y").range.tolist() == [-0.15, 0.05]
    for axis in "xy":
        joint = model.joint(f"block_{axis}")
        assert (joint.damping[0], joint.frictionloss[0], joint.armature[0]) == (0.1, 0.2, 0.3)
