"""Mutations of HDF5 files that leave them whole: datasets, attributes and links of another making."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.random import Generator

DATASETS = ("actions", "states", "obs/proprio", "objects", "obs/agentview_image", "rewards", "dones")


def structure(path: Path, rng: Generator) -> None:
    """A dataset of an episode replaced, by what a writer with a bug or bad intent might put there."""
    with h5py.File(path, "r+") as file:
        group = file["data"][f"demo_{int(rng.integers(len(file['data'])))}"]
        name = DATASETS[int(rng.integers(len(DATASETS)))]
        old = group[name][()]
        del group[name]
        shape = old.shape
        huge = (shape[0], *(1 << 14 for _ in shape[1:]))
        bad = old.astype(np.float64)
        bad.flat[0] = np.nan
        makers: list[Callable[[], Any]] = [
            lambda: None,
            lambda: group.create_group(name),
            lambda: group.create_dataset(name, data=old.astype(np.float64)),
            lambda: group.create_dataset(name, data=old.astype(np.int16)),
            lambda: group.create_dataset(name, data=bad),
            lambda: group.create_dataset(name, data=old[:-1]),
            lambda: group.create_dataset(name, data=old[None]),
            lambda: group.create_dataset(name, data=old.flatten()[0]),
            lambda: group.create_dataset(name, shape=huge, dtype=old.dtype, chunks=(1, *(64 for _ in shape[1:]))),
            lambda: group.create_dataset(name, shape=(1 << 40, *shape[1:]), dtype=old.dtype, chunks=(1, *shape[1:])),
            lambda: group.create_dataset(
                name, data=np.zeros((shape[0], 1 << 20), old.dtype), compression="gzip", chunks=(1, 1 << 20)
            ),
            lambda: group.create_dataset(name, data=np.array(["x"] * shape[0], dtype="S4")),
            lambda: group.create_dataset(name, data=["text"] * shape[0], dtype=h5py.string_dtype()),
            lambda: group.create_dataset(name, shape=shape[:1], dtype=h5py.ref_dtype),
            lambda: group.create_dataset(name, shape=shape[:1], dtype=h5py.vlen_dtype(np.float32)),
            lambda: group.create_dataset(name, data=h5py.Empty("f")),
            lambda: group.create_dataset(name, data=old.astype(np.complex64)),
            lambda: group.create_dataset(
                name, data=old.astype("f4"), dtype="f4", external=[("/dev/zero", 0, old.size * 4)]
            ),
            lambda: _link(group, name, h5py.ExternalLink("/etc/hostname", "/x")),
            lambda: _link(group, name, h5py.SoftLink("/nowhere")),
            lambda: _link(group, name, h5py.SoftLink(f"{group.name}/{name}")),
            lambda: _virtual(group, name, old),
            lambda: group.create_dataset(name, data=old, shuffle=True, fletcher32=True),
        ]
        makers[int(rng.integers(len(makers)))]()


def attributes(path: Path, rng: Generator) -> None:
    """An attribute of an episode, or of all, of another type, sign or size, or gone."""
    with h5py.File(path, "r+") as file:
        group = file["data"] if rng.integers(3) == 0 else file["data"][f"demo_{int(rng.integers(len(file['data'])))}"]
        names = sorted(group.attrs)
        name = names[int(rng.integers(len(names)))]
        values: list[Any] = [
            -1,
            0,
            2**40,
            1.5,
            "x",
            "",
            b"\xff\xfe",
            np.zeros(3),
            np.nan,
            True,
            "[" * 10_000,
            "\u00e9" * 99,
        ]
        kind = int(rng.integers(len(values) + 2))
        del group.attrs[name]
        if kind < len(values):
            group.attrs[name] = values[kind]
        elif kind == len(values):
            group.attrs[name] = h5py.Empty("f")


def spec(path: Path, rng: Generator) -> None:
    """One fact of the task's spec."""
    with h5py.File(path, "r+") as file:
        found = json.loads(file["data"].attrs["spec"])
        name = sorted(found)[int(rng.integers(len(found)))]
        values: list[Any] = [
            None,
            -1,
            0,
            2**40,
            "x",
            [],
            {},
            [1, 2],
            [28, 2**40],
            1.5,
            True,
            [[1]],
            10**30,
            "DROP",
            "NAN",
        ]
        value = values[int(rng.integers(len(values)))]
        if value == "DROP":
            del found[name]
        else:
            found[name] = float("nan") if value == "NAN" else value
        file["data"].attrs["spec"] = json.dumps(found)


def groups(path: Path, rng: Generator) -> None:
    """Episodes missing, twice, renamed, of another kind, or elsewhere."""
    with h5py.File(path, "r+") as file:
        data = file["data"]
        kind, name = int(rng.integers(7)), f"demo_{int(rng.integers(len(data)))}"
        if kind == 0:
            del data[name]
        elif kind == 1:
            data.copy(data[name], data, name=f"demo_{len(data)}")
        elif kind == 2:
            data.move(name, "demo_x")
        elif kind == 3:
            del data[name]
            data[name] = np.zeros(3)
        elif kind == 4:
            del data[name]
            data[name] = h5py.ExternalLink("/etc/hostname", "/data")
        elif kind == 5:
            del data[name]
            data[name] = h5py.SoftLink("/data")
        else:
            del file["data"]
            file["data"] = np.zeros(3)


def _link(group: Any, name: str, link: Any) -> None:
    group[name] = link


def _virtual(group: Any, name: str, old: np.ndarray) -> None:
    layout = h5py.VirtualLayout(shape=old.shape, dtype=old.dtype)
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", shape=old.shape, dtype=old.dtype)
    group.create_virtual_dataset(name, layout)


MUTATIONS = (structure, structure, attributes, spec, groups)
