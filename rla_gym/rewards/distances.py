"""Distances between tokens: how unlike two frames are, over all patches or over those that a recording moves."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

OF_FEATURES = ("features", "objects")
"""Euclidean distances between feature maps: all keypoints, or those that follow objects."""


def token_distance(tokens: Tensor, targets: Tensor, metric: str, weights: Tensor | None = None) -> Tensor:
    """Distance (B,) float32 between standardised tokens (B, L, C).

    Args:
        metric: "l1", the mean absolute difference; "l2", the root of the mean squared difference; "cosine", the mean
            over patches of 1 - cosine similarity.
        weights: (B, L) of mean 1, how much each patch counts; None: all the same.
    """
    if metric == "cosine":
        per_patch = 1.0 - F.cosine_similarity(tokens, targets, dim=-1)
    else:
        difference = tokens - targets
        per_patch = difference.abs().mean(-1) if metric == "l1" else difference.square().mean(-1)
    mean = per_patch.mean(-1) if weights is None else (per_patch * weights).mean(-1)
    return mean.clamp(min=0).sqrt() if metric == "l2" else mean


def change_weights(frames: Tensor) -> Tensor:
    """Weights (L,) of mean 1: by how much each patch of `frames` (T, L, C) ever differs from the first frame.

    Where nothing changes all patches weigh the same.
    """
    change = (frames[1:] - frames[:1]).abs().mean(-1).amax(0)
    mean = change.mean()
    return change / mean if float(mean) > 0 else torch.ones_like(change)
