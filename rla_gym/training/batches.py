"""What all trainables share: generators keyed by step, held-out episodes, statistics, frozen copies in place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rla_gym.data.tokens import TokenStore


def keyed_generators(purpose: str, *key: int) -> tuple[np.random.Generator, torch.Generator]:
    """NumPy and torch (CPU) generators that depend on `purpose` and the integers of `key` (seed, step, rank) alone."""
    word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:4], "big")
    numbers, torchs = np.random.SeedSequence([word, *key]).spawn(2)
    state = int(torchs.generate_state(1, np.uint64)[0])
    return np.random.Generator(np.random.Philox(numbers)), torch.Generator().manual_seed(state)


def origin(store: TokenStore) -> dict[str, Any]:
    """What a run learned from, for its description: data set, encoder and coordinates of the tokens."""
    info = store.info
    return {"dataset": info["dataset"], "encoder": info["encoder"], "coordinates": store.coordinates}


def held_out(store: TokenStore, frames: int) -> tuple[np.ndarray, str]:
    """Episodes with at least `frames` frames to measure on, and a prefix for the metrics' names.

    The validation part; where a small store has none that is long enough, the training part, and the prefix is then
    "train_", so that nobody takes such numbers for held-out ones.
    """
    for part, prefix in (("validation", ""), ("train", "train_")):
        episodes = store.split(part)
        episodes = episodes[store.lengths[episodes] >= frames]
        if len(episodes):
            return episodes, prefix
    raise ValueError(
        f"no validation or training episode of {store.path} has {frames} frames (longest: {store.lengths.max()}): "
        "use shorter chunks or horizons, or record longer episodes"
    )


def check_moves(store: TokenStore, episodes: np.ndarray) -> None:
    """Raise a ValueError for episodes (n,) in which no token ever changes: every residual is zero."""
    for episode in episodes:
        tokens = store.tokens[store.starts[episode] : store.starts[episode] + store.lengths[episode]]
        if (tokens != tokens[:1]).any():
            return
    raise ValueError(
        f"nothing moves in the {len(episodes)} training episodes of {store.path}: every token keeps its first value, "
        "so there is nothing to learn; check the recorded frames"
    )


def proprio_statistics(store: TokenStore) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (P,) float32 of proprioception over training episodes; 1 where it never changes."""
    values = store.proprio[store.rows(store.split("train"))].astype(np.float64)
    std = values.std(axis=0)
    std[std < 1e-6] = 1.0
    return torch.from_numpy(values.mean(axis=0)).float(), torch.from_numpy(std).float()


def standardized_proprio(store: TokenStore) -> Tensor:
    """Proprioception (N, P) float32 of all rows, standardised by `proprio_statistics`."""
    mean, std = proprio_statistics(store)
    return ((torch.from_numpy(store.proprio) - mean) / std).float()


def frozen(model: nn.Module) -> nn.Module:
    """The same model in evaluation mode, without gradients."""
    return model.eval().requires_grad_(False)


def weights_hash(model: nn.Module) -> str:
    """SHA-256 of a model's weights and buffers, the same on every device."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


@contextmanager
def without_gradients(device: torch.device) -> Iterator[None]:
    """No gradients, under the surrounding autocast.

    Autocast keeps 16-bit copies of weights. One made here would have no gradient, and the pass that is trained would
    take it up: so none are kept.
    """
    kind = device.type
    enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    with torch.no_grad(), torch.autocast(kind, enabled=enabled, dtype=dtype, cache_enabled=False):
        yield


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """No gradients and full precision: for targets and measurements."""
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield
