"""Episodes in robomimic's HDF5 layout.

    data                attrs: total, env_args (JSON), spec (JSON), hash
    data/demo_<i>       attrs: num_samples (= T - 1), success, seed, source, task, digest
      actions           (T-1, A) float32
      states            (T, S) float64
      obs/<frame_name>  (T, H, W, 3) uint8, one compressed chunk a frame
      obs/proprio       (T, P) float32
      objects           (T, O) float32
      rewards, dones    (T-1,) float32, uint8

robomimic reads the first `num_samples` rows of each dataset; the extra last row of frames, states, proprio
and objects is what the last action led to. All datasets but the frames may be missing where nothing was
recorded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rla_gym.data.spec import READ, check_episode, checked_spec
from rla_gym.extras import require
from rla_gym.files import atomic_path

if TYPE_CHECKING:
    from rla_gym.data.episodes import Episode

DEFAULT_FRAME_NAME = "agentview_image"
DATASETS = {"actions": "actions", "states": "states", "proprio": "obs/proprio", "objects": "objects"}
# Measured on 112x112 frames of push-cube: 37.7 kB raw, 6.7 lzf, 4.1 deflate 1, 3.4 deflate 4, 2.9 deflate 9
# (which writes ten times slower); all read at 12,000 to 18,000 frames a second; byte shuffling changes
# nothing for bytes.
FRAME_FILTERS: dict[str, Any] = {"compression": "gzip", "compression_opts": 4}
EXTRA_ROWS = {"actions": 0, "states": 1, "proprio": 1, "objects": 1}  # rows beyond num_samples


def env_args(task: str) -> dict[str, Any]:
    """What robomimic keeps about the environment; type 1 is robosuite, 2 any Gym-like environment."""
    prefix, _, rest = task.partition(":")
    if prefix == "robosuite" and rest:
        return {"env_name": rest, "type": 1, "env_kwargs": {}}
    return {"env_name": task, "type": 2, "env_kwargs": {}}


def episode_digest(episode: Episode) -> str:
    """SHA-256 of everything recorded in an episode, frames as decoded bytes (so whatever the compression)."""
    digest = hashlib.sha256(f"{episode.task}|{int(episode.seed)}|{episode.source}|{bool(episode.success)}".encode())
    for name in ("frames", "actions", "states", "proprio", "objects"):
        array = getattr(episode, name)
        if array is None:
            digest.update(f"|{name}:none".encode())
        else:
            digest.update(f"|{name}:{array.dtype.str}:{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def combine_digests(digests: Iterable[str]) -> str:
    """The hash of a data set: SHA-256 over its episodes' digests, in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def write_episode(
    group: Any, episode: Episode, frame_name: str = DEFAULT_FRAME_NAME, rewards: np.ndarray | None = None
) -> None:
    """Write one episode into an empty HDF5 group.

    Args:
        rewards: (T-1,) float32, 1 on each step after which the task counted as solved; None: 1 at the last
            step of a successful episode.
    """
    steps = episode.frames.shape[0] - 1
    if rewards is None:
        rewards = np.zeros(steps, np.float32)
        rewards[-1:] = float(episode.success)
    dones = np.zeros(steps, np.uint8)
    dones[-1:] = 1
    group.create_dataset(
        f"obs/{frame_name}", data=episode.frames, chunks=(1, *episode.frames.shape[1:]), **FRAME_FILTERS
    )
    for name, place in DATASETS.items():
        array = getattr(episode, name)
        if array is not None:
            group.create_dataset(place, data=array)
    group.create_dataset("rewards", data=rewards.astype(np.float32))
    group.create_dataset("dones", data=dones)
    group.attrs["num_samples"] = steps
    group.attrs["success"] = bool(episode.success)
    group.attrs["seed"] = int(episode.seed)
    group.attrs["source"] = episode.source
    group.attrs["task"] = episode.task
    group.attrs["digest"] = episode_digest(episode)


def write_header(data: Any, spec: Mapping[str, Any], total: int, digests: Iterable[str]) -> None:
    """Write the attributes of the `data` group: the task's spec, robomimic's fields and the hash."""
    data.attrs["total"] = int(total)
    data.attrs["env_args"] = json.dumps(env_args(str(spec["name"])))
    data.attrs["spec"] = json.dumps(dict(spec))
    data.attrs["hash"] = combine_digests(digests)


def write_dataset(path: str | Path, episodes: Iterable[Episode], spec: Mapping[str, Any]) -> Path:
    """Write episodes (for instance of one's own robot) as a data set that `EpisodeDataset` opens.

    Args:
        path: the .hdf5 file to write, whole or not at all.
        episodes: each with a seed of its own, for instance its number: the seed decides whether an episode is trained
            or tested on.
        spec: facts of the task, as `TaskSpec.to_dict` gives them or as in `rla_gym.data.spec.EXAMPLE`.

    Raises:
        IsADirectoryError: `path` is a folder.
        ValueError: a spec that lacks something, an episode that does not fit it, or two of one seed.
    """
    h5py = require("h5py", extra="data")
    path, spec = Path(path), checked_spec(spec)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name the file, such as {path / 'episodes.hdf5'}")
    total, digests = 0, []
    seeds: dict[int, int] = {}
    kept: list[str] | None = None
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        data = file.create_group("data")
        for index, episode in enumerate(episodes):
            check_episode(episode, spec, f"episode {index}")
            present = [name for name in DATASETS if getattr(episode, name) is not None]
            kept = present if kept is None else kept
            if present != kept:
                raise ValueError(f"episode {index} has {present}, episode 0 has {kept}: all must hold the same")
            if seeds.setdefault(int(episode.seed), index) != index:
                raise ValueError(
                    f"episodes {seeds[int(episode.seed)]} and {index} have the same seed {episode.seed}, by which "
                    "episodes are trained or tested on: give each its own, for instance its number"
                )
            group = data.create_group(f"demo_{index}")
            write_episode(group, episode, spec.get("frame_name", DEFAULT_FRAME_NAME))
            total += int(group.attrs["num_samples"])
            digests.append(str(group.attrs["digest"]))
        if not digests:
            raise ValueError(f"no episodes are given to write to {path}: an iterator that was used up gives none")
        write_header(data, spec, total, digests)
    return path


def merge_parts(path: str | Path, parts: Iterable[Path], spec: Mapping[str, Any]) -> str:
    """Join files of one episode each (group `episode`) in order, without recompressing; return the hash."""

    def groups(h5py: Any) -> Iterator[tuple[Any, str]]:
        for part in parts:
            with h5py.File(part, "r") as source:
                yield source["episode"], str(source["episode"].attrs["digest"])

    with atomic_path(path) as temporary:
        return copy_episodes(temporary, groups(require("h5py", extra="data")), spec)


def copy_episodes(path: str | Path, groups: Iterable[tuple[Any, str]], spec: Mapping[str, Any]) -> str:
    """Write a data set of episodes that lie in other HDF5 files, in order, without recompressing; return the hash.

    Args:
        path: the file; a temporary one, since it is not written whole or not at all.
        groups: each episode's open group, and its digest.
    """
    h5py = require("h5py", extra="data")
    total, digests = 0, []
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        for index, (source, digest) in enumerate(groups):
            source.file.copy(source, data, name=f"demo_{index}")
            group = data[f"demo_{index}"]
            group.attrs["digest"] = digest
            total += int(group.attrs["num_samples"])
            digests.append(digest)
        write_header(data, spec, total, digests)
    return combine_digests(digests)


def stored_hash(path: Path) -> str | None:
    """The hash that a data set's file carries; None where it carries none, or there is no such file to read."""
    h5py = require("h5py", extra="data")
    if not path.is_file():
        return None
    try:
        with h5py.File(path, "r") as file:
            found = file["data"].attrs.get("hash")
    except (OSError, KeyError):  # opening it as a data set tells what is wrong
        return None
    return None if found is None else str(found)


@dataclass(frozen=True)
class Scan:
    """What a file holds, read without decoding a frame."""

    spec: dict[str, Any]
    hash: str | None
    lengths: np.ndarray  # (E,) int64, frames of each episode
    sources: tuple[str, ...]
    successes: np.ndarray  # (E,) bool
    seeds: np.ndarray  # (E,) int64
    digests: tuple[str | None, ...]  # of each episode, None where the file has none


def scan(file: Any, path: Path) -> Scan:
    """Read and check the headers of an open file.

    Raises:
        ValueError: datasets that are missing or of sizes that do not fit together, or values that are not
            finite; the text names the episode.
    """
    if "data" not in file or "spec" not in file["data"].attrs:
        raise ValueError(
            f"{path} has no `data` group with a `spec` attribute: it is not a data set of this library; "
            "write one with `rla-gym collect` or rla_gym.data.formats.robomimic.write_dataset"
        )
    data = file["data"]
    spec = checked_spec(json.loads(data.attrs["spec"]), f"{path}: the spec", READ)
    frame_place = f"obs/{spec.get('frame_name', DEFAULT_FRAME_NAME)}"
    names = [f"demo_{index}" for index in range(len(data))]
    missing = [name for name in names if name not in data]
    if missing or not names:
        raise ValueError(f"{path} holds {len(names)} episodes, expected demo_0, demo_1, ...; missing: {missing[:3]}")
    kept = [place for place in DATASETS.values() if place in data["demo_0"]]
    lengths: list[int] = []
    sources: list[str] = []
    successes: list[bool] = []
    seeds: list[int] = []
    digests: list[str | None] = []
    for name in names:
        group = data[name]
        attributes = group.attrs
        if frame_place not in group:
            raise ValueError(f"{path}: {name} has no {frame_place!r}; it holds {sorted(group)}: record it again")
        present = [place for place in DATASETS.values() if place in group]
        lacking = [place for place in kept if place not in present]
        extra = [place for place in present if place not in kept]
        if lacking:
            raise ValueError(
                f"{path}: {name} has no {lacking[0]!r}, which demo_0 has: all episodes must hold the same datasets"
            )
        if extra:
            raise ValueError(
                f"{path}: {name} has {extra[0]!r}, which demo_0 has not: all episodes must hold the same datasets"
            )
        if "num_samples" not in attributes:
            raise ValueError(f"{path}: {name} has no attribute num_samples: write it with `write_dataset`")
        lengths.append(
            _check_episode(group, group[frame_place], int(attributes["num_samples"]), spec, f"{path}: {name}")
        )
        sources.append(str(attributes.get("source", "unknown")))
        successes.append(bool(attributes.get("success", False)))
        seeds.append(int(attributes.get("seed", len(seeds))))
        digest = attributes.get("digest")
        digests.append(None if digest is None else str(digest))
    stored = data.attrs.get("hash")
    return Scan(
        spec,
        None if stored is None else str(stored),
        np.asarray(lengths, np.int64),
        tuple(sources),
        np.asarray(successes, bool),
        np.asarray(seeds, np.int64),
        tuple(digests),
    )


def _check_episode(group: Any, frames: Any, samples: int, spec: Mapping[str, Any], where: str) -> int:
    """Check one episode's shapes against num_samples and the spec; return its number of frames."""
    length = samples + 1
    expected: dict[str, tuple[int, ...]] = {
        "actions": (samples, len(spec["action_low"])),
        "proprio": (length, int(spec["proprio_size"])),
        "objects": (length, len(spec["object_names"])),
    }
    if frames.shape != (length, *spec["frame_size"], 3):
        raise ValueError(
            f"{where}: frames have shape {frames.shape}, expected {(length, *spec['frame_size'], 3)}: "
            "num_samples + 1 frames, all of the size in the spec; split data of differing sizes into data "
            "sets of their own"
        )
    for name, place in DATASETS.items():
        if place not in group:
            continue
        dataset = group[place]
        shape = dataset.shape
        if (name in expected and shape != expected[name]) or len(shape) != 2 or shape[0] != samples + EXTRA_ROWS[name]:
            raise ValueError(
                f"{where}: {place} has shape {shape}, expected "
                f"{expected.get(name, (samples + EXTRA_ROWS[name], 'S'))}: {length} frames have {samples} "
                f"actions of width {len(spec['action_low'])}"
            )
        if not np.isfinite(dataset[()]).all():
            raise ValueError(f"{where}: {name} hold NaN or infinite values; remove the episode or record it again")
    return length
