"""Pushes tried out apart from the task."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.push_simulation import PushSimulation


@pytest.fixture(scope="module")
def task():
    return make_task("push-t")


def test_it_foresees_what_the_task_does(task):
    simulation = PushSimulation(task.model)
    task.place(np.array([0.0, 0.0, 0.4]), np.array([-0.12, 0.0]), np.array([0.1, 0.1, 0.0]))
    for _ in range(2):
        task.step(np.array([1.0, 0.0]))
    before = task.get_state()
    moves = np.array([[0.02, 0.0], [0.015, 0.005], [-0.02, 0.0]])
    foreseen = simulation.push(task.data, np.tile(task.data.ctrl, (3, 1)), moves, 5)
    assert foreseen.shape == (3, 5, 3)
    assert np.array_equal(task.get_state(), before), "trying a push changed the task"
    assert np.abs(foreseen[2] - foreseen[2, 0]).max() < 1e-3, "moving away pushed the T"
    for move, poses in zip(moves[:2], foreseen[:2], strict=True):
        task.set_state(before)
        for pose in poses:
            task.step(move / 0.02)
            assert np.abs(task.block_pose - pose)[:2].max() < 2e-3
            assert abs(task.block_pose[2] - pose[2]) < 0.05
        assert np.linalg.norm(task.block_pose - before[1:4]) > 0.01


def test_a_pusher_placed_elsewhere_starts_at_rest(task):
    simulation = PushSimulation(task.model)
    task.place(np.zeros(3), np.array([-0.15, 0.15]), np.zeros(3))
    task.step(np.array([1.0, -1.0]))
    still = simulation.push(task.data, np.array([[0.0, -0.15]]), np.zeros((1, 2)), 3)
    assert np.abs(still).max() < 1e-6
    pushed = simulation.push(task.data, np.array([[0.0, -0.12]]), np.array([[0.0, 0.02]]), 4)
    assert pushed[0, -1, 1] > 0.03
    again = simulation.push(task.data, np.array([[0.0, -0.12]]), np.array([[0.0, 0.02]]), 4)
    assert np.array_equal(pushed, again)
