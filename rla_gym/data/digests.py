"""SHA-256 of what was recorded: of an episode, and of a data set as that of its episodes in order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rla_gym.data.episodes import Episode

NAMES = ("frames", "actions", "states", "proprio", "objects")
"""Arrays that a digest covers. Not rewards: which steps count as solved changes no token."""
FRAMES = 64
"""Frames decoded at a time."""


def episode_digest(episode: Episode) -> str:
    """SHA-256 of everything recorded in an episode, frames as decoded bytes (so whatever the compression)."""
    arrays = {name: getattr(episode, name) for name in NAMES}
    return digest_of(episode.task, episode.seed, episode.source, episode.success, arrays)


def digest_of(task: str, seed: int, source: str, success: bool, arrays: Mapping[str, Any]) -> str:
    """`episode_digest` of an episode's parts.

    Args:
        arrays: those of `NAMES`, as NumPy arrays or as HDF5 datasets, which are read here; none or None for one that
            was not recorded.
    """
    digest = hashlib.sha256(f"{task}|{int(seed)}|{source}|{bool(success)}".encode())
    for name in NAMES:
        array = arrays.get(name)
        if array is None:
            digest.update(f"|{name}:none".encode())
            continue
        digest.update(f"|{name}:{array.dtype.str}:{array.shape}".encode())
        for first in range(0, len(array), FRAMES if name == "frames" else max(1, len(array))):
            piece = array[first : first + FRAMES] if name == "frames" else array[()]
            digest.update(np.ascontiguousarray(piece).data)
    return digest.hexdigest()


def rewards_digest(rewards: np.ndarray) -> str:
    """SHA-256 of an episode's rewards (T-1,) as they lie in the file."""
    digest = hashlib.sha256(f"rewards:{rewards.dtype.str}:{rewards.shape}".encode())
    digest.update(np.ascontiguousarray(rewards).data)
    return digest.hexdigest()


def combine_digests(digests: Iterable[str]) -> str:
    """The hash of a data set: SHA-256 over its episodes' digests, in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
