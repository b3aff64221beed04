"""Tokens to images: a convolutional decoder without skip connections, for people and pixel observations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rla_gym.models.shapes import check_shape
from rla_gym.models.transformer import full_precision, zero


@dataclass(frozen=True)
class ImageDecoderConfig:
    """Sizes of the image decoder; the defaults are the released model."""

    in_channels: int = 1024
    """C, channels of the (standardised) encoder tokens."""
    channels: tuple[int, ...] = (1024, 512, 256, 128, 64)
    """Channels at the token grid, then after each doubling of the resolution."""
    grid_blocks: int = 2
    """Residual blocks at the token grid."""
    stage_blocks: tuple[int, ...] = (2, 2, 2, 2)
    """Residual blocks after each doubling."""
    head_block: bool = True
    """A last residual block at full resolution."""
    groups: int = 8
    """Groups of the group norms; must divide every entry of `channels`."""


class ResidualBlock(nn.Module):
    """conv, group norm, GELU, conv, group norm, plus the input, GELU."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) to the same shape."""
        hidden = F.gelu(self.norm1(self.conv1(x)))
        return F.gelu(x + self.norm2(self.conv2(hidden)))


class UpStage(nn.Module):
    """A transposed convolution that doubles the resolution, then residual blocks."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, groups: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
        self.resblock = nn.Sequential(*(ResidualBlock(out_channels, groups) for _ in range(blocks)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) to (B, out_channels, 2H, 2W)."""
        return self.resblock(self.upsample(x))


class ImageDecoder(nn.Module):
    """Decoder of patch tokens to RGB images (`DinoToImageDecoderV1` of the release).

    Raises:
        ValueError: `stage_blocks` does not name every doubling, or `groups` does not divide a channel count.
    """

    def __init__(self, config: ImageDecoderConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        channels, groups = config.channels, config.groups
        if len(config.stage_blocks) != len(channels) - 1:
            raise ValueError(
                f"stage_blocks has {len(config.stage_blocks)} entries, expected one for each doubling: "
                f"{len(channels) - 1}, since channels is {channels}"
            )
        if any(count % groups for count in channels):
            raise ValueError(f"channels {channels} must all be multiples of the {groups} groups of the group norms")
        self.config = config
        self.factor = 2 ** (len(channels) - 1)
        self.input_proj = nn.Sequential(
            nn.Conv2d(config.in_channels, channels[0], 3, padding=1),
            nn.GroupNorm(groups, channels[0]),
            nn.GELU(),
            *(ResidualBlock(channels[0], groups) for _ in range(config.grid_blocks)),
        )
        self.stages = [f"up{i + 1}" for i in range(len(channels) - 1)]
        for name, before, after, blocks in zip(
            self.stages, channels[:-1], channels[1:], config.stage_blocks, strict=True
        ):
            self.add_module(name, UpStage(before, after, blocks, groups))
        head = ResidualBlock(channels[-1], groups) if config.head_block else nn.Identity()
        self.out_conv = nn.Sequential(head, nn.Conv2d(channels[-1], 3, 3, padding=1))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None) -> None:
        """Convolutions Kaiming-uniform, as torch's own, with zero biases; the last one at zero."""
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_uniform_(part.weight, a=5**0.5, generator=generator)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
        zero(self.out_conv[1])

    def forward(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """Raw image (B, 3, factor·h, factor·w) float32, meant for [0, 1] but unclamped (for the loss).

        Args:
            tokens: (B, L, C) float32 with L = h·w patches in row order.
            grid: (h, w).

        Raises:
            ValueError: C differs from the configuration, or L from h·w.
        """
        height, width = grid
        check_shape("tokens", tokens, ("batch", height * width, self.config.in_channels))
        x = self.input_proj(tokens.transpose(1, 2).unflatten(2, (height, width)))
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return full_precision(self.out_conv(x))

    def image(self, tokens: torch.Tensor, grid: tuple[int, int], size: tuple[int, int] | None = None) -> torch.Tensor:
        """Image (B, 3, H, W) float32 in [0, 1] of tokens (B, L, C), bilinearly resized to `size` (H, W) if
        given.

        Patches of 14 pixels give frames that no power of two reaches: an 8 x 8 grid decodes to 128 x 128 and
            is then
        resized to 112 x 112.
        """
        raw = self(tokens, grid)
        if size is not None and tuple(raw.shape[2:]) != tuple(size):
            # In float64 where there is one: in float32 the last bit depends on the number of threads.
            wide = raw.double() if raw.device.type == "cpu" else raw
            raw = F.interpolate(wide, size=tuple(size), mode="bilinear", align_corners=False).float()
        return raw.clamp(0, 1)

    def frames(self, tokens: torch.Tensor, grid: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """Frames (B, H, W, 3) uint8 of tokens (B, L, C), see `image`; on the CPU a frame does not depend on B."""
        # Convolutions round by the size of their batch. One frame at a time costs the CPU next to nothing.
        parts = tokens.split(1 if tokens.device.type == "cpu" else len(tokens))
        with torch.inference_mode():
            images = torch.cat([self.image(part, grid, size) for part in parts])
            pixels = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
            return np.ascontiguousarray(pixels.cpu().numpy())
