"""Goal distances under which an episode counts as solved, calibrated on recorded successes.

A dream has no success rule, only tokens. In recorded episodes the task's own rule is known for every frame, so the
threshold of a distance is the one that best tells solved frames from others by their distance to the goal frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rla_gym.data.episodes import EpisodeDataset
from rla_gym.data.formats.scan import default_rewards
from rla_gym.data.tokens import TokenStore
from rla_gym.models.features import KeypointFeatures
from rla_gym.rewards import change_weights, token_distance

Distance = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Tokens (n, L, C), goal tokens (1, L, C) and patch weights (L,) of an episode to distances (n,)."""

HOW = (
    "as many unsolved frames under it as solved ones above, on training episodes that were solved at some frame: the "
    "goal is the last solved frame, the distances to it are those of the other frames"
)
ONE_EACH = (
    "; the recordings say of one frame each that it is solved, so the frame before it counts as solved as well: record "
    "rewards of more steps (`Episode.rewards`) for a threshold that rests on more"
)
NONE = (
    "no threshold: none of the {episodes} training episodes is successful, longer than three frames and unsolved at "
    "some frame, so success in dreams cannot be measured. Record which episodes succeed (`Episode.success`: their last "
    "step then counts as solved) or after which steps (`Episode.rewards`), encode and export again; or pass "
    "success_threshold"
)


@dataclass(frozen=True)
class Calibration:
    """Thresholds by name of the distance, and how well each tells solved frames from others."""

    thresholds: dict[str, float]
    card: dict[str, Any]


def distances(features: KeypointFeatures, object_weights: Tensor | None = None) -> dict[str, Distance]:
    """Every goal distance of `rla_gym.rewards`, by the name of its threshold."""

    def in_features(tokens: Tensor, goal: Tensor, weights: Tensor) -> Tensor:
        return (features(tokens) - features(goal)).norm(dim=-1)

    def in_objects(tokens: Tensor, goal: Tensor, weights: Tensor) -> Tensor:
        return ((features(tokens) - features(goal)) * object_weights).norm(dim=-1)

    def of_tokens(metric: str, moving: bool) -> Distance:
        return lambda tokens, goal, weights: token_distance(
            tokens, goal, metric, weights.expand(len(tokens), -1) if moving else None
        )

    found: dict[str, Distance] = {"features": in_features}
    if object_weights is not None:
        found["objects"] = in_objects
    for metric in ("l1", "l2", "cosine"):
        found[metric], found[f"{metric}/moving"] = of_tokens(metric, False), of_tokens(metric, True)
    return found


def calibrate(
    store: TokenStore,
    dataset: EpisodeDataset,
    features: KeypointFeatures,
    episodes: int = 300,
    seed: int = 0,
    object_weights: Tensor | None = None,
) -> Calibration:
    """Calibrate every goal distance.

    Args:
        store, dataset: tokens and recorded rewards of the same episodes.
        features: the map that the distance "features" is measured in.
        episodes: solved training episodes looked at, at most.
        seed: of their choice.
        object_weights: (F,) of the distance "objects"; None: without it.

    Returns:
        No thresholds, and a card that says why and what to do, where no recording counts as solved.
    """
    solved, how = _solved_frames(store, dataset, episodes, seed), HOW
    if not solved:  # robomimic's convention, and what is known of recordings without rewards: the last step alone
        solved, how = _solved_frames(store, dataset, episodes, seed, before=1), HOW + ONE_EACH
    if not solved:
        return Calibration({}, {"how": NONE.format(episodes=len(store.split("train")))})
    metrics = distances(features, object_weights)
    measured: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {name: ([], []) for name in metrics}
    with torch.inference_mode():
        for episode, is_solved in solved.items():
            first = int(store.starts[episode])
            tokens = store.normalized(np.arange(first, first + len(is_solved)))
            goal = int(np.flatnonzero(is_solved)[-1])
            weights = change_weights(tokens[[0, goal]])
            others = np.arange(len(is_solved)) != goal
            for name, distance in metrics.items():
                values = distance(tokens, tokens[goal : goal + 1], weights).numpy()
                measured[name][0].append(values[is_solved & others])
                measured[name][1].append(values[~is_solved])
    thresholds: dict[str, float] = {}
    card: dict[str, Any] = {"how": how, "episodes": len(solved)}
    for name, (near, far) in measured.items():
        thresholds[name], card[name] = best_threshold(np.concatenate(near), np.concatenate(far))
    return Calibration(thresholds, card)


def best_threshold(solved: np.ndarray, others: np.ndarray) -> tuple[float, dict[str, Any]]:
    """The distance under which as many `others` lie as `solved` lie above it, and how well it separates them.

    Wrong in both directions equally often, it counts about as many solved frames as there are. One that weighs both
    samples alike would be lenient: where few frames are solved, most of those that it takes for solved are not.

    Args:
        solved: (n,) distances that should be under it.
        others: (m,) distances that should not.
    """
    candidates = np.unique(np.concatenate([solved, others]).astype(np.float64))
    middles = np.append((candidates[1:] + candidates[:-1]) / 2, candidates[-1] * 1.001 + 1e-9)
    hits, false_alarms = np.searchsorted(np.sort(solved), middles), np.searchsorted(np.sort(others), middles)
    missed = len(solved) - hits
    # The last key: among equals the one with the fewest errors.
    best = int(np.lexsort((missed + false_alarms, np.abs(missed - false_alarms)))[0])
    card = {
        "threshold": float(middles[best]),
        "solved_frames": len(solved),
        "other_frames": len(others),
        "solved_under": float(hits[best] / len(solved)),
        "others_under": float(false_alarms[best] / len(others)),
    }
    return float(middles[best]), card


def _solved_frames(
    store: TokenStore, dataset: EpisodeDataset, count: int, seed: int, before: int = 0
) -> dict[int, np.ndarray]:
    """Up to `count` training episodes with at least two solved frames and one other: solved frames (T,) bool of each.

    Args:
        before: frames before the first solved one that count as solved too.
    """
    candidates = store.split("train")
    candidates = np.random.default_rng([seed, 11]).permutation(candidates[store.successes[candidates]])
    found: dict[int, np.ndarray] = {}
    for episode in map(int, candidates):
        rewards = dataset.arrays(episode)["rewards"]
        if rewards is None:
            rewards = default_rewards(int(store.lengths[episode]) - 1, True)
        # The reward of a step says whether the frame after it is solved.
        solved = np.concatenate([[False], rewards > 0])
        if before and solved.any():
            first = int(np.argmax(solved))
            solved[max(0, first - before) : first] = True
        if solved.sum() >= 2 and not solved.all():
            found[episode] = solved
        if len(found) == count:
            break
    return found
