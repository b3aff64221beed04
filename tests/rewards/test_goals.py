"""The reward of goals: numbers one can check, and rows that do not know of each other."""

from __future__ import annotations

import numpy as np
import pytest

from rla_gym.rewards import FeatureGoal


def test_numbers_one_can_check() -> None:
    achieved, desired = np.zeros((2, 2), np.float32), np.array([[3, 4], [0.1, 0]], np.float32)
    assert FeatureGoal("goal", 2.0)(achieved, desired).tolist() == [-10.0, pytest.approx(-0.2)]
    sparse = FeatureGoal("sparse", 2.0, threshold=float(np.float32(0.1)))
    assert sparse(achieved, desired).tolist() == [-2.0, -2.0]  # at the threshold is not under it
    assert sparse(achieved[0], desired[0] / 100).tolist() == 0.0


@pytest.mark.parametrize("goal", [FeatureGoal("goal", 0.7), FeatureGoal("sparse", 0.7, threshold=3.0)])
def test_a_row_does_not_depend_on_its_batch(goal: FeatureGoal) -> None:
    achieved, desired = np.random.default_rng(0).uniform(-1, 1, (2, 1000, 31)).astype(np.float32)
    together = goal(achieved, desired)
    assert together.dtype == np.float32 and together.shape == (1000,) and len(np.unique(together)) > 1
    assert np.array_equal(together, [goal(*pair) for pair in zip(achieved, desired, strict=True)])
    assert np.array_equal(together[::3], goal(achieved[::3], desired[::3]))
    assert np.array_equal(together, goal(np.asfortranarray(achieved), np.asfortranarray(desired)))
    assert np.array_equal(together.reshape(10, 100), goal(achieved.reshape(10, 100, 31), desired.reshape(10, 100, 31)))


def test_nothing_is_reached_without_a_threshold() -> None:
    assert not FeatureGoal("goal").reached(np.zeros(3, np.float32)).any()


@pytest.mark.parametrize("settings", [{"mode": "dense"}, {"scale": 0.0, "threshold": 1.0}, {"mode": "sparse"}])
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected|threshold"):
        FeatureGoal(**settings)
