"""Episodes in robomimic's HDF5 layout.

    data                attrs: total, env_args (JSON), spec (JSON), hash
    data/demo_<i>       attrs: num_samples (= T - 1), success, seed, source, task, digest, rewards_digest
      actions           (T-1, A) float32
      states            (T, S) float64
      obs/<frame_name>  (T, H, W, 3) uint8, one compressed chunk a frame
      obs/proprio       (T, P) float32
      objects           (T, O) float32
      rewards, dones    (T-1,) float32, uint8

robomimic reads the first `num_samples` rows of each dataset; the extra last row of frames, states, proprio
and objects is what the last action led to. All datasets but the frames may be missing where nothing was
recorded. Files of others may hold numbers of other types: they are read as those above (`rla_gym.data.arrays`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rla_gym.data.constants import NAMES, Constants, same_frames
from rla_gym.data.digests import combine_digests, digest_of, episode_digest, rewards_digest
from rla_gym.data.formats.scan import DATASETS, DEFAULT_FRAME_NAME, default_rewards, scan
from rla_gym.data.index import write_index
from rla_gym.data.spec import check_episode, checked_spec
from rla_gym.utils.files import atomic_path
from rla_gym.utils.optional import require

if TYPE_CHECKING:
    from rla_gym.data.episodes import Episode

# Measured on 112x112 frames of push-cube: 37.7 kB raw, 6.7 lzf, 4.1 deflate 1, 3.4 deflate 4, 2.9 deflate 9
# (which writes ten times slower); all read at 12,000 to 18,000 frames a second; byte shuffling changes
# nothing for bytes.
FRAME_FILTERS: dict[str, Any] = {"compression": "gzip", "compression_opts": 4}


def env_args(task: str) -> dict[str, Any]:
    """What robomimic keeps about the environment; type 1 is robosuite, 2 any Gym-like environment."""
    prefix, _, rest = task.partition(":")
    if prefix == "robosuite" and rest:
        return {"env_name": rest, "type": 1, "env_kwargs": {}}
    return {"env_name": task, "type": 2, "env_kwargs": {}}


def write_episode(group: Any, episode: Episode, frame_name: str = DEFAULT_FRAME_NAME) -> None:
    """Write one episode into an empty HDF5 group; without rewards those of its success (`default_rewards`)."""
    steps = len(episode) - 1
    rewards = default_rewards(steps, episode.success) if episode.rewards is None else episode.rewards
    dones = np.zeros(steps, np.uint8)
    dones[-1:] = 1
    group.create_dataset(
        f"obs/{frame_name}", data=episode.frames, chunks=(1, *episode.frames.shape[1:]), **FRAME_FILTERS
    )
    for name, place in DATASETS.items():
        array = getattr(episode, name)
        if array is not None:
            group.create_dataset(place, data=array)
    group.create_dataset("rewards", data=rewards)
    group.create_dataset("dones", data=dones)
    group.attrs["num_samples"] = steps
    group.attrs["success"] = bool(episode.success)
    group.attrs["seed"] = int(episode.seed)
    group.attrs["source"] = episode.source
    group.attrs["task"] = episode.task
    group.attrs["digest"] = episode_digest(episode)
    group.attrs["rewards_digest"] = rewards_digest(rewards)


def write_header(data: Any, spec: Mapping[str, Any], total: int, digests: Iterable[str]) -> None:
    """Write the attributes of the `data` group: the task's spec, robomimic's fields and the hash."""
    data.attrs["total"] = int(total)
    data.attrs["env_args"] = json.dumps(env_args(str(spec["name"])))
    data.attrs["spec"] = json.dumps(dict(spec))
    data.attrs["hash"] = combine_digests(digests)


def write_dataset(path: str | Path, episodes: Iterable[Episode], spec: Mapping[str, Any]) -> Path:
    """Write episodes (for instance of one's own robot) as a data set that `EpisodeDataset` opens.

    What never changes in it, a static video or a column of actions or proprioception, is noted in one line on stderr.
    Which steps count as solved is what an episode's `rewards` say; without them, only the last step of one with
    `success=True`. Success thresholds are calibrated on them (`rla-gym export`).

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
    total, digests, constants = 0, [], Constants()
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
            constants.add({name: getattr(episode, name) for name in NAMES}, same_frames(episode.frames))
        if not digests:
            raise ValueError(f"no episodes are given to write to {path}: an iterator that was used up gives none")
        write_header(data, spec, total, digests)
    index_written(path, digests)
    constants.report(str(path))
    return path


def index_written(path: Path, digests: Sequence[str]) -> None:
    """Write the index of a file that was just written of episodes of these digests, after checking its headers."""
    h5py = require("h5py", extra="data")
    with h5py.File(path, "r") as file:
        headers = scan(file, path)
    write_index(path, headers, digests)


def merge_parts(path: str | Path, parts: Iterable[Path], spec: Mapping[str, Any]) -> list[str]:
    """Join files of one episode each (group `episode`) in order, without recompressing; return their digests."""

    def groups(h5py: Any) -> Iterator[tuple[Any, str]]:
        for part in parts:
            with h5py.File(part, "r") as source:
                yield source["episode"], str(source["episode"].attrs["digest"])

    with atomic_path(path) as temporary:
        return copy_episodes(temporary, groups(require("h5py", extra="data")), spec)


def copy_episodes(path: str | Path, groups: Iterable[tuple[Any, str]], spec: Mapping[str, Any]) -> list[str]:
    """Write a data set of episodes that lie in other HDF5 files, in order, without recompressing; return their digests.

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
    return digests


def stored_digest(group: Any, index: int, spec: Mapping[str, Any]) -> str:
    """The digest of an episode as it lies in the open file now: every frame is decoded."""
    places = {"frames": f"obs/{spec.get('frame_name', DEFAULT_FRAME_NAME)}", **DATASETS}
    attributes = group.attrs
    return digest_of(
        str(attributes.get("task", spec["name"])),
        int(attributes.get("seed", index)),
        str(attributes.get("source", "unknown")),
        bool(attributes.get("success", False)),
        {name: group[place] for name, place in places.items() if place in group},
    )


def checked_digest(group: Any, index: int, spec: Mapping[str, Any], path: Path) -> str:
    """`stored_digest`, compared with what was noted when the episode was recorded.

    Raises:
        ValueError: the episode was changed since; names it.
    """
    found = stored_digest(group, index, spec)
    notes = {"digest": found}
    if "rewards" in group:
        notes["rewards_digest"] = rewards_digest(group["rewards"][()])
    for name, value in notes.items():
        if str(group.attrs.get(name, value)) != value:
            raise ValueError(
                f"{path}: demo_{index} is not what was recorded (its {name} is {value[:12]}, noted is "
                f"{str(group.attrs[name])[:12]}): it was damaged or edited. Record or fetch it again; if it was edited "
                "on purpose, take it as it is with rla_gym.data.accept_edits(path)"
            )
    return found


def accept_edits(path: str | Path) -> str:
    """Note the digests of all episodes of a file as they are now, after it was edited on purpose; return the new hash.

    Token stores and trainings of the episodes as they were are then of another data set.

    Raises:
        ValueError: episodes that do not fit together; nothing is written then.
    """
    h5py, path = require("h5py", extra="data"), Path(path)
    with h5py.File(path, "r+") as file:
        headers = scan(file, path)
        digests = []
        for index in range(len(headers.lengths)):
            group = file[f"data/demo_{index}"]
            digests.append(stored_digest(group, index, headers.spec))
            group.attrs["digest"] = digests[-1]
            if "rewards" in group:
                group.attrs["rewards_digest"] = rewards_digest(group["rewards"][()])
        file["data"].attrs["hash"] = combine_digests(digests)
    write_index(path, headers, digests)
    return combine_digests(digests)
