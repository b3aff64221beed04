"""Recorded starts: the memory that a model asks for, in time order, and what an episode's start looks like."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.baselines.frame_tokens import FrameTokens
from benchmarks.baselines.persistence import Persistence
from benchmarks.baselines.recorded import Recorded
from rla_gym.data import EpisodeDataset, TokenStore, encode_dataset
from rla_gym.data.sampling import scale_actions
from rla_gym.models.encoder import Encoder


class Historian(Persistence):
    history, needs_frames = 2, True


def test_memory_is_what_was_recorded_before(episodes: Recorded, recorded: EpisodeDataset) -> None:
    store = episodes.store
    row = int(store.starts[3]) + 5
    state = episodes.start(Historian(), np.array([row]))
    assert torch.equal(state.tokens, store.normalized(np.array([row])))
    assert torch.equal(state.memory["past_tokens"][0], store.normalized(np.array([row - 2, row - 1])))
    wanted = scale_actions(store.actions[row - 2 : row], store.info["spec"])
    np.testing.assert_array_equal(state.memory["past_actions"][0], wanted)
    assert episodes.proprio is not None
    assert torch.equal(state.memory["past_proprio"][0], episodes.proprio[row - 2 : row])
    np.testing.assert_array_equal(state.memory["frames"][0], recorded.frames(3, 5, 6)[0])


def test_before_the_first_frame_it_stood_still(episodes: Recorded) -> None:
    first = int(episodes.store.starts[2])
    state = episodes.start(Historian(), np.array([first, first + 1]))
    past = state.memory["past_tokens"]
    start = episodes.store.normalized(np.array([first]))[0]
    assert torch.equal(past[0, 0], start) and torch.equal(past[0, 1], start) and torch.equal(past[1, 0], start)
    actions = state.memory["past_actions"]
    assert not actions[0].any() and not actions[1, 0].any() and actions[1, 1].any()


def test_frames_come_in_any_order(episodes: Recorded, recorded: EpisodeDataset) -> None:
    starts = episodes.store.starts
    frames = episodes.frames([starts[4] + 3, starts[1], starts[4] + 1])
    wanted = [recorded.frames(4, 3, 4)[0], recorded.frames(1, 0, 1)[0], recorded.frames(4, 1, 2)[0]]
    np.testing.assert_array_equal(frames, np.stack(wanted))


def test_frames_without_a_data_set(encoded: TokenStore) -> None:
    with pytest.raises(ValueError, match="give the data set"):
        Recorded(encoded).start(Historian(), np.array([5]))


def test_frames_go_the_way_of_the_stores_tokens(
    episodes: Recorded, small_encoder: Encoder, encoded: TokenStore
) -> None:
    rows = np.array([3, 60, 61])
    tokens = FrameTokens(small_encoder, encoded)(episodes.frames(rows))
    torch.testing.assert_close(tokens, encoded.normalized(rows), atol=2e-3, rtol=0)


def test_frames_are_encoded_in_the_stores_precision(
    recorded: EpisodeDataset, small_encoder: Encoder, encoded: TokenStore, tmp_path: Path
) -> None:
    rows = np.array([3, 60, 61])
    rough = encode_dataset(recorded, small_encoder, tmp_path, progress=False, like=encoded, precision="bf16")
    tokens = FrameTokens(small_encoder, rough)(Recorded(rough, recorded).frames(rows))
    assert tokens.dtype == torch.float32
    assert (tokens - rough.normalized(rows)).norm() < 0.2 * (tokens - encoded.normalized(rows)).norm()


def test_tokens_of_another_encoder_are_refused(small_encoder: Encoder, encoded: TokenStore) -> None:
    other = copy.copy(small_encoder)
    other._hash = "f" * 64
    with pytest.raises(ValueError, match=r"this encoder is vit_tiny_patch16_224@1 \(ffffffffffff\)"):
        FrameTokens(other, encoded)
