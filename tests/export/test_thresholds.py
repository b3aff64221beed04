"""Thresholds separate solved frames from others, as far as the data can be separated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import EpisodeDataset, TokenStore
from rla_gym.export.thresholds import best_threshold, calibrate, distances
from rla_gym.rewards import METRICS, VideoReward, VideoRewardConfig, change_weights


def test_separable_distances() -> None:
    threshold, card = best_threshold(np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.9]))
    assert threshold == pytest.approx(0.4)
    assert (card["solved_under"], card["others_under"]) == (1.0, 0.0)


def test_overlapping_distances() -> None:
    threshold, card = best_threshold(np.array([0.1, 0.2, 0.3, 0.35, 0.8]), np.array([0.25, 0.5, 0.6, 0.9]))
    assert threshold == pytest.approx(0.425)
    assert (card["solved_under"], card["others_under"]) == (0.8, 0.25)


def test_a_threshold_counts_frames_strictly_under_it_as_rewards_do() -> None:
    threshold, card = best_threshold(np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    assert card["solved_under"] - card["others_under"] == 0
    assert np.isfinite(threshold)


def test_calibration_covers_every_distance_of_the_rewards(
    encoded: TokenStore, recorded: EpisodeDataset, bundle: Bundle
) -> None:
    found = calibrate(encoded, recorded, bundle.features, object_weights=bundle.object_weights)
    keys = {
        VideoReward(bundle, 1, VideoRewardConfig(metric=metric, patches=patches)).key
        for metric in METRICS
        for patches in ("all", "moving")
    }
    assert set(found.thresholds) == keys == set(distances(bundle.features, bundle.object_weights))
    for key, threshold in found.thresholds.items():
        assert threshold > 0
        assert found.card[key]["solved_under"] > found.card[key]["others_under"]


def test_distances_are_those_of_the_rewards(encoded: TokenStore, bundle: Bundle) -> None:
    start, length = int(bundle.references.starts[0]), int(bundle.references.lengths[0])
    tokens = bundle.standardize(bundle.references.tokens[start : start + length])
    weights = change_weights(tokens[[0, -1]])
    for key, distance in distances(bundle.features, bundle.object_weights).items():
        metric, _, patches = key.partition("/")
        reward = VideoReward(bundle, 1, VideoRewardConfig(metric=metric, patches=patches or "all"))
        reward.reset(torch.tensor([0]), torch.tensor([0]), tokens[:1])
        with torch.inference_mode():
            ours = distance(tokens[:1], tokens[-1:], weights)
        assert float(ours[0]) == pytest.approx(float(reward.goal_distance[0]), rel=1e-5), key


class LastStepOnly:
    """Recordings of which only success is known: robomimic's reward of the last step, or none at all."""

    def __init__(self, lengths: np.ndarray, rewards: bool) -> None:
        self.lengths, self.rewards = lengths, rewards

    def arrays(self, episode: int) -> dict[str, np.ndarray | None]:
        rewards = np.zeros(self.lengths[episode] - 1, np.float32)
        rewards[-1] = 1.0
        return {"rewards": rewards if self.rewards else None}


@pytest.mark.parametrize("rewards", [True, False])
def test_success_alone_gives_thresholds(encoded: TokenStore, bundle: Bundle, rewards: bool) -> None:
    given: Any = LastStepOnly(encoded.lengths, rewards)
    found = calibrate(encoded, given, bundle.features)
    assert "of one frame each" in found.card["how"] and "Episode.rewards" in found.card["how"]
    train = encoded.split("train")
    solved = int(encoded.successes[train].sum())
    assert found.card["episodes"] == solved > 0
    for key, threshold in found.thresholds.items():
        assert threshold > 0 and found.card[key]["solved_frames"] == solved
        assert found.card[key]["solved_under"] > found.card[key]["others_under"]


def test_no_solved_episode_gives_no_threshold(encoded: TokenStore, recorded: EpisodeDataset, bundle: Bundle) -> None:
    found = calibrate(replace(encoded, successes=np.zeros_like(encoded.successes)), recorded, bundle.features)
    assert found.thresholds == {}
    assert "no threshold" in found.card["how"] and "Episode.success" in found.card["how"]
