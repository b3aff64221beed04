"""A student encoder: a small transformer that gives a larger encoder's tokens, at a part of its cost."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rla_gym.models.encoder import IMAGENET_MEAN, IMAGENET_STD, Encoder, EncoderConfig

BACKBONE = "vit_tiny_patch16_224"
"""timm's ViT-tiny: width 192, 3 heads. Its patches are replaced by the teacher's."""


@dataclass(frozen=True)
class StudentConfig:
    """Sizes of a student.

    Attributes:
        frame_size: ``(height, width)`` of the frames in pixels.
        grid: rows and columns of the teacher's patches, which are the student's as well.
        channels: of the teacher's tokens as the student learns them (after a PCA, where there is one).
        teacher: the teacher's name.
        lesson: one line that says what exactly was learnt from.
        blocks: transformer blocks.
    """

    frame_size: tuple[int, int]
    grid: tuple[int, int]
    channels: int
    teacher: str
    lesson: str
    blocks: int = 4


def make_student(config: StudentConfig, seed: int) -> Encoder:
    """An untrained student whose weights, all trainable, depend on ``seed`` alone.

    After its blocks come a LayerNorm without parameters and a linear map to the teacher's channels.

    Raises:
        ValueError: a grid whose patches are not square and whole.
    """
    (height, width), (rows, columns) = config.frame_size, config.grid
    patch = height // rows
    if (patch * rows, patch * columns) != (height, width):
        raise ValueError(
            f"a grid of {rows}x{columns} does not cut frames of {height}x{width} into square patches of whole pixels, "
            "which a student needs: distil another encoder, or frames of another size"
        )
    name = f"vit_tiny_patch{patch}@{config.blocks}"
    description = (
        f"{name} (timm, width 192) with a linear head to {config.channels} channels, distilled from the standardised "
        f"tokens of {config.teacher} ({config.lesson})"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = Encoder(
            EncoderConfig(
                BACKBONE,
                config.frame_size,
                layer=config.blocks,
                description=description,
                patch=patch,
                channels=config.channels,
                alias=f"{name} distilled from {config.teacher}",
                # Trained from nothing, it has no statistics of its own; these are most teachers'.
                mean=IMAGENET_MEAN,
                std=IMAGENET_STD,
            )
        )
    return student.requires_grad_(True)
