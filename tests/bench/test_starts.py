"""Evaluation starts are of recordings that were held out, and say what there is less of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rla_gym.bench.starts import Starts, held_out_starts
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.references import PARTS
from rla_gym.rewards import VideoReward


@pytest.fixture
def split(bundle: Bundle) -> Bundle:
    """All recordings solved: two of the test part, one of validation, the others for training."""
    count = len(bundle.references)
    parts = torch.zeros(count, dtype=torch.long)
    parts[:2], parts[2] = PARTS.index("test"), PARTS.index("validation")
    return replace(bundle, references=replace(bundle.references, parts=parts, successes=torch.ones(count).bool()))


def test_the_test_part_comes_first_and_validation_helps_out(split: Bundle) -> None:
    assert set(held_out_starts(split, 2, 0).episode) == {0, 1}
    more = held_out_starts(split, 4, 0)
    assert set(more.episode) == {0, 1, 2} and not more.frame.any()
    assert len(more.notes) == 1 and "3 of 4 episodes: the checkpoint has 3 held-out recordings" in more.notes[0]


def test_seeds_change_the_noise_and_not_the_starts(split: Bundle) -> None:
    first, second = held_out_starts(split, 3, 0), held_out_starts(split, 3, 1)
    np.testing.assert_array_equal(first.episode, second.episode)
    assert not set(first.seeds) & set(second.seeds)


def test_later_frames_leave_a_chunk(split: Bundle) -> None:
    starts = held_out_starts(split, 30, 0, later_frames=True)
    lengths = split.references.lengths.numpy()
    assert len(starts) == 30 and set(starts.episode) == {0, 1, 2} and not starts.notes
    assert len(set(zip(starts.episode, starts.frame, strict=True))) == 30
    assert (starts.frame[3:] > 0).all() and (starts.frame + split.config.chunk < lengths[starts.episode]).all()
    rows = split.references.starts.numpy()[starts.episode] + starts.frame
    np.testing.assert_array_equal(starts.rows, rows)


def goal_distances(bundle: Bundle, starts: Starts) -> np.ndarray:
    """(N,) in the metric of the checkpoint's reward."""
    episodes, frames = torch.from_numpy(starts.episode), torch.from_numpy(starts.frame)
    reward = VideoReward(bundle, len(starts))
    tokens = bundle.standardize(bundle.references.tokens[bundle.references.rows(episodes, frames)])
    reward.reset(torch.arange(len(starts)), episodes, tokens)
    return reward.goal_distance.numpy()


def test_later_frames_are_not_at_the_goal(split: Bundle) -> None:
    def with_threshold(value: float) -> Bundle:
        return replace(split, config=replace(split.config, thresholds={"l2/moving": value}))

    every = held_out_starts(with_threshold(0.0), 40, 0, later_frames=True)
    distances = goal_distances(split, every)
    middle = float(np.median(distances[3:]))
    away = held_out_starts(with_threshold(middle), 40, 0, later_frames=True)
    assert (goal_distances(split, away)[3:] >= middle).all() and (distances[3:] < middle).sum() > 10
    # The first frames stay whatever their distance, and the others in the order that they were drawn in.
    np.testing.assert_array_equal(away.episode[:3], every.episode[:3])
    kept = every.take(np.flatnonzero(distances[3:] >= middle) + 3)
    np.testing.assert_array_equal(away.episode[3 : 3 + len(kept)], kept.episode)
    np.testing.assert_array_equal(away.frame[3 : 3 + len(kept)], kept.frame)


def test_without_held_out_recordings_a_note_says_so(split: Bundle) -> None:
    trained = replace(split.references, parts=torch.zeros(len(split.references), dtype=torch.long))
    starts = held_out_starts(replace(split, references=trained), 2, 0)
    assert len(starts) == 2 and "starts are of its training recordings" in starts.notes[0]
    failed = replace(split.references, successes=torch.zeros(len(split.references)).bool())
    assert len(held_out_starts(replace(split, references=failed), 2, 0)) == 2
    with pytest.raises(ValueError, match="episodes=0"):
        held_out_starts(split, 0, 0)
