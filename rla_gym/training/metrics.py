"""Measures of predicted tokens and images: small pure functions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MOVING_QUANTILE = 0.75
"""A patch counts as moving if its residual is longer than this share of all residuals measured with it."""


def moving_patches(residual: Tensor, quantile: float = MOVING_QUANTILE) -> Tensor:
    """Bool (B, L): patches whose `residual` (B, L, C) is longer than the `quantile` of those of the batch."""
    norms = residual.norm(dim=-1)
    rank = min(int(quantile * norms.numel()), norms.numel() - 1)
    return norms > norms.flatten().kthvalue(rank + 1).values


def r2(predicted: Tensor, true: Tensor) -> float:
    """1 - |predicted - true|² / |true|² of residuals (..., C): 0 is persistence (nothing moves), 1 is perfect."""
    return 1.0 - float((predicted - true).square().sum() / true.square().sum().clamp(min=1e-12))


def explained(error: Tensor, spread: Tensor) -> Tensor:
    """1 - |error|² / |spread|², means over all entries of each, as a scalar; far below 0 where nothing varies."""
    return 1.0 - error.square().mean() / spread.square().mean().clamp(min=1e-12)


def cosine(predicted: Tensor, true: Tensor) -> float:
    """Mean cosine between predicted and true residuals over all patches (..., C)."""
    return float(F.cosine_similarity(predicted, true, dim=-1).mean())


def persistence_ratio(predicted: Tensor, tokens: Tensor, next_tokens: Tensor, moving: Tensor | None = None) -> float:
    """L1 error of predicted next tokens over that of the present tokens: below 1 beats "nothing moves".

    Args:
        predicted, tokens, next_tokens: (B, L, C).
        moving: bool (B, L), patches to count; None for all.
    """
    error, still = (predicted - next_tokens).abs(), (tokens - next_tokens).abs()
    if moving is not None:
        error, still = error[moving], still[moving]
    return float(error.mean() / still.mean().clamp(min=1e-12))


def ssim_map(one: Tensor, other: Tensor, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Structural similarity (Wang et al. 2004) of images (B, C, H, W) in [0, 1], for every pixel: (B, C, H, W).

    Gaussian window, borders reflected, constants 0.01² and 0.03².
    """
    half = window // 2
    if min(one.shape[-2:]) <= half:
        raise ValueError(f"images of {tuple(one.shape[-2:])} pixels are too small for a window of {window}")
    offsets = torch.arange(window, dtype=one.dtype, device=one.device) - half
    kernel = torch.exp(-0.5 * (offsets / sigma).square())
    kernel = kernel / kernel.sum()
    channels = one.shape[1]

    def blur(images: Tensor) -> Tensor:
        padded = F.pad(images, (half, half, half, half), mode="reflect")
        rows = F.conv2d(padded, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, window), groups=channels)
        return F.conv2d(rows, kernel.view(1, 1, -1, 1).expand(channels, 1, window, 1), groups=channels)

    mean_one, mean_other = blur(one), blur(other)
    var_one = blur(one.square()) - mean_one.square()
    var_other = blur(other.square()) - mean_other.square()
    covariance = blur(one * other) - mean_one * mean_other
    luminance = (2 * mean_one * mean_other + 1e-4) / (mean_one.square() + mean_other.square() + 1e-4)
    return luminance * (2 * covariance + 9e-4) / (var_one + var_other + 9e-4)


def psnr(one: Tensor, other: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of images (B, C, H, W) in [0, 1], mean over images."""
    error = (one - other).square().flatten(1).mean(1).clamp(min=1e-10)
    return float((-10 * error.log10()).mean())
