"""index.json of a token store: what it must say, and that the files beside it are those that it names."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from rla_gym.data.arrays import canonical
from rla_gym.utils.digests import check_intact, read_object
from rla_gym.utils.files import sha256_file
from rla_gym.utils.typed import build, shown

SCHEMA = 1
ADVICE = "remove the folder and encode again"
ARRAYS = {"actions": np.float32, "proprio": np.float32, "objects": np.float32, "states": np.float64}
"""Types of the arrays in arrays.npz; states may be float32 where nothing or no more was recorded."""
LARGEST_HASHED = 4 << 30
"""Bytes of tokens whose content is compared with the index whenever a process opens the store first. Larger files take
minutes: there, `verify` of `TokenStore.open` does."""
MOST_PIXELS = 1 << 20
HEADER_ERRORS = (ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError, OverflowError, TokenError)
"""What NumPy raises for headers of arrays that are none."""


@dataclass(frozen=True)
class EncoderName:
    """The encoder that made the tokens."""

    name: str
    hash: str


@dataclass(frozen=True)
class PCAInfo:
    """The channel map that the tokens went through."""

    components: int
    explained: float


@dataclass(frozen=True)
class StoreInfo:
    """What the tokens were made from; see `TokenStore.info`."""

    schema: int
    dataset: str
    encoder: EncoderName
    grid: tuple[int, int]
    task: str
    spec: Mapping[str, Any]
    pca: PCAInfo | None = None
    precision: str = ""
    like: str | None = None
    like_datasets: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredFile:
    """Size and SHA-256 of a file of the store."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class StoreIndex:
    """Everything in index.json.

    Raises:
        ValueError: numbers that cannot be, or not together.
    """

    info: StoreInfo
    shape: tuple[int, int, int]
    lengths: tuple[int, ...]
    sources: tuple[str, ...]
    successes: tuple[bool, ...]
    seeds: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    files: Mapping[str, StoredFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows, patches, channels = self.shape
        if min(self.shape) < 1 or math.prod(self.shape) > 1 << 48:
            raise ValueError(f"shape is {self.shape}, expected rows, patches and channels")
        for name in ("sources", "successes", "seeds"):
            if len(getattr(self, name)) != len(self.lengths):
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {len(self.lengths)} episodes")
        if not self.lengths or min(self.lengths) < 2 or sum(self.lengths) != rows:
            raise ValueError(f"lengths are no frames (2 or more) of episodes that add up to the {rows} rows")
        if not len(self.mean) == len(self.std) == channels:
            raise ValueError(f"mean and std have {len(self.mean)} and {len(self.std)} entries for {channels} channels")
        if min(self.std) <= 0 or max(map(abs, (*self.mean, *self.std))) > np.finfo(np.float32).max:
            raise ValueError("mean and std must be numbers of float32, std over 0")
        if min(self.info.grid) < 1 or self.info.grid[0] * self.info.grid[1] != patches:
            raise ValueError(f"info.grid is {self.info.grid}, the tokens have {patches} patches")
        if self.info.pca is not None and self.info.pca.components != channels:
            raise ValueError(f"info.pca.components is {self.info.pca.components}, the tokens have {channels} channels")


def read_index(path: Path) -> dict[str, Any]:
    """index.json as it was written, checked; a ValueError has the entry that is wrong."""
    found, intact = read_object(path)
    info = found.get("info")
    schema = info.get("schema") if isinstance(info, dict) else None
    if type(schema) is not int or schema != SCHEMA:
        raise ValueError(
            f"{path.parent}: schema version is {shown(schema)}, expected {SCHEMA}: choose another folder, or remove "
            "this one and encode again with `rla-gym encode`"
        )
    build(StoreIndex, found, path, ADVICE)
    check_intact(path, intact, ADVICE)
    return found


def described(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, as an index has them."""
    return {"sha256": sha256_file(path), "bytes": path.stat().st_size}


def check_content(path: Path, files: Mapping[str, Any], largest: int | None = None) -> None:
    """A ValueError unless a file has the SHA-256 that the index says, where it says one; once a process and version.

    Args:
        largest: bytes; of larger files only the size is compared.
    """
    known = files.get(path.name)
    if known is None or not path.is_file():
        return
    status = os.stat(path)
    whole = largest is None or status.st_size <= largest
    if status.st_size != known["bytes"] or (
        whole and _hash(str(path), status.st_mtime_ns, status.st_size, status.st_ino) != known["sha256"]
    ):
        raise ValueError(f"{path} was damaged or changed after it was written: its SHA-256 is another; {ADVICE}")


@lru_cache(maxsize=256)
def _hash(path: str, modified: int, size: int, inode: int) -> str:
    """SHA-256 of one version of a file."""
    return sha256_file(path)


def map_tokens(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Map the tokens file, float16 of `shape` in C order, after checking that it is all there."""
    if not path.is_file():
        raise FileNotFoundError(f"no {path.name} in {path.parent}: {ADVICE}")
    expected = 2 * math.prod(shape)
    with path.open("rb") as file:
        found, dtype = _npy_header(file, path)
        start = file.tell()
    size = path.stat().st_size - start
    if found != shape or dtype != np.float16:
        raise ValueError(f"{path} holds {dtype} {found}, expected float16 {shape}: {ADVICE}")
    if size != expected:
        raise ValueError(
            f"{path} has {size} bytes of tokens, expected {expected} for float16 {shape}: it is cut off or of another "
            f"run; {ADVICE}"
        )
    tokens = np.memmap(path, np.float16, "r", offset=start, shape=shape)
    status = os.stat(path)
    if expected <= LARGEST_HASHED and not _is_finite(str(path), start, status.st_mtime_ns, status.st_ino):
        raise ValueError(f"{path} holds numbers that are not finite: {ADVICE}")
    return tokens


def read_arrays(path: Path, rows: int) -> dict[str, np.ndarray]:
    """Arrays by name, `rows` each; sizes, types and whether numbers are finite are checked, sizes before reading."""
    if not path.is_file():
        raise FileNotFoundError(f"no {path.name} in {path.parent}: {ADVICE}")
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(set(archive.namelist()) - {"allow_pickle.npy"})  # which NumPy 1 took for an array
            if names != sorted(f"{name}.npy" for name in ARRAYS):
                raise ValueError(f"{path} holds {', '.join(names)[:200]}, expected {', '.join(ARRAYS)}: {ADVICE}")
            return {name: canonical(name, _read_array(archive, name, rows, path), str(path)) for name in ARRAYS}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, zlib.error) as error:
        raise ValueError(f"{path} is cut off or of another making ({error}): {ADVICE}") from error


def _read_array(archive: zipfile.ZipFile, name: str, rows: int, path: Path) -> np.ndarray:
    entry, dtype = archive.getinfo(f"{name}.npy"), np.dtype(ARRAYS[name])
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{path}: {name} is compressed, which no token store is: {ADVICE}")
    if entry.file_size > path.stat().st_size:
        raise ValueError(f"{path}: {name} has {entry.file_size} bytes by its entry, the file fewer: {ADVICE}")
    with archive.open(entry) as file:
        shape, found = _npy_header(file, path)
        if len(shape) != 2 or shape[0] != rows or shape[1] > MOST_PIXELS:
            raise ValueError(f"{path}: {name} is {found} {shape}, expected {dtype} ({rows}, ...): {ADVICE}")
        content = file.read()
    if len(content) != math.prod(shape) * found.itemsize:
        raise ValueError(f"{path}: {name} has {len(content)} bytes for {found} {shape}: {ADVICE}")
    array = np.frombuffer(bytearray(content), found).reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: {name} hold numbers that are not finite: {ADVICE}")
    return array


def _npy_header(file: Any, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of an .npy file in C order whose numbers are no objects; the file is then at its numbers."""
    try:
        version = np.lib.format.read_magic(file)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"version {version}")
        shape, fortran, dtype = readers[version](file)
    except (
        ValueError,
        TypeError,
        KeyError,
        SyntaxError,
        RecursionError,
        MemoryError,
        OverflowError,
        TokenError,
    ) as error:
        raise ValueError(f"{path} has no header of an array ({error}): {ADVICE}") from error
    if (fortran and len(shape) > 1) or dtype.hasobject or dtype.kind not in "f":
        raise ValueError(
            f"{path} holds {dtype}{' in Fortran order' if fortran else ''}, expected plain floats: {ADVICE}"
        )
    return shape, dtype


@lru_cache(maxsize=256)
def _is_finite(path: str, start: int, modified: int, inode: int) -> bool:
    """Whether halves from byte `start` on are all finite, read in pieces of 4 MiB."""
    exponent = np.uint16(0x7C00)
    with open(path, "rb") as file:
        file.seek(start)
        while piece := file.read(4 << 20):
            if bool(((np.frombuffer(piece, np.uint16) & exponent) == exponent).any()):
                return False
    return True
