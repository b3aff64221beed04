"""What never changes is named in one line, and where nothing moves at all nothing is encoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rla_gym.data import Episode, EpisodeDataset, TokenStore, encode_dataset, write_dataset
from rla_gym.data.constants import constants_of
from rla_gym.training.batches import check_moves

SPEC = {
    "name": "drawn", "frame_size": [14, 28], "action_low": [-1.0] * 3, "action_high": [1.0] * 3, "proprio_size": 2,
    "object_names": [], "control_hz": 10.0, "max_steps": 20,
}  # fmt: skip


def drawn(seed: int, moves: bool = True) -> Episode:
    generator = np.random.default_rng(seed)
    actions, proprio = generator.uniform(-1, 1, (5, 3)), generator.normal(size=(6, 2))
    actions[:, 1], proprio[:, 0] = 0.25, 3.0
    frames = generator.integers(0, 255, (6, 14, 28, 3), np.uint8)
    if not moves:
        frames[:] = frames[0]
    return Episode(frames, actions, proprio, None, None, "drawn", True, seed, "human")


def test_constants_are_noted_when_written_and_when_encoded(tmp_path: Path, encoder: Any, capfd: Any) -> None:
    path = write_dataset(tmp_path / "e.hdf5", [drawn(0), drawn(1, moves=False), drawn(2)], SPEC)
    expected = (
        "1 of 3 videos show one frame only (episode 1); 1 of 3 columns of actions never change (column 1); 1 of 2 "
        "columns of proprio never change (column 0)"
    )
    assert f"note: {path}: {expected}\n" == capfd.readouterr().err
    dataset = EpisodeDataset(path)
    assert constants_of(dataset).note() == expected
    store = encode_dataset(dataset, encoder, tmp_path / "tokens", progress=False)
    assert f"note: {path}: {expected}\n" in capfd.readouterr().err
    check_moves(store, np.array([0, 2]))
    with pytest.raises(ValueError, match="nothing moves in the 1 training episodes"):
        check_moves(store, np.array([1]))


def test_what_never_moves_is_not_encoded(tmp_path: Path, encoder: Any) -> None:
    static = EpisodeDataset(write_dataset(tmp_path / "e.hdf5", [drawn(i, moves=False) for i in range(3)], SPEC))
    with pytest.raises(ValueError, match=r"each of the 3 videos shows one frame only.*check the camera"):
        encode_dataset(static, encoder, tmp_path / "tokens", progress=False)
    assert encoder.frames == 0
    moving = EpisodeDataset(write_dataset(tmp_path / "m.hdf5", [drawn(0), drawn(1)], SPEC))
    like = encode_dataset(moving, encoder, tmp_path / "moving", progress=False)
    assert isinstance(encode_dataset(static, encoder, tmp_path / "like", progress=False, like=like), TokenStore)
