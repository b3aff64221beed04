"""Budgets: steps from minutes or samples, planned once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.baselines.budget import FILE_NAME, plan, seconds_a_step
from rla_gym.utils.files import read_json

LOOP = {"batch_size": 4, "seed": 0, "lr": 1e-3}


class Slow:
    """A `Trainable` whose step takes a known processor time."""

    batch_size, seed = 4, 0

    def __init__(self, seconds: float) -> None:
        self.seconds, self.layer, self.evaluated = seconds, nn.Linear(2, 1), 0

    def modules(self):
        return {"layer": self.layer}

    def describe(self):
        return {}

    def batch(self, step, rank):
        return {"x": torch.ones(4, 2)}

    def loss(self, batch, step):
        end = time.process_time() + self.seconds
        while time.process_time() < end:
            pass
        return self.layer(batch["x"]).square().mean(), {}

    def evaluate(self, step):
        raise AssertionError("measuring time must not measure the model")


def test_steps_are_timed_by_the_processor() -> None:
    assert seconds_a_step(lambda: Slow(0.03), LOOP) == pytest.approx(0.035, abs=0.006)


def test_minutes_become_steps_once(tmp_path: Path) -> None:
    planned = plan(tmp_path, lambda: Slow(0.03), LOOP, minutes=0.05, samples=None)
    assert planned["steps"] == int(3 / planned["seconds_a_step"]) and 70 <= planned["steps"] <= 100
    assert planned == read_json(tmp_path / FILE_NAME)
    # On a machine that is ten times slower by now, the run keeps to its plan.
    assert plan(tmp_path, lambda: Slow(0.3), LOOP, minutes=0.05, samples=None) == planned


def test_samples_become_steps(tmp_path: Path) -> None:
    assert plan(tmp_path, lambda: Slow(0.001), LOOP, minutes=None, samples=103)["steps"] == 25


def test_another_budget_is_refused(tmp_path: Path) -> None:
    plan(tmp_path, lambda: Slow(0.001), LOOP, minutes=None, samples=100)
    with pytest.raises(ValueError, match="was planned with minutes=None and samples=100, this asks for minutes=2"):
        plan(tmp_path, lambda: Slow(0.001), LOOP, minutes=2.0, samples=None)
    for minutes, samples in ((None, None), (1.0, 10)):
        with pytest.raises(ValueError, match="give one of the two"):
            plan(tmp_path / "other", lambda: Slow(0.001), LOOP, minutes=minutes, samples=samples)
