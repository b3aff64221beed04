"""Walking round the T."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.base import STEP_LENGTH
from rla_gym.tasks.tabletop.t_walk import TWalk


@pytest.fixture(scope="module")
def walk():
    return TWalk()


def test_walking_reaches_every_side_and_never_moves_the_t(walk):
    task = make_task("push-t")
    pose = np.array([0.02, -0.03, 0.8])
    for start, goal in ((0, 31), (10, 50), (45, 5), (20, 60), (60, 33)):
        task.place(pose, walk.points(pose)[start], np.zeros(3))
        for _ in range(40):
            move = walk.step(task.data.ctrl.copy(), pose, goal)
            assert np.linalg.norm(move) <= STEP_LENGTH + 1e-12
            task.step((move / STEP_LENGTH).astype(np.float32))
        assert np.linalg.norm(task.pusher_position - walk.points(pose)[goal]) < 2e-3
        assert np.array_equal(task.block_pose, pose)


def test_inwards_points_to_the_t(walk):
    pose = np.array([0.05, 0.0, -2.0])
    angles = walk.inwards(pose)
    centre = pose[:2] - walk.points(pose)
    # Beside the stem the bar may be nearer than the centre, but never behind.
    assert np.mean(np.cos(angles) * centre[:, 0] + np.sin(angles) * centre[:, 1] > 0) > 0.85


def test_lengths_take_the_shorter_way_round(walk):
    pose = np.zeros(3)
    lengths = walk.lengths(walk.points(pose)[7], pose)
    assert lengths[7] == pytest.approx(0.0)
    assert lengths[8] == pytest.approx(lengths[6], rel=0.2)
    assert int(np.argmax(lengths)) == (7 + walk.count // 2) % walk.count


def test_points_beyond_the_pushers_reach_are_infinitely_far(walk):
    pose = np.array([0.15, 0.0, 0.0])
    lengths = walk.lengths(np.array([0.0, 0.0]), pose)
    beyond = np.abs(walk.points(pose)).max(axis=1) > 0.2
    assert beyond.any() and np.all(np.isinf(lengths[beyond])) and np.all(np.isfinite(lengths[~beyond]))
