import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rla_gym.cli.inspect import card_of
from rla_gym.data import EpisodeDataset, TokenStore, encode_dataset, write_dataset
from rla_gym.data.pca import fit_channel_pca
from rla_gym.data.store import split_episodes
from rla_gym.utils.digests import with_digest


@pytest.fixture
def store(dataset, encoder, tmp_path):
    return encode_dataset(dataset, encoder, tmp_path / "store", batch=50, progress=False)


def rows_of(store, episodes):
    return np.concatenate([np.arange(store.starts[e], store.starts[e] + store.lengths[e]) for e in episodes])


def same_files(first, second):
    return all((first / name).read_bytes() == (second / name).read_bytes() for name in ("tokens.npy", "index.json"))


def test_rows_are_the_frames_in_order(dataset, encoder, store):
    assert encoder.frames == len(store) == dataset.lengths.sum()
    assert store.tokens.dtype == np.float16 and store.tokens.shape[1:] == (64, 12) and store.grid == (8, 8)
    for index in (0, 4, len(dataset) - 1):
        rows, arrays = rows_of(store, [index]), dataset.arrays(index)
        expected = encoder.encode(torch.from_numpy(dataset.frames(index))).half().numpy()
        np.testing.assert_array_equal(store.tokens[rows], expected)
        np.testing.assert_array_equal(store.actions[rows[:-1]], arrays["actions"])
        assert not store.actions[rows[-1]].any()
        for name in ("proprio", "objects", "states"):
            np.testing.assert_array_equal(getattr(store, name)[rows], arrays[name])
        assert (store.episode_of(rows) == index).all()
    assert store.sources == dataset.sources and (store.seeds == dataset.seeds).all()
    assert store.info["dataset"] == dataset.hash and store.info["spec"] == dataset.spec


@pytest.mark.parametrize("name", ["tokens.npy", "tokens.npy.part", "encoder.safetensors"])
def test_files_that_encode_did_not_write_are_kept(dataset, encoder, tmp_path, name):
    (tmp_path / name).write_text("mine")
    (tmp_path / "other.npy").write_text("mine too")
    with pytest.raises(FileExistsError, match=f"{name} is in the way: `rla-gym encode` did not write it"):
        encode_dataset(dataset, encoder, tmp_path, batch=50, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "other.npy"])
    (tmp_path / name).unlink()
    encode_dataset(dataset, encoder, tmp_path, batch=50, progress=False)
    assert (tmp_path / "other.npy").read_text() == "mine too"


@pytest.mark.parametrize("pca", [None, 4])
def test_room_for_the_tokens_is_asked_for_before_work(dataset, encoder, tmp_path, monkeypatch, pca):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000, total=2000))
    with pytest.raises(OSError, match=r"no room for the tokens of \d+ frames: .* MB needed, 0.0 MB free"):
        encode_dataset(dataset, encoder, tmp_path / "out", batch=50, pca=pca, progress=False)
    assert encoder.frames <= 50 and not (tmp_path / "out" / "tokens.npy.part").exists()
    monkeypatch.undo()
    assert len(encode_dataset(dataset, encoder, tmp_path / "out", batch=50, pca=pca, progress=False))


def test_motion_is_computed_where_the_store_cannot_be_written(store, monkeypatch):
    def refused(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr("rla_gym.data.store.output", refused)
    motion = store.motion
    assert len(motion) == len(store) and not (store.path / "motion.safetensors").exists()
    monkeypatch.undo()
    again = TokenStore.open(store.path)
    np.testing.assert_array_equal(again.motion, motion)
    assert (store.path / "motion.safetensors").is_file()


def test_normalised_by_training_episodes(store):
    assert len(store.split("train")) == 8 and len(store.split("validation")) == 2
    train = rows_of(store, store.split("train"))
    values = store.normalized(train)
    assert values.dtype == torch.float32 and values.shape == (len(train), 64, 12)
    torch.testing.assert_close(values.mean((0, 1)), torch.zeros(12), atol=2e-4, rtol=0)
    torch.testing.assert_close(values.std((0, 1)), torch.ones(12), atol=2e-4, rtol=0)
    expected = (store.tokens[train[:3]].astype(np.float64) - store.mean) / store.std
    np.testing.assert_allclose(values[:3], expected, atol=1e-5)


def test_split_keeps_assignments_when_episodes_are_added(store):
    seeds = np.random.default_rng(0).integers(0, 2**62, 4000)
    parts = {part: split_episodes(seeds, part) for part in ("train", "validation", "test")}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(4000))
    assert [len(parts[part]) / 4000 for part in parts] == pytest.approx([0.9, 0.05, 0.05], abs=0.012)
    for part, episodes in parts.items():
        assert split_episodes(seeds[:1000], part).tolist() == episodes[episodes < 1000].tolist()
    with pytest.raises(ValueError, match="no part 'valid'; expected one of"):
        store.split("valid")


def test_resumes_without_encoding_twice(dataset, encoder, store, tmp_path):
    out, total = tmp_path / "other", len(store)
    encoder.frames, encoder.fails_after = 0, 150
    with pytest.raises(KeyboardInterrupt):
        encode_dataset(dataset, encoder, out, batch=50, progress=False)
    assert json.loads((out / "journal.json").read_text())["rows"] == encoder.frames == 150
    with pytest.raises(FileNotFoundError, match="no finished token store"):
        TokenStore.open(out)
    encoder.fails_after = None
    encode_dataset(dataset, encoder, out, batch=50, progress=False)
    assert encoder.frames == total
    assert same_files(out, store.path)
    assert sorted(path.name for path in out.iterdir()) == [".rla_gym.json", "arrays.npz", "index.json", "tokens.npy"]
    encode_dataset(dataset, encoder, out, progress=False)
    assert encoder.frames == total, "a finished store is opened as it is"


def test_resumes_after_a_hard_kill(dataset, encoder, store, tmp_path):
    """Rows past the journal may hold anything: they are encoded again."""
    out = tmp_path / "other"
    encoder.frames, encoder.fails_after = 0, 200
    with pytest.raises(KeyboardInterrupt):
        encode_dataset(dataset, encoder, out, batch=50, progress=False)
    tokens = np.load(out / "tokens.npy.part", mmap_mode="r+")
    tokens[100:] = 7.0
    tokens.flush()
    journal = json.loads((out / "journal.json").read_text())
    (out / "journal.json").write_text(json.dumps(with_digest({**journal, "rows": 100})))
    encoder.fails_after = None
    encode_dataset(dataset, encoder, out, batch=50, progress=False)
    assert same_files(out, store.path)


def test_unfinished_store_of_other_settings_is_refused(dataset, encoder, tmp_path):
    encoder.fails_after = 50
    with pytest.raises(KeyboardInterrupt):
        encode_dataset(dataset, encoder, tmp_path, batch=50, progress=False)
    with pytest.raises(ValueError, match="pca of the unfinished store is null, expected 4"):
        encode_dataset(dataset, encoder, tmp_path, pca=4, progress=False)
    encoder.hash = "another"
    with pytest.raises(ValueError, match='encoder of the unfinished store is "1234abcd", expected "another"'):
        encode_dataset(dataset, encoder, tmp_path, progress=False)


def test_refuses_another_data_set_encoder_or_schema(dataset, encoder, store, tmp_path):
    TokenStore.open(store.path, dataset, encoder)
    part = write_dataset(tmp_path / "part.hdf5", [dataset.episode(0)], dataset.spec)
    with pytest.raises(ValueError, match="data set hash is .*expected .*choose another folder"):
        TokenStore.open(store.path, EpisodeDataset(part))
    with pytest.raises(ValueError, match="pca is null, expected 3"):
        encode_dataset(dataset, encoder, store.path, pca=3, progress=False)
    encoder.hash = "another"
    with pytest.raises(ValueError, match='encoder hash is "1234abcd", expected "another"'):
        TokenStore.open(store.path, dataset, encoder)
    index = json.loads((store.path / "index.json").read_text())
    index["info"]["schema"] = 99  # before the digest is looked at, which a newer version may compute otherwise
    (store.path / "index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="schema version is 99, expected 1"):
        TokenStore.open(store.path)


@pytest.mark.parametrize("name", ["tokens.npy", "arrays.npz", "index.json"])
def test_refuses_files_that_are_cut_off(store, name):
    place = store.path / name
    place.write_bytes(place.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"{name} .*(cut off|damaged)"):
        TokenStore.open(store.path)


def test_refuses_tokens_that_float16_cannot_hold(dataset, encoder, tmp_path):
    honest = encoder.encode
    encoder.encode = lambda frames: honest(frames) * 1e6
    with pytest.raises(ValueError, match="frames 0 to 63 are not finite in float16.*LayerNorm"):
        encode_dataset(dataset, encoder, tmp_path, progress=False)


def test_pca_is_deterministic_and_keeps_what_moves(dataset, encoder, store, tmp_path):
    first = encode_dataset(dataset, encoder, tmp_path / "a", pca=4, progress=False)
    second = encode_dataset(dataset, encoder, tmp_path / "b", pca=4, progress=False)
    assert same_files(first.path, second.path)
    assert first.tokens.shape == (len(store), 64, 4) and 0.5 < first.info["pca"]["explained"] <= 1
    channel_map = first.pca
    np.testing.assert_allclose(channel_map.components @ channel_map.components.T, np.eye(4), atol=1e-5)
    expected = channel_map.project(store.tokens[:20].astype(np.float32))
    np.testing.assert_allclose(first.tokens[:20], expected, atol=5e-3)
    assert store.pca is None


def test_pca_ignores_variance_over_positions():
    generator = np.random.default_rng(0)
    tokens = 0.01 * generator.normal(size=(200, 6, 5))
    tokens[..., 0] += 10 * generator.normal(size=6)  # a standing pattern over patches
    tokens[..., 3] += generator.normal(size=(200, 6))  # what moves
    channel_map = fit_channel_pca([tokens[:90], tokens[90:]], 1)
    assert abs(channel_map.components[0, 3]) > 0.99 and channel_map.explained > 0.99
    np.testing.assert_allclose(channel_map.mean, tokens.mean((0, 1)), atol=1e-5)
    with pytest.raises(ValueError, match="pca=6 components asked for, expected 1 to 5"):
        fit_channel_pca([tokens], 6)


def test_motion_is_the_change_within_the_episode(store):
    motion = store.motion
    assert motion.shape == (len(store),)
    last = store.starts[2] + store.lengths[2] - 1
    assert motion[last] == 0
    for row, later in ((store.starts[2], store.starts[2] + 4), (last - 2, last)):
        change = (store.normalized([later]) - store.normalized([row])).abs().mean()
        assert motion[row] == pytest.approx(float(change), rel=1e-3)
    np.testing.assert_array_equal(TokenStore.open(store.path).motion, motion)


@pytest.fixture
def others(dataset, tmp_path):
    """Two of the episodes, as a data set of their own."""
    path = write_dataset(tmp_path / "others.hdf5", [dataset.episode(5), dataset.episode(1)], dataset.spec)
    return EpisodeDataset(path)


def test_like_another_store_has_its_channels_and_statistics(dataset, others, encoder, tmp_path):
    first = encode_dataset(dataset, encoder, tmp_path / "first", pca=4, progress=False)
    second = encode_dataset(others, encoder, tmp_path / "second", progress=False, like=first)
    mine, theirs = rows_of(second, [0, 1]), rows_of(first, [5, 1])
    np.testing.assert_array_equal(second.tokens[mine], first.tokens[theirs])
    assert second.normalized(mine).equal(first.normalized(theirs))
    np.testing.assert_array_equal(second.mean, first.mean)
    np.testing.assert_array_equal(second.pca.components, first.pca.components)
    assert second.coordinates == first.coordinates == second.info["like"] and first.info["like"] is None
    assert "those of another store" in card_of(str(second.path)) and "another" not in card_of(str(first.path))
    own = encode_dataset(others, encoder, tmp_path / "own", pca=4, progress=False)
    assert own.coordinates != first.coordinates and not np.array_equal(own.mean, first.mean)
    third = encode_dataset(dataset, encoder, tmp_path / "third", progress=False, like=second)
    assert (third.path / "tokens.npy").read_bytes() == (first.path / "tokens.npy").read_bytes()


def test_like_a_store_without_pca_needs_no_training_episodes(dataset, encoder, store, tmp_path):
    held_out = [dataset.episode(int(store.split("validation")[0]))]
    small = EpisodeDataset(write_dataset(tmp_path / "small.hdf5", held_out, dataset.spec))
    with pytest.raises(ValueError, match="none of the 1 episodes .*like another store"):
        encode_dataset(small, encoder, tmp_path / "alone", progress=False)
    found = encode_dataset(small, encoder, tmp_path / "like", progress=False, like=store)
    assert found.pca is None and found.tokens.shape[2] == 12 and found.coordinates == store.coordinates


def test_like_a_store_of_another_encoder_or_pca_is_refused(dataset, encoder, store, tmp_path):
    with pytest.raises(ValueError, match="pca=4, but .*store.*has None: leave pca out"):
        encode_dataset(dataset, encoder, tmp_path / "out", pca=4, progress=False, like=store)
    encoder.hash = "another"
    with pytest.raises(ValueError, match=r"store is of the encoder patch-colours \(1234abcd\), this one is .*another"):
        encode_dataset(dataset, encoder, tmp_path / "out", progress=False, like=store)
    assert not (tmp_path / "out").exists()


def test_precision_is_kept_and_another_one_refused(recorded, small_encoder, encoded, tmp_path):
    part = EpisodeDataset(write_dataset(tmp_path / "part.hdf5", [recorded.episode(0)], recorded.spec))
    assert encoded.info["precision"] == "no"
    rough = encode_dataset(part, small_encoder, tmp_path / "bf16", progress=False, like=encoded, precision="bf16")
    assert rough.info["precision"] == "bf16" and rough.coordinates == encoded.coordinates
    exact = encoded.tokens[: len(rough)].astype(np.float32)
    difference = np.linalg.norm(rough.tokens - exact) / np.linalg.norm(exact)
    assert 1e-4 < difference < 0.05, "another precision, the same tokens"
    with pytest.raises(ValueError, match='precision is "bf16", expected "no"'):
        encode_dataset(part, small_encoder, tmp_path / "bf16", progress=False, like=encoded)


def test_resuming_like_another_store_is_refused(dataset, others, encoder, tmp_path):
    first = encode_dataset(dataset, encoder, tmp_path / "first", pca=4, progress=False)
    other = encode_dataset(others, encoder, tmp_path / "other", pca=4, progress=False)
    out = tmp_path / "out"
    encoder.frames, encoder.fails_after = 0, 50
    with pytest.raises(KeyboardInterrupt):
        encode_dataset(others, encoder, out, batch=50, progress=False, like=first)
    encoder.fails_after = None
    for options in ({"like": other}, {"pca": 4}):
        with pytest.raises(ValueError, match="like of the unfinished store is .*, expected "):
            encode_dataset(others, encoder, out, batch=50, progress=False, **options)
    encoder.frames = 0
    found = encode_dataset(others, encoder, out, batch=50, progress=False, like=first)
    assert encoder.frames == len(found) - 50, "what was encoded before was not encoded again"
    np.testing.assert_array_equal(found.tokens, first.tokens[rows_of(first, [5, 1])])
    for options in ({"like": other}, {"pca": 4}):
        with pytest.raises(ValueError, match="channels of the store that it is like is .*, expected"):
            encode_dataset(others, encoder, out, progress=False, **options)


def test_stores_and_journals_of_before_there_was_like_stay_valid(dataset, encoder, store, tmp_path):
    index = json.loads((store.path / "index.json").read_text())
    del index["info"]["like"], index["digest"], index["files"]
    (store.path / "index.json").write_text(json.dumps(index))
    assert len(encode_dataset(dataset, encoder, store.path, progress=False)) == len(store)
    out = tmp_path / "begun"
    encoder.fails_after = encoder.frames + 100
    with pytest.raises(KeyboardInterrupt):
        encode_dataset(dataset, encoder, out, batch=50, progress=False)
    journal = json.loads((out / "journal.json").read_text())
    assert journal.pop("like") is None and journal.pop("digest")
    (out / "journal.json").write_text(json.dumps(journal))
    encoder.fails_after = None
    encode_dataset(dataset, encoder, out, batch=50, progress=False)
    assert (out / "tokens.npy").read_bytes() == (store.path / "tokens.npy").read_bytes()
