"""Between the autoencoder's latent actions and the numbers that a flow works on."""

from __future__ import annotations

import torch
from torch import nn

from rla_gym.models.shapes import check_shape


class LatentSpace(nn.Module):
    """Keeps the mean and scale of latent actions as buffers: flow-space x = (z - latent_mean) / latent_scale.

    Args:
        shape: (N, D) of a latent action.
        scale: what latents are divided by until statistics are set.
        per_dimension: keep one scale for each of the N·D numbers instead of one for all.
    """

    latent_scale: torch.Tensor
    latent_mean: torch.Tensor

    def __init__(self, shape: tuple[int, int], scale: float, per_dimension: bool) -> None:
        super().__init__()
        self.register_buffer("latent_scale", torch.full(shape if per_dimension else (), scale))
        self.register_buffer("latent_mean", torch.zeros(shape))

    def set_latent_statistics(self, scale: torch.Tensor, mean: torch.Tensor | None = None) -> None:
        """Set the scale, (N, D) with `per_dimension` and else a scalar, and the mean (N, D), zero if None.

        Raises:
            ValueError: a shape differs, or a scale is not positive.
        """
        check_shape("scale", scale, tuple(self.latent_scale.shape))
        if not bool((scale > 0).all()):
            raise ValueError(
                f"scale must be positive everywhere, its smallest entry is {scale.min().item()}: the autoencoder gives "
                "the same latent action whatever changes; train it longer, or look whether anything moves in its frames"
            )
        if mean is not None:
            check_shape("mean", mean, tuple(self.latent_mean.shape))
        self.latent_scale.copy_(scale)
        self.latent_mean.zero_() if mean is None else self.latent_mean.copy_(mean)

    def to_flow(self, z: torch.Tensor) -> torch.Tensor:
        """Flow-space latent of the autoencoder's `z` (B, N, D)."""
        return (z - self.latent_mean) / self.latent_scale

    def from_flow(self, x: torch.Tensor) -> torch.Tensor:
        """The autoencoder's z of a flow-space latent `x` (B, N, D)."""
        return x * self.latent_scale + self.latent_mean
