"""Held-out metrics of a world model: chunks dreamed and fed back, against "nothing moves"."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rla_gym.data.sampling import chunk_actions, sample_chunks
from rla_gym.data.tokens import TokenStore
from rla_gym.models.autoencoder import RLAAutoencoder
from rla_gym.models.prediction import next_tokens
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.training.batches import device_of, exact, held_out, keyed_generators
from rla_gym.training.metrics import moving_patches, persistence_ratio

LONGEST = 6
"""Chunks that are dreamed one after another, fewer where episodes are too short."""
SETTINGS = ((0.0, 1), (0.0, 4), (1.0, 1), (1.0, 4))
"""Temperatures and Euler steps measured."""


class FlowMetrics:
    """Fixed validation starts, their actions and what really followed.

    Args:
        store: tokens and actions of the episodes.
        proprio: standardised proprioception (rows, P) float32.
        chunk: K.
        count: number of starts.
    """

    def __init__(self, store: TokenStore, proprio: Tensor, chunk: int, count: int) -> None:
        longest = int(store.lengths[store.split("validation")].max(initial=0)) or int(store.lengths.max())
        self.chunks = max(1, min(LONGEST, (longest - 1) // chunk))
        self.store, self.proprio, self.chunk = store, proprio, chunk
        episodes, self.prefix = held_out(store, self.chunks * chunk + 1)
        generator, self._noises = keyed_generators("flow held out", chunk)
        self.rows = sample_chunks(store, episodes, count, generator, chunk, self.chunks)
        self.actions = torch.from_numpy(
            np.stack([chunk_actions(store, self.rows + i * chunk, chunk) for i in range(self.chunks)])
        )

    def measure(self, model: FlowWorldModel, autoencoder: RLAAutoencoder) -> dict[str, float]:
        """L1 of the dreamed tokens over that of persistence, after one chunk and after the last.

        Names: `c6_t1_s4_ratio` is after 6 chunks at temperature 1 with 4 Euler steps, `_moving` on the patches that
        truly moved, `_proprio` of proprioception. `c1_decoded_ratio` is the autoencoder's error from the true latent.
        `_other_actions` are controls, measured with the actions of other episodes: a model that ignores its actions is
        as good there, and one that only erases what is about to move is below 1 as well.
        """
        device = device_of(model)
        true = {n: self.store.normalized(self.rows + n * self.chunk) for n in {0, 1, self.chunks}}
        moving = {n: moving_patches(true[n] - true[0]) for n in {1, self.chunks}}
        with exact(device):
            start, after = true[0].to(device), true[1].to(device)
            decoded = autoencoder.decode(autoencoder.encode(after - start), start).cpu()
        metrics = {f"{self.prefix}c1_decoded_ratio": persistence_ratio(decoded, true[0], true[1])}
        for temperature, steps in SETTINGS:
            if model.config.anchor and not temperature and steps > 1:
                continue  # no flow is evaluated there
            dreamed = self._dream(model, autoencoder, self.actions, temperature, steps, device)
            for n in sorted({1, self.chunks}):
                tokens, proprio = dreamed[n]
                name = f"{self.prefix}c{n}_t{temperature:g}_s{steps}"
                metrics[f"{name}_ratio"] = persistence_ratio(tokens, true[0], true[n])
                metrics[f"{name}_moving"] = persistence_ratio(tokens, true[0], true[n], moving[n])
                if model.config.proprio_size:
                    felt, later = self.proprio[self.rows], self.proprio[self.rows + n * self.chunk]
                    metrics[f"{name}_proprio"] = persistence_ratio(proprio, felt, later)
        other = self.actions.roll(len(self.rows) // 2, dims=1)
        dreamed = self._dream(model, autoencoder, other, *SETTINGS[0], device)
        for n in sorted({1, self.chunks}):
            ratio = persistence_ratio(dreamed[n][0], true[0], true[n], moving[n])
            metrics[f"{self.prefix}c{n}_t0_s1_moving_other_actions"] = ratio
        return metrics

    def _dream(
        self,
        model: FlowWorldModel,
        autoencoder: RLAAutoencoder,
        actions: Tensor,
        temperature: float,
        steps: int,
        device: torch.device,
    ) -> dict[int, tuple[Tensor, Tensor]]:
        """Tokens and proprioception (CPU) after each number of chunks; the same noise at every call."""
        noises = torch.Generator().manual_seed(self._noises.initial_seed())
        latent = (model.config.latent_tokens, model.config.latent_channels)
        tokens, proprio = self.store.normalized(self.rows).to(device), self.proprio[self.rows].to(device)
        found = {}
        with exact(device):
            for n, chunk in enumerate(actions, start=1):
                drawn = torch.randn(len(self.rows), *latent, generator=noises)
                noise = (temperature * drawn).to(device) if temperature else None
                tokens, proprio = dream_chunk(model, autoencoder, tokens, chunk.to(device), proprio, noise, steps)
                found[n] = (tokens.cpu(), proprio.cpu())
        return found


def dream_chunk(
    model: FlowWorldModel,
    autoencoder: RLAAutoencoder,
    tokens: Tensor,
    chunk: Tensor,
    proprio: Tensor,
    noise: Tensor | None,
    steps: int,
    midpoint: bool = False,
) -> tuple[Tensor, Tensor]:
    """Tokens (B, L, C) and proprioception (B, P) after one chunk (B, K, A), from `noise` (B, N, D) or none."""
    given = proprio if model.config.proprio_size else None
    conditioning = model.condition(tokens, chunk, None, given, central=noise is None)
    if given is not None:
        proprio = proprio + model.proprio_delta(conditioning)
    return next_tokens(model, autoencoder, conditioning, tokens, noise, steps, midpoint), proprio
