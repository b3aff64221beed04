"""Encode every recorded frame once into a token store; killed runs resume."""

from __future__ import annotations

import io
import math
import os
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rla_gym.data.arrays import DTYPES
from rla_gym.data.channels import CONSTANT, channel_pca, channels_of, statistics
from rla_gym.data.constants import constants_of
from rla_gym.data.encoding import encoded_rows
from rla_gym.data.episodes import EpisodeDataset
from rla_gym.data.journal import ENCODER_NAME, JOURNAL_NAME, MADE_FILES, PART_NAME, TOKENS_NAME, Journal
from rla_gym.data.pca import ChannelPCA
from rla_gym.data.store import (
    INDEX_NAME,
    PCA_NAME,
    FrameEncoder,
    TokenStore,
    expect,
    first_rows,
    split_episodes,
)
from rla_gym.data.store_index import SCHEMA, described
from rla_gym.utils.digests import with_digest
from rla_gym.utils.disk import reserve
from rla_gym.utils.files import atomic_path, settle, temporary_path, write_json
from rla_gym.utils.outputs import is_sealed, output
from rla_gym.utils.progress import Progress

__all__ = ["FrameEncoder", "TokenStore", "encode_dataset"]

JOURNAL_SECONDS = 5.0


def encode_dataset(
    dataset: EpisodeDataset,
    encoder: FrameEncoder,
    out: str | Path,
    batch: int = 64,
    progress: bool = True,
    pca: int | None = None,
    like: TokenStore | None = None,
    precision: Literal["no", "bf16"] = "no",
) -> TokenStore:
    """Encode every frame of a data set once, into the folder `out`.

    A killed run goes on where it stopped; a finished store of the same data set, encoder, `pca` and `like` is opened
    as it is. The encoder is kept beside the tokens where it can be saved. mean and std are those of the stored values
    over all frames of training episodes, accumulated in float64; or those of `like`.

    Args:
        batch: frames encoded at a time.
        pca: channels to reduce to (`fit_channel_pca` on up to 2,000 frames of training episodes), None for
            none.
        like: a finished store of the same encoder, whose channel map, mean and std are taken, so that models trained
            on it fit this one; `pca` is then None.
        precision: bf16 encodes under autocast. The store says so, for whoever encodes more frames to go with it.

    Raises:
        ValueError: `out` was begun with another data set, encoder, pca, like or precision; `like` is of another
            encoder or grid; nothing moves in any video; tokens that float16 cannot hold; no training episodes and no
            `like`.
        FileExistsError: files that `encode` did not write are in its way.
        BlockingIOError: another process encodes there.
        OSError: the disk has no room for the tokens, which is found before work begins, or `out` cannot be written to.
    """
    out = Path(out)
    grid = encoder.grid(*dataset.spec["frame_size"])
    if like is not None:
        pca = channels_of(like, encoder, pca, grid)
    coordinates = None if like is None else like.coordinates
    bf16 = precision == "bf16"
    made_from = {
        "dataset": dataset.hash,
        "encoder": encoder.hash,
        "pca": pca,
        "like": coordinates,
        "precision": precision,  # missing in older journals, which could be of either: they are refused
    }
    if (out / INDEX_NAME).is_file() and is_sealed(out):
        return _finished(out, dataset, encoder, made_from)
    with output(out, "encode") as folder:
        if (out / INDEX_NAME).is_file():  # killed at the very end, or another process was faster
            store = _finished(out, dataset, encoder, made_from)
            folder.remove([JOURNAL_NAME])
            folder.seal()
            return store
        folder.claim((JOURNAL_NAME, *MADE_FILES, INDEX_NAME))
        journal = Journal(folder, made_from)
        train = split_episodes(dataset.seeds, "train")
        if like is None and not len(train):
            raise ValueError(
                f"none of the {len(dataset)} episodes falls into the training part (90 % by a hash of the seed): "
                "record more, or encode them like another store"
            )
        if not journal.rows:
            _note_constants(dataset, refuse=like is None)
        if pca is not None and not journal.rows:  # before the PCA takes its minutes
            _reserve_tokens(out / PART_NAME, (int(dataset.lengths.sum()), math.prod(grid), pca))
        if like is None:
            channel_map = None if pca is None else channel_pca(dataset, encoder, out, batch, pca, train, bf16, progress)
        else:
            channel_map = like.pca
            if channel_map is not None:
                channel_map.save(out / PCA_NAME)
        _write_tokens(dataset, encoder, channel_map, out, batch, progress, journal, bf16)
        tokens = np.load(out / TOKENS_NAME, mmap_mode="r", allow_pickle=False)
        starts = first_rows(dataset.lengths)
        if like is None:
            mean, std = statistics(tokens, starts[train], dataset.lengths[train])
            if (std == CONSTANT).any():
                channels = np.flatnonzero(std == CONSTANT).tolist()
                print(f"note: {out}: {len(channels)} of {len(std)} channels of the tokens never change: {channels[:9]}")
        else:
            mean, std = like.mean, like.std
        with atomic_path(out / "arrays.npz") as temporary:
            np.savez(temporary, **_row_arrays(dataset, starts))
        if hasattr(encoder, "save"):
            encoder.save(out / ENCODER_NAME)
        info = {
            "schema": SCHEMA,
            "dataset": dataset.hash,
            "encoder": {"name": encoder.name, "hash": encoder.hash},
            "precision": precision,
            "grid": [int(side) for side in grid],
            "pca": channel_map and {"components": pca, "explained": channel_map.explained},
            "like": coordinates,
            "like_datasets": [] if like is None else [like.info["dataset"], *like.info.get("like_datasets", [])],
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
            "files": {
                name: described(out / name)
                for name in (TOKENS_NAME, "arrays.npz", PCA_NAME)
                if name != PCA_NAME or channel_map is not None
            },
        }
        write_json(out / INDEX_NAME, with_digest(index))
        folder.remove([JOURNAL_NAME])
        folder.seal()
    return TokenStore.open(out, dataset, encoder)


def _note_constants(dataset: EpisodeDataset, refuse: bool) -> None:
    """Report what never changes in the data set; a ValueError, if `refuse`, where nothing moves in any video."""
    constants = constants_of(dataset)
    constants.report(str(dataset.path))
    if refuse and len(constants.static) == len(dataset):
        raise ValueError(
            f"{dataset.path}: each of the {len(dataset)} videos shows one frame only, so there is nothing to learn: "
            "check the camera, or what wrote the frames"
        )


def _finished(out: Path, dataset: EpisodeDataset, encoder: FrameEncoder, made_from: dict[str, Any]) -> TokenStore:
    """Open a finished store; a ValueError if it was made from something else."""
    store = TokenStore.open(out, dataset, encoder)
    expect(out, "pca", store.info["pca"] and store.info["pca"]["components"], made_from["pca"])
    expect(out, "hash of the channels of the store that it is like", store.info.get("like"), made_from["like"])
    precision = made_from["precision"]
    expect(out, "precision", store.info.get("precision", precision), precision)
    return store


def _reserve_tokens(part: Path, shape: tuple[int, ...]) -> None:
    """Make the file of all tokens `shape` (N, L, C): written to as a mapping, a full disk would kill the process."""
    header = io.BytesIO()
    description = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    begun = temporary_path(part)
    try:
        reserve(begun, header.tell() + 2 * math.prod(shape), f"the tokens of {shape[0]} frames")
        with open(begun, "rb+") as file:
            file.write(header.getvalue())
        os.replace(begun, part)
    finally:
        begun.unlink(missing_ok=True)


def _write_tokens(
    dataset: EpisodeDataset,
    encoder: FrameEncoder,
    channel_map: ChannelPCA | None,
    out: Path,
    batch: int,
    progress: bool,
    journal: Journal,
    bf16: bool,
) -> None:
    """Encode the rows that the journal lacks; `tokens.npy` appears when all are there."""
    total = int(dataset.lengths.sum())
    part, final = out / PART_NAME, out / TOKENS_NAME
    if final.is_file() and journal.rows == total:
        return
    rows = np.arange(journal.rows, total)
    if not part.is_file():
        journal.write(0)
    tokens = np.load(part, mmap_mode="r+", allow_pickle=False) if part.is_file() else None
    began, written, first = time.perf_counter(), time.perf_counter(), journal.rows
    done = first
    with Progress(total, f"encode {dataset.task_name}", "frame", first, progress) as bar:
        try:
            for encoded in encoded_rows(dataset, encoder, rows, batch, bf16):
                values = encoded if channel_map is None else channel_map.project(encoded)
                if tokens is None:
                    _reserve_tokens(part, (total, *values.shape[1:]))
                    tokens = np.load(part, mmap_mode="r+", allow_pickle=False)
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
    settle(part)
    part.replace(final)
    if progress:
        rate = (total - first) / max(time.perf_counter() - began, 1e-9)
        print(
            f"{out}: {total} frames, {final.stat().st_size / 1e6:.1f} MB; {rate:.1f} frames a second",
            flush=True,
        )


def _row_arrays(dataset: EpisodeDataset, starts: np.ndarray) -> dict[str, np.ndarray]:
    """Actions, proprioception, objects and states of all episodes, one row a frame."""
    total = int(dataset.lengths.sum())
    found: dict[str, np.ndarray] = {}
    for episode in range(len(dataset)):
        arrays = dataset.arrays(episode)
        for name in ("actions", "proprio", "objects", "states"):
            values = arrays[name]
            if values is not None:
                rows = found.setdefault(name, np.zeros((total, values.shape[1]), DTYPES[name]))
                rows[starts[episode] : starts[episode] + len(values)] = values
    empty = {name: np.zeros((total, 0), DTYPES[name]) for name in ("actions", "proprio", "objects", "states")}
    return {**empty, **found}
