"""The hash of a data set follows its contents; the index beside the file counts for an unchanged file only."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rla_gym.data import Episode, EpisodeDataset, TokenStore, accept_edits, encode_dataset, write_dataset
from rla_gym.data.formats import robomimic
from rla_gym.data.index import index_path

SPEC = {
    "name": "drawn", "frame_size": [14, 28], "action_low": [-1.0], "action_high": [1.0], "proprio_size": 1,
    "object_names": [], "control_hz": 10.0, "max_steps": 20,
}  # fmt: skip


def drawn(seed: int) -> Episode:
    generator = np.random.default_rng(seed)
    frames = generator.integers(0, 255, (6, 14, 28, 3), np.uint8)
    return Episode(
        frames, generator.uniform(-1, 1, (5, 1)), generator.normal(size=(6, 1)), None, None, "drawn", True, seed, "a"
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "episodes.hdf5", map(drawn, range(4)), SPEC)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Episodes whose frames were decoded for their digest."""
    found: list[int] = []
    honest = robomimic.checked_digest
    monkeypatch.setattr(robomimic, "checked_digest", lambda *given: found.append(given[1]) or honest(*given))
    return found


def test_an_unchanged_file_is_opened_without_reading_it(path: Path, decoded: list[int], monkeypatch: Any) -> None:
    first = EpisodeDataset(path)
    index_path(path).unlink()
    again = EpisodeDataset(path)
    assert again.hash == first.hash and decoded == [0, 1, 2, 3]
    monkeypatch.setattr("rla_gym.data.episodes.scan", None)  # not even its headers
    for _ in range(2):
        third = EpisodeDataset(path)
        assert third.hash == first.hash and len(decoded) == 4 and third.spec == again.spec
        for name in ("lengths", "seeds", "successes", "sources"):
            assert np.array_equal(getattr(third, name), getattr(again, name))
    assert third.episode(3).seed == 3


def test_a_copy_is_read_once_and_is_the_same(path: Path, decoded: list[int], tmp_path: Path) -> None:
    shutil.copytree(path.parent, tmp_path / "copy")
    assert EpisodeDataset(tmp_path / "copy").hash == EpisodeDataset(tmp_path / "copy").hash == EpisodeDataset(path).hash
    assert decoded == [0, 1, 2, 3]


def test_removing_and_renumbering_gives_another_data_set(path: Path, encoder: Any, tmp_path: Path) -> None:
    before = EpisodeDataset(path)
    encode_dataset(before, encoder, tmp_path / "tokens", progress=False)
    before.close()
    with h5py.File(path, "a") as file:
        del file["data/demo_1"]
        for number in (2, 3):
            file.move(f"data/demo_{number}", f"data/demo_{number - 1}")
    after = EpisodeDataset(path)
    assert after.hash != before.hash and after.digests == (before.digests[0], *before.digests[2:])
    with pytest.raises(ValueError, match="data set hash is"):
        encode_dataset(after, encoder, tmp_path / "tokens", progress=False)
    swapped = write_dataset(tmp_path / "swapped.hdf5", map(drawn, (1, 0, 2, 3)), SPEC)
    assert EpisodeDataset(swapped).hash != before.hash


def edit_frame(group: Any) -> None:
    group["obs/agentview_image"][2, 0, 0, 0] ^= 1


def edit_action(group: Any) -> None:
    group["actions"][3, 0] *= 0.5


def edit_rewards(group: Any) -> None:
    group["rewards"][1] = 1.0


@pytest.mark.parametrize(
    "edit",
    [
        edit_frame,
        edit_action,
        edit_rewards,
        lambda group: group.attrs.modify("success", False),
        lambda group: group.attrs.modify("seed", 77),
        lambda group: group.attrs.modify("source", "b"),
    ],
    ids=["frame", "action", "rewards", "success", "seed", "source"],
)
def test_an_edit_in_place_is_noticed_and_can_be_accepted(path: Path, edit: Any) -> None:
    before = EpisodeDataset(path).hash
    with h5py.File(path, "r+") as file:
        edit(file["data/demo_2"])
    with pytest.raises(ValueError, match="demo_2 is not what was recorded .*accept_edits"):
        EpisodeDataset(path).hash  # noqa: B018
    accepted = accept_edits(path)
    assert EpisodeDataset(path).hash == EpisodeDataset(path).compute_hash() == accepted
    assert (accepted == before) is (edit is edit_rewards)  # tokens do not depend on those


def test_what_no_digest_covers_may_be_added(path: Path) -> None:
    before = EpisodeDataset(path).hash
    with h5py.File(path, "r+") as file:
        file["mask/train"] = np.array([b"demo_0"])
        file["data/demo_0/obs/wrist_image"] = np.zeros((6, 2, 2, 3), np.uint8)
    assert EpisodeDataset(path).hash == before


def test_files_without_digests_are_read(path: Path) -> None:
    before = EpisodeDataset(path).hash
    with h5py.File(path, "r+") as file:
        del file["data"].attrs["hash"]
        for group in file["data"].values():
            del group.attrs["digest"], group.attrs["rewards_digest"]
    assert EpisodeDataset(path).hash == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: {**raw, "digests": ["0" * 64, *raw["digests"][1:]]},
        lambda raw: {**raw, "seeds": [1, 1, 2, 3]},
        lambda raw: {**raw, "lengths": "6666"},
        lambda raw: {name: value for name, value in raw.items() if name != "spec"},
        lambda raw: [],
    ],
)
def test_a_damaged_index_does_not_count(path: Path, damage: Any, decoded: list[int]) -> None:
    before = EpisodeDataset(path)
    place = index_path(path)
    place.write_text(json.dumps(damage(json.loads(place.read_text()))))
    after = EpisodeDataset(path)
    assert after.hash == before.hash and after.seeds.tolist() == [0, 1, 2, 3] and len(decoded) == 4


def test_a_file_that_changes_while_it_is_open_is_refused(path: Path) -> None:
    index_path(path).unlink()
    dataset = EpisodeDataset(path)
    with h5py.File(path, "r+") as file:
        edit_action(file["data/demo_0"])
        file["data/demo_0"].attrs.modify("digest", "0")
    with pytest.raises(ValueError, match="not what was recorded|was changed while it was open"):
        dataset.hash  # noqa: B018


def test_stores_check_it(path: Path, encoder: Any, tmp_path: Path) -> None:
    store = encode_dataset(EpisodeDataset(path), encoder, tmp_path / "tokens", progress=False)
    with h5py.File(path, "r+") as file:
        edit_frame(file["data/demo_0"])
    with pytest.raises(ValueError, match="not what was recorded"):
        TokenStore.open(store.path, EpisodeDataset(path))
