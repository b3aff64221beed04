"""A real, if plain, encoder for the tests of the data layer."""

from __future__ import annotations

import pytest
import torch


class PatchColours:
    """Each 14x14 patch's four quarters' mean colours: tokens (B, 64, 12) of a 112x112 frame."""

    name = "patch-colours"
    hash = "1234abcd"

    def __init__(self) -> None:
        self.frames = 0
        self.fails_after: int | None = None

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return height // 14, width // 14

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        if self.fails_after is not None and self.frames >= self.fails_after:
            raise KeyboardInterrupt
        self.frames += len(frames)
        batch, height, width, _ = frames.shape
        quarters = frames.float().div(255).reshape(batch, height // 7, 7, width // 7, 7, 3).mean((2, 4))
        patches = quarters.reshape(batch, height // 14, 2, width // 14, 2, 3).permute(0, 1, 3, 2, 4, 5)
        return patches.reshape(batch, (height // 14) * (width // 14), 12)


@pytest.fixture
def encoder() -> PatchColours:
    return PatchColours()
