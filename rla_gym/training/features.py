"""Trains the keypoint features: rebuild a frame's tokens from keypoints and proprioception. No labels are used."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rla_gym.data.tokens import TokenStore
from rla_gym.models.features import FeaturesConfig, KeypointDecoder, KeypointFeatures
from rla_gym.training.batches import device_of, exact, held_out, keyed_generators, origin, standardized_proprio
from rla_gym.training.metrics import explained

BACKGROUND_FRAMES = 512


class FeaturesTraining:
    """A `Trainable`: squared error of tokens decoded from keypoints, weighted to patches that differ from the usual.

    Args:
        store: tokens of the episodes; only training episodes are trained on.
        config: of the features; weights start from `seed`.
        batch_size: frames of one process in one step.
        foreground_weight: weight of patches in proportion to their distance from that patch's median token; 0 is the
            plain mean. Objects cover few patches.
        held_out_frames: frames measured.
    """

    def __init__(
        self,
        store: TokenStore,
        config: FeaturesConfig,
        batch_size: int,
        seed: int,
        foreground_weight: float = 2.0,
        held_out_frames: int = 512,
    ) -> None:
        self.store, self.config, self.batch_size, self.seed = store, config, batch_size, seed
        self.foreground_weight = foreground_weight
        episodes = store.split("train")
        self.rows = store.rows(episodes)
        generator, _ = keyed_generators("features background", seed)
        some = np.sort(generator.choice(self.rows, size=min(BACKGROUND_FRAMES, len(self.rows)), replace=False))
        self.background = store.normalized(some).median(dim=0).values
        held, self.prefix = held_out(store, 1)
        rows = store.rows(held)
        generator, _ = keyed_generators("features held out")
        self.held_rows = np.sort(generator.choice(rows, size=min(held_out_frames, len(rows)), replace=False))
        self.proprio = standardized_proprio(store)
        self.model = KeypointFeatures(config, torch.Generator().manual_seed(seed))
        self.decoder = KeypointDecoder(config, self.proprio.shape[1], torch.Generator().manual_seed(seed + 1))

    def modules(self) -> dict[str, nn.Module]:
        return {"features": self.model, "decoder": self.decoder}

    def describe(self) -> dict[str, Any]:
        return {
            "model": asdict(self.config),
            "data": origin(self.store),
            "foreground_weight": self.foreground_weight,
            "proprio_size": self.decoder.proprio_size,
        }

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        """`tokens` (B, L, C) and standardised `proprio` (B, P) of random training frames."""
        generator, _ = keyed_generators("features", self.seed, step, rank)
        rows = self.rows[generator.integers(len(self.rows), size=self.batch_size)]
        return {
            "tokens": self.store.normalized(rows),
            "proprio": self.proprio[rows],
            "rows": torch.from_numpy(rows),
        }

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        tokens = batch["tokens"]
        rebuilt = self.decoder(self.model(tokens), batch["proprio"]).float()
        unusual = (tokens - self.background.to(tokens.device)).square().mean(dim=2, keepdim=True)
        weights = 1.0 + self.foreground_weight * unusual
        error = (weights * (rebuilt - tokens).square()).mean()
        return error, {"explained": explained((rebuilt - tokens).detach(), unusual.sqrt())}

    def evaluate(self, step: int) -> dict[str, float]:
        """Share of the held-out tokens' squared distance from the background that is explained."""
        device = device_of(self.model)
        tokens, proprio = self.store.normalized(self.held_rows), self.proprio[self.held_rows]
        with exact(device):
            rebuilt = self.decoder(self.model(tokens.to(device)), proprio.to(device)).cpu()
        return {f"{self.prefix}explained": float(explained(rebuilt - tokens, tokens - self.background))}
