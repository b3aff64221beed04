"""push-t: its rules, its pictures and its demonstrators."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.push_t import MAX_TURN
from tests.tasks.conformance import check_task

AWAY = np.array([0.19, 0.19])


@pytest.fixture(scope="module")
def task():
    task = make_task("push-t")
    yield task
    task.close()


def test_it_keeps_the_protocol(task):
    check_task(task)
    assert task.demonstrators == ("expert", "play", "goal-blind", "interrupted")
    assert task.spec.max_steps == 120


def test_states_of_a_wrong_size_are_refused(task):
    with pytest.raises(ValueError, match="push-t states are"):
        task.set_state(task.get_state()[:-1])


def test_success_is_nine_tenths_covered(task):
    # Shifted along the bar by d the T loses 4 of 7 square units a unit: 0.1 at 0.175 units of 3 cm.
    target = np.array([0.02, -0.03, 0.7])
    along = np.array([np.cos(0.7), np.sin(0.7), 0.0])
    for shift, solved in ((0.0, True), (0.0052, True), (0.0053, False), (0.05, False)):
        task.place(target + shift * along, AWAY, target)
        assert task.success() is solved
    task.place(target + np.array([0.0, 0.0, 2 * np.pi]), AWAY, target)
    assert task.success()
    task.place(target + np.array([0.0, 0.0, np.pi]), AWAY, target)
    assert not task.success()


def test_object_state_is_both_poses(task):
    task.place(np.array([0.01, 0.02, 4.0]), AWAY, np.array([-0.03, 0.04, -0.5]))
    expected = [0.01, 0.02, 4.0 - 2 * np.pi, -0.03, 0.04, -0.5]
    assert np.allclose(task.object_state(), expected, atol=1e-6)
    assert task.spec.object_names == ("block_x", "block_y", "block_yaw", "target_x", "target_y", "target_yaw")


def test_starts_are_moderately_far_away_and_turned(task):
    turns, coverages = [], []
    for seed in range(60):
        task.reset(seed)
        offset = task.block_pose - task.target_pose
        assert 0.04 <= np.linalg.norm(offset[:2]) <= 0.15
        turns.append(np.arctan2(np.sin(offset[2]), np.cos(offset[2])))
        coverages.append(task.coverage())
    assert np.abs(turns).max() <= MAX_TURN + 1e-9 and min(turns) < -0.7 and max(turns) > 0.7
    assert max(coverages) < 0.6


def test_the_mass_is_centred_on_the_origin(task):
    body = task.model.body("block")
    assert np.abs(body.ipos[:2]).max() < 1e-5 and body.mass[0] == pytest.approx(0.15, abs=1e-5)


def test_the_target_is_drawn_where_the_t_would_cover_it(task):
    task.place(np.array([-0.09, 0.10, 0.0]), AWAY, np.array([0.05, -0.08, 0.4]))
    frame = task.render().astype(int)
    green = (frame[..., 1] > 1.6 * frame[..., 0]) & (frame[..., 1] > 1.6 * frame[..., 2])
    task.place(np.array([0.05, -0.08, 0.4]), AWAY, np.array([0.05, -0.08, 0.4]))
    frame = task.render().astype(int)
    orange = (frame[..., 0] > 1.6 * frame[..., 1]) & (frame[..., 0] > 1.6 * frame[..., 2])
    assert green.sum() > 150 and orange.sum() > 2 * 14**2
    assert np.mean(orange[green]) > 0.65, "the T hides most of the target that it covers"


def test_the_expert_solves_it(task):
    solved = 0
    for seed in range(5):
        task.reset(seed)
        policy = task.demonstrator("expert", 0.0, seed)
        for _ in range(task.spec.max_steps):
            task.step(policy())
            if task.success():
                solved += 1
                break
    assert solved >= 4


def test_planning_leaves_no_trace_in_the_task(task):
    task.reset(3)
    policy = task.demonstrator("expert", 0.1, 0)
    states = []
    for _ in range(15):
        before = task.get_state()
        action = policy()
        assert np.array_equal(task.get_state(), before)
        task.step(action)
        states.append((action, task.get_state()))
    task.reset(3)
    for action, state in states:
        task.step(action)
        assert np.array_equal(task.get_state(), state)


def test_actions_of_all_but_the_expert_do_not_depend_on_the_shown_target(task):
    differ = {}
    for kind in task.demonstrators:
        runs = []
        for target in (np.array([0.08, 0.08, 1.0]), np.array([-0.08, 0.05, -1.0])):
            task.place(np.zeros(3), np.array([0.1, -0.1]), target)
            policy = task.demonstrator(kind, 0.1, 5)
            actions = []
            for _ in range(12):
                actions.append(policy())
                task.step(actions[-1])
            runs.append(actions)
        differ[kind] = not np.array_equal(*runs)
    assert differ == {"expert": True, "play": False, "goal-blind": False, "interrupted": False}


def test_all_but_the_expert_move_the_t(task):
    for kind in ("play", "goal-blind", "interrupted"):
        moved = []
        for seed in range(3):
            task.reset(seed)
            policy = task.demonstrator(kind, 0.1, seed)
            start = task.block_pose
            for _ in range(25):
                task.step(policy())
            moved.append(np.abs(task.block_pose - start).max())
        assert max(moved) > 0.02, kind
