"""Robosuite's environments behind the task protocol."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.robosuite import RobosuiteTask
from rla_gym.tasks.robosuite_arm import rotation_vector, turned
from tests.tasks.conformance import check_task

pytest.importorskip("robosuite")


@pytest.fixture(scope="module")
def lift():
    task = make_task("Lift")
    yield task
    task.close()
    task.close()


def test_lift_keeps_the_protocol(lift):
    check_task(lift)
    assert lift.spec.action_low.shape == (7,) and lift.spec.proprio_size == 9
    assert lift.spec.object_names == ("cube_x", "cube_y", "cube_z", "cube_yaw")


def test_restoring_in_the_middle_of_a_grasp_is_exact(lift):
    lift.reset(8)
    policy = lift.demonstrator("expert", 0.2, 0)
    for _ in range(24):
        lift.step(policy())
    start = lift.get_state()
    actions = [policy() for _ in range(10)]
    reached = []
    for action in actions:
        lift.step(action)
        reached.append(lift.get_state())
    lift.reset(9)
    lift.set_state(start)
    for action, expected in zip(actions, reached, strict=True):
        lift.step(action)
        assert np.array_equal(lift.get_state(), expected)


def test_dynamics_are_robosuites_own(lift):
    """Refreshing poses and rendering between the steps leaves no trace."""
    lift.reset(1)
    start = lift.get_state()
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 7))
    for action in actions:
        lift.step(action)
        lift.render()
    expected = lift.data.qpos.copy()
    lift.set_state(start)
    for action in actions:
        lift.env.step(action)
    assert np.array_equal(lift.data.qpos, expected)


def test_a_seed_gives_the_same_state_in_a_fresh_process(lift):
    lift.reset(123)
    program = (
        "import hashlib\n"
        "from rla_gym.tasks import make_task\n"
        "task = make_task('Lift')\n"
        "task.reset(7); task.reset(123)\n"
        "print(hashlib.sha256(task.get_state().tobytes()).hexdigest())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == hashlib.sha256(lift.get_state().tobytes()).hexdigest()


def test_the_cube_is_large_upright_and_where_it_should_be(lift):
    def red_pixels():
        frame = lift.render().astype(int)
        return np.argwhere(frame[..., 0] > 1.8 * frame[..., 1:].max(axis=2))

    lift.reset(0)
    state = lift.get_state()
    cube = lift.model.joint("cube_joint0").qposadr[0] + 1  # time comes first
    state[cube : cube + 3] = 0.0, 0.0, 0.822
    lift.set_state(state)
    resting = red_pixels()
    assert len(resting) >= 2 * 14 * 14
    state[cube + 2] += 0.05
    lift.set_state(state)
    assert red_pixels()[:, 0].mean() < resting[:, 0].mean() - 10
    assert lift.success()


def test_proprioception_is_the_hand(lift):
    lift.reset(2)
    position, quaternion, fingers = np.split(lift.proprioception(), [3, 7])
    np.testing.assert_allclose(position, lift.arms[0].position(), atol=1e-6)
    assert abs(np.linalg.norm(quaternion) - 1) < 1e-5
    for _ in range(8):
        lift.step(np.array([0, 0, 0, 0, 0, 0, -1.0]))
    assert lift.proprioception()[7] > fingers[0] + 0.01, "the gripper did not open"


def _solved(task, noise, seeds):
    solved = 0
    for seed in seeds:
        task.reset(seed)
        policy = task.demonstrator("expert", noise, seed)
        for _ in range(task.spec.max_steps):
            task.step(policy())
            if task.success():
                solved += 1
                break
    return solved


def test_the_expert_lifts_the_cube(lift):
    assert _solved(lift, 0.0, range(10)) >= 9


def test_goal_blind_episodes_touch_the_cube_and_seldom_end_with_it_lifted(lift):
    moved, lifted = 0, 0
    for seed in range(8):
        lift.reset(seed)
        policy = lift.demonstrator("goal-blind", 0.0, seed)
        lift.step(policy())
        before = lift.object_state()[:2]
        for _ in range(lift.spec.max_steps - 1):
            lift.step(policy())
        moved += np.linalg.norm(lift.object_state()[:2] - before) > 0.01
        lifted += lift.success()
    assert moved >= 3 and lifted <= 5


@pytest.mark.slow
def test_the_expert_lifts_the_cube_from_fifty_seeds(lift):
    assert _solved(lift, 0.0, range(50)) >= 45
    assert _solved(lift, 0.3, range(50)) >= 40


@pytest.mark.parametrize("name", ["Door", pytest.param("Stack", marks=pytest.mark.slow)])
def test_other_environments_keep_the_protocol(name, capfd):
    task = RobosuiteTask(name, frame_size=(64, 64))
    assert "[robosuite" not in capfd.readouterr().err
    check_task(task)
    assert task.demonstrators == ("play",)
    task.close()


def test_options_of_robosuites_tasks():
    """Robot and success rule; and the default view of the door, whose handle covers two patches."""
    task = make_task("robosuite:Door", robot="Sawyer", success="tests.tasks.user_tasks:upright")
    assert task.success() and task.spec.to_dict()["options"]["robot"] == "Sawyer"
    handle = task.model.geom_bodyid == task.model.body("Door_latch").id
    for seed in range(3):
        task.reset(seed)
        shown = task.render().astype(int)
        colours = task.model.geom_rgba[handle].copy()
        task.model.geom_rgba[handle] = 0.0
        changed = np.abs(task.render().astype(int) - shown).sum(axis=2) > 20
        task.model.geom_rgba[handle] = colours
        assert changed.sum() >= 2 * 14 * 14
    task.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["PickPlaceSingle", "NutAssemblySingle", "ToolHang", "TwoArmLift", "TwoArmTransport"])
def test_larger_environments_keep_the_protocol(name):
    task = RobosuiteTask(name, frame_size=(64, 64))
    check_task(task)
    task.close()


def test_unknown_names_are_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"Lift.*Stack"):
        RobosuiteTask("Juggle")
    with pytest.raises(ValueError, match="wiped markers"):
        RobosuiteTask("Wipe")
    with pytest.raises(ValueError, match="Panda"):
        RobosuiteTask("Lift", robot="Marvin")


@pytest.mark.slow
def test_the_expert_is_offered_only_for_the_hand_it_was_made_for():
    task = RobosuiteTask("Lift", robot="Sawyer")
    assert task.demonstrators == ("play",)
    task.close()


def test_rotation_vector_inverts_a_turn():
    for yaw in (-3.0, -0.4, 0.0, 1e-12, 2.0):
        np.testing.assert_allclose(rotation_vector(turned(np.eye(3), yaw)), [0, 0, yaw], atol=1e-9)
