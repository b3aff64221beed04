"""The index of a data set's file: its headers and digests, valid as long as the file is unchanged.

Lies beside `episodes.hdf5` as `.episodes.hdf5.index.json` and may be removed at any time. Without it opening reads
every array and `EpisodeDataset.hash` decodes every frame; with it neither does. A file counts as unchanged while its
size and its times of modification and of status change are those of the index: a copy is read in full once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rla_gym.data.formats.scan import Headers
from rla_gym.utils.files import read_json, write_json
from rla_gym.utils.typed import build

SCHEMA = 1
TICK_NS = 20_000_000
"""File systems count time in steps of a few milliseconds: a file that was just written is indexed after that."""


@dataclass(frozen=True)
class FileState:
    """What changes when a file is written to."""

    bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        """The present state of a file; an OSError where there is none."""
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass(frozen=True)
class Index:
    """As the JSON file holds it."""

    schema: int
    file: FileState
    spec: dict[str, Any]
    lengths: tuple[int, ...]
    sources: tuple[str, ...]
    successes: tuple[bool, ...]
    seeds: tuple[int, ...]
    digests: tuple[str, ...]
    check: str
    """SHA-256 of the entries above."""

    def headers(self) -> Headers:
        """What opening the data set finds."""
        return Headers(
            dict(self.spec),
            np.asarray(self.lengths, np.int64),
            self.sources,
            np.asarray(self.successes, bool),
            np.asarray(self.seeds, np.int64),
        )


def index_path(path: Path) -> Path:
    """Where the index of the data set's file `path` is."""
    return path.with_name(f".{path.name}.index.json")


def read_index(path: Path) -> Index | None:
    """The index of an unchanged data set's file; None where there is none, or one that is damaged or of another."""
    place = index_path(path)
    try:
        raw = read_json(place)
        found: Index = build(Index, raw, place)
        counts = {len(part) for part in (found.lengths, found.sources, found.successes, found.seeds, found.digests)}
        valid = found.schema == SCHEMA and len(counts) == 1 and found.check == _check_of(raw)
        return found if valid and found.file == FileState.of(path) else None
    except (OSError, ValueError):
        return None


def write_index(path: Path, headers: Headers, digests: Sequence[str], state: FileState | None = None) -> None:
    """Write the index of the data set's file `path`; nothing where its folder cannot be written to.

    Args:
        state: of the file when it was read; nothing is written if it changed since. None: its present one.
    """
    with suppress(OSError):
        found = FileState.of(path)
        if state not in (None, found):
            return
        age = time.time_ns() - found.modified_ns
        if 0 <= age < TICK_NS:  # a change within the same step of the clock would not be seen
            time.sleep((TICK_NS - age) / 1e9)
        if FileState.of(path) != found:
            return
        entries = {
            "schema": SCHEMA,
            "file": asdict(found),
            "spec": headers.spec,
            "lengths": headers.lengths.tolist(),
            "sources": list(headers.sources),
            "successes": headers.successes.tolist(),
            "seeds": headers.seeds.tolist(),
            "digests": list(digests),
        }
        write_json(index_path(path), {**entries, "check": _check_of(entries)})


def _check_of(raw: dict[str, Any]) -> str:
    entries = {name: value for name, value in raw.items() if name != "check"}
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
