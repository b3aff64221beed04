"""Rewards: no frame too early or late, progress that adds up, distances that mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rla_gym.bundle import Bundle
from rla_gym.rewards import METRICS, VideoReward, VideoRewardConfig, change_weights, token_distance


def recorded(bundle: Bundle, episode: int) -> Tensor:
    """Standardised tokens (T, L, C) of a reference."""
    references = bundle.references
    start, length = int(references.starts[episode]), int(references.lengths[episode])
    return bundle.standardize(references.tokens[start : start + length])


def begin(bundle: Bundle, config: VideoRewardConfig, episodes: list[int], frame: int) -> VideoReward:
    reward = VideoReward(bundle, len(episodes), config)
    tokens = torch.stack([recorded(bundle, episode)[frame] for episode in episodes])
    reward.reset(torch.arange(len(episodes)), torch.tensor(episodes), tokens)
    return reward


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("patches", ["all", "moving"])
@pytest.mark.parametrize(("first", "chunk"), [(0, 1), (0, 4), (3, 4)])
def test_perfect_tokens_are_at_no_distance(bundle: Bundle, metric: str, patches: str, first: int, chunk: int) -> None:
    config = VideoRewardConfig("corresponding", metric, patches, scale=2.0)
    frames = recorded(bundle, 0)
    reward = begin(bundle, config, [0], first)
    early = begin(bundle, config, [0], first)
    for frame in range(first + chunk, len(frames), chunk):
        exact = reward.step(frames[frame][None], torch.tensor([frame]))
        assert exact.reward.item() == pytest.approx(0.0, abs=1e-5)
        # With an off-by-one anywhere, a neighbouring frame would fit better.
        near = early.step(frames[frame - 1][None], torch.tensor([frame]))
        assert near.reward.item() == pytest.approx(-2.0 * near.distance.item())
        if not torch.equal(frames[frame - 1], frames[frame]):
            assert near.distance.item() > 1e-5
            assert near.distance.item() > 10 * exact.distance.item()


def test_past_the_end_the_last_frame_counts(bundle: Bundle) -> None:
    frames = recorded(bundle, 1)
    reward = begin(bundle, VideoRewardConfig("corresponding", "l1", "all"), [1], 0)
    assert reward.step(frames[-1][None], torch.tensor([len(frames) + 7])).reward.item() == 0.0


@pytest.mark.parametrize("metric", METRICS)
def test_progress_adds_up(bundle: Bundle, metric: str) -> None:
    reward = begin(bundle, VideoRewardConfig("progress", metric, "moving", scale=3.0), [0, 2], 0)
    first = reward.goal_distance.clone()
    generator, total = torch.Generator().manual_seed(0), torch.zeros(2)
    for frame in range(1, 6):
        tokens = torch.randn(2, *bundle.references.tokens.shape[1:], generator=generator)
        step = reward.step(tokens, torch.tensor([frame, frame]))
        total += step.reward
    assert torch.allclose(total, 3.0 * (first - step.goal_distance), atol=1e-4)


def test_goal_and_success_at_the_last_frame(bundle: Bundle) -> None:
    config = VideoRewardConfig("goal", "l2", "moving", threshold=1e-3)
    frames, reward = recorded(bundle, 0), begin(bundle, config, [0], 0)
    away = reward.step(frames[:1], torch.tensor([1]))
    assert away.reward.item() < 0
    assert not away.success.item()
    there = reward.step(frames[-1:], torch.tensor([2]))
    assert there.reward.item() == 0.0
    assert there.success.item()


def test_thresholds_are_looked_up_by_metric_and_patches(bundle: Bundle) -> None:
    assert VideoReward(bundle, 1).threshold == bundle.config.thresholds["l2/moving"]
    other = VideoReward(bundle, 1, VideoRewardConfig(metric="l1"))
    frames = recorded(bundle, 0)
    other.reset(torch.arange(1), torch.tensor([0]), frames[:1])
    assert other.threshold is None
    assert not other.step(frames[-1:], torch.tensor([1])).success.item()


def test_resetting_one_row_leaves_the_others(bundle: Bundle) -> None:
    reward = begin(bundle, VideoRewardConfig("progress", "l2", "moving"), [0, 1, 2], 0)
    before = reward.goal_distance.clone()
    reward.reset(torch.tensor([1]), torch.tensor([3]), recorded(bundle, 3)[:1])
    assert torch.equal(reward.goal_distance[[0, 2]], before[[0, 2]])
    assert reward.goal_distance[1] != before[1]


def test_token_distances_on_numbers_one_can_check() -> None:
    tokens, targets = torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])
    assert token_distance(tokens, targets, "l1").item() == pytest.approx(7 / 4)
    assert token_distance(tokens, targets, "l2").item() == pytest.approx(np.sqrt(25 / 4))
    weights = torch.tensor([[0.0, 2.0]])
    assert token_distance(tokens, targets, "l1", weights).item() == 0.0
    ones = torch.ones(1, 2, 2)
    assert token_distance(ones, 5 * ones, "cosine").item() == pytest.approx(0.0, abs=1e-6)
    assert token_distance(ones, -ones, "cosine").item() == pytest.approx(2.0)


def test_weights_are_those_of_what_changes() -> None:
    frames = torch.zeros(3, 4, 2)
    assert torch.equal(change_weights(frames), torch.ones(4))
    frames[1, 2] = 1.0  # a patch that changes and changes back
    assert torch.equal(change_weights(frames), torch.tensor([0.0, 0.0, 4.0, 0.0]))


@pytest.mark.parametrize(
    "config",
    [
        VideoRewardConfig(mode="dense"),
        VideoRewardConfig(metric="l7"),
        VideoRewardConfig(patches="few"),
        VideoRewardConfig(scale=-1.0),
    ],
)
def test_wrong_settings_are_refused(bundle: Bundle, config: VideoRewardConfig) -> None:
    with pytest.raises(ValueError, match="expected"):
        VideoReward(bundle, 1, config)
