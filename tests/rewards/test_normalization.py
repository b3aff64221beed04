"""Running normalisation: statistics are those of what was paid, the same again, and only of running episodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rla_gym.rewards.normalization import LIMIT, RunningNormalization


def paid(steps: int, batch: int, spread: float = 1.0) -> torch.Tensor:
    """Rewards (steps, batch) float32."""
    return 0.5 + spread * torch.randn(steps, batch, generator=torch.Generator().manual_seed(0))


def test_the_spread_is_that_of_all_rewards() -> None:
    rewards, normalize = paid(300, 7, spread=0.01), RunningNormalization(7, "rewards")
    for step in rewards:
        normalize(step)
    # It begins as if one value of variance 1 had been seen at 0; merged at once instead of in 300 steps:
    values = rewards.double().numpy().ravel()
    count = values.size + 1
    mean = values.sum() / count
    squares = 1.0 + np.square(values - values.mean()).sum() + values.mean() ** 2 * values.size / count
    assert normalize.mean == pytest.approx(mean, rel=1e-9)
    assert normalize.variance == pytest.approx(squares / count, rel=1e-9)


def test_returns_are_discounted_and_begin_with_the_episode() -> None:
    normalize, seen = RunningNormalization(2, "returns", gamma=0.5), [0.0, 0.0]
    twin = RunningNormalization(2, "rewards")
    for number in range(6):
        if number == 3:
            normalize.begin(torch.tensor([1]))
            seen[1] = 0.0
        rewards = torch.tensor([1.0, 2.0]) + number
        seen = [0.5 * old + new for old, new in zip(seen, rewards.tolist(), strict=True)]
        normalize(rewards)
        twin(torch.tensor(seen, dtype=torch.float64))
    assert normalize.variance == pytest.approx(twin.variance, rel=1e-12)
    assert normalize.mean == pytest.approx(twin.mean, rel=1e-12)


@pytest.mark.parametrize("kind", ["returns", "rewards"])
def test_the_unit_of_rewards_drops_out(kind: str) -> None:
    rewards = paid(1500, 8)
    ends = []
    for unit in (1.0, 100.0):
        normalize = RunningNormalization(8, kind, gamma=0.9)
        ends.append(torch.stack([normalize(unit * step) for step in rewards])[-300:])
    assert ends[0].dtype == torch.float32
    assert torch.allclose(ends[0], ends[1], rtol=0.02, atol=0.01)
    if kind == "rewards":
        assert ends[0].std().item() == pytest.approx(1.0, abs=0.05)


def test_nothing_is_subtracted_and_little_changes_at_first() -> None:
    normalize = RunningNormalization(3)
    first = torch.tensor([0.01, 0.0, -0.02])
    normalized = normalize(first)
    assert torch.equal(normalized.sign(), first.sign())
    # No spread of its own yet, but no division by nearly nothing either.
    assert 0.5 < normalized[0].item() / 0.01 < 3.0


def test_constant_rewards_stay_bounded() -> None:
    normalize = RunningNormalization(1, "rewards")
    assert all(normalize(torch.tensor([2.0])).abs().item() <= LIMIT for _ in range(3000))


def test_ended_episodes_are_not_counted() -> None:
    whole, part = RunningNormalization(3, "rewards"), RunningNormalization(2, "rewards")
    counted = torch.tensor([True, False, True])
    for step in paid(50, 3):
        junk = step.clone()
        junk[1] = 1e6
        whole(junk, counted)
        part(step[counted])
    assert whole.variance == part.variance and whole.mean == part.mean


def test_it_starts_anew() -> None:
    normalize = RunningNormalization(4, "returns", gamma=0.9)
    first = [normalize(step) for step in paid(20, 4)]
    assert not torch.equal(normalize(paid(1, 4)[0]), first[0])
    normalize.restart()
    assert all(map(torch.equal, first, (normalize(step) for step in paid(20, 4))))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="returns, rewards"):
        RunningNormalization(1, "values")
