"""Gymnasium's MuJoCo environments behind the task protocol."""

import gymnasium
import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.gymnasium import REACHER_RADIUS, GymnasiumTask
from rla_gym.tasks.reacher_demonstrator import LINKS, joint_angles
from tests.tasks.conformance import check_task


@pytest.fixture(scope="module")
def reacher():
    task = make_task("Reacher-v5")
    yield task
    task.close()
    task.close()


def test_reacher_keeps_the_protocol(reacher):
    check_task(reacher)
    assert reacher.spec.max_steps == 50 and reacher.spec.control_hz == 50.0
    assert reacher.spec.object_names == ("target_x", "target_y")


@pytest.mark.parametrize("id", ["Pusher-v5", "HalfCheetah-v5"])
def test_other_environments_keep_the_protocol(id):
    task = GymnasiumTask(id, frame_size=(64, 80))
    check_task(task)
    assert task.demonstrators == ("play",) and not task.success()
    task.close()


def test_dynamics_are_gymnasiums_own(reacher):
    env = gymnasium.make("Reacher-v5").unwrapped
    env.reset(seed=11)
    reacher.reset(11)
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 2)):
        env.step(action)
        reacher.step(action)
    assert np.array_equal(reacher.data.qpos, env.data.qpos) and np.array_equal(reacher.data.qvel, env.data.qvel)


def test_proprioception_does_not_hold_the_target(reacher):
    reacher.reset(0)
    before, objects = reacher.proprioception(), reacher.object_state()
    reacher.data.qpos[2:] += 0.05
    assert np.array_equal(reacher.proprioception(), before)
    np.testing.assert_allclose(reacher.object_state(), objects + 0.05, atol=1e-6)
    assert np.array_equal(before, np.r_[reacher.data.qpos[:2], reacher.data.qvel[:2]].astype(np.float32))


def test_the_picture_shows_target_and_fingertip(reacher):
    reacher.reset(3)
    for _ in range(2):
        frame = reacher.render().astype(int)
        red = np.argwhere(frame[..., 0] > 2 * frame[..., 1:].max(axis=2))  # the pedestal is pink
        assert len(red) > 40
        # The view is from above: right is +x, up is +y.
        metres_a_pixel = 2 * 0.58 * np.tan(np.pi / 8) / 112
        row, column = red.mean(axis=0)
        seen = np.array([column - 55.5, 55.5 - row]) * metres_a_pixel
        np.testing.assert_allclose(seen, reacher.object_state(), atol=0.006)
        state = reacher.get_state()
        state[3:5] = -state[3:5]
        reacher.set_state(state)


def test_success_is_the_fingertip_on_the_target(reacher):
    reacher.reset(5)
    for offset, expected in ((0.0, True), (0.9 * REACHER_RADIUS, True), (1.1 * REACHER_RADIUS, False)):
        tip = reacher.data.body("fingertip").xpos[:2].copy()
        state = reacher.get_state()
        state[3:5] = tip + np.array([offset, 0.0])
        reacher.set_state(state)
        assert reacher.success() is expected


def test_joint_angles_put_the_fingertip_on_the_point():
    rng = np.random.default_rng(0)
    for _ in range(50):
        near = rng.uniform([-20, -3], [20, 3])
        radius, angle = rng.uniform(0.02, 0.2), rng.uniform(-np.pi, np.pi)
        point = radius * np.array([np.cos(angle), np.sin(angle)])
        shoulder, elbow = joint_angles(point, near)
        tip = LINKS[0] * np.array([np.cos(shoulder), np.sin(shoulder)])
        tip = tip + LINKS[1] * np.array([np.cos(shoulder + elbow), np.sin(shoulder + elbow)])
        np.testing.assert_allclose(tip, point, atol=1e-9)
        assert abs(shoulder - near[0]) <= np.pi + 1e-9


def _solved(task, kind, noise, seeds):
    solved = 0
    for seed in seeds:
        task.reset(seed)
        policy = task.demonstrator(kind, noise, seed)
        for _ in range(task.spec.max_steps):
            task.step(policy())
        solved += task.success()
    return solved


def test_the_expert_solves_and_the_goal_blind_does_not(reacher):
    assert _solved(reacher, "expert", 0.0, range(20)) >= 18
    assert _solved(reacher, "expert", 0.3, range(20)) >= 12
    assert _solved(reacher, "goal-blind", 0.0, range(20)) <= 5


def test_goal_blind_moves_as_far_as_the_expert(reacher):
    travel = {}
    for kind in ("expert", "goal-blind"):
        travel[kind] = 0.0
        for seed in range(5):
            reacher.reset(seed)
            policy = reacher.demonstrator(kind, 0.0, seed)
            for _ in range(30):
                before = reacher.data.body("fingertip").xpos.copy()
                reacher.step(policy())
                travel[kind] += np.linalg.norm(reacher.data.body("fingertip").xpos - before)
    assert travel["goal-blind"] > 0.7 * travel["expert"]


def test_a_success_rule_can_be_given():
    task = GymnasiumTask("Pusher-v5", success=lambda env: env.data.qpos[0] > -100)
    assert task.success() is True
    task.close()


def test_arguments_reach_the_environment():
    task = GymnasiumTask("Pusher-v5", env_kwargs={"frame_skip": 2})
    assert task.env.frame_skip == 2 and task.spec.control_hz == pytest.approx(50.0)
    task.close()


def test_pushers_default_camera_shows_the_object():
    """In frames of 112 x 112 pixels, wherever it starts: a patch of 14 x 14 or more, over at least two of the grid."""
    task = GymnasiumTask("Pusher-v5")
    geoms = task.model.geom_bodyid == task.model.body("object").id
    for seed in range(6):
        task.reset(seed)
        shown = task.render().astype(int)
        colours = task.model.geom_rgba[geoms].copy()
        task.model.geom_rgba[geoms] = 0.0
        changed = np.abs(task.render().astype(int) - shown).sum(axis=2) > 20
        task.model.geom_rgba[geoms] = colours
        assert changed.sum() >= 14 * 14
        assert changed.reshape(8, 14, 8, 14).any(axis=(1, 3)).sum() >= 2
    task.close()


@pytest.mark.parametrize(("id", "text"), [("CartPole-v1", "not a MuJoCo"), ("NoSuchEnv-v0", "NoSuchEnv")])
def test_other_ids_are_refused(id, text):
    with pytest.raises(ValueError, match=text):
        GymnasiumTask(id)
