"""Trains the decoder of tokens to images, for people and for pixel observations."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rla_gym.data.episodes import EpisodeDataset
from rla_gym.data.tokens import TokenStore
from rla_gym.models.image_decoder import ImageDecoder, ImageDecoderConfig
from rla_gym.training.batches import device_of, exact, held_out, keyed_generators, origin
from rla_gym.training.frames import check_same_data, read_frames, some_rows
from rla_gym.training.metrics import psnr, ssim_map

BACKGROUND_FRAMES = 128


class ImageDecoderTraining:
    """A `Trainable`: L1 + (1 - SSIM) between decoded tokens and recorded frames.

    Frames are kept in memory, `max_frames` of them drawn over all training episodes (38 kB each at 112 pixels).

    Args:
        store: tokens of the episodes.
        dataset: the same episodes' frames.
        config: of the image decoder; its weights start from `seed`.
        batch_size: frames of one process in one step.
        ssim_weight: weight of 1 - SSIM beside L1 (0.2 in the release, with LPIPS on top, which needs a download).
        foreground_weight: weight of pixels that differ from the data set's median frame, against 1 for the others
            (ours; 1 in the release). Small objects cover few pixels and come out blurred otherwise. The median is that
            of all episodes: in one episode's own an object that is not yet touched would be background.
        max_frames: training frames kept in memory.
        held_out_frames: frames measured.
    """

    def __init__(
        self,
        store: TokenStore,
        dataset: EpisodeDataset,
        config: ImageDecoderConfig,
        batch_size: int,
        seed: int,
        ssim_weight: float = 0.2,
        foreground_weight: float = 5.0,
        max_frames: int = 8192,
        held_out_frames: int = 128,
    ) -> None:
        check_same_data(store, dataset)
        if foreground_weight < 1:
            raise ValueError(f"foreground_weight={foreground_weight}: expected at least 1, the background's weight")
        self.store, self.config, self.batch_size, self.seed = store, config, batch_size, seed
        self.ssim_weight, self.foreground_weight, self.max_frames = ssim_weight, foreground_weight, max_frames
        generator, _ = keyed_generators("image decoder frames", seed)
        self.rows = some_rows(store, store.split("train"), max_frames, generator)
        self.frames = read_frames(store, dataset, self.rows)
        episodes, self.prefix = held_out(store, 1)
        generator, _ = keyed_generators("image decoder held out")
        self.held_rows = some_rows(store, episodes, held_out_frames, generator)
        self.held_frames = read_frames(store, dataset, self.held_rows)
        chosen = np.linspace(0, len(self.frames) - 1, min(BACKGROUND_FRAMES, len(self.frames))).astype(np.int64)
        self.background = _images(self.frames[chosen]).median(dim=0).values
        self.model = ImageDecoder(config, torch.Generator().manual_seed(seed))

    def modules(self) -> dict[str, nn.Module]:
        return {"image_decoder": self.model}

    def describe(self) -> dict[str, Any]:
        return {
            "model": asdict(self.config),
            "data": origin(self.store),
            "options": {
                "ssim_weight": self.ssim_weight,
                "foreground_weight": self.foreground_weight,
                "max_frames": self.max_frames,
            },
        }

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        """`tokens` (B, L, C) and `frames` (B, H, W, 3) uint8."""
        generator, _ = keyed_generators("image decoder", self.seed, step, rank)
        chosen = generator.integers(len(self.rows), size=self.batch_size)
        rows = self.rows[chosen]
        return {
            "tokens": self.store.normalized(rows),
            "frames": torch.from_numpy(self.frames[chosen]),
            "rows": torch.from_numpy(rows),
        }

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        true = _images(batch["frames"])
        predicted = self._decode(batch["tokens"])
        with torch.autocast(true.device.type, enabled=False):
            weights = self.pixel_weights(true)
            l1 = (weights * (predicted - true).abs()).mean()
            ssim = (weights * ssim_map(predicted, true)).mean()
        return l1 + self.ssim_weight * (1 - ssim), {"l1": l1.detach(), "ssim": ssim.detach()}

    def pixel_weights(self, images: Tensor) -> Tensor:
        """Weights (B, 1, H, W) of mean 1 for images (B, 3, H, W) in [0, 1]."""
        change = (images - self.background.to(images.device)).abs().amax(dim=1, keepdim=True)
        # 0.1 is well above the noise of a compressed frame; the dilation takes in the objects' edges.
        change = F.max_pool2d((change / 0.1).clamp(max=1.0), 5, stride=1, padding=2)
        weights = 1.0 + (self.foreground_weight - 1.0) * change
        return weights / weights.mean()

    def evaluate(self, step: int) -> dict[str, float]:
        """PSNR (dB), SSIM, L1 (of values in [0, 1]), and L1 weighted to the foreground."""
        device = device_of(self.model)
        true = _images(self.held_frames)
        with exact(device):
            pieces = [
                self._decode(self.store.normalized(rows).to(device)).clamp(0, 1).cpu()
                for rows in np.array_split(self.held_rows, max(1, len(self.held_rows) // 32))
            ]
        predicted = torch.cat(pieces)
        error = (predicted - true).abs()
        return {
            f"{self.prefix}psnr": psnr(predicted, true),
            f"{self.prefix}ssim": float(ssim_map(predicted, true).mean()),
            f"{self.prefix}l1": float(error.mean()),
            f"{self.prefix}l1_foreground": float((self.pixel_weights(true) * error).mean()),
        }

    def _decode(self, tokens: Tensor) -> Tensor:
        """Images (B, 3, H, W) of the frames' size, not clamped: a clamp would stop gradients."""
        raw = self.model(tokens, self.store.grid)
        size = self.frames.shape[1:3]
        if tuple(raw.shape[2:]) != size:
            raw = F.interpolate(raw, size=size, mode="bilinear", align_corners=False)
        return raw.float()


def _images(frames: np.ndarray | Tensor) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [0, 1]."""
    return torch.as_tensor(frames).permute(0, 3, 1, 2).float() / 255.0
