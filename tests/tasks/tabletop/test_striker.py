"""Strokes of the ball."""

import numpy as np
import pytest

from rla_gym.tasks import make_task
from rla_gym.tasks.tabletop.striker import Striker


@pytest.fixture(scope="module")
def task():
    return make_task("roll-ball")


def strokes(task, seed, hidden, steps=60):
    """Ball velocities after each control step of one episode, (steps, 2)."""
    task.reset(seed)
    striker = Striker(task, 0.0, np.random.default_rng(seed), hidden)
    velocities = []
    for _ in range(steps):
        task.step(striker())
        velocities.append(task.ball_velocity)
    return np.array(velocities)


def test_strokes_go_towards_the_shown_spot(task):
    angles = []
    for seed in range(15):
        task.reset(seed)
        wanted = task.target_pose[:2] - task.block_pose[:2]
        velocities = strokes(task, seed, hidden=False)
        first = velocities[int(np.argmax(np.linalg.norm(velocities, axis=1) > 0.05)) + 2]
        cosine = first @ wanted / np.linalg.norm(first) / np.linalg.norm(wanted)
        angles.append(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))))
    assert np.median(angles) < 6 and np.mean(np.array(angles) < 20) > 0.85


def test_speeds_of_strokes_vary(task):
    fastest = [np.linalg.norm(strokes(task, seed, hidden=False), axis=1).max() for seed in range(15)]
    assert np.std(fastest) > 0.02 and min(fastest) > 0.08 and max(fastest) < 0.35


def test_hidden_strokes_have_goals_of_their_own(task):
    directions = []
    for seed in range(6):
        velocities = strokes(task, 3, hidden=True) if seed == 0 else None
        task.reset(3)
        striker = Striker(task, 0.0, np.random.default_rng(seed), True)
        for _ in range(40):
            task.step(striker())
        directions.append(task.block_pose[:2])
        assert velocities is None or np.linalg.norm(velocities, axis=1).max() > 0.08
    assert np.std(directions, axis=0).max() > 0.02


def test_a_fast_ball_is_waited_for(task):
    task.place(np.array([0.0, -0.05, 0.0]), np.array([0.1, -0.05]), np.array([0.0, 0.12, 0.0]))
    task.data.qvel[:2] = [-0.2, 0.0]
    striker = Striker(task, 0.0, np.random.default_rng(0), False)
    action = striker()
    assert action[1] < -0.2 and action.dtype == np.float32
