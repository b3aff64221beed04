from __future__ import annotations

import pytest
import torch

from rla_gym.models.flow import (
    euler_sample,
    flow_loss,
    interpolate,
    midpoint_sample,
    sample_times,
    target_velocity,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def latents() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(4, 3, 2, generator=generator()), torch.randn(4, 3, 2, generator=generator(1))


def test_path_runs_from_data_to_noise_with_the_target_velocity():
    z, noise = latents()
    assert torch.allclose(interpolate(z, noise, torch.zeros(4)), z, atol=1e-4)
    assert torch.allclose(interpolate(z, noise, torch.ones(4)), noise)
    early, late = torch.full((4,), 0.2), torch.full((4,), 0.7)
    slope = (interpolate(z, noise, late, 0.1) - interpolate(z, noise, early, 0.1)) / 0.5
    torch.testing.assert_close(slope, target_velocity(z, noise, 0.1))


@pytest.mark.parametrize("steps", [1, 4, 30])
def test_euler_follows_the_true_velocity_to_the_data(steps):
    z, noise = latents()
    x = euler_sample(lambda x, t: target_velocity(z, noise, 0.0), noise, steps)
    torch.testing.assert_close(x, z)


def test_euler_times_fall_uniformly_from_one():
    seen = []

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        seen.append(t.item())
        return torch.zeros_like(x)

    euler_sample(velocity, torch.zeros(1, 1, 1), 4)
    assert seen == [1.0, 0.75, 0.5, 0.25]
    with pytest.raises(ValueError, match="steps is 0"):
        euler_sample(velocity, torch.zeros(1, 1, 1), 0)


@pytest.mark.parametrize("evaluations", [2, 4, 30])
def test_the_midpoint_rule_follows_the_true_velocity_to_the_data(evaluations):
    z, noise = latents()
    x = midpoint_sample(lambda x, t: target_velocity(z, noise, 0.0), noise, evaluations)
    torch.testing.assert_close(x, z)


def test_the_midpoint_rule_is_of_second_order():
    """dx/dt = x, e^(t - 1) from x(1) = 1: twice the evaluations leave a quarter of the error, with Euler a half."""

    def error(sample, evaluations: int) -> float:
        found = sample(lambda x, t: x, torch.ones(1, 1, 1, dtype=torch.float64), evaluations)
        return abs(found.item() - float(torch.tensor(-1.0, dtype=torch.float64).exp()))

    assert error(midpoint_sample, 16) / error(midpoint_sample, 32) == pytest.approx(4, rel=0.1)
    assert error(euler_sample, 16) / error(euler_sample, 32) == pytest.approx(2, rel=0.1)
    assert error(midpoint_sample, 8) < error(euler_sample, 16)
    for wrong in (0, 1, 3):
        with pytest.raises(ValueError, match=f"evaluations is {wrong}, expected an even number"):
            midpoint_sample(lambda x, t: x, torch.ones(1, 1, 1), wrong)


def test_times_are_logit_normal():
    times = sample_times(20_000, generator(), mean=0.3, std=0.8)
    logits = torch.logit(times.double())
    assert logits.mean().item() == pytest.approx(0.3, abs=0.02)
    assert logits.std().item() == pytest.approx(0.8, abs=0.02)
    assert (times < 1).all()


def test_end_share_puts_times_at_one_and_leaves_the_others():
    plain, mixed = sample_times(10_000, generator()), sample_times(10_000, generator(), end_share=0.25)
    at_end = mixed == 1
    assert at_end.float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(mixed[~at_end], plain[~at_end])
    with pytest.raises(ValueError, match=r"end_share is 1\.5"):
        sample_times(3, generator(), end_share=1.5)


def test_loss_is_mse_plus_l1():
    predicted, target = torch.zeros(2, 1, 2), torch.full((2, 1, 2), 3.0)
    assert flow_loss(predicted, target).item() == 12.0
    assert flow_loss(predicted, target, l1_weight=0.0).item() == 9.0
    with pytest.raises(ValueError, match="differ in shape"):
        flow_loss(predicted, target[:1])


def test_mismatched_path_is_refused():
    z, noise = latents()
    with pytest.raises(ValueError, match=r"t has shape \(1,\)"):
        interpolate(z, noise, torch.zeros(1))
