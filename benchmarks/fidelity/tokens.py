"""Measures of predicted tokens against the true ones, a number a handle."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rla_gym.data import TokenStore
from rla_gym.data.sampling import sample_chunks
from rla_gym.training.metrics import MOVING_QUANTILE

PAIRS = 1024
"""Pairs of frames that a threshold of motion comes from."""


def motion_threshold(store: TokenStore, steps: int, seed: int = 0) -> float:
    """How much a patch must truly change within `steps` control steps to count as moving.

    The length of the residual that a quarter of all patches exceed, over random pairs of training frames: it depends on
    no handle, so the same patch counts whatever was done.
    """
    episodes = store.split("train")
    episodes = episodes[store.lengths[episodes] > steps]
    rows = sample_chunks(store, episodes, PAIRS, np.random.default_rng([seed, 47, steps]), steps)
    lengths = [
        store.residuals(block, block + steps).norm(dim=-1).flatten()
        for block in np.split(rows, range(128, len(rows), 128))
    ]
    return float(np.quantile(torch.cat(lengths).numpy(), MOVING_QUANTILE))


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the patches (B, L) of `values` (B, L) where `mask` is True: (B,), NaN where it is nowhere."""
    return (values * mask).sum(dim=1) / mask.sum(dim=1)


def point_errors(predicted: Tensor, true: Tensor, start: Tensor, moving: Tensor) -> dict[str, Tensor]:
    """Errors (B,) of predicted tokens (B, L, C), over all patches and over moving ones (bool (B, L)).

    "l1" mean absolute error, "l2" root of the mean square, "cosine" one minus the cosine of a patch's tokens, and
    "motion" the mean square of the predicted change since the start, whose truth is that of the true tokens.
    """
    error = predicted - true
    parts = {
        "l1": error.abs().mean(dim=-1),
        "l2": error.square().mean(dim=-1),
        "cosine": 1 - F.cosine_similarity(predicted, true, dim=-1),
        "motion": (predicted - start).square().mean(dim=-1),
    }
    masks = {"tokens": torch.ones_like(moving), "moving": moving}
    found = {
        f"{place}_{name}": masked_mean(part, mask) for place, mask in masks.items() for name, part in parts.items()
    }
    return found | {f"{place}_l2": found[f"{place}_l2"].sqrt() for place in masks}


def sample_errors(samples: Tensor, true: Tensor, moving: Tensor) -> dict[str, Tensor]:
    """Energy score and error of the best of S samples (B, S, L, C) of tokens, each (B,).

    Distances are roots of mean squares over the patches that count.
    """
    found = {}
    for place, mask in {"tokens": torch.ones_like(moving), "moving": moving}.items():
        weights = mask.float() / mask.sum(dim=1, keepdim=True)

        def distance(one: Tensor, other: Tensor, weights: Tensor = weights) -> Tensor:
            return ((one - other).square().mean(dim=-1) * weights).sum(dim=-1).sqrt()

        errors = torch.stack([distance(sample, true) for sample in samples.unbind(dim=1)], dim=1)
        pairs = [distance(samples[:, i], samples[:, j]) for i in range(samples.shape[1]) for j in range(i)]
        found[f"{place}_energy"] = energy_score(errors, pairs)
        found[f"{place}_best"] = errors.min(dim=1).values
    return found


def energy_score(errors: Tensor, pairs: list[Tensor]) -> Tensor:
    """Energy score (B,): mean distance of samples to the truth, less half the mean distance between two samples.

    The unbiased form, which does not reward having few samples; of one sample it is that sample's error.

    Args:
        errors: (B, S) distances to the truth.
        pairs: distances (B,) of all pairs of different samples.
    """
    score = errors.mean(dim=1)
    return score - 0.5 * torch.stack(pairs).mean(dim=0) if pairs else score
