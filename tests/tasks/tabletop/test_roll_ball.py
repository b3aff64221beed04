"""roll-ball: its rules, and a ball that rolls on."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.roll_ball import REACH_Y, SUCCESS_RADIUS


@pytest.fixture(scope="module")
def task():
    task = make_task("roll-ball")
    yield task
    task.close()


def strike(task, speed, steps=5):
    """Strike a ball in the middle straight away from the camera, then draw the pusher back."""
    task.place(np.array([0.0, -0.09, 0.0]), np.array([0.0, -0.175]), np.array([0.13, 0.12, 0.0]))
    for _ in range(steps):
        task.step(np.array([0.0, speed]))
    places = [task.block_pose[1]]
    for _ in range(40):
        task.step(np.array([0.0, -0.2]))
        places.append(task.block_pose[1])
    return np.array(places)


def test_success_is_a_distance_of_30_millimetres(task):
    for distance, solved in ((0.0, True), (0.0299, True), (0.0301, False), (0.2, False)):
        task.place(np.array([distance - 0.1, 0.1, 0.0]), np.array([0.15, -0.15]), np.array([-0.1, 0.1, 0.0]))
        assert task.success() is solved
    assert SUCCESS_RADIUS == 0.03


def test_object_state_is_ball_and_target(task):
    task.place(np.array([0.01, 0.02, 0.7]), np.array([0.15, -0.15]), np.array([-0.1, 0.12, 0.0]))
    assert task.spec.object_names == ("ball_x", "ball_y", "target_x", "target_y")
    assert np.allclose(task.object_state(), [0.01, 0.02, -0.1, 0.12])


def test_the_ball_rolls_on_after_the_pusher_has_let_go(task):
    slow, fast = strike(task, 0.5), strike(task, 1.0)
    assert slow.max() - slow[0] > 0.04 and fast.max() - fast[0] > 0.15
    # It slows down steadily instead of stopping: no control step on the way takes much from its speed.
    speeds = np.diff(fast[: int(np.argmax(fast))])
    assert np.all(np.diff(speeds[:-1]) < 0) and speeds[-2] > 0.6 * speeds[0]


def test_it_bounces_from_the_far_rim(task):
    way = strike(task, 1.0)
    top = int(np.argmax(way))
    assert 0.17 < way[top] < 0.20 and way[-1] < way[top] - 0.08


def test_one_picture_does_not_tell_where_the_ball_will_be(task):
    """The same positions, at rest and rolling: equal pictures, unlike futures."""
    task.reset(0)
    task.step(np.zeros(2))
    standing = task.get_state()
    task.data.qvel[:2] = [0.05, 0.2]
    rolling = task.get_state()
    frames, ends = [], []
    for state in (standing, rolling):
        task.set_state(state)
        frames.append([task.render(), task.proprioception()])
        for _ in range(4):
            task.step(np.zeros(2))
        ends.append(task.block_pose[:2])
    assert all(np.array_equal(*pair) for pair in zip(*frames, strict=True))
    assert np.linalg.norm(ends[1] - ends[0]) > 0.06


def test_the_pusher_cannot_carry_the_ball_to_the_spot(task):
    for seed in range(50):
        task.reset(seed)
        assert task.pusher_position[1] <= REACH_Y[1] and task.block_pose[1] < 0
        contact = task.block.radius + task.tool.radius
        assert task.target_pose[1] - SUCCESS_RADIUS > REACH_Y[1] + contact + 0.005
    for _ in range(40):
        task.step(np.array([0.0, 1.0]))
    assert task.pusher_position[1] < REACH_Y[1] + 0.002
