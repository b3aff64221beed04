"""Headers of a data set's file, read and checked without decoding a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rla_gym.data.arrays import canonical
from rla_gym.data.spec import READ, check_bounds, checked_spec
from rla_gym.utils.files import parse_json

DEFAULT_FRAME_NAME = "agentview_image"
DATASETS = {"actions": "actions", "states": "states", "proprio": "obs/proprio", "objects": "objects"}
LARGEST_ARRAY = 256 << 20
"""Bytes of one array of an episode beside its frames: compressed files may say any size."""
EXTRA_ROWS = {"actions": 0, "states": 1, "proprio": 1, "objects": 1}  # rows beyond num_samples


@dataclass(frozen=True)
class Headers:
    """What is known of a data set without its arrays."""

    spec: dict[str, Any]
    lengths: np.ndarray  # (E,) int64, frames of each episode
    sources: tuple[str, ...]
    successes: np.ndarray  # (E,) bool
    seeds: np.ndarray  # (E,) int64


def scan(file: Any, path: Path) -> Headers:
    """Read and check all but the frames' contents of an open HDF5 file.

    Raises:
        ValueError: datasets that are missing or of types or sizes that do not fit together, or values that are not
            finite or outside the spec's bounds; the text names the episode.
    """
    data = file.get("data")
    if not _is_group(data) or "spec" not in data.attrs:
        raise ValueError(
            f"{path} has no `data` group with a `spec` attribute: it is not a data set of this library; "
            "write one with `rla-gym collect` or rla_gym.data.formats.robomimic.write_dataset"
        )
    spec = read_spec(data, path)
    names = [f"demo_{index}" for index in range(len(data))]
    missing = [name for name in names if not _is_group(data.get(name))]
    if missing or not names:
        raise ValueError(f"{path} holds {len(names)} episodes, expected demo_0, demo_1, ...; missing: {missing[:3]}")
    kept = [place for place in DATASETS.values() if place in data["demo_0"]]
    frame_place = f"obs/{spec.get('frame_name', DEFAULT_FRAME_NAME)}"
    lengths: list[int] = []
    sources: list[str] = []
    successes: list[bool] = []
    seeds: list[int] = []
    for number, name in enumerate(names):
        group, where = data[name], f"{path}: {name}"
        datasets = _datasets(group, [frame_place, *kept], where)
        lengths.append(_check_episode(group, datasets, frame_place, spec, where))
        _text(group, "task", where, spec["name"])
        sources.append(_text(group, "source", where, "unknown"))
        successes.append(bool(_integer(group, "success", where, 0, 1, default=0)))
        seeds.append(_integer(group, "seed", where, -(2**63), 2**63 - 1, default=number))
    return Headers(
        spec, np.asarray(lengths, np.int64), tuple(sources), np.asarray(successes, bool), np.asarray(seeds, np.int64)
    )


def read_spec(data: Any, path: Path) -> dict[str, Any]:
    """The checked spec of an open `data` group; a ValueError for one that is none."""
    try:
        raw = parse_json(str(data.attrs["spec"]))
    except ValueError as error:
        raise ValueError(f"{path}: the spec is not valid JSON ({error}): write the data set again") from error
    if not isinstance(raw, Mapping):
        raise ValueError(f"{path}: the spec is {str(raw)[:60]!r}, expected an object: write the data set again")
    return checked_spec(raw, f"{path}: the spec", READ)


def default_rewards(steps: int, success: bool) -> np.ndarray:
    """Rewards (steps,) float32 of an episode of which only its success is known: 1 after its last step, as robomimic
    has it."""
    rewards = np.zeros(steps, np.float32)
    rewards[-1:] = float(success)
    return rewards


def _datasets(group: Any, places: list[str], where: str) -> dict[str, Any]:
    """An episode's datasets by their place; a ValueError unless they are `places`, and no others of `DATASETS`."""
    found = {place: group.get(place) for place in {*places, *DATASETS.values(), "rewards", "dones"}}
    for place in places:
        if found[place] is None:
            raise ValueError(
                f"{where} has no {place!r}, which all episodes must have or none: it holds {sorted(group)[:9]}; record "
                "it again, or remove the episode and renumber the others"
            )
    for place, dataset in found.items():
        if dataset is not None and not _is_array(dataset, group):
            raise ValueError(f"{where}: {place!r} is no array that lies in this file: record the episode again")
    extra = [place for place in DATASETS.values() if found[place] is not None and place not in places]
    if extra:
        raise ValueError(f"{where} has {extra[0]!r}, which demo_0 has not: all episodes must hold the same datasets")
    return {place: dataset for place, dataset in found.items() if dataset is not None}


def _check_episode(
    group: Any, datasets: Mapping[str, Any], frame_place: str, spec: Mapping[str, Any], where: str
) -> int:
    """Check one episode's types, shapes and values against num_samples and the spec; return its number of frames."""
    if "num_samples" not in group.attrs:
        raise ValueError(f"{where} has no attribute num_samples: write it with `write_dataset`")
    samples = _integer(group, "num_samples", where, 1, 2**31)
    length, frames = samples + 1, datasets[frame_place]
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
    if frames.dtype != np.uint8:
        raise ValueError(f"{where}: frames are {frames.dtype}, expected uint8 from 0 to 255: write them again so")
    for name, place in DATASETS.items():
        if place not in datasets:
            continue
        dataset = datasets[place]
        shape = dataset.shape
        if (name in expected and shape != expected[name]) or len(shape) != 2 or shape[0] != samples + EXTRA_ROWS[name]:
            raise ValueError(
                f"{where}: {place} has shape {shape}, expected "
                f"{expected.get(name, (samples + EXTRA_ROWS[name], 'S'))}: {length} frames have {samples} "
                f"actions of width {len(spec['action_low'])}"
            )
        if dataset.nbytes > LARGEST_ARRAY:
            raise ValueError(
                f"{where}: {place} has {dataset.nbytes} bytes by its shape {shape}, expected at most {LARGEST_ARRAY}: "
                "split the episode"
            )
        values = canonical(name, dataset[()], where)
        if name == "actions":
            check_bounds(values, spec, where)
    for name in ("rewards", "dones"):
        if name in datasets and datasets[name].shape != (samples,):
            raise ValueError(f"{where}: {name} have shape {datasets[name].shape}, expected ({samples},), one a step")
    if "rewards" in datasets:
        rewards = datasets["rewards"]
        canonical("rewards", rewards[()], where)
    return length


def _integer(group: Any, name: str, where: str, low: int, high: int, default: int | None = None) -> int:
    """An attribute that is a whole number in a range."""
    value = np.asarray(group.attrs.get(name, default))
    if value.ndim or value.dtype.kind not in "iub" or not low <= int(value) <= high:
        raise ValueError(
            f"{where}: attribute {name} is {str(value)[:60]!r}, expected a whole number from {low} to {high}"
        )
    return int(value)


def _is_array(found: Any, group: Any) -> bool:
    """Whether an object is a dataset of the file of `group` with numbers of its own, no view of another file."""
    if getattr(found, "shape", None) is None or found.file.filename != group.file.filename:
        return False
    return not (found.is_virtual or found.external)


def _text(group: Any, name: str, where: str, default: str) -> str:
    """An attribute that is a text."""
    value = group.attrs.get(name, default)
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{where}: attribute {name} is {ascii(value)[:60]}, expected a text")
    return value


def _is_group(found: Any) -> bool:
    return hasattr(found, "attrs") and hasattr(found, "keys")
