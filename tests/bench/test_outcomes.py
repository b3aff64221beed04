"""Summaries of outcomes that are known."""

from __future__ import annotations

import numpy as np
import pytest

from rla_gym.bench.outcomes import compared, mean, paired, rate
from rla_gym.utils.statistics import wilson


def side(success: list[int], steps: list[int], returns: list[float], least: list[float]) -> dict[str, np.ndarray]:
    return {
        "success": np.array(success),
        "steps": np.array(steps),
        "return": np.array(returns),
        "least_distance": np.array(least),
    }


def test_dream_against_reality() -> None:
    dream = side([1, 1, 1, 0], [2, 3, 4, 6], [1.0, 1.0, 1.0, 0.0], [0.1, 0.1, 0.1, 0.9])
    real = side([1, 0, 1, 1], [4, 6, 4, 5], [0.5, 0.0, 1.0, 0.5], [0.1, 0.8, 0.6, 0.1])
    found = compared(dream, real, np.arange(4), True, threshold=0.5)
    assert found["only_first"]["count"] == 1 and found["only_second"]["count"] == 1 and found["both"] == 2
    assert found["success"]["difference"] == 0.0 and found["success"]["p"] == 1.0
    assert found["steps_where_both"][0] == pytest.approx(-1.0)
    assert found["return"][0] == pytest.approx(0.25)
    # 3 of 4 solved on each side, agreeing on two: .5 observed, .75² + .25² by chance.
    assert found["kappa"] == pytest.approx((0.5 - 0.625) / 0.375)
    assert found["rule"]["only_task"]["count"] == 1 and found["rule"]["only_rule"]["count"] == 0
    assert set(compared(dream, real, np.arange(4), False, None)) == {"return", "return_p"}


def test_starts_of_one_recording_are_resampled_together() -> None:
    solved = np.array([True] * 6 + [False] * 6)
    alone, shared = rate(solved, np.arange(12)), rate(np.repeat(solved, 5), np.repeat(np.arange(12), 5))
    assert (alone["low"], alone["high"]) == wilson(6, 12)
    assert alone["rate"] == shared["rate"] == 0.5
    assert shared["high"] - shared["low"] > 1.5 * np.subtract(*wilson(30, 60)[::-1])
    values = mean(np.repeat(solved, 5), np.repeat(np.arange(12), 5))
    assert values[0] == 0.5 and values[1] == shared["low"]
    change = paired(np.repeat(~solved, 5), np.repeat(np.ones(12, bool), 5), np.repeat(np.arange(12), 5))
    assert change["difference"] == 0.5 and change["low"] < 0.5 < change["high"] and change["p"] < 0.1
