"""push-cube: its rules, its pictures and its demonstrators."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from tests.tasks.conformance import check_task

PATCH = 14


@pytest.fixture(scope="module")
def task():
    task = make_task("push-cube")
    yield task
    task.close()


def run(task, kind, seed, steps=48):
    """Play an episode without noise and return whether it was ever solved."""
    task.reset(seed)
    policy = task.demonstrator(kind, 0.0, seed)
    solved = False
    for _ in range(steps):
        task.step(policy())
        solved = solved or task.success()
    return solved


def orange(frame):
    """Mask of the pixels that show the block."""
    red, green, blue = np.moveaxis(frame.astype(int), 2, 0)
    return (red > 100) & (red > 1.6 * green) & (red > 1.6 * blue)


def test_it_keeps_the_protocol(task):
    check_task(task)
    assert task.demonstrators == ("expert", "play", "goal-blind", "interrupted")
    assert task.spec.object_names == ("cube_x", "cube_y", "cube_yaw", "target_x", "target_y")


def test_states_of_a_wrong_size_are_refused(task):
    state = task.get_state()
    for wrong in (state[:-1], np.append(state, 0.0), state[None]):
        with pytest.raises(ValueError, match=f"push-cube states are {len(state)} finite numbers"):
            task.set_state(wrong)
    assert np.array_equal(task.get_state(), state)


def test_success_is_a_distance_of_25_millimetres(task):
    for distance, solved in ((0.0, True), (0.0249, True), (0.0251, False), (0.2, False)):
        task.place(np.array([distance - 0.1, 0.0, 1.0]), np.array([0.15, 0.15]), np.array([-0.1, 0.0, 0.0]))
        assert task.success() is solved


def test_the_cube_covers_two_patches_of_the_picture(task):
    areas = []
    for yaw in np.linspace(0.0, np.pi / 2, 8, endpoint=False):
        task.place(np.array([0.0, 0.0, yaw]), np.array([0.19, 0.19]), np.array([-0.15, 0.15, 0.0]))
        areas.append(orange(task.render()).sum() / PATCH**2)
    assert np.mean(areas) >= 2.0 and min(areas) > 1.9


def test_the_cube_stands_still_when_nothing_pushes_it(task):
    for seed in range(3):
        task.reset(seed)
        start = task.block_pose
        for _ in range(20):
            task.step(np.zeros(2))
        assert np.linalg.norm(task.block_pose[:2] - start[:2]) < 5e-4
        assert abs(task.block_pose[2] - start[2]) < 1e-2


def test_the_expert_solves_nine_in_ten(task):
    assert sum(run(task, "expert", seed) for seed in range(20)) >= 18


def test_goal_blind_pushes_do_not_go_to_the_shown_target(task):
    """The cube nears the shown target no more than another that might have been shown.

    Both are neared a little, since cubes start at least 10 cm away and hidden goals are on the same table.
    """
    rng = np.random.default_rng(0)
    bias = {"expert": [], "goal-blind": []}
    for seed in range(80):
        task.reset(seed)
        start, shown = task.block_pose[:2], task.target_pose[:2]
        while True:
            other = rng.uniform(-0.13, 0.13, 2)
            if 0.10 <= np.linalg.norm(other - start) <= 0.25:
                break
        for kind, values in bias.items():
            run(task, kind, seed)
            end = task.block_pose[:2]
            neared = [np.linalg.norm(start - spot) - np.linalg.norm(end - spot) for spot in (shown, other)]
            values.append(neared[0] - neared[1])
    blind, expert = np.array(bias["goal-blind"]), np.array(bias["expert"])
    assert expert.mean() > 0.06
    assert abs(blind.mean()) < 2.5 * blind.std() / np.sqrt(len(blind))
    assert abs(blind.mean()) < 0.3 * expert.mean()


def test_actions_of_all_but_the_expert_do_not_depend_on_the_shown_target(task):
    differ = {}
    for kind in task.demonstrators:
        runs = []
        for target in (np.array([0.1, 0.1, 0.0]), np.array([-0.1, 0.05, 0.0])):
            task.place(np.zeros(3), np.array([0.1, -0.1]), target)
            policy = task.demonstrator(kind, 0.3, 5)
            actions = []
            for _ in range(40):
                actions.append(policy())
                task.step(actions[-1])
            runs.append(actions)
        differ[kind] = not np.array_equal(*runs)
    assert differ == {"expert": True, "play": False, "goal-blind": False, "interrupted": False}
