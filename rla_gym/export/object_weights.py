"""Which keypoints follow the objects, found without labels: the distance "objects" counts those.

A keypoint map follows the robot too, and some of its keypoints jump between places. Neither should be rewarded. What
the robot's proprioception explains is the robot; what jumps from frame to frame is noise; the rest are objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rla_gym.data.tokens import TokenStore
from rla_gym.models.features import KeypointFeatures

JITTER = 0.02
"""Jitter at which a keypoint counts half. Steady motion through an episode of T frames has 6 / T²."""


@dataclass(frozen=True)
class ObjectWeights:
    """How much each feature counts in the distance "objects".

    Attributes:
        weights: (F,) float32, at least 0; the mean distance between the first and last frames of episodes is 1.
        card: how they were found.
    """

    weights: Tensor
    card: dict[str, Any]


def object_weights(store: TokenStore, features: KeypointFeatures, episodes: int = 300, seed: int = 0) -> ObjectWeights:
    """Measure the weights on training episodes.

    weight = (1 - explained) / (1 + (jitter / 0.02)²), with `explained` the share of a feature's variance that a
    quadratic function of proprioception explains, and `jitter` that of its variance within episodes that jumps from
    one frame to the next make up.

    Args:
        features: the map of the checkpoint.
        episodes: looked at, at most.
        seed: of their choice.
    """
    chosen = np.random.default_rng([seed, 13]).permutation(store.split("train"))[:episodes]
    felt, seen = [], []
    with torch.inference_mode():
        for episode in chosen:
            rows = np.arange(store.starts[episode], store.starts[episode] + store.lengths[episode])
            seen.append(features(store.normalized(rows)).numpy().astype(np.float64))
            felt.append(store.proprio[rows].astype(np.float64))
    explained = explained_share(np.concatenate(felt), np.concatenate(seen))
    jitter = jitter_share(seen)
    weights = (1 - explained) / (1 + (jitter / JITTER) ** 2)
    moved = np.linalg.norm(weights * np.stack([each[-1] - each[0] for each in seen]), axis=1).mean()
    weights = weights / max(float(moved), 1e-9)
    card = {
        "how": "(1 - share explained by proprioception) / (1 + (jitter / 0.02)^2), scaled; no labels",
        "episodes": len(chosen),
        "explained": explained.round(3).tolist(),
        "jitter": jitter.round(4).tolist(),
    }
    return ObjectWeights(torch.from_numpy(weights.astype(np.float32)), card)


def explained_share(inputs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Share (F,) of the variance of `values` (n, F) that a quadratic function of `inputs` (n, P) explains."""
    if not inputs.shape[1]:
        return np.zeros(values.shape[1])
    x = (inputs - inputs.mean(0)) / np.maximum(inputs.std(0), 1e-9)
    first, second = np.triu_indices(x.shape[1])
    terms = np.concatenate([np.ones((len(x), 1)), x, x[:, first] * x[:, second]], axis=1)
    fitted = terms @ np.linalg.lstsq(terms, values, rcond=None)[0]
    share: np.ndarray = 1 - (values - fitted).var(0) / np.maximum(values.var(0), 1e-12)
    return share.clip(0, 1)


def jitter_share(episodes: list[np.ndarray]) -> np.ndarray:
    """Share (F,) of the variance within episodes, each (T, F), that one frame's jump makes up: 1 for white noise."""
    jumps = sum((np.diff(each, axis=0) ** 2).sum(0) for each in episodes)
    within = sum(((each - each.mean(0)) ** 2).sum(0) for each in episodes)
    share: np.ndarray = np.asarray(jumps) / np.maximum(2 * np.asarray(within), 1e-12)
    return share
