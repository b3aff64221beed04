"""The time left of a demo: known before anything is measured, and then what is measured."""

from __future__ import annotations

import pytest

from rla_gym.learning import plan as plans
from rla_gym.learning.config import DemoConfig
from rla_gym.learning.plan import COSTS, Plan, stages
from rla_gym.utils import progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(plans.time, "monotonic", clock)
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def test_the_demo_takes_what_was_measured() -> None:
    """README's seeds took 330 to 340 s of that machine, and looking along the way some seconds more."""
    plan = Plan(stages(DemoConfig(), 120), show=False)
    assert 330 < plan.left() < 380
    two = Plan(stages(DemoConfig(seeds=(0, 1)), 120), show=False)
    assert len(two.stages) == 2 * len(plan.stages) - 1  # one video
    assert len(stages(DemoConfig(simulator_timesteps=100), 120)) == len(plan.stages) + 2


def test_every_stage_counts_in_its_own_units() -> None:
    found = {stage.name: stage for stage in stages(DemoConfig(num_envs=64, n_steps=16, timesteps=50_000), 12)}
    assert (found["ppo-0"].total, found["ppo-0"].unit) == (50_176, "chunk")
    assert (found["dream-after-0"].total, found["simulator-before-0"].total) == (12, 200)


def test_a_slow_machine_is_noticed(clock: Clock) -> None:
    """After a stage that took three times as long, the rest does too, but for what was trusted at first."""
    plan = Plan(stages(DemoConfig(), 120), show=False)
    first = plan.left()
    with plan.run("demonstrations-0") as bar:
        for _ in range(bar.total):
            clock.now += 3 * COSTS["demonstrations"]
            bar.update()
    rest = first - 100 * COSTS["demonstrations"]
    assert 2.2 * rest < plan.left() < 3 * rest
    assert plan.spent("demonstrations-0") == pytest.approx(clock.now)


def test_a_stage_goes_by_its_own_speed_and_its_kind_by_what_it_took(clock: Clock) -> None:
    plan = Plan(stages(DemoConfig(episodes=100), 120), show=False)
    for name in list(plan.stages)[:2]:
        plan.skip(name)
    with plan.run("simulator-before-0") as bar:
        clock.now += 400.0
        bar.update(50)
        others = plan.left()
    assert others > 400 * 0.9
    before = plan.left()
    plan.skip("simulator-after-0")
    assert before - plan.left() == pytest.approx(400.0)  # as long as the one before: its own speed


def test_finished_stages_take_no_time(clock: Clock) -> None:
    plan = Plan(stages(DemoConfig(), 120), show=False)
    for name in plan.stages:
        plan.skip(name)
    assert plan.left() == 0.0 and plan.note() == "about 0 s left in all"
