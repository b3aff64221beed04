"""Frames to the standardised tokens of a store, so that models of pixels are judged in tokens too."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rla_gym.data.tokens import TokenStore
from rla_gym.models.encoder import Encoder


class FrameTokens:
    """The way that recorded frames went when the store was made: encoder, precision, channel map, float16, statistics.

    Raises:
        ValueError: another encoder than the store's.
    """

    def __init__(self, encoder: Encoder, store: TokenStore) -> None:
        wanted = store.info["encoder"]
        if encoder.hash != wanted["hash"]:
            raise ValueError(
                f"the tokens of {store.path} were made by {wanted['name']} ({wanted['hash'][:12]}), this encoder is "
                f"{encoder.name} ({encoder.hash[:12]}): give the one that was used"
            )
        self.encoder, self.bf16 = encoder, store.info.get("precision") == "bf16"
        self.mean, self.std = torch.from_numpy(store.mean), torch.from_numpy(store.std)
        pca = store.pca
        self.center = None if pca is None else torch.from_numpy(pca.mean)
        self.components = None if pca is None else torch.from_numpy(pca.components)

    def __call__(self, frames: Tensor | np.ndarray) -> Tensor:
        """Tokens (B, L, C) float32 of frames (B, H, W, 3) uint8, on the frames' device."""
        given = torch.as_tensor(frames)
        device = given.device
        self.encoder.to(device)
        # Measured: fewer at a time are no slower on a CPU, and the memory stays small.
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            tokens = torch.cat([self.encoder.encode(part) for part in given.split(32)]).float()
        with torch.autocast(device.type, enabled=False):  # as the truth is encoded, whatever the model runs in
            if self.center is not None and self.components is not None:
                tokens = F.linear(tokens - self.center.to(device), self.components.to(device))
        return (tokens.half().float() - self.mean.to(device)) / self.std.to(device)
