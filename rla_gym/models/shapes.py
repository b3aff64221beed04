"""Shape checks for the public entry points of the models."""

from __future__ import annotations

import torch


def check_shape(name: str, tensor: torch.Tensor, expected: tuple[int | str, ...]) -> None:
    """Raise ValueError unless `tensor` has the shape `expected`, where a string names an axis of any size."""
    shape = tuple(tensor.shape)
    matches = len(shape) == len(expected) and all(
        isinstance(want, str) or want == size for want, size in zip(expected, shape, strict=True)
    )
    if not matches:
        wanted = ", ".join(str(size) for size in expected)
        raise ValueError(f"{name} has shape {shape}, expected ({wanted})")


def check_position_count(name: str, tensor: torch.Tensor, position: torch.Tensor | None) -> None:
    """Raise ValueError unless `tensor` (B, L, ...) has as many patches as `position` (L, width)."""
    if position is not None and tensor.shape[1] != position.shape[0]:
        raise ValueError(
            f"{name} has {tensor.shape[1]} patches, but the model's position embedding was built for "
            f"{position.shape[0]}: encode frames at the size of the training data"
        )
