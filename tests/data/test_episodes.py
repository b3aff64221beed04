import errno
import multiprocessing
import pickle

import h5py
import numpy as np
import pytest

from rla_gym.data import Episode, EpisodeDataset, write_dataset
from rla_gym.data.index import index_path

SPEC = {
    "name": "drawn",
    "frame_size": [6, 8],
    "action_low": [-1.0, -2.0],
    "action_high": [1.0, 2.0],
    "proprio_size": 3,
    "object_names": ["x"],
    "control_hz": 10.0,
    "max_steps": 20,
}


def drawn(length=5, seed=0, **changes):
    generator = np.random.default_rng(seed)
    fields = {
        "frames": generator.integers(0, 255, (length, 6, 8, 3), np.uint8),
        "actions": generator.uniform(-1, 1, (length - 1, 2)).astype(np.float32),
        "proprio": generator.normal(size=(length, 3)).astype(np.float32),
        "states": generator.normal(size=(length, 7)),
        "objects": generator.normal(size=(length, 1)).astype(np.float32),
        "task": "drawn",
        "success": bool(seed % 2),
        "seed": 100 + seed,
        "source": "drawn",
    }
    return Episode(**{**fields, **changes})


@pytest.fixture
def path(tmp_path):
    return write_dataset(tmp_path / "episodes.hdf5", [drawn(5 + seed, seed) for seed in range(3)], SPEC)


def read_in_child(dataset):
    return dataset.frames(1).sum(), dataset.hash


def test_round_trip(path):
    dataset = EpisodeDataset(path.parent)
    assert len(dataset) == 3 and dataset.lengths.tolist() == [5, 6, 7]
    assert dataset.seeds.tolist() == [100, 101, 102] and dataset.successes.tolist() == [False, True, False]
    assert dataset.spec == SPEC and dataset.task_name == "drawn" and dataset.sources == ("drawn",) * 3
    for seed, found in enumerate(dataset):
        made = drawn(5 + seed, seed)
        for name in ("frames", "actions", "proprio", "states", "objects"):
            np.testing.assert_array_equal(getattr(found, name), getattr(made, name))
            assert getattr(found, name).dtype == getattr(made, name).dtype
        assert (found.task, found.success, found.seed, found.source) == (
            "drawn",
            bool(seed % 2),
            100 + seed,
            "drawn",
        )
    np.testing.assert_array_equal(dataset.frames(2, 3, 5), drawn(7, 2).frames[3:5])
    dataset.verify()
    with pytest.raises(IndexError, match="episode 3 of 3"):
        dataset.episode(3)


def test_video_without_actions(tmp_path):
    bare = {"actions": None, "proprio": None, "states": None, "objects": None}
    dataset = EpisodeDataset(write_dataset(tmp_path / "a.hdf5", [drawn(**bare)], SPEC))
    assert dataset.episode(0).actions is None and dataset.arrays(0)["states"] is None
    with pytest.raises(ValueError, match=r"episode 1 has .*'states', .*, episode 0 has \['actions'"):
        write_dataset(tmp_path / "b.hdf5", [drawn(), drawn(seed=1, actions=None)], SPEC)
    assert not (tmp_path / "b.hdf5").exists()


def test_hash_sees_contents_not_compression(path, tmp_path):
    dataset = EpisodeDataset(path)
    changed = drawn(5, 0)
    changed.frames[2, 0, 0, 0] ^= 1
    others = [drawn(6, 1), drawn(7, 2)]
    assert EpisodeDataset(write_dataset(tmp_path / "a.hdf5", [changed, *others], SPEC)).hash != dataset.hash
    with h5py.File(path, "r+") as file:
        frames = file["data/demo_0/obs/agentview_image"][()]
        del file["data/demo_0/obs/agentview_image"]
        file["data/demo_0/obs/agentview_image"] = frames
    EpisodeDataset(path).verify()
    with h5py.File(path, "r+") as file:
        file["data/demo_1/actions"][0, 0] += 0.5
    with pytest.raises(ValueError, match="damaged or edited"):
        EpisodeDataset(path).verify()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_goes_to_other_processes(path, method):
    dataset = EpisodeDataset(path)
    expected = dataset.frames(1).sum()  # the handle is open when the child starts
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(read_in_child, [dataset] * 4) == [(expected, dataset.hash)] * 4
    assert pickle.loads(pickle.dumps(dataset)).frames(1).sum() == expected
    dataset.close()
    assert dataset.frames(1).sum() == expected


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="rla-gym collect"):
        EpisodeDataset(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere.hdf5"):
        EpisodeDataset(tmp_path / "nowhere.hdf5")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_cut_off(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match="cut off or not an HDF5 file.*repeat it"):
        EpisodeDataset(path)


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps({"frames": 1})])
def test_not_hdf5(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cut off or not an HDF5 file.*repeat it"):
        EpisodeDataset(path)


def test_file_of_something_else(tmp_path):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match="no `data` group with a `spec`"):
        EpisodeDataset(tmp_path / "a.hdf5")


def test_frames_of_another_size(path, tmp_path):
    odd = drawn(seed=1, frames=np.zeros((5, 6, 10, 3), np.uint8))
    with pytest.raises(ValueError, match=r"episode 1: frames are of \(6, 10\), the spec's frame_size is \(6, 8\)"):
        write_dataset(tmp_path / "a.hdf5", [drawn(), odd], SPEC)
    with h5py.File(path, "r+") as file:
        del file["data/demo_1/obs/agentview_image"]
        file["data/demo_1/obs/agentview_image"] = np.zeros((6, 6, 10, 3), np.uint8)
    with pytest.raises(ValueError, match=r"demo_1: frames have shape \(6, 6, 10, 3\), expected \(6, 6, 8, 3\)"):
        EpisodeDataset(path)


@pytest.mark.parametrize(
    ("place", "values", "message"),
    [
        ("actions", np.zeros((4, 3), np.float32), r"actions has shape \(4, 3\), expected \(4, 2\)"),
        ("obs/proprio", np.zeros((5, 2), np.float32), r"obs/proprio has shape \(5, 2\), expected \(5, 3\)"),
        ("objects", np.zeros((5, 2), np.float32), r"objects has shape \(5, 2\), expected \(5, 1\)"),
    ],
)
def test_wrong_widths(path, tmp_path, place, values, message):
    name = place.rpartition("/")[2]
    with pytest.raises(ValueError, match=rf"episode 0: {name} of width {values.shape[1]}, the spec says"):
        write_dataset(tmp_path / "a.hdf5", [drawn(**{name: values})], SPEC)
    with h5py.File(path, "r+") as file:
        del file[f"data/demo_0/{place}"]
        file[f"data/demo_0/{place}"] = values
    with pytest.raises(ValueError, match=f"demo_0: {message}"):
        EpisodeDataset(path)


def test_actions_outside_their_bounds_and_seeds_twice_are_not_written(tmp_path):
    far = drawn(actions=np.full((4, 2), 1.5, np.float32))
    with pytest.raises(ValueError, match="action 0 of step 0 is 1.5, the spec's bounds are -1 to 1: scale"):
        write_dataset(tmp_path / "a.hdf5", [far], SPEC)
    with pytest.raises(ValueError, match="episodes 0 and 1 have the same seed 100, .*give each its own"):
        write_dataset(tmp_path / "a.hdf5", [drawn(), drawn()], SPEC)
    with pytest.raises(IsADirectoryError, match=r"is a folder: name the file, such as .*episodes\.hdf5"):
        write_dataset(tmp_path, [drawn()], SPEC)
    assert not list(tmp_path.iterdir())


def test_a_first_episode_without_arrays_and_no_episodes_at_all_are_not_written(tmp_path):
    bare = {"actions": None, "proprio": None, "states": None, "objects": None}
    with pytest.raises(ValueError, match=r"episode 1 has .*, episode 0 has \[\]"):
        write_dataset(tmp_path / "a.hdf5", [drawn(**bare), drawn(seed=1)], SPEC)
    with pytest.raises(ValueError, match="no episodes are given"):
        write_dataset(tmp_path / "a.hdf5", iter(()), SPEC)
    assert not list(tmp_path.iterdir())


def test_values_that_are_not_finite(path):
    with h5py.File(path, "r+") as file:
        file["data/demo_1/obs/proprio"][2, 0] = np.nan
    with pytest.raises(ValueError, match="demo_1: proprio hold NaN"):
        EpisodeDataset(path)


def test_damage_names_file_and_episode(path):
    with h5py.File(path) as file:
        chunk = file["data/demo_1/obs/agentview_image"].id.get_chunk_info(0)
    raw = bytearray(path.read_bytes())
    for place in range(chunk.byte_offset + 2, chunk.byte_offset + chunk.size):
        raw[place] ^= 0xFF
    path.write_bytes(raw)
    dataset = EpisodeDataset(path)
    for read in (dataset.verify, lambda: dataset.frames(1)):
        with pytest.raises(ValueError, match=r"episodes\.hdf5: episode 1 cannot be read .*damaged"):
            read()
    assert len(dataset.frames(0)) == 5


def test_actions_that_are_not_finite(path):
    with h5py.File(path, "r+") as file:
        file["data/demo_2/actions"][3, 1] = np.nan
    with pytest.raises(ValueError, match="demo_2: actions hold NaN"):
        EpisodeDataset(path)


@pytest.mark.parametrize("dataset", ["actions", "states", "obs/proprio", "objects", "obs/agentview_image"])
def test_missing_datasets_and_rows(path, dataset):
    with h5py.File(path, "r+") as file:
        values = file[f"data/demo_1/{dataset}"][()]
        del file[f"data/demo_1/{dataset}"]
    with pytest.raises(ValueError, match=f"demo_1 has no '{dataset}'"):
        EpisodeDataset(path)
    with h5py.File(path, "r+") as file:
        file[f"data/demo_1/{dataset}"] = values[:-1]
    with pytest.raises(ValueError, match=r"demo_1: .*shape \([45],.*expected \([56],"):
        EpisodeDataset(path)


def test_missing_episode(path):
    with h5py.File(path, "r+") as file:
        file.move("data/demo_1", "data/demo_9")
    with pytest.raises(ValueError, match=r"missing: \['demo_1'\]"):
        EpisodeDataset(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": np.zeros((5, 6, 8, 3))}, r"frames are float64 .*expected uint8 \(T, H, W, 3\)"),
        ({"frames": np.zeros((1, 6, 8, 3), np.uint8)}, "at least 2"),
        (
            {"actions": np.zeros((5, 2), np.float32)},
            r"actions has shape \(5, 2\), expected \(4, ...\) for 5 frames",
        ),
        ({"states": np.zeros((4, 7))}, r"states has shape \(4, 7\), expected \(5, ...\)"),
        ({"actions": np.full((4, 2), np.inf, np.float32)}, "actions .* not finite, first in row 0"),
        ({"proprio": np.array([[0.0] * 3] * 3 + [[np.nan] * 3] * 2)}, "proprio .* not finite, first in row 3"),
    ],
)
def test_episode_checks_itself(changes, message):
    with pytest.raises(ValueError, match=message):
        drawn(**changes)


def test_arrays_of_other_types_are_converted_when_written(tmp_path):
    whole = drawn(5, 0, actions=np.zeros((4, 2), np.int64), states=np.arange(35, dtype=np.float32).reshape(5, 7))
    half = drawn(6, 1, actions=np.full((5, 2), 0.5), proprio=np.full((6, 3), -0.75, np.float16))
    assert {whole.actions.dtype, half.actions.dtype, half.proprio.dtype} == {np.dtype(np.float32)}
    assert whole.states.dtype == np.float64
    dataset = EpisodeDataset(write_dataset(tmp_path / "a.hdf5", [whole, half], SPEC))
    assert (dataset.arrays(1)["actions"] == 0.5).all() and (dataset.arrays(1)["proprio"] == -0.75).all()
    with pytest.raises(ValueError, match=r"proprio are float64 .*float32, which cannot hold row 0 \(1e\+39\)"):
        drawn(proprio=np.full((5, 3), 1e39))


def replaced(path, place, values):
    """The file with other values at a place of its second episode, as recorded so: without digests."""
    with h5py.File(path, "r+") as file:
        group = file["data/demo_1"]
        del group[place], group.attrs["digest"], group.attrs["rewards_digest"]
        group[place] = values
    return path


@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", ">f4"])
def test_files_of_others_are_read_in_the_same_types(path, dtype):
    dataset = EpisodeDataset(replaced(path, "actions", np.ones((5, 2), dtype)))
    assert dataset.arrays(1)["actions"].dtype == dataset.episode(1).actions.dtype == np.float32
    assert (dataset.episode(1).actions == 1).all() and dataset.hash == dataset.compute_hash()


@pytest.mark.parametrize(
    ("place", "values", "message"),
    [
        ("obs/proprio", np.full((6, 3), 1e300), "demo_1: proprio are float64 and kept as float32, which cannot hold"),
        ("actions", np.full((5, 2), 3.0), r"demo_1: action 0 of step 0 is 3, the spec's bounds are -1 to 1"),
        ("actions", np.array([[b"a", b"b"]] * 5), "demo_1: actions are of type .*expected numbers"),
        ("obs/agentview_image", np.zeros((6, 6, 8, 3)), "demo_1: frames are float64, expected uint8"),
        ("rewards", np.zeros(6), r"demo_1: rewards have shape \(6,\), expected \(5,\)"),
        ("rewards", np.full(5, np.nan), "demo_1: rewards hold NaN"),
    ],
)
def test_what_a_file_promises_is_checked_when_it_is_opened(path, place, values, message):
    with pytest.raises(ValueError, match=message):
        EpisodeDataset(replaced(path, place, values))


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 2**64 - 1), ("seed", 1.5), ("success", "yes"), ("num_samples", -3), ("num_samples", [5])],
)
def test_attributes_are_checked_when_it_is_opened(path, name, value):
    with h5py.File(path, "r+") as file:
        file["data/demo_1"].attrs[name] = np.uint64(value) if value == 2**64 - 1 else value
    with pytest.raises(ValueError, match=f"demo_1: attribute {name} is .*expected a whole number"):
        EpisodeDataset(path)


def test_rewards_say_which_steps_are_solved(tmp_path):
    solved = np.array([False, False, True, True])
    given = [drawn(5, 1, rewards=solved), drawn(5, 3), drawn(5, 0)]
    dataset = EpisodeDataset(write_dataset(tmp_path / "a.hdf5", given, SPEC))
    assert [dataset.arrays(i)["rewards"].tolist() for i in range(3)] == [[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert (dataset.episode(0).rewards == solved).all() and dataset.hash == dataset.compute_hash()
    for wrong, message in (
        (drawn(5, 1, rewards=np.array([0, 0.5, 0, 1])), "rewards hold 0.5, expected 1 for each step"),
        (drawn(5, 1, rewards=np.zeros(4)), "success is True, but 0 steps have a reward"),
        (drawn(5, 0, rewards=np.ones(4)), "success is False, but 4 steps have a reward"),
    ):
        with pytest.raises(ValueError, match=message):
            write_dataset(tmp_path / "b.hdf5", [wrong], SPEC)
    with pytest.raises(ValueError, match=r"rewards has shape \(5,\), expected \(4, ...\)"):
        drawn(5, 1, rewards=np.zeros(5))


def test_a_locked_file_is_not_called_damaged(path):
    fcntl = pytest.importorskip("fcntl")
    index_path(path).unlink()
    with path.open("r+b") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="is locked, as by a process that writes it: wait"):
            EpisodeDataset(path)
    assert len(EpisodeDataset(path)) == 3


@pytest.mark.parametrize(("number", "kind"), [(errno.EACCES, PermissionError), (errno.EIO, OSError)])
def test_what_the_system_refuses_is_not_called_damaged(path, monkeypatch, number, kind):
    index_path(path).unlink()
    dataset = EpisodeDataset(path)

    def refuse(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", refuse)
    for read in (lambda: dataset.frames(1), lambda: EpisodeDataset(path)):
        with pytest.raises(kind, match="cannot be read .*may well be whole") as error:
            read()
        assert error.value.errno == number


def test_what_h5py_cannot_represent_names_the_file(path):
    dataset = EpisodeDataset(path)
    with pytest.raises(ValueError, match="episode 3 cannot be read .*record or fetch"), dataset._reporting("episode 3"):
        h5py.h5t.py_create(np.dtype(object), logical=True)
    with pytest.raises(ValueError, match="^ours$"), dataset._reporting("episode 3"):
        raise ValueError("ours")


@pytest.mark.parametrize("kind", ["external", "soft", "storage", "virtual", "empty"])
def test_datasets_that_lie_elsewhere_are_refused(path, tmp_path, kind):
    with h5py.File(path, "r+") as file:
        group = file["data/demo_1"]
        shape = group["actions"].shape
        del group["actions"]
        if kind == "external":
            with h5py.File(tmp_path / "other.hdf5", "w") as other:
                other["x"] = np.zeros(shape, np.float32)
            group["actions"] = h5py.ExternalLink(str(tmp_path / "other.hdf5"), "/x")
        elif kind == "soft":
            group["actions"] = h5py.SoftLink("/nowhere")
        elif kind == "storage":
            group.create_dataset("actions", shape, np.float32, external=[("/dev/zero", 0, 1 << 20)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape, np.float32)
            layout[:] = h5py.VirtualSource(str(tmp_path / "none.hdf5"), "x", shape, np.float32)
            group.create_virtual_dataset("actions", layout)
        else:
            group["actions"] = h5py.Empty("f")
    with pytest.raises(ValueError, match="demo_1.*actions"):
        EpisodeDataset(path)
