"""Lists of starts: they fit the episodes, are the same for the same seed, and are found again in a merged store."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fidelity.actions import KINDS, STRENGTHS, actions_of
from benchmarks.fidelity.handles import FOLDER, HandleList, draw_handles
from rla_gym.data import TokenStore


@pytest.fixture(scope="module")
def handles(encoded: TokenStore) -> HandleList:
    return draw_handles(encoded, 12, chunk=4, chunks=12, least=3, part="train", seed=5)


def test_starts_have_the_actions_that_they_promise(encoded: TokenStore, handles: HandleList, tmp_path: Path) -> None:
    rows = handles.rows(encoded)
    episodes = encoded.episode_of(rows)
    left = encoded.starts[episodes] + encoded.lengths[episodes] - 1 - rows
    assert (left >= 12).all() and (left >= 48).any()
    assert len(set(rows.tolist())) == 12 and len(set(handles.episodes)) > 4
    assert all(episode != other for episode, other in zip(handles.episodes, handles.others, strict=True))
    assert handles == draw_handles(encoded, 12, 4, 12, 3, part="train", seed=5)
    assert handles.frames != draw_handles(encoded, 12, 4, 12, 3, part="train", seed=6).frames
    handles.write(tmp_path / "list.json")
    assert HandleList.read(tmp_path / "list.json") == handles
    assert handles.first(3).frames == handles.frames[:3]


def test_lists_that_do_not_fit_are_refused(encoded: TokenStore, handles: HandleList, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="benchmarks.fidelity.handles"):
        HandleList.read(tmp_path / "none.json")
    with pytest.raises(ValueError, match="no episode of seed 7 "):
        replace(handles, episodes=(7, *handles.episodes[1:])).rows(encoded)
    with pytest.raises(ValueError, match="are of push-t"):
        replace(handles, task="push-t").rows(encoded)
    with pytest.raises(ValueError, match="9999 were asked for"):
        draw_handles(encoded, 9999, 4, part="train")


def test_kinds_of_actions(encoded: TokenStore, handles: HandleList) -> None:
    found = {kind: actions_of(encoded, handles, kind) for kind in KINDS}
    assert all(chunks.shape == (12, 12, 4, 2) and np.abs(chunks).max() <= 1 for chunks, _ in found.values())
    recorded, counts = found["recorded"]
    assert (counts >= 3).all() and (counts < 12).any()
    rows = handles.rows(encoded)
    np.testing.assert_allclose(recorded[:, 0, 0], encoded.actions[rows], atol=1e-6)
    for chunks, count in zip(recorded, counts, strict=True):
        assert not chunks[count + 1 :].any()
    moved = [np.abs(found[f"perturbed-{strength:g}"][0] - recorded) for strength in STRENGTHS]
    inside = (moved[2] > 0) & (np.abs(found["perturbed-1"][0]) < 1) & (np.abs(found["perturbed-0.5"][0]) < 1)
    np.testing.assert_allclose(moved[2][inside], 2 * moved[1][inside], atol=1e-5)
    assert not found["still"][0].any() and (found["random"][1] == 12).all()
    assert np.abs(found["other"][0] - recorded).mean() > 0.1
    shorter = actions_of(encoded, handles.first(4), "random")[0]
    np.testing.assert_array_equal(shorter, found["random"][0][:4])
    with pytest.raises(ValueError, match="sideways.*recorded"):
        actions_of(encoded, handles, "sideways")


def test_the_lists_that_are_checked_in_can_be_read() -> None:
    paths = sorted(FOLDER.glob("*.json"))
    assert paths
    for path in paths:
        handles = HandleList.read(path)
        assert len(handles) >= 500 and handles.part == "test" and handles.chunks >= 12
