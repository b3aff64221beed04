"""(c): does the way from noise to a latent action lead through time?

(1 - τ)·noise + τ·z is decoded, z being standardised by the latents of training pairs, and the real frame between the
two that it is nearest to is found. Interpolated tokens are decoded by nobody: they are compared as they are.

Source: arXiv 2605.07079, section on temporal progression and figure A2, which are qualitative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.properties.compression import BLOCK
from benchmarks.properties.reconstruction import Errors, Pairs
from rla_gym.data import TokenStore
from rla_gym.data.sampling import sample_pairs
from rla_gym.models.autoencoder import RLAAutoencoder
from rla_gym.utils.keyed_rng import keyed_normal, make_keys
from rla_gym.utils.statistics import Clusters, difference, ratio_of_means, spearman

STATISTICS = 1024
"""Training pairs whose latents are standardised."""
WAYS = ("noise", "mean", "tokens")
"""From noise, and from the mean latent, to the latent action; and from the first to the later tokens."""


@dataclass(frozen=True)
class Latents:
    """An autoencoder whose latents are standardised.

    Attributes:
        mean, std: (N, D) float32.
    """

    model: RLAAutoencoder
    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, model: RLAAutoencoder, store: TokenStore, longest: int, seed: int) -> Latents:
        """Statistics over training pairs up to `longest` control steps apart."""
        rng = np.random.default_rng([seed, 61])
        rows, later, _ = sample_pairs(store, store.split("train"), STATISTICS, rng, longest)
        found = []
        for a, b in np.array_split(np.stack([rows, later]), STATISTICS // BLOCK, axis=1):
            with torch.no_grad():
                found.append(model.encode(store.residuals(a, b)))
        latents = torch.cat(found)
        return cls(model, latents.mean(dim=0), latents.std(dim=0) + 1e-6)

    def encode(self, residual: Tensor) -> Tensor:
        """Standardised latents (B, N, D) of residuals (B, L, C)."""
        with torch.no_grad():
            found: Tensor = (self.model.encode(residual) - self.mean) / self.std
        return found

    def decode(self, latent: Tensor, tokens: Tensor) -> Tensor:
        """Tokens (B, L, C) after standardised latents (B, N, D), from `tokens`."""
        with torch.no_grad():
            found: Tensor = self.model.decode(latent * self.std + self.mean, tokens)
        return found


def between(
    latents: Latents, way: str, tokens: Tensor, later: Tensor, times: np.ndarray, keys: np.ndarray, draw: int
) -> Tensor:
    """Tokens (B, T, L, C) at all times on a way, from `tokens` to `later` (B, L, C).

    Args:
        keys: (B,) integers that the noise depends on, together with `draw`.
    """
    if way == "tokens":
        return torch.stack([tokens + float(time) * (later - tokens) for time in times], dim=1)
    noise = torch.zeros(len(tokens), *latents.mean.shape)
    if way == "noise":
        drawn = keyed_normal(make_keys(keys, np.full(len(keys), draw), np.zeros(len(keys))), latents.mean.shape)
        noise = torch.from_numpy(drawn)
    z = latents.encode(later - tokens)
    mixed = [(1 - float(time)) * noise + float(time) * z for time in times]
    return torch.stack([latents.decode(latent, tokens) for latent in mixed], dim=1)


def nearest(found: Tensor, real: Tensor, moving: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Which of the real frames (B, h + 1, L, C) tokens (B, T, L, C) are nearest to, and how far: both (B, T).

    Distances are mean absolute errors over patches that moved between the ends (bool (B, L)).
    """
    weights = moving.float() / moving.sum(dim=1, keepdim=True)
    distances = torch.stack(
        [((found - frame[:, None]).abs().mean(dim=-1) * weights[:, None]).sum(dim=-1) for frame in real.unbind(dim=1)],
        dim=-1,
    )
    best = distances.min(dim=-1)
    return best.indices.numpy(), best.values.numpy()


def progression(latents: Latents, pairs: Pairs, times: int, noises: int) -> dict[str, Errors]:
    """By way, for each pair (P,), NaN where nothing moved between its two frames.

    "correlation": rank correlation of τ with the time of the nearest frame. "off": mean distance of the two, as shares
    of the way. "between": share of the inner τ whose nearest frame is neither of the ends. "distance": to the nearest
    frame over that between the ends, mean over the inner τ. With noise, means over its draws.
    """
    taus = np.linspace(0, 1, times)
    parts: dict[str, list[Errors]] = {way: [] for way in WAYS}
    first = 0
    for later_rows, tokens, later in pairs.blocks():
        rows = later_rows - pairs.horizon
        steps = np.arange(pairs.horizon + 1)
        real = pairs.store.normalized((rows[:, None] + steps).ravel()).unflatten(0, (len(rows), len(steps)))
        moving = (later - tokens).norm(dim=-1) > pairs.threshold
        keys = np.arange(first, first + len(rows))
        first += len(rows)
        ends = nearest(tokens[:, None], later[:, None], moving)[1][:, 0]
        for way in WAYS:
            drawn = []
            for draw in range(noises if way == "noise" else 1):
                made = between(latents, way, tokens, later, taus, keys, draw)
                drawn.append(_measures(*nearest(made, real, moving), ends, taus, pairs.horizon))
            still = ~moving.any(dim=1).numpy()
            means = {name: np.mean([each[name] for each in drawn], axis=0) for name in drawn[0]}
            parts[way].append({name: np.where(still, np.nan, values) for name, values in means.items()})
    return {
        way: {name: np.concatenate([part[name] for part in found]) for name in found[0]} for way, found in parts.items()
    }


def _measures(places: np.ndarray, distances: np.ndarray, ends: np.ndarray, taus: np.ndarray, horizon: int) -> Errors:
    """Of nearest frames (B, T) out of `horizon` + 1, their distances (B, T) and those between the ends (B,)."""
    inner = places[:, 1:-1]
    return {
        "correlation": np.array([spearman(taus, row) for row in places]),
        "off": np.abs(places / horizon - taus).mean(axis=1),
        "between": ((inner > 0) & (inner < horizon)).mean(axis=1),
        "distance": distances[:, 1:-1].mean(axis=1) / ends,
    }


def summarized(found: dict[str, Errors], pairs: Pairs, draws: int, seed: int) -> dict[str, object]:
    """By way and measure [mean, low, high], and paired differences of the ways from noise from interpolated tokens."""
    clusters = Clusters(pairs.episodes, seed, draws)
    means = {
        way: {name: ratio_of_means(values[None], None, clusters) for name, values in errors.items()}
        for way, errors in found.items()
    }
    changes = {
        way: {
            name: difference(found[way][name][None], found["tokens"][name][None], clusters) for name in found["tokens"]
        }
        for way in WAYS[:-1]
    }
    return {"means": means, "differences": changes}
