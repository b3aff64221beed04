"""Recorded episodes: what one holds, and a folder of them opened with checks."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rla_gym.data.formats import robomimic
from rla_gym.extras import require
from rla_gym.files import check_readable

FILE_NAME = "episodes.hdf5"
UNSKILLED = ("play", "goal-blind", "interrupted")
"""Demonstrators that do not try to solve the task, or not to its end."""


@dataclass(frozen=True)
class Episode:
    """T frames and the T-1 actions between them: action t leads from frame t to frame t+1.

    Raises:
        ValueError: shapes or types that do not fit together, or values that are not finite.
    """

    frames: np.ndarray  # (T, H, W, 3) uint8
    actions: np.ndarray | None  # (T-1, A) float32, None for a video without actions
    proprio: np.ndarray | None  # (T, P) float32
    states: np.ndarray | None  # (T, S) float64, the simulator's full state
    objects: np.ndarray | None  # (T, O) float32, for measuring only
    task: str
    success: bool
    seed: int
    source: str

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames are {self.frames.dtype} {self.frames.shape}, expected uint8 (T, H, W, 3)")
        length = self.frames.shape[0]
        if length < 2:
            raise ValueError(f"an episode of {length} frame(s) has no action: at least 2 are needed")
        for name in ("actions", "proprio", "states", "objects"):
            array, rows = getattr(self, name), length - 1 if name == "actions" else length
            if array is not None and (array.ndim != 2 or array.shape[0] != rows):
                raise ValueError(
                    f"{name} has shape {array.shape}, expected ({rows}, ...) for {length} frames: T frames, T-1 actions"
                )
            if array is not None and not np.isfinite(array).all():
                row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
                raise ValueError(f"{name} hold values that are not finite, first in row {row}")

    def __len__(self) -> int:
        return int(self.frames.shape[0])


class EpisodeDataset:
    """Episodes on disk, in robomimic's layout (`rla_gym.data.formats.robomimic`).

    Opening reads and checks all but the frames. The object pickles by path and opens the file anew in each
    process, so it may be handed to workers however they are started.

    Args:
        path: a folder holding `episodes.hdf5` (and the card), or an .hdf5 file itself.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: a file that is not HDF5 or cut off, or episodes that do not fit together; names the
            episode.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self.path = path / FILE_NAME if path.is_dir() else path
        if not self.path.is_file():
            raise FileNotFoundError(
                f"no episodes at {self.path}; give a folder holding {FILE_NAME} or the file itself, or "
                "record some with `rla-gym collect`"
            )
        self._handle: tuple[int, Any] | None = None
        h5py = require("h5py", extra="data")
        with _open(h5py, self.path) as file, self._told("its headers"):
            self._read_headers(file)

    def _read_headers(self, file: Any) -> None:
        scan = robomimic.scan(file, self.path)
        self.spec: dict[str, Any] = scan.spec
        self.lengths: np.ndarray = scan.lengths
        self.sources: tuple[str, ...] = scan.sources
        self.successes: np.ndarray = scan.successes
        self.seeds: np.ndarray = scan.seeds
        self._stored_hash = scan.hash
        self._stored_digests = scan.digests

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(index) for index in range(len(self)))

    @property
    def task_name(self) -> str:
        return str(self.spec["name"])

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each episode, as written with it; computed for those that the file has none of."""
        return tuple(
            digest or robomimic.episode_digest(self.episode(index)) for index, digest in enumerate(self._stored_digests)
        )

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the episodes' digests, as written with the file; computed where the file has none."""
        return self._stored_hash or self.compute_hash()

    def compute_hash(self) -> str:
        """Decode every episode and compute the hash from what is there."""
        return robomimic.combine_digests(robomimic.episode_digest(episode) for episode in self)

    def verify(self) -> None:
        """Decode everything and compare with the hash that the file carries.

        Raises:
            ValueError: the contents are not what was recorded.
        """
        found = self.compute_hash()
        if found != self.hash:
            raise ValueError(
                f"{self.path}: the episodes hash to {found[:12]}, the file says {self.hash[:12]}: it was "
                "damaged or edited; record or fetch it again"
            )

    def frames(self, index: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames [start, stop) of an episode, (n, H, W, 3) uint8; only these are decoded."""
        name = self.spec.get("frame_name", robomimic.DEFAULT_FRAME_NAME)
        with self._reading(index) as group:
            return np.asarray(group[f"obs/{name}"][start:stop])

    def arrays(self, index: int) -> dict[str, np.ndarray | None]:
        """Everything but the frames, None where nothing was recorded.

        actions (T-1, A), states (T, S), proprio (T, P), objects (T, O), rewards (T-1,) and dones (T-1,).
        """
        places = {**robomimic.DATASETS, "rewards": "rewards", "dones": "dones"}
        with self._reading(index) as group:
            return {name: np.asarray(group[place]) if place in group else None for name, place in places.items()}

    def episode(self, index: int) -> Episode:
        """The whole episode, decoded."""
        arrays = self.arrays(index)
        return Episode(
            frames=self.frames(index),
            actions=arrays["actions"],
            proprio=arrays["proprio"],
            states=arrays["states"],
            objects=arrays["objects"],
            task=str(self._group(index).attrs.get("task", self.task_name)),
            success=bool(self.successes[index]),
            seed=int(self.seeds[index]),
            source=self.sources[index],
        )

    def _group(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"episode {index} of {len(self)}: expected 0 to {len(self) - 1}")
        # An HDF5 handle must not be shared with a forked child: each process opens its own.
        if self._handle is None or self._handle[0] != os.getpid():
            self._handle = (os.getpid(), _open(require("h5py", extra="data"), self.path))
        return self._handle[1][f"data/demo_{index}"]

    @contextmanager
    def _reading(self, index: int) -> Iterator[Any]:
        with self._told(f"episode {index}"):
            yield self._group(index)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """What HDF5 says of damage becomes a ValueError that names the file and `what`."""
        try:
            yield
        except (OSError, KeyError, RuntimeError) as error:
            check_readable(self.path)
            raise ValueError(
                f"{self.path}: {what} cannot be read ({error}): the file is damaged, record or fetch it "
                "again; or it needs an HDF5 filter that is not installed"
            ) from error

    def close(self) -> None:
        """Close this process's handle; the next access opens a new one."""
        if self._handle is not None and self._handle[0] == os.getpid():
            self._handle[1].close()
        self._handle = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}

    def __enter__(self) -> EpisodeDataset:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"EpisodeDataset({str(self.path)!r}: {len(self)} episodes, {int(self.lengths.sum())} frames, "
            f"{json.dumps(self.task_name)})"
        )


def _open(h5py: Any, path: Path) -> Any:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        check_readable(path)
        if isinstance(error, BlockingIOError) or "unable to lock" in str(error):
            raise BlockingIOError(
                errno.EAGAIN, f"{path} is locked: another process writes it; wait until that one has ended"
            ) from error
        raise ValueError(
            f"{path} is cut off or not an HDF5 file ({error}); if a copy or download was interrupted, repeat "
            "it, otherwise record it again with `rla-gym collect`"
        ) from error
