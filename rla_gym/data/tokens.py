"""Encode every recorded frame once into a token store; killed runs resume."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rla_gym.data.episodes import EpisodeDataset
from rla_gym.data.pca import ChannelPCA, fit_channel_pca
from rla_gym.data.store import SCHEMA, FrameEncoder, TokenStore, expect, first_rows, split_episodes
from rla_gym.extras import require
from rla_gym.files import atomic_path, read_json, write_json

__all__ = ["FrameEncoder", "TokenStore", "encode_dataset"]

PCA_FRAMES = 2000  # frames that a PCA is fitted on, at most
JOURNAL_SECONDS = 5.0
MADE_FILES = ("pca.safetensors", "motion.npy", "tokens.npy.part", "tokens.npy")


def encode_dataset(
    dataset: EpisodeDataset,
    encoder: FrameEncoder,
    out: str | Path,
    batch: int = 64,
    progress: bool = True,
    pca: int | None = None,
) -> TokenStore:
    """Encode every frame of a data set once, into the folder `out`.

    A killed run goes on where it stopped; a finished store of the same data set, encoder and `pca` is opened
    as it is. mean and std are those of the stored values over all frames of training episodes, accumulated in
    float64.

    Args:
        batch: frames encoded at a time.
        pca: channels to reduce to (`fit_channel_pca` on up to 2,000 frames of training episodes), None for
            none.

    Raises:
        ValueError: `out` was begun with another data set, encoder or pca; tokens that float16 cannot hold; no
            training episodes.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    if (out / "index.json").is_file():
        store = TokenStore.open(out, dataset, encoder)
        expect(out, "pca", store.info["pca"] and store.info["pca"]["components"], pca)
        return store
    journal = _Journal(out / "journal.json", {"dataset": dataset.hash, "encoder": encoder.hash, "pca": pca})
    train = split_episodes(dataset.seeds, "train")
    if not len(train):
        raise ValueError(
            f"none of the {len(dataset)} episodes falls into the training part (90 % by a hash of the seed): "
            "record more"
        )
    channel_map = None if pca is None else _channel_pca(dataset, encoder, out, batch, pca, train)
    _write_tokens(dataset, encoder, channel_map, out, batch, progress, journal)
    tokens = np.load(out / "tokens.npy", mmap_mode="r", allow_pickle=False)
    starts = first_rows(dataset.lengths)
    mean, std = _statistics(tokens, starts[train], dataset.lengths[train])
    with atomic_path(out / "arrays.npz") as temporary:
        np.savez(temporary, allow_pickle=False, **_row_arrays(dataset, starts))
    info = {
        "schema": SCHEMA,
        "dataset": dataset.hash,
        "encoder": {"name": encoder.name, "hash": encoder.hash},
        "grid": [int(side) for side in encoder.grid(*dataset.spec["frame_size"])],
        "pca": channel_map and {"components": pca, "explained": channel_map.explained},
        "task": dataset.task_name,
        "spec": dataset.spec,
    }
    index = {
        "info": info,
        "shape": list(tokens.shape),
        "lengths": dataset.lengths.tolist(),
        "sources": list(dataset.sources),
        "successes": dataset.successes.tolist(),
        "seeds": dataset.seeds.tolist(),
        "mean": mean.tolist(),
        "std": std.tolist(),
    }
    write_json(out / "index.json", index)
    journal.path.unlink()
    return TokenStore.open(out, dataset, encoder)


class _Journal:
    """Rows that are safely in `tokens.npy.part`, and what they were made from."""

    def __init__(self, path: Path, made_from: dict[str, Any]) -> None:
        self.path, self.made_from, self.rows = path, made_from, 0
        if path.is_file():
            begun = read_json(path)
            for name, value in made_from.items():
                expect(path.parent, f"{name} of the unfinished store", begun[name], value)
            self.rows = int(begun["rows"])
        else:
            # Whatever lies there without a journal or an index is of unknown making.
            for name in MADE_FILES:
                (path.parent / name).unlink(missing_ok=True)
            self.write(0)

    def write(self, rows: int) -> None:
        self.rows = rows
        write_json(self.path, {**self.made_from, "rows": rows})


def _write_tokens(
    dataset: EpisodeDataset,
    encoder: FrameEncoder,
    channel_map: ChannelPCA | None,
    out: Path,
    batch: int,
    progress: bool,
    journal: _Journal,
) -> None:
    """Encode the rows that the journal lacks; `tokens.npy` appears when all are there."""
    total = int(dataset.lengths.sum())
    part, final = out / "tokens.npy.part", out / "tokens.npy"
    if final.is_file() and journal.rows == total:
        return
    if not part.is_file():
        journal.write(0)
    tqdm = require("tqdm", extra="data").tqdm
    rows = np.arange(journal.rows, total)
    tokens = np.load(part, mmap_mode="r+", allow_pickle=False) if journal.rows else None
    began, written, first = time.perf_counter(), time.perf_counter(), journal.rows
    done = first
    with tqdm(
        total=total, initial=first, unit="frame", desc=f"encode {dataset.task_name}", disable=not progress
    ) as bar:
        try:
            for encoded in _encode(dataset, encoder, rows, batch):
                values = encoded if channel_map is None else channel_map.project(encoded)
                if tokens is None:
                    tokens = np.lib.format.open_memmap(part, "w+", np.float16, (total, *values.shape[1:]))
                with np.errstate(over="ignore"):  # an overflow becomes infinite, which is refused below
                    half = values.astype(np.float16)
                if not np.isfinite(half).all():
                    raise ValueError(
                        f"tokens of frames {done} to {done + len(half) - 1} are not finite in float16 "
                        f"(largest {np.abs(values).max():.3g}): check the encoder, or add a LayerNorm"
                    )
                tokens[done : done + len(half)] = half
                done += len(half)
                bar.update(len(half))
                if time.perf_counter() - written > JOURNAL_SECONDS:
                    tokens.flush()
                    journal.write(done)
                    written = time.perf_counter()
        finally:
            if tokens is not None:
                tokens.flush()
                journal.write(done)
    part.replace(final)
    if progress:
        rate = (total - first) / max(time.perf_counter() - began, 1e-9)
        print(
            f"{out}: {total} frames, {final.stat().st_size / 1e6:.1f} MB; {rate:.1f} frames a second",
            flush=True,
        )


def _encode(
    dataset: EpisodeDataset, encoder: FrameEncoder, rows: np.ndarray, batch: int
) -> Iterator[np.ndarray]:
    """Tokens (B, L, C) float32 of the given rising rows, in batches."""
    import torch

    starts = first_rows(dataset.lengths)
    for begin in range(0, len(rows), batch):
        wanted = rows[begin : begin + batch]
        episodes = np.searchsorted(starts, wanted, side="right") - 1
        frames = []
        for episode in np.unique(episodes):
            steps = wanted[episodes == episode] - starts[episode]
            frames.append(dataset.frames(int(episode), int(steps[0]), int(steps[-1]) + 1)[steps - steps[0]])
        with torch.inference_mode():
            yield encoder.encode(torch.from_numpy(np.concatenate(frames))).float().cpu().numpy()


def _channel_pca(
    dataset: EpisodeDataset, encoder: FrameEncoder, out: Path, batch: int, components: int, train: np.ndarray
) -> ChannelPCA:
    """Fit on evenly spaced frames of training episodes, or load what an interrupted run fitted."""
    place = out / "pca.safetensors"
    if not place.is_file():
        starts = first_rows(dataset.lengths)
        rows = np.concatenate(
            [np.arange(starts[episode], starts[episode] + dataset.lengths[episode]) for episode in train]
        )
        chosen = rows[np.linspace(0, len(rows) - 1, min(PCA_FRAMES, len(rows))).astype(np.int64)]
        fit_channel_pca(_encode(dataset, encoder, chosen, batch), components).save(place)
    return ChannelPCA.load(place)


def _statistics(tokens: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per-channel mean and standard deviation (C,) float32 over the given episodes' tokens."""
    count, total, squares = 0, np.zeros(tokens.shape[-1]), np.zeros(tokens.shape[-1])
    for start, length in zip(starts, lengths, strict=True):
        values = tokens[start : start + length].reshape(-1, tokens.shape[-1]).astype(np.float64)
        count += len(values)
        total += values.sum(axis=0)
        squares += np.einsum("nc,nc->c", values, values)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    std[std < 1e-6] = 1.0  # a dead channel stays at zero instead of blowing up
    return mean.astype(np.float32), std.astype(np.float32)


def _row_arrays(dataset: EpisodeDataset, starts: np.ndarray) -> dict[str, np.ndarray]:
    """Actions, proprioception, objects and states of all episodes, one row a frame."""
    total = int(dataset.lengths.sum())
    found: dict[str, np.ndarray] = {}
    for episode in range(len(dataset)):
        arrays = dataset.arrays(episode)
        for name in ("actions", "proprio", "objects", "states"):
            values = arrays[name]
            if values is not None:
                rows = found.setdefault(name, np.zeros((total, values.shape[1]), values.dtype))
                rows[starts[episode] : starts[episode] + len(values)] = values
    empty = {name: np.zeros((total, 0), np.float32) for name in ("actions", "proprio", "objects", "states")}
    return {**empty, **found}
