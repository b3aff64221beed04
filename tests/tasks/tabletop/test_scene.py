"""The table that the tabletop tasks share."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.base import STEP_LENGTH
from rla_gym.tasks.tabletop.scene import PUSHER_REACH, TABLE_HALF


@pytest.fixture(scope="module", params=["push-cube", "push-t", "roll-ball", "poke-cube", "pull-cube"])
def task(request):
    task = make_task(request.param)
    yield task
    task.close()


def test_the_pusher_travels_two_centimetres_a_full_step(task):
    task.place(np.array([-0.1, 0.1, 0.0]), np.array([0.05, -0.15]), np.zeros(3))
    for steps, action in ((5, [1.0, 0.0]), (4, [0.0, 0.5]), (3, [0.0, 0.0])):
        for _ in range(steps):
            task.step(np.array(action))
    expected = np.array([0.05 + 5 * STEP_LENGTH, -0.15 + 2 * STEP_LENGTH])
    assert np.abs(task.pusher_position - expected).max() < 1e-3


def test_pusher_and_block_stay_on_the_table(task):
    task.place(np.array([0.0, -0.05, 0.0]), np.array([-0.15, -0.05]), np.array([0.1, 0.1, 0.0]))
    for _ in range(30):
        task.step(np.array([1.0, 0.0]))
    assert abs(task.data.ctrl[0]) <= PUSHER_REACH
    # The limits are soft: a pressed block gives way a little.
    assert 0.1 < task.block_pose[0] < TABLE_HALF + 0.01
    assert task.pusher_position[0] < PUSHER_REACH + 0.005


def test_the_block_stops_soon_after_the_pusher(task):
    """It slides on by at most 3 mm, within a second, and then stands; a ball rolls (test_roll_ball)."""
    if task.spec.name == "roll-ball":
        pytest.skip("a ball rolls on")
    task.place(np.zeros(3), np.array([-0.11, 0.01]), np.array([0.1, 0.1, 0.0]))
    for _ in range(7):
        task.step(np.array([1.0, 0.0]))
    task.step(np.zeros(2))
    pushed = task.block_pose
    assert np.linalg.norm(pushed[:2]) > 0.01
    for _ in range(12):
        task.step(np.zeros(2))
    stopped = task.block_pose
    assert np.linalg.norm(stopped[:2] - pushed[:2]) < 3e-3
    for _ in range(20):
        task.step(np.zeros(2))
    assert np.linalg.norm(task.block_pose[:2] - stopped[:2]) < 1e-4


def test_the_target_is_a_picture_only(task):
    """A target under the block's way changes nothing of its motion, but is seen."""
    ends, frames = [], []
    for target in (np.array([0.0, 0.0, 0.3]), np.array([-0.1, 0.14, -1.0])):
        task.place(np.array([-0.05, -0.06, 0.2]), np.array([-0.16, -0.06]), target)
        frames.append(task.render())
        for _ in range(10):
            task.step(np.array([1.0, 0.1]))
        ends.append(np.array([*task.block_pose, *task.pusher_position]))
    assert ends[0][0] > -0.04, "the block was not pushed"
    assert np.array_equal(*ends)
    assert np.any(frames[0] != frames[1])


def test_target_poses_are_read_back(task):
    for yaw in (-3.0, 0.0, 0.5, 3.0):
        task.place(np.zeros(3), np.array([0.15, 0.15]), np.array([0.02, -0.07, yaw]))
        assert np.allclose(task.target_pose, [0.02, -0.07, yaw], atol=1e-12)


def test_nothing_touches_at_the_start(task):
    for seed in range(30):
        task.reset(seed)
        assert task.data.ncon == 0
        assert not task.success()
