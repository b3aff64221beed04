"""Scripted use of the hook."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.hook_demonstrator import HookUser
from rla_gym.tasks.tabletop.hook_route import touches

ABOVE, NEARER = np.array([0.0, 0.07, 0.4]), np.array([0.0, 0.03, 0.4])


@pytest.fixture(scope="module")
def task():
    return make_task("pull-cube")


@pytest.mark.parametrize(
    ("block", "goal"),
    [
        (ABOVE, [0.0, -0.08]),
        (NEARER, [-0.02, 0.12]),
        (ABOVE, [0.045, 0.07]),
        (ABOVE, [-0.08, 0.07]),
        (ABOVE, [-0.06, -0.05]),
    ],
    ids=["pull", "poke", "right", "left", "left and back"],
)
def test_it_moves_the_block_every_way(task, block, goal):
    task.place(block, np.array([0.15, -0.18]), np.array([*goal, 0.0]))
    user = HookUser(task, 0.0, np.random.default_rng(0), False)
    for _ in range(110):
        task.step(user())
    assert np.linalg.norm(task.block_pose[:2] - goal) < 0.02


def test_it_stands_still_at_the_goal(task):
    task.place(ABOVE, np.array([0.15, -0.18]), ABOVE * [1.0, 1.0, 0.0])
    user = HookUser(task, 0.0, np.random.default_rng(0), False)
    assert not any(user().any() for _ in range(5))


def test_motions_begin_clear_of_the_block_and_on_the_right_side(task):
    task.place(ABOVE, np.array([0.15, -0.18]), np.array([0.1, 0.1, 0.0]))
    user = HookUser(task, 0.0, np.random.default_rng(0), False)
    for axis in (0, 1):
        for sign in (-1.0, 1.0):
            begin = user.begins_at(axis, sign)
            assert not touches(task.tool, begin, task.block, task.block_pose, 0.005)
            moved = begin.copy()
            moved[axis] += sign * 0.03
            assert touches(task.tool, moved, task.block, task.block_pose, 0.0)


def test_hidden_goals_change_when_reached_or_after_a_while(task):
    task.reset(0)
    user = HookUser(task, 0.0, np.random.default_rng(2), True)
    places = []
    for _ in range(140):
        task.step(user())
        places.append(task.block_pose[:2])
    assert np.linalg.norm(np.ptp(places, axis=0)) > 0.08
    assert np.linalg.norm(np.array(places) - task.target_pose[:2], axis=1)[-1] > 0.01
