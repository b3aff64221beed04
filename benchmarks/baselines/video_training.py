"""Trains video diffusion on recorded frames."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.baselines.chunk_training import ChunkOptions, ChunkTraining
from benchmarks.baselines.frame_tokens import FrameTokens
from benchmarks.baselines.held_out import HeldOut
from benchmarks.baselines.recorded import Recorded
from benchmarks.baselines.video_diffusion import TIMES, VideoConfig, VideoDiffusion, VideoNetwork, noise_schedule
from rla_gym.models.encoder import Encoder

HIGHEST_WEIGHT = 5.0
"""Of nearly clean frames, from which little is to be learnt."""


class VideoTraining(ChunkTraining):
    """A `Trainable`: squared error of the frames K actions ahead, given the present ones, at uniform times.

    Weighted by 1 / (1 - α), cut off at `HIGHEST_WEIGHT`: that of the squared error of v (Salimans and Ho 2022), which
    counts times of much noise less.

    Frames are read from the data set as they are needed. There is no feedback: a frame costs too many evaluations.

    Args:
        recorded: the episodes, with their data set.
        options: how chunks are drawn; its feedback is not used.
        config: of the network.
        encoder: the one that made the tokens, for the held-out measurement.
        batch_size, seed: see `ChunkTraining`.
        starts, longest: held-out starts and chunks; fewer than of other models, each drawn frame being dear.
        steps: evaluations of the U-Net for one frame in the held-out measurement.
    """

    def __init__(
        self,
        recorded: Recorded,
        options: ChunkOptions,
        config: VideoConfig,
        encoder: Encoder,
        batch_size: int,
        seed: int,
        starts: int = 16,
        longest: int = 6,
        steps: int = 16,
    ) -> None:
        super().__init__(recorded, replace(options, feedback=0.0), batch_size, seed)
        recorded.frames(recorded.store.starts[:1])  # tells at once where there are no frames
        self.config, self.steps, self.schedule = config, steps, noise_schedule()
        self.network = VideoNetwork(config, torch.Generator().manual_seed(seed))
        self.tokenizer = FrameTokens(encoder, recorded.store)
        self.held_out = HeldOut(recorded, options.chunk, starts, longest)

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.network}

    def describe(self) -> dict[str, Any]:
        return {**self.description(), "model": asdict(self.config)}

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        """`frames` and `next_frames` (B, H, W, 3) uint8, `times` (B,) int64 and `noise`, beside `drawn`'s."""
        batch, noises = self.drawn("video diffusion", step, rank)
        rows = batch["rows"].numpy()
        frames = torch.from_numpy(self.recorded.frames(np.concatenate([rows[:, 0], rows[:, 1]])))
        size, shape = self.batch_size, (self.config.channels, *self.config.grid)
        drawn = {
            "frames": frames[:size],
            "next_frames": frames[size:],
            "times": torch.randint(TIMES, (size,), generator=noises),
            "noise": torch.randn(size, *shape, generator=noises),
        }
        return {**batch, **drawn}

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        network, times, noise = self.network, batch["times"], batch["noise"]
        later = network.to_channels(batch["next_frames"])
        vector, felt = network.condition(batch["chunks"], batch["lengths"], batch.get("proprio"))
        noisy = self.schedule.add_noise(later, noise, times)
        predicted = network(noisy, network.to_channels(batch["frames"]), times, vector)
        alphas = self.schedule.alphas_cumprod.to(times.device)[times]
        weights = (1 / (1 - alphas)).clamp(max=HIGHEST_WEIGHT)
        loss = (weights * (predicted - later).square().flatten(1).mean(dim=1)).mean()
        parts = {"frames": loss.detach()}
        if felt is not None:
            error = F.mse_loss(felt.float(), batch["next_proprio"])
            loss, parts["proprio"] = loss + error, error.detach()
        return loss, parts

    def evaluate(self, step: int) -> dict[str, float]:
        """See `HeldOut.measure`, of one sample a start."""
        return self.held_out.measure(VideoDiffusion(self.network, self.tokenizer, self.steps))
