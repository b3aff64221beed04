"""The learning rate by the step."""

import pytest

from rla_gym.training.schedule import learning_rate


def test_learning_rate():
    rates = [learning_rate(step, 100, 1.0, warmup=10, final_fraction=0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1.0 and rates[-1] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)
