"""What all tabletop tasks have in common: the protocol, states, experts and goal-blind episodes."""

import numpy as np
import pytest

from rla_gym.collect.plan import EpisodePlan
from rla_gym.collect.rollout import record_episode
from rla_gym.tasks import make_task
from tests.tasks.conformance import check_task

NEW = ["roll-ball", "poke-cube", "pull-cube"]
VARIED = ["push-cube@unseen", "push-t@train", "roll-ball@unseen-colours", "poke-cube@unseen", "pull-cube@train"]
KINDS = ("expert", "play", "goal-blind", "interrupted")


@pytest.fixture(scope="module", params=NEW)
def task(request):
    task = make_task(request.param)
    yield task
    task.close()


def solved(task, seed, noise=0.0):
    """Whether the expert solves this episode."""
    task.reset(seed)
    policy = task.demonstrator("expert", noise, seed)
    for _ in range(task.spec.max_steps):
        task.step(policy())
        if task.success():
            return True
    return False


@pytest.mark.parametrize("name", [*NEW, "push-cube@unseen", "poke-cube@train"])
def test_they_keep_the_protocol(name):
    task = make_task(name)
    check_task(task, replay_steps=6)
    assert task.demonstrators == KINDS
    assert task.spec.name == name and task.spec.proprio_size == len(task.spec.proprio_names) == 4
    task.close()


def test_states_of_a_wrong_size_are_refused(task):
    state = task.get_state()
    for wrong in (state[:-1], np.append(state, 0.0), state[None]):
        with pytest.raises(ValueError, match=f"{task.spec.name} states are {len(state)} finite numbers"):
            task.set_state(wrong)
    assert np.array_equal(task.get_state(), state)


def test_the_moved_object_covers_two_patches_of_14_pixels_at_the_start(task):
    geom = task.model.geom_bodyid == task.model.body("block").id
    colours, areas = task.model.geom_rgba[geom].copy(), []
    for seed in range(12):
        task.reset(seed)
        seen = task.render().astype(int)
        task.model.geom_rgba[geom, 3] = 0.0
        areas.append((np.abs(seen - task.render()).max(axis=2) > 8).sum() / 14**2)
        task.model.geom_rgba[geom] = colours
    assert np.mean(areas) >= 2.0 and min(areas) > 1.8


def test_the_expert_solves_nine_in_ten(task):
    assert sum(solved(task, seed) for seed in range(20)) >= 18


@pytest.mark.parametrize("name", VARIED)
def test_experts_can_handle_the_other_tools_and_blocks(name):
    task = make_task(name)
    count = 3 if name.startswith("push-t") else 10
    assert sum(solved(task, seed) for seed in range(count)) >= 0.75 * count


def test_only_the_expert_sees_the_shown_target(task):
    differ = {}
    for kind in KINDS:
        runs = []
        for shift in (0.06, -0.06):
            task.reset(1)
            target = task.target_pose + np.array([shift, shift / 2, 0.0])
            task.place(task.block_pose, task.pusher_position, target)
            policy = task.demonstrator(kind, 0.3, 5)
            actions = []
            for _ in range(40):
                actions.append(policy())
                task.step(actions[-1])
            runs.append(actions)
        differ[kind] = not np.array_equal(*runs)
    assert differ == {kind: kind == "expert" for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_every_demonstrator_moves_the_object(task, kind):
    travelled = []
    for seed in range(6):
        task.reset(seed)
        policy = task.demonstrator(kind, 0.2, seed)
        places = [task.block_pose[:2]]
        for _ in range(task.spec.max_steps):
            task.step(policy())
            places.append(task.block_pose[:2])
        travelled.append(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())
        # Less than 5 cm a control step: nothing slips through anything and is thrown out.
        assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.05
    assert np.mean(travelled) > 0.04 and np.mean(np.array(travelled) > 0.01) > 0.6


def test_episodes_are_recorded_with_their_velocities(task):
    episode = record_episode(task, EpisodePlan(0, 0, 3, "expert", 0.0))
    assert episode.success and episode.task == task.spec.name
    assert episode.proprio.shape[1] == 4 and np.abs(episode.proprio[:, 2:]).max() > 0.1
    moved = np.diff(episode.proprio[:, :2], axis=0) * task.spec.control_hz
    assert np.corrcoef(moved.ravel(), episode.proprio[1:, 2:].ravel())[0, 1] > 0.8
