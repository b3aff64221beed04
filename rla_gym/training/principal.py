"""Principal components of token residuals: the best linear code of what changes between two frames."""

from __future__ import annotations

import torch
from torch import Tensor

OVERSAMPLED, ROUNDS = 32, 3
"""Directions carried along beyond those asked for, and passes over the data (Halko et al. 2011, algorithm 4.4)."""


def principal_directions(residuals: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The `count` orthonormal directions (count, F) float32 that keep most of the second moment of `residuals` (n, F).

    Not centred: standing still has to stay zero. By randomised subspace iteration, strongest direction first.

    Raises:
        ValueError: fewer residuals or fewer features than directions.
    """
    rows, features = residuals.shape
    if count > min(rows, features):
        raise ValueError(
            f"{count} directions of {rows} residuals of {features} numbers: at most {min(rows, features)}; take "
            "smaller latents, or tokens of more channels"
        )
    width = min(count + OVERSAMPLED, rows, features)
    basis = torch.randn(features, width, generator=generator, device=generator.device).to(residuals)
    for _ in range(ROUNDS):
        basis = torch.linalg.qr(residuals.T @ (residuals @ basis)).Q
    _, _, rotation = torch.linalg.svd(residuals @ basis, full_matrices=False)
    return (basis @ rotation.T)[:, :count].T.contiguous()
