"""Evaluation starts are of recordings that were held out, and say what there is less of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rla_gym.bench.starts import held_out_starts
from rla_gym.bundle import Bundle
from rla_gym.references import PARTS


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


def test_without_held_out_recordings_a_note_says_so(split: Bundle) -> None:
    trained = replace(split.references, parts=torch.zeros(len(split.references), dtype=torch.long))
    starts = held_out_starts(replace(split, references=trained), 2, 0)
    assert len(starts) == 2 and "starts are of its training recordings" in starts.notes[0]
    failed = replace(split.references, successes=torch.zeros(len(split.references)).bool())
    assert len(held_out_starts(replace(split, references=failed), 2, 0)) == 2
    with pytest.raises(ValueError, match="episodes=0"):
        held_out_starts(split, 0, 0)
