"""A checkpoint's reference episodes as the comparison's models want to see recorded ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.baselines.recorded import Recorded
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import TokenStore
from rla_gym.data.pca import ChannelPCA
from rla_gym.data.store_index import SCHEMA


class References(Recorded):
    """The reference episodes of a checkpoint; frames are those that its decoder draws of their tokens.

    Args:
        bundle: the checkpoint.
        folder: where the channel map of its tokens is written.
    """

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        super().__init__(store_of(bundle, folder))
        self.bundle = bundle

    def frames(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames (B, H, W, 3) uint8 of `rows`; a ValueError where the checkpoint has no decoder."""
        return self.bundle.decode_images(self.store.normalized(np.asarray(rows, np.int64)))


def store_of(bundle: Bundle, folder: Path) -> TokenStore:
    """A token store in memory of a checkpoint's references, with its channel map in `folder`."""
    references, config = bundle.references, bundle.config
    if bundle.pca_mean is not None and bundle.pca_components is not None:
        ChannelPCA(bundle.pca_mean.numpy(), bundle.pca_components.numpy(), 1.0).save(folder / "pca.safetensors")
    return TokenStore(
        path=folder,
        tokens=references.tokens.numpy(),
        starts=references.starts.numpy(),
        lengths=references.lengths.numpy(),
        mean=bundle.mean.numpy(),
        std=bundle.std.numpy(),
        actions=references.actions.numpy(),
        proprio=references.proprio.numpy(),
        objects=references.objects.numpy(),
        states=references.states.numpy(),
        sources=("reference",) * len(references),
        successes=references.successes.numpy(),
        seeds=references.seeds.numpy(),
        info={
            "schema": SCHEMA,
            "encoder": {"name": config.encoder_name, "hash": config.encoder_hash},
            "grid": list(config.grid),
            "pca": bundle.pca_mean is not None,
            "task": config.task,
            "spec": {
                "frame_size": list(config.frame_size),
                "action_low": list(config.action_low),
                "action_high": list(config.action_high),
            },
        },
    )
