"""A folder of tokens and arrays, one row a frame, memory-mapped."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rla_gym.data.episodes import EpisodeDataset
from rla_gym.data.pca import ChannelPCA
from rla_gym.data.store_index import LARGEST_HASHED, check_content, map_tokens, read_arrays, read_index
from rla_gym.utils.files import atomic_path
from rla_gym.utils.outputs import output

if TYPE_CHECKING:
    import torch

INDEX_NAME, PCA_NAME, MOTION_NAME = "index.json", "pca.safetensors", "motion.safetensors"
MOTION_HORIZON = 4  # control steps over which a row's motion is measured
PARTS = {"train": (0.0, 0.9), "validation": (0.9, 0.95), "test": (0.95, 1.0)}


class FrameEncoder(Protocol):
    """What `encode_dataset` needs of an encoder."""

    @property
    def name(self) -> str: ...

    @property
    def hash(self) -> str: ...

    def grid(self, height: int, width: int) -> tuple[int, int]: ...

    def encode(self, frames: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True)
class TokenStore:
    """Tokens and arrays of all episodes in a row: row `starts[e] + t` is frame t of episode e.

    A folder: `tokens.npy`, `arrays.npz`, `index.json`, and `pca.safetensors` where channels were reduced.
    """

    path: Path
    tokens: np.ndarray  # (N, L, C) float16, memory-mapped
    starts: np.ndarray  # (E,) int64, first row of each episode
    lengths: np.ndarray  # (E,) int64, frames of each episode
    mean: np.ndarray  # (C,) float32, over all tokens of training episodes
    std: np.ndarray  # (C,) float32
    actions: np.ndarray  # (N, A) float32: row r leads to row r+1, zero in an episode's last row; (N, 0) without actions
    proprio: np.ndarray  # (N, P) float32
    objects: np.ndarray  # (N, O) float32, for measuring only
    states: np.ndarray  # (N, S) float64
    sources: tuple[str, ...]
    successes: np.ndarray  # (E,) bool
    seeds: np.ndarray  # (E,) int64
    info: dict[str, Any]
    """schema, dataset (hash), encoder (name, hash), precision (of the encoding; none in older stores), grid, pca, like
    (coordinates), like_datasets (hashes of those that models of these coordinates may have been trained on), task,
    spec"""

    @classmethod
    def open(
        cls,
        path: str | Path,
        dataset: EpisodeDataset | None = None,
        encoder: FrameEncoder | None = None,
        verify: bool = False,
    ) -> TokenStore:
        """Open a store; with `dataset` or `encoder` given, only if it was made from just these.

        Args:
            verify: compare the content of tokens with their SHA-256 whatever their size, not only up to 4 GiB.

        Raises:
            FileNotFoundError: nothing (or nothing finished) there.
            ValueError: another schema, data set or encoder, or files that are cut off, damaged or changed.
        """
        path = Path(path)
        if not (path / INDEX_NAME).is_file():
            raise FileNotFoundError(f"no finished token store at {path}: encode a data set with `rla-gym encode` first")
        index = read_index(path / INDEX_NAME)
        info, files = index["info"], index.get("files", {})
        if dataset is not None:
            expect(path, "data set hash", info["dataset"], dataset.hash)
        if encoder is not None:
            expect(path, "encoder hash", info["encoder"]["hash"], encoder.hash)
        tokens = map_tokens(path / "tokens.npy", tuple(index["shape"]))
        check_content(path / "tokens.npy", files, None if verify else LARGEST_HASHED)
        check_content(path / "arrays.npz", files)
        rows = read_arrays(path / "arrays.npz", len(tokens))
        if info["pca"]:
            check_content(path / PCA_NAME, files)
        lengths = np.asarray(index["lengths"], np.int64)
        return cls(
            path=path,
            tokens=tokens,
            starts=first_rows(lengths),
            lengths=lengths,
            mean=np.asarray(index["mean"], np.float32),
            std=np.asarray(index["std"], np.float32),
            sources=tuple(index["sources"]),
            successes=np.asarray(index["successes"], bool),
            seeds=np.asarray(index["seeds"], np.int64),
            info=info,
            **rows,
        )

    def __len__(self) -> int:
        """Rows, that is frames of all episodes."""
        return len(self.tokens)

    @property
    def grid(self) -> tuple[int, int]:
        """Patches (rows, columns) of a frame; rows * columns = L."""
        height, width = self.info["grid"]
        return int(height), int(width)

    @property
    def pca(self) -> ChannelPCA | None:
        """The channel map that the tokens went through, None where they are the encoder's own."""
        return ChannelPCA.load(self.path / PCA_NAME) if self.info["pca"] else None

    @property
    def coordinates(self) -> str:
        """SHA-256 of the channel map, `mean` and `std`: a model fits every store of its encoder with the same one."""
        digest, pca = hashlib.sha256(), self.pca
        arrays = () if pca is None else (pca.mean, pca.components)
        for array in (*arrays, self.mean, self.std):
            digest.update(f"|{array.dtype.str}:{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def normalized(self, rows: np.ndarray) -> torch.Tensor:
        """Standardised tokens of `rows` (n,): torch float32 (n, L, C)."""
        import torch

        stored = torch.from_numpy(self.tokens[np.asarray(rows)]).float()
        return stored.sub_(torch.from_numpy(self.mean)).div_(torch.from_numpy(self.std))

    def residuals(self, rows: np.ndarray, later: np.ndarray) -> torch.Tensor:
        """Changes of standardised tokens from `rows` to `later`, both (n,): torch float32 (n, L, C)."""
        return self.normalized(later) - self.normalized(rows)

    def episode_of(self, rows: np.ndarray) -> np.ndarray:
        """Episode index of each row, int64 of the same shape."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def rows(self, episodes: np.ndarray) -> np.ndarray:
        """All rows (n,) int64 of episodes, one after another."""
        starts, lengths = self.starts[episodes], self.lengths[episodes]
        spans = [np.arange(start, start + length) for start, length in zip(starts, lengths, strict=True)]
        return np.concatenate(spans) if spans else np.zeros(0, np.int64)

    def split(self, part: str) -> np.ndarray:
        """Episodes of "train" (90 %), "validation" (5 %) or "test" (5 %): ids (n,) int64.

        Each episode is assigned by a hash of its own seed, so adding episodes moves none of the old ones; a
        small store may have no validation or test episodes.
        """
        if part not in PARTS:
            raise ValueError(f"no part {part!r}; expected one of {list(PARTS)}")
        return split_episodes(self.seeds, part)

    @cached_property
    def remembered(self) -> dict[Any, Any]:
        """What others computed of this store and need again; empty at first."""
        return {}

    @cached_property
    def motion(self) -> np.ndarray:
        """How much a row's tokens change: mean |s[t+4] - s[t]| of standardised tokens, (N,) float32.

        Near an episode's end the change to its last frame. Computed at the first use and kept in
        `motion.safetensors`.
        """
        import torch

        from rla_gym.utils.tensors import read_tensors, save_tensors

        place, key = self.path / MOTION_NAME, self.coordinates
        if place.is_file():
            with suppress(ValueError, KeyError):  # it is computed anew
                tensors, metadata = read_tensors(place)
                stored: np.ndarray = tensors["motion"].numpy()
                if stored.shape == (len(self),) and stored.dtype == np.float32 and metadata["coordinates"] == key:
                    return stored
        last = np.repeat(self.starts + self.lengths - 1, self.lengths)
        later = np.minimum(np.arange(len(self)) + MOTION_HORIZON, last)
        scores = np.empty(len(self), np.float32)
        for start in range(0, len(self), 512):
            here = slice(start, start + 512)
            difference = self.tokens[later[here]].astype(np.float32) - self.tokens[here].astype(np.float32)
            scores[here] = np.abs(difference / self.std).mean(axis=(1, 2))
        # Kept for the next one where the store can be written to and nobody else does.
        with suppress(OSError), output(self.path, "encode") as folder:
            folder.claim([place.name])
            with atomic_path(place) as temporary:
                save_tensors(temporary, {"motion": torch.from_numpy(scores)}, {"coordinates": key})
            folder.seal()
        return scores


def split_episodes(seeds: np.ndarray, part: str) -> np.ndarray:
    """Indices of the episodes whose seed hashes into `part`, int64."""
    low, high = PARTS[part]
    places = [
        int.from_bytes(hashlib.sha256(f"rla_gym split {int(seed)}".encode()).digest()[:8], "big") / 2.0**64
        for seed in seeds
    ]
    return np.flatnonzero([low <= place < high for place in places])


def first_rows(lengths: np.ndarray) -> np.ndarray:
    """Row at which each episode starts, (E,) int64, from their lengths in frames."""
    rows = np.zeros(len(lengths), np.int64)
    np.cumsum(lengths[:-1], out=rows[1:])
    return rows


def expect(path: Path, what: str, found: Any, expected: Any) -> None:
    """Raise the ValueError of a store that was made from something else than is asked for."""
    if found != expected:
        raise ValueError(
            f"{path}: {what} is {json.dumps(found)}, expected {json.dumps(expected)}: choose another folder, "
            "or remove this one and encode again with `rla-gym encode`"
        )
