"""Ways to say in n numbers what changed between two frames: RLA, and simpler ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rla_gym.data import TokenStore
from rla_gym.data.sampling import sample_pairs
from rla_gym.models.autoencoder import RLAAutoencoder

Compressor = Callable[[Tensor, Tensor], Tensor]
"""Tokens (B, L, C) of two frames to the second ones as they come back."""
BLOCK = 64
"""Pairs reconstructed at a time."""


def autoencoded(model: RLAAutoencoder) -> Compressor:
    """Through the latent action."""

    def compress(tokens: Tensor, later: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = model.decode(model.encode(later - tokens), tokens)
        return found

    return compress


@dataclass(frozen=True)
class ResidualPCA:
    """Principal components of flattened residuals.

    Attributes:
        mean: (L * C,) float32.
        components: (k, L * C) float32, orthonormal, by falling variance.
    """

    mean: Tensor
    components: Tensor

    @classmethod
    def fit(cls, store: TokenStore, pairs: int, longest: int, most: int, seed: int) -> ResidualPCA:
        """On `pairs` pairs of training frames, up to `longest` control steps apart: at most `most` components."""
        rng = np.random.default_rng([seed, 53])
        rows, later, _ = sample_pairs(store, store.split("train"), pairs, rng, longest)
        blocks = np.array_split(np.stack([rows, later]), max(1, pairs // 256), axis=1)
        residuals = torch.cat([store.residuals(a, b).flatten(1) for a, b in blocks]).double()
        mean = residuals.mean(dim=0)
        centred = residuals - mean
        wide = centred.shape[1] > len(centred)
        # The smaller of the two products has the same values; its vectors lead to the components.
        product = centred @ centred.T if wide else centred.T @ centred
        values, vectors = torch.linalg.eigh(product)
        kept = [i for i in range(len(values) - 1, -1, -1) if values[i] > 1e-9 * values[-1]][:most]
        found = vectors[:, kept]
        if wide:
            found = centred.T @ found / values[kept].sqrt()
        return cls(mean.float(), found.T.float().contiguous())

    def compressor(self, numbers: int) -> Compressor | None:
        """With the first `numbers` components; None where there are fewer."""
        if numbers > len(self.components):
            return None
        components = self.components[:numbers]

        def compress(tokens: Tensor, later: Tensor) -> Tensor:
            residual = (later - tokens).flatten(1) - self.mean
            return tokens + (residual @ components.T @ components + self.mean).view_as(tokens)

        return compress


def largest_entries(numbers: int) -> Compressor:
    """In token space: the `numbers` entries of the residual that are largest, exactly, and nothing else.

    Their places are not counted as numbers, in favour of this.
    """

    def compress(tokens: Tensor, later: Tensor) -> Tensor:
        residual = (later - tokens).flatten(1)
        kept = residual.abs().topk(min(numbers, residual.shape[1]), dim=1).indices
        sparse = torch.zeros_like(residual).scatter(1, kept, residual.gather(1, kept))
        return tokens + sparse.view_as(tokens)

    return compress


def largest_patches(numbers: int, channels: int) -> Compressor | None:
    """In token space: whole patches, those with the longest residuals, `numbers` / `channels` of them; places free.

    None where not even one patch fits.
    """
    count = numbers // channels
    if not count:
        return None

    def compress(tokens: Tensor, later: Tensor) -> Tensor:
        residual = later - tokens
        kept = residual.norm(dim=2).topk(min(count, residual.shape[1]), dim=1).indices[..., None]
        kept = kept.expand(-1, -1, residual.shape[2])
        return tokens + torch.zeros_like(residual).scatter(1, kept, residual.gather(1, kept))

    return compress


def simple_compressors(pca: ResidualPCA, numbers: int, channels: int) -> dict[str, Compressor]:
    """The baselines that exist at a size, by name."""
    found = {
        "linear": pca.compressor(numbers),
        "entries": largest_entries(numbers),
        "patches": largest_patches(numbers, channels),
    }
    return {name: compress for name, compress in found.items() if compress is not None}
