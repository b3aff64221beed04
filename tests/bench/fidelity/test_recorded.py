"""Held-out fidelity in tokens: no simulator, and right where the truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest
import torch

from rla_gym.bench.fidelity import recorded
from rla_gym.bench.fidelity.recorded import held_out_part, recorded_fidelity, recorded_table, write_recorded_video
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import EpisodeDataset, TokenStore
from rla_gym.dream.dream import Dream


@pytest.fixture
def held_out(encoded: TokenStore, monkeypatch: pytest.MonkeyPatch) -> TokenStore:
    """The store with three of its ten episodes in the test part, whatever their seeds."""
    monkeypatch.setattr(
        TokenStore, "split", lambda store, part: np.arange(3) if part == "test" else np.arange(3, len(store.lengths))
    )
    return encoded


def test_a_dream_in_which_nothing_moves_is_as_good_as_itself(
    bundle: Bundle, held_out: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Still(Dream):
        def step(self, actions: Any) -> Any:
            return self.state()

    monkeypatch.setattr(recorded, "Dream", Still)
    found = recorded_fidelity(bundle, held_out, count=10, chunks=2)
    for name in ("ratio", "moving_ratio", "proprio_ratio"):
        assert [values[0] for values in found[name]] == pytest.approx([1.0, 1.0])
    assert found["error"] == found["persistence"] and found["error"][1] > found["error"][0] > 0
    assert (found["part"], found["starts"]) == ("test", 10)


def test_a_dream_that_knows_the_recording_has_no_error(
    bundle: Bundle, held_out: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[np.ndarray] = []

    class Oracle(Dream):
        def step(self, actions: Any) -> Any:
            state = self.state()
            later = rows[-1] + (int(self.chunks[0]) + 1) * bundle.config.chunk
            self.chunks = self.chunks + 1
            proprio = bundle.standardize_proprio(torch.from_numpy(held_out.proprio[later]))
            return replace(state, tokens=held_out.normalized(later), proprio=proprio)

    whole = recorded.sample_chunks
    monkeypatch.setattr(recorded, "sample_chunks", lambda *given: rows.append(whole(*given)) or rows[-1])
    monkeypatch.setattr(recorded, "Dream", Oracle)
    found = recorded_fidelity(bundle, held_out, count=8, chunks=3)
    assert found["error"] == [0.0] * 3 and found["ratio"][2] == [0.0] * 3 and found["proprio_ratio"][0][0] == 0.0
    table = recorded_table(found)
    assert table.count("0.00 [0.00, 0.00]") == 9 and "8 starts of test episodes" in table


def test_the_video_shows_both(
    bundle: Bundle, held_out: TokenStore, recorded_data: EpisodeDataset, tmp_path: Path
) -> None:
    path = tmp_path / "video.mp4"
    assert write_recorded_video(path, bundle, held_out, recorded_data.path, videos=1)
    frames = list(imageio.get_reader(path).iter_data())
    chunks = (int(held_out.lengths[0]) - 1) // bundle.config.chunk
    assert len(frames) == chunks * bundle.config.chunk + recorded.HOLD
    left, right = frames[0][40:-20, 20:320].astype(int), frames[0][40:-20, 370:670].astype(int)
    assert np.abs(left - right).mean() > 1  # dreams of random weights are not the recording
    assert not write_recorded_video(tmp_path / "none.mp4", replace(bundle, image_decoder=None), held_out)
    assert not (tmp_path / "none.mp4").exists()


@pytest.fixture
def recorded_data(recorded: EpisodeDataset) -> EpisodeDataset:
    return recorded


def test_without_a_held_out_episode_it_says_so(encoded: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TokenStore, "split", lambda store, part: np.arange(0))
    with pytest.raises(ValueError, match="none of the 10 episodes .* is held out .* record more episodes"):
        held_out_part(encoded)
