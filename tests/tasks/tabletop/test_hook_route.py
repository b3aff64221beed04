"""The hook's ways round a block."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.base import STEP_LENGTH
from rla_gym.tasks.tabletop.blocks import BLOCKS
from rla_gym.tasks.tabletop.demonstrators import limited
from rla_gym.tasks.tabletop.hook_route import step_towards, touches
from rla_gym.tasks.tabletop.tools import HOOKS

REACH = np.array([[-0.2, -0.2], [0.2, 0.06]])
POSE = np.array([-0.02, 0.08, 0.0])


def test_touches_knows_all_three_parts_of_the_hook():
    hook, cube = HOOKS[0], BLOCKS[0]
    pose = np.zeros(3)
    places = {
        "on the post": ([0.0, -0.05], True),
        "below the post": ([0.0, 0.06], False),
        "on the shaft": ([0.045, -0.08], True),
        "foot over it": ([0.09, -0.15], True),
        "inside the corner": ([0.055, -0.08], False),
        "short of it": ([0.0, -0.195], False),
        "just on it": ([0.0, -0.185], True),
    }
    for what, (place, expected) in places.items():
        assert touches(hook, np.array(place), cube, pose, 0.0) == expected, what
    assert touches(hook, np.array([[0.0, -0.195]]), cube, pose, 0.01).tolist() == [True]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_the_way_leads_behind_the_block_without_moving_it(hook):
    name = ["poke-cube", "poke-cube@train", "poke-cube@train"][HOOKS.index(hook)]
    task = make_task(name)
    for seed in range(60):
        task.reset(seed)
        if task.tool == hook:
            break
    pose = POSE * [-hook.side, 1.0, 1.0]
    goal = np.array([pose[0] - hook.side * 0.085, pose[1] + 0.09 - hook.length])
    start = np.array([pose[0], -0.19])
    task.place(pose, start, np.array([0.1, 0.1, 0.0]))
    for _ in range(50):
        setpoint = task.data.ctrl.copy()
        place = step_towards(task.tool, setpoint, goal, task.block, pose, REACH, 0.008)
        assert place is not None
        task.step(limited(place - setpoint) / STEP_LENGTH)
    assert np.linalg.norm(task.data.ctrl - goal) < 1e-6
    assert np.array_equal(task.block_pose, pose)


def test_there_is_no_way_into_the_block_or_beyond_reach():
    hook, cube = HOOKS[0], BLOCKS[0]
    start = np.array([0.0, -0.2])
    assert step_towards(hook, start, np.array([0.0, -0.06]), cube, POSE, REACH, 0.008) is None
    # At the right edge the foot cannot pass, so that the corner behind the block is closed.
    edge = np.array([0.13, 0.08, 0.0])
    assert step_towards(hook, start, np.array([0.19, 0.02]), cube, edge, REACH, 0.008) is None
    assert step_towards(hook, start, np.array([0.05, -0.15]), cube, edge, REACH, 0.008) is not None


def test_a_hook_that_touches_finds_out_again():
    hook, cube = HOOKS[0], BLOCKS[0]
    start = np.array([POSE[0] + 0.045, -0.05])
    assert touches(hook, start, cube, POSE, 0.0)
    for _ in range(30):
        place = step_towards(hook, start, np.array([-0.15, -0.18]), cube, POSE, REACH, 0.008)
        start = start + limited(place - start)
    assert np.allclose(start, [-0.15, -0.18], atol=1e-6)
