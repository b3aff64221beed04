"""The channels of a token store: the map that they went through, and their mean and standard deviation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rla_gym.data.encoding import encoded_rows
from rla_gym.data.episodes import EpisodeDataset
from rla_gym.data.pca import ChannelPCA, fit_channel_pca
from rla_gym.data.store import PCA_NAME, FrameEncoder, TokenStore, first_rows
from rla_gym.utils.progress import tracked

PCA_FRAMES = 2000
"""Frames that a PCA is fitted on, at most."""
CONSTANT = 1.0
"""The standard deviation that a channel is given that never changes."""


def channel_pca(
    dataset: EpisodeDataset,
    encoder: FrameEncoder,
    out: Path,
    batch: int,
    components: int,
    train: np.ndarray,
    bf16: bool = False,
    progress: bool = True,
) -> ChannelPCA:
    """Fit on evenly spaced frames of training episodes, or load what an interrupted run fitted."""
    place = out / PCA_NAME
    if not place.is_file():
        starts = first_rows(dataset.lengths)
        rows = np.concatenate(
            [np.arange(starts[episode], starts[episode] + dataset.lengths[episode]) for episode in train]
        )
        chosen = rows[np.linspace(0, len(rows) - 1, min(PCA_FRAMES, len(rows))).astype(np.int64)]
        encoded = encoded_rows(dataset, encoder, chosen, batch, bf16)
        batches = tracked(encoded, -(-len(chosen) // batch), "encode frames for the channel map", "step", progress)
        fit_channel_pca(batches, components).save(place)
    return ChannelPCA.load(place)


def statistics(tokens: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per-channel mean and standard deviation (C,) float32 over the given episodes' tokens."""
    count, total, squares = 0, np.zeros(tokens.shape[-1]), np.zeros(tokens.shape[-1])
    for start, length in zip(starts, lengths, strict=True):
        values = tokens[start : start + length].reshape(-1, tokens.shape[-1]).astype(np.float64)
        count += len(values)
        total += values.sum(axis=0)
        squares += np.einsum("nc,nc->c", values, values)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    std[std < 1e-6] = CONSTANT  # a dead channel stays at zero instead of blowing up
    return mean.astype(np.float32), std.astype(np.float32)


def channels_of(like: TokenStore, encoder: FrameEncoder, pca: int | None, grid: tuple[int, int]) -> int | None:
    """Channels of the map of `like`, None without one, after checking that this encoder's tokens may go through it.

    Args:
        grid: rows and columns of patches of the frames to be encoded.
    """
    made_by = like.info["encoder"]
    if made_by["hash"] != encoder.hash:
        raise ValueError(
            f"{like.path} is of the encoder {made_by['name']} ({made_by['hash'][:12]}), this one is {encoder.name} "
            f"({encoder.hash[:12]}): a store can be like another of the same encoder only; give that one, which is "
            "encoder.safetensors in the store where `rla-gym encode` wrote it"
        )
    if tuple(like.grid) != tuple(grid):
        raise ValueError(
            f"{like.path} has {like.grid[0]}x{like.grid[1]} patches a frame, these frames have {grid[0]}x{grid[1]}: a "
            "store can be like another of frames of the same size only"
        )
    components: int | None = like.info["pca"] and int(like.info["pca"]["components"])
    if pca not in (None, components):
        raise ValueError(f"pca={pca}, but {like.path}, which the store shall be like, has {components}: leave pca out")
    return components
