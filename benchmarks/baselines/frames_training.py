"""Trains DINO-WM's original form: recorded windows of frames, teacher forcing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.baselines.dino_wm_frames import DinoWMFrames, FramesConfig, FramesNetwork
from benchmarks.baselines.held_out import HeldOut
from benchmarks.baselines.recorded import Recorded
from rla_gym.data.sampling import sample_chunks
from rla_gym.models.autoencoder import autoencoder_loss
from rla_gym.training.batches import keyed_generators, origin


class FramesTraining:
    """A `Trainable`: each of H recorded frames predicts the one after it, L1 + MSE, moving patches weighted.

    Windows reach back over an episode's start as they do when a rollout begins there: the first frame stands still,
    with actions of zero. Predictions of such frames are not counted.

    Args:
        recorded: the episodes; only training episodes are trained on.
        config: of the network.
        batch_size, seed: windows of one process in one step; of first weights and batches.
        chunk: K, for the held-out measurement.
        moving_share: share of present frames drawn from the half with the most motion.
        moving_weight: weight of patches that move.
        starts: held-out starts.
    """

    def __init__(
        self,
        recorded: Recorded,
        config: FramesConfig,
        batch_size: int,
        seed: int,
        chunk: int,
        moving_share: float = 0.5,
        moving_weight: float = 4.0,
        starts: int = 128,
    ) -> None:
        self.recorded, self.config, self.batch_size, self.seed = recorded, config, batch_size, seed
        self.moving_share, self.moving_weight = moving_share, moving_weight
        self.episodes = recorded.store.split("train")
        self.network = FramesNetwork(config, torch.Generator().manual_seed(seed))
        self.held_out = HeldOut(recorded, chunk, starts)

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.network}

    def describe(self) -> dict[str, Any]:
        return {
            "model": asdict(self.config),
            "data": origin(self.recorded.store),
            "moving": [self.moving_share, self.moving_weight],
        }

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        """`tokens` (B, H + 1, L, C), `proprio` (B, H + 1, P), `actions` (B, H, A), `recorded` (B, H) bool."""
        recorded = self.recorded
        generator, _ = keyed_generators("dino-wm frames", self.seed, step, rank)
        present = sample_chunks(
            recorded.store, self.episodes, self.batch_size, generator, 1, moving_share=self.moving_share
        )
        rows, there = recorded.before(present + 1, self.config.history)
        window = np.concatenate([rows, present[:, None] + 1], axis=1)
        batch = {
            "tokens": recorded.tokens(window),
            "actions": recorded.actions(rows, there),
            "recorded": torch.from_numpy(there),
            "rows": torch.from_numpy(window),
        }
        if recorded.proprio is not None:
            batch["proprio"] = recorded.proprio[window]
        return batch

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        tokens, proprio, counted = batch["tokens"], batch.get("proprio"), batch["recorded"]
        given = None if proprio is None else proprio[:, :-1]
        predicted, felt = self.network(tokens[:, :-1], batch["actions"], given)
        loss = autoencoder_loss(
            predicted[counted], tokens[:, :-1][counted], tokens[:, 1:][counted], moving_weight=self.moving_weight
        )
        parts = {"tokens": loss.detach()}
        if proprio is not None and felt is not None:
            error = F.mse_loss(felt.float()[counted], proprio[:, 1:][counted])
            loss, parts["proprio"] = loss + error, error.detach()
        return loss, parts

    def evaluate(self, step: int) -> dict[str, float]:
        """See `HeldOut.measure`: whole chunks, predictions fed back."""
        return self.held_out.measure(DinoWMFrames(self.network))
