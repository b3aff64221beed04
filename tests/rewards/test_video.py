"""Rewards of episodes: no frame too early or late, progress that adds up, success that is paid for, goals of choice."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.rewards import METRICS, VideoReward, VideoRewardConfig


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


@pytest.mark.parametrize("metric", METRICS)
def test_discounted_progress_adds_up(bundle: Bundle, metric: str) -> None:
    gamma, steps = 0.9, 5
    reward = begin(bundle, VideoRewardConfig("progress", metric, "moving", scale=3.0, gamma=gamma), [0, 2], 0)
    first = reward.goal_distance.clone()
    generator, total = torch.Generator().manual_seed(0), torch.zeros(2)
    for step in range(steps):
        tokens = torch.randn(2, *bundle.references.tokens.shape[1:], generator=generator)
        scored = reward.step(tokens, torch.tensor([step, step]))
        total += gamma**step * scored.reward
    assert torch.allclose(total, 3.0 * (first - gamma**steps * scored.goal_distance), atol=1e-4)


@pytest.mark.parametrize("mode", ["corresponding", "goal", "progress"])
def test_the_bonus_comes_on_top_where_solved(bundle: Bundle, mode: str) -> None:
    frames = recorded(bundle, 0)
    plain = begin(bundle, VideoRewardConfig(mode, "l2", "all", threshold=1e-3), [0, 0], 0)
    with_bonus = begin(bundle, VideoRewardConfig(mode, "l2", "all", threshold=1e-3, success_bonus=7.0), [0, 0], 0)
    tokens, times = torch.stack([frames[1], frames[-1]]), torch.tensor([1, 1])
    difference = with_bonus.step(tokens, times).reward - plain.step(tokens, times).reward
    assert difference.tolist() == [0.0, pytest.approx(7.0, abs=1e-5)]


def test_success_alone_is_paid(bundle: Bundle) -> None:
    frames, reward = recorded(bundle, 0), begin(bundle, VideoRewardConfig("success", scale=2.0), [0, 0], 0)
    assert reward.step(torch.stack([frames[0], frames[-1]]), torch.tensor([1, 1])).reward.tolist() == [0.0, 2.0]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("patches", ["all", "moving"])
def test_any_recorded_frame_is_a_goal(bundle: Bundle, metric: str, patches: str) -> None:
    frames, others = recorded(bundle, 0), recorded(bundle, 3)
    config = VideoRewardConfig("goal", metric, patches, threshold=1e-4)
    reward, usual = VideoReward(bundle, 3, config), begin(bundle, config, [0], 0)
    goals = bundle.references.starts[[3, 0, 0]] + torch.tensor([6, 4, len(frames) - 1])
    everyone, references = torch.arange(3), torch.zeros(3, dtype=torch.long)
    reward.reset(everyone, references, frames[[0, 0, 0]], goals)
    assert reward.goal_distance[2] == usual.goal_distance[0]  # the last frame, as when none is asked for
    there = reward.step(torch.stack([others[6], frames[4], frames[4]]), torch.tensor([1, 1, 1]))
    assert there.success.tolist() == [True, True, False]
    assert there.goal_distance[:2].max() < 1e-5 < there.goal_distance[2]


def test_normalisation_divides_and_forgets_when_told(bundle: Bundle) -> None:
    frames, config = recorded(bundle, 1), VideoRewardConfig("goal", "l1", "all")
    plain = begin(bundle, config, [1, 1], 0)
    normalized = begin(bundle, replace(config, normalize="rewards"), [1, 1], 0)
    paid: list[Tensor] = []
    for frame in range(1, 6):
        tokens, times = frames[[frame, 0]], torch.tensor([frame, frame])
        ratio = normalized.step(tokens, times).reward / plain.step(tokens, times).reward
        assert ratio[0].item() == pytest.approx(ratio[1].item(), rel=1e-5)
        paid.append(ratio[1])
    assert len({round(ratio.item(), 4) for ratio in paid}) == 5  # the spread of what was seen changes
    normalized.restart()
    again = normalized.step(frames[[1, 0]], torch.tensor([1, 1])).reward
    assert again[1].item() == pytest.approx(
        (paid[0] * plain.step(frames[[1, 0]], torch.ones(2).long()).reward[1]).item()
    )
    normalized.end(torch.tensor([True, True]))
    before = normalized.normalization.variance
    normalized.step(frames[[2, 0]], torch.tensor([2, 2]))
    assert normalized.normalization.variance == before


@pytest.mark.parametrize(
    "config", [VideoRewardConfig("success", "l1"), VideoRewardConfig(metric="l1", success_bonus=1.0)]
)
def test_success_is_not_paid_for_without_a_threshold(bundle: Bundle, config: VideoRewardConfig) -> None:
    with pytest.raises(ValueError, match="no calibrated threshold for the distance 'l1/moving'.*l2/moving"):
        VideoReward(bundle, 1, config)
    VideoReward(bundle, 1, replace(config, threshold=0.5))


@pytest.mark.parametrize(
    "settings", [{"gamma": 0.0}, {"gamma": 1.1}, {"success_bonus": -1.0}, {"success_bonus": float("nan")}]
)
def test_wrong_numbers_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        VideoRewardConfig(**settings)


@pytest.mark.parametrize(
    "config",
    [
        VideoRewardConfig(mode="dense"),
        VideoRewardConfig(metric="l7"),
        VideoRewardConfig(patches="few"),
        VideoRewardConfig(scale=-1.0),
        VideoRewardConfig("goal", gamma=0.9),
        VideoRewardConfig("goal", gamma=0.9, normalize="rewards"),
        VideoRewardConfig(normalize="values"),
    ],
)
def test_wrong_settings_are_refused(bundle: Bundle, config: VideoRewardConfig) -> None:
    with pytest.raises(ValueError, match="expected"):
        VideoReward(bundle, 1, config)
