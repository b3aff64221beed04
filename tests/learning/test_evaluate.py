"""Evaluation: fixed numbers of episodes, the same starts for every policy, the task's own success."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.real_vector import RLARealVecEnv
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.learning.evaluate import metres_to_target, run_episodes


class Still:
    """No motion."""

    def predict(self, observation: Any, deterministic: bool = False) -> tuple[np.ndarray, None]:
        return np.zeros((len(observation), 8), np.float32), None


class Rightwards:
    """One direction at full speed."""

    def predict(self, observation: Any, deterministic: bool = False) -> tuple[np.ndarray, None]:
        return np.tile(np.array([1, 0] * 4, np.float32), (len(observation), 1)), None


@pytest.fixture
def env(bundle: Bundle) -> Any:
    made = RLARealVecEnv(bundle, 2, workers=0, start="task", time_limit=3)
    yield made
    made.close()


def test_the_same_starts_for_every_policy(env: Any, bundle: Bundle) -> None:
    still, again, pushed = (run_episodes(policy, env, 5, 40) for policy in (Still(), Still(), Rightwards()))
    assert still == again
    assert [(e.environment, e.number) for e in still.episodes] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    names = bundle.config.object_names
    targets = [names.index("target_x"), names.index("target_y")]
    for one, other in zip(still.episodes, pushed.episodes, strict=True):
        assert one.objects is not None and other.objects is not None
        np.testing.assert_allclose(np.array(one.objects)[targets], np.array(other.objects)[targets], atol=1e-6)
        assert one.length == 3 and one.goal_distance is None
    assert still.episodes != run_episodes(Still(), env, 5, 41).episodes


def test_metres_are_those_of_the_simulator(env: Any, bundle: Bundle) -> None:
    evaluation = run_episodes(Still(), env, 4, 7)
    found = metres_to_target(evaluation, bundle.config.object_names)
    assert found is not None and 0.09 < found < 0.26  # starts are 10 to 25 cm apart, and nothing moved them
    assert evaluation.rate == 0.0 and evaluation.interval[1] == pytest.approx(0.49, abs=0.01)
    assert metres_to_target(evaluation, ("left", "right")) is None


def test_dreams_tell_goal_distances(bundle: Bundle) -> None:
    env = RLAWorldVecEnv(bundle, 3, time_limit=2, terminate_on_success=False, references="all")
    evaluation = run_episodes(Still(), env, 4, 0)
    assert evaluation.goal_distance is not None and evaluation.goal_distance > 0
    assert metres_to_target(evaluation, bundle.config.object_names) is None
    saved = evaluation.to_dict()
    assert len(saved["episodes"]) == 4 and saved["seed"] == 0
