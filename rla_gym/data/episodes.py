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

from rla_gym.data.arrays import DTYPES, canonical
from rla_gym.data.digests import combine_digests
from rla_gym.data.formats import robomimic
from rla_gym.data.formats.scan import DATASETS, DEFAULT_FRAME_NAME, Headers, scan
from rla_gym.data.index import FileState, index_path, read_index, write_index
from rla_gym.utils.files import check_readable
from rla_gym.utils.optional import require
from rla_gym.utils.progress import tracked

FILE_NAME = "episodes.hdf5"
SETTINGS_NAME = "collect.json"
"""What a folder was asked to hold that `rla-gym collect` began."""
SHOW_PROGRESS = 10_000
"""Frames of a data set from which decoding all of them is worth a bar: about a second."""
UNSKILLED = ("play", "goal-blind", "interrupted")
"""Demonstrators that do not try to solve the task, or not to its end."""


@dataclass(frozen=True)
class Episode:
    """T frames and the T-1 actions between them: action t leads from frame t to frame t+1.

    Arrays of other types are converted (`rla_gym.data.arrays.canonical`).

    Raises:
        ValueError: shapes or types that do not fit together, values that are not finite, or that the type below cannot
            hold.
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
    rewards: np.ndarray | None = None
    """(T-1,) float32, 1 for each step after which the task counts as solved, else 0; None where only `success` is
    known: the last step's is then 1 in a successful episode."""

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8:
            raise ValueError(f"frames are {self.frames.dtype} {self.frames.shape}, expected uint8 (T, H, W, 3)")
        length = self.frames.shape[0]
        if length < 2:
            raise ValueError(f"an episode of {length} frame(s) has no action: at least 2 are needed")
        for name in DTYPES:
            array, rows = getattr(self, name), length if name in ("proprio", "states", "objects") else length - 1
            if array is None:
                continue
            array = np.asarray(array)
            if array.ndim != (1 if name == "rewards" else 2) or array.shape[0] != rows:
                raise ValueError(
                    f"{name} has shape {array.shape}, expected ({rows}, ...) for {length} frames: T frames, T-1 actions"
                )
            object.__setattr__(self, name, canonical(name, array))

    def __len__(self) -> int:
        return int(self.frames.shape[0])


class EpisodeDataset:
    """Episodes on disk, in robomimic's layout (`rla_gym.data.formats.robomimic`).

    Opening reads and checks all but the frames, once: the result is kept beside the file (`rla_gym.data.index`) and
    valid until the file changes. The object pickles by path and opens the file anew in each process, so it may be
    handed to workers however they are started.

    Args:
        path: a folder holding `episodes.hdf5` (and the card), or an .hdf5 file itself.

    Raises:
        FileNotFoundError: nothing there.
        OSError: the file cannot be read now: another process writes it, this user may not, the disk fails.
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
        self._state = FileState.of(self.path)
        index = read_index(self.path)
        if index is None:
            with _open(h5py, self.path) as file, self._reporting("its headers"):
                headers = scan(file, self.path)
        else:
            headers = index.headers()
            self.digests = index.digests
        self.spec: dict[str, Any] = headers.spec
        self.lengths: np.ndarray = headers.lengths
        self.sources: tuple[str, ...] = headers.sources
        self.successes: np.ndarray = headers.successes
        self.seeds: np.ndarray = headers.seeds

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(index) for index in range(len(self)))

    @property
    def task_name(self) -> str:
        return str(self.spec["name"])

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each episode, of what the file holds now.

        Taken from the index of an unchanged file; else every frame is decoded, once, and the index is written.

        Raises:
            ValueError: an episode is not what was recorded; names it.
        """
        self.digests = self._read_digests()
        self.write_index(self.path, self._state)
        return self.digests

    def write_index(self, path: Path, state: FileState | None = None) -> None:
        """Write the index of this data set's file for when it is at `path`; see `rla_gym.data.index.write_index`."""
        headers = Headers(self.spec, self.lengths, self.sources, self.successes, self.seeds)
        write_index(path, headers, self.digests, state)

    def compute_hash(self) -> str:
        """The hash of what the file holds now: every frame is decoded, whatever an index says; errors as `hash`."""
        return combine_digests(self._read_digests())

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the episodes' digests in order: a data set that was changed has another one.

        Raises:
            ValueError: an episode is not what was recorded; names it.
        """
        return combine_digests(self.digests)

    def verify(self) -> None:
        """Decode everything and compare with what was noted of each episode when it was recorded.

        Raises:
            ValueError: an episode is not what was recorded; names it.
        """
        if self.compute_hash() != self.hash:
            raise ValueError(
                f"{self.path}: the episodes hash to another value than {self.hash[:12]}: the index beside the file, "
                f"{index_path(self.path).name}, is not of it; remove that"
            )

    def _read_digests(self) -> tuple[str, ...]:
        found = []
        title, large = f"check episodes of {self.path.name}", int(self.lengths.sum()) > SHOW_PROGRESS
        for index in tracked(range(len(self)), len(self), title, "episode", large):
            with self._reading(index) as group:
                found.append(robomimic.checked_digest(group, index, self.spec, self.path))
        if FileState.of(self.path) != self._state:
            raise ValueError(f"{self.path} was changed while it was open: open it again")
        return tuple(found)

    def frames(self, index: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames [start, stop) of an episode, (n, H, W, 3) uint8; only these are decoded."""
        name = self.spec.get("frame_name", DEFAULT_FRAME_NAME)
        with self._reading(index) as group:
            return np.asarray(group[f"obs/{name}"][start:stop])

    def arrays(self, index: int) -> dict[str, np.ndarray | None]:
        """Everything but the frames, None where nothing was recorded.

        actions (T-1, A), states (T, S), proprio (T, P), objects (T, O) and rewards (T-1,), in the types of
        `rla_gym.data.arrays`, and dones (T-1,).
        """
        places = {**DATASETS, "rewards": "rewards", "dones": "dones"}
        with self._reading(index) as group:
            found = {name: np.asarray(group[place]) if place in group else None for name, place in places.items()}
            return {
                name: canonical(name, array, f"{self.path}: demo_{index}")
                if array is not None and name in DTYPES
                else array
                for name, array in found.items()
            }

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
            rewards=arrays["rewards"],
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
        with self._reporting(f"episode {index}"):
            yield self._group(index)

    @contextmanager
    def _reporting(self, what: str) -> Iterator[None]:
        """What HDF5 says of damage becomes a ValueError that names the file and `what`."""
        try:
            yield
        except (OSError, KeyError, RuntimeError) as error:
            check_readable(self.path)
            raise _unreadable(error, self.path, what) from error
        except (TypeError, ValueError) as error:
            if not _is_of_hdf5(error):
                raise
            raise _unreadable(error, self.path, what) from error

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
        raise _unreadable(error, path, None) from error


def _is_of_hdf5(error: BaseException) -> bool:
    """Whether h5py raised an error itself, such as for a type that it cannot represent."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and str(frame.tb_frame.f_globals.get("__name__", "")).startswith("h5py")


def _unreadable(error: Exception, path: Path, what: str | None) -> Exception:
    """What to raise for an `error` of HDF5 while it read `what` of a file, None for the file itself.

    An error with a number is one of the system, which says nothing about what is in the file.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EAGAIN, errno.EWOULDBLOCK):
        return BlockingIOError(
            number,
            f"{path} is locked, as by a process that writes it: wait until that one has ended; on a file system whose "
            "locks do not work, set HDF5_USE_FILE_LOCKING=FALSE",
        )
    if number is not None:
        return OSError(number, f"{path} cannot be read ({os.strerror(number)}): mend that; the data may well be whole")
    if what is None:
        return ValueError(
            f"{path} is cut off or not an HDF5 file ({error}); if a copy or download was interrupted, repeat "
            "it, otherwise record it again with `rla-gym collect`"
        )
    if "filter" in str(error) or "plugin" in str(error):
        advice = "it is damaged, or needs an HDF5 filter that is not installed (pip install hdf5plugin has many)"
    else:
        advice = "the file is damaged, record or fetch it again"
    return ValueError(f"{path}: {what} cannot be read ({error}): {advice}")
