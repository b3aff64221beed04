import json
import os
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest

from rla_gym.cli.inspect import card_of
from rla_gym.collect.collect import CollectConfig, collect
from rla_gym.data import EpisodeDataset, write_dataset
from rla_gym.data.digests import combine_digests
from rla_gym.data.merge import merge
from rla_gym.utils.outputs import output
from tests.recording import collect_here

SETTINGS = CollectConfig("push-cube", 4, play=0.0, interrupted=1.0, noise=0.2, seed=9, workers=1)
NAMES = [".episodes.hdf5.index.json", ".rla_gym.json", "card.json", "card.md", "episodes.hdf5", "merge.json"]


@pytest.fixture(scope="session")
def interrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("interrupted") / "push-cube"
    return collect_here(replace(SETTINGS, out=out))


@pytest.fixture(scope="session")
def merged(collected, interrupted, tmp_path_factory):
    return merge([collected, interrupted], tmp_path_factory.mktemp("merged") / "push-cube")


def chunks(group, name="obs/agentview_image"):
    """The compressed bytes of each frame, as they lie in the file."""
    return [group[name].id.read_direct_chunk((index, 0, 0, 0))[1] for index in range(group[name].shape[0])]


def test_episodes_follow_in_order_and_are_what_they_were(collected, interrupted, merged):
    parts, whole = [EpisodeDataset(path) for path in (collected, interrupted)], EpisodeDataset(merged)
    assert len(whole) == 14 and whole.spec == parts[0].spec
    assert whole.sources == parts[0].sources + parts[1].sources and set(parts[1].sources) == {"interrupted"}
    assert whole.seeds.tolist() == [*parts[0].seeds, *parts[1].seeds]
    assert whole.lengths.tolist() == [*parts[0].lengths, *parts[1].lengths]
    np.testing.assert_array_equal(whole.frames(11), parts[1].frames(1))
    for name, values in parts[1].arrays(1).items():
        np.testing.assert_array_equal(whole.arrays(11)[name], values)
    assert whole.digests == parts[0].digests + parts[1].digests
    assert whole.hash == combine_digests(whole.digests) == whole.compute_hash()


def test_frames_are_not_compressed_again(interrupted, merged):
    with h5py.File(interrupted / "episodes.hdf5") as part, h5py.File(merged / "episodes.hdf5") as whole:
        assert chunks(part["data/demo_1"]) == chunks(whole["data/demo_11"])
        total = sum(int(group.attrs["num_samples"]) for group in whole["data"].values())
        assert whole["data"].attrs["total"] == total


def test_card_tells_what_it_was_merged_from(collected, interrupted, merged):
    card = json.loads((merged / "card.json").read_text())
    dataset, names = EpisodeDataset(merged), [EpisodeDataset(path).hash for path in (collected, interrupted)]
    assert card["hash"] == dataset.hash and card["frames"] == dataset.lengths.sum()
    assert sum(row["episodes"] for row in card["sources"].values()) == card["episodes"] == 14
    assert card["bytes"] == (merged / "episodes.hdf5").stat().st_size
    assert list(card["merged"]) == names
    assert [entry["episodes"] for entry in card["merged"].values()] == [10, 4]
    assert [entry["settings"] for entry in card["merged"].values()] == [
        json.loads((path / "collect.json").read_text()) for path in (collected, interrupted)
    ]
    assert all(entry["versions"]["numpy"] == np.__version__ for entry in card["merged"].values())
    shown = card_of(str(merged))
    assert "Merged from 2 data sets" in shown and "interrupted 1.0" in shown and "goal_blind 0.2" in shown
    assert all(name in shown for name in names)
    assert shown.startswith((merged / "card.md").read_text())
    assert sorted(os.listdir(merged)) == NAMES


def test_a_second_call_returns_at_once(collected, interrupted, merged):
    before = (merged / "episodes.hdf5").stat().st_mtime_ns
    began = time.process_time()
    assert merge([collected, interrupted / "episodes.hdf5"], merged) == merged
    assert time.process_time() - began < 0.5
    assert (merged / "episodes.hdf5").stat().st_mtime_ns == before


def test_what_was_merged_merges_again(collected, interrupted, merged, tmp_path):
    config = CollectConfig("push-cube", 1, play=1.0, seed=20, workers=1, out=tmp_path / "more")
    more = collect_here(config)
    card = json.loads((merge([merged, more], tmp_path / "all") / "card.json").read_text())
    assert card["episodes"] == 15
    assert [entry["episodes"] for entry in card["merged"].values()] == [10, 4, 1]
    assert card["merged"][EpisodeDataset(more).hash]["settings"] == config.settings()


def test_recordings_of_ones_own_merge_without_cards_and_hashes(dataset, interrupted, tmp_path):
    own = write_dataset(tmp_path / "own.hdf5", [dataset.episode(0), dataset.episode(1)], dataset.spec)
    with h5py.File(own, "r+") as file:
        del file["data"].attrs["hash"], file["data/demo_0"].attrs["digest"]
    out = merge([own, interrupted], tmp_path / "out")
    whole = EpisodeDataset(out)
    assert whole.digests[:2] == dataset.digests[:2] and whole.hash == whole.compute_hash()
    entry = json.loads((out / "card.json").read_text())["merged"][combine_digests(dataset.digests[:2])]
    assert entry == {"episodes": 2, "frames": int(dataset.lengths[:2].sum())}
    assert "no card that tells how it was recorded" in card_of(str(out))
    assert merge([own, interrupted], out) == out


def test_other_specs_are_refused_by_the_entry_that_differs(dataset, collected, tmp_path):
    spec = {**dataset.spec, "control_hz": 20.0, "max_steps": 64}
    other = write_dataset(tmp_path / "other.hdf5", [dataset.episode(0)], spec)
    with pytest.raises(
        ValueError, match=r"other\.hdf5 .*\(control_hz: 20\.0 there, 10\.0 in .*; max_steps: 64 there, 48"
    ):
        merge([collected, other], tmp_path / "out")
    named = write_dataset(tmp_path / "named.hdf5", [dataset.episode(0)], {**dataset.spec, "name": "push-t"})
    with pytest.raises(ValueError, match="name: 'push-t' there, 'push-cube' in"):
        merge([collected, named], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_arrays_are_refused(dataset, collected, tmp_path):
    episode = dataset.episode(0)
    stateless = type(episode)(**{**vars(episode), "states": None, "seed": 1})
    other = write_dataset(tmp_path / "other.hdf5", [stateless], dataset.spec)
    with pytest.raises(ValueError, match=r"arrays: \['actions', 'proprio', .*\] there, \['actions', 'states'"):
        merge([collected, other], tmp_path / "out")


def test_episodes_that_are_there_twice_are_refused(dataset, collected, interrupted, tmp_path):
    with pytest.raises(
        ValueError, match=r"10 episodes are there twice.*episode 0 of .* is episode 0 of .*seeds of their"
    ):
        merge([collected, interrupted, collected], tmp_path / "out")
    own = write_dataset(tmp_path / "own.hdf5", [dataset.episode(3)], dataset.spec)
    with pytest.raises(ValueError, match=r"1 episodes.*episode 0 of .*own\.hdf5 is episode 3 of"):
        merge([collected, own], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_of_another_making_is_refused_and_left_alone(collected, interrupted, merged, dataset, tmp_path):
    before = (merged / "episodes.hdf5").stat().st_mtime_ns
    with pytest.raises(ValueError, match="was merged from data sets of the hashes .*same order"):
        merge([interrupted, collected], merged)
    with pytest.raises(ValueError, match="was begun by `rla-gym collect`"):
        merge([collected, interrupted], interrupted)
    own = tmp_path / "own"
    write_dataset(own / "episodes.hdf5", [dataset.episode(0)], dataset.spec)
    with pytest.raises(ValueError, match=r"exists but no merge\.json tells how it was made"):
        merge([collected, interrupted], own)
    with pytest.raises(ValueError, match=r"no collect\.json tells how it was made"):
        collect(CollectConfig("push-cube", 1, out=merged))
    assert (merged / "episodes.hdf5").stat().st_mtime_ns == before


def test_fewer_than_two_and_missing_data_sets_are_refused(collected, tmp_path):
    with pytest.raises(ValueError, match="at least 2 data sets, got 1"):
        merge([collected], tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no episodes at .*nowhere"):
        merge([collected, tmp_path / "nowhere"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_card_that_merge_did_not_write_is_kept(collected, interrupted, tmp_path):
    (tmp_path / "card.json").write_text("mine")
    with pytest.raises(FileExistsError, match="card.json is in the way: `rla-gym merge` did not write it"):
        merge([collected, interrupted], tmp_path)
    assert os.listdir(tmp_path) == ["card.json"] and (tmp_path / "card.json").read_text() == "mine"


def test_whole_or_not_at_all(collected, interrupted, merged, tmp_path, monkeypatch):
    out, copied = tmp_path / "out", h5py.File.copy

    def interrupt(self, source, *arguments, **options):
        if source.name == "/data/demo_2" and len(source.file["data"]) == 4:
            raise KeyboardInterrupt
        return copied(self, source, *arguments, **options)

    monkeypatch.setattr(h5py.File, "copy", interrupt)
    with pytest.raises(KeyboardInterrupt):
        merge([collected, interrupted], out)
    assert not out.exists()
    monkeypatch.undo()
    with output(out, "merge") as folder:  # as a killed process leaves it
        folder.claim(["episodes.hdf5", "card.json"])
        (out / "card.json").write_text("{")
    (out / ".episodes.writing-99999999.hdf5").write_bytes(b"half")
    assert EpisodeDataset(merge([collected, interrupted], out)).hash == EpisodeDataset(merged).hash
    assert sorted(os.listdir(out)) == NAMES
