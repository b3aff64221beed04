"""Flow matching on latent actions: path, times, loss and Euler sampler.

Convention of the released code: t = 0 is data, t = 1 is noise (the paper's text runs the other way);
x_t = (1 - t) z + (sigma_min + (1 - sigma_min) t) noise, with velocity v = (1 - sigma_min) noise - z.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

SIGMA_MIN = 1e-5
"""Noise left at t = 0 in the release."""


def interpolate(z: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, sigma_min: float = SIGMA_MIN) -> torch.Tensor:
    """Point x_t (B, N, D) on the path between `z` and `noise` (B, N, D) at times `t` (B,) in [0, 1]."""
    if z.shape != noise.shape or t.shape != z.shape[:1]:
        raise ValueError(
            f"z {tuple(z.shape)} and noise {tuple(noise.shape)} must have one shape, one time a row; "
            f"t has shape {tuple(t.shape)}"
        )
    t = t.reshape(-1, *[1] * (z.dim() - 1))
    return (1 - t) * z + (sigma_min + (1 - sigma_min) * t) * noise


def target_velocity(z: torch.Tensor, noise: torch.Tensor, sigma_min: float = SIGMA_MIN) -> torch.Tensor:
    """Velocity dx_t/dt of the path, (1 - sigma_min)·noise - z, the same at every t."""
    return (1 - sigma_min) * noise - z


def sample_times(
    n: int,
    generator: torch.Generator,
    mean: float = 0.0,
    std: float = 1.0,
    end_share: float = 0.0,
) -> torch.Tensor:
    """Training times (n,) float32 on the generator's device: sigmoid of normal(mean, std).

    `end_share` sets that share of them to exactly 1 (ours; 0 in the release): there the best velocity is
    noise - E[z], so one Euler step from zero noise gives the conditional mean, and a logit-normal never
    trains it.
    """
    if not 0.0 <= end_share <= 1.0:
        raise ValueError(f"end_share is {end_share}, expected a share in [0, 1]")
    device = generator.device
    times = torch.sigmoid(mean + std * torch.randn(n, generator=generator, device=device))
    at_end = torch.rand(n, generator=generator, device=device) < end_share
    return torch.where(at_end, 1.0, times)


def flow_loss(
    predicted: torch.Tensor, target: torch.Tensor, mse_weight: float = 1.0, l1_weight: float = 1.0
) -> torch.Tensor:
    """MSE + L1 between velocities of one shape, as the released code has it (the paper states MSE alone)."""
    if predicted.shape != target.shape:
        raise ValueError(f"predicted {tuple(predicted.shape)} and target {tuple(target.shape)} differ in shape")
    error = predicted.float() - target.float()
    return mse_weight * error.square().mean() + l1_weight * error.abs().mean()


def euler_sample(
    velocity: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], noise: torch.Tensor, steps: int
) -> torch.Tensor:
    """Integrate from `noise` at t = 1 to data at t = 0 in uniform Euler steps, x <- x - v / steps.

    Args:
        velocity: function of x (B, N, D) and t (1,), the time of all rows, to velocities (B, N, D).
        noise: (B, N, D) float32.
        steps: number of evaluations, at least 1; 30 in the release.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}, expected at least 1")
    x = noise
    for i in range(steps):
        t = torch.full((1,), 1.0 - i / steps, device=noise.device)
        x = x - velocity(x, t) / steps
    return x


def takes_midpoint(steps: int, temperature: float) -> bool:
    """Whether dreams integrate by the midpoint rule: where noise is drawn and the number of evaluations is even.

    The central sample, from zero noise, is best in one Euler step: it need not come close to the integral.
    """
    return temperature > 0 and steps % 2 == 0


def midpoint_sample(
    velocity: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], noise: torch.Tensor, evaluations: int
) -> torch.Tensor:
    """Integrate as `euler_sample` does, by the midpoint rule: half an Euler step tells the velocity of a whole one.

    Of second order, so that the same number of evaluations leaves less error (`benchmarks/speed` measures it).

    Args:
        velocity, noise: as of `euler_sample`.
        evaluations: of the velocity, two a step: an even number, at least 2.
    """
    if evaluations < 2 or evaluations % 2:
        raise ValueError(f"evaluations is {evaluations}, expected an even number of at least 2")
    x, size = noise, 2 / evaluations
    for i in range(evaluations // 2):
        t = torch.full((1,), 1.0 - i * size, device=noise.device)
        middle = x - velocity(x, t) * (size / 2)
        x = x - velocity(middle, t - size / 2) * size
    return x
