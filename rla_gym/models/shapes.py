"""Shape checks for the public entry points of the models."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import torch

MOST = 1 << 15
"""Largest width, number of tokens or channels that a configuration may ask for."""
MOST_BLOCKS = 256


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


def check_sizes(config: Any, zero: tuple[str, ...] = ()) -> None:
    """A ValueError unless a configuration's whole numbers are sizes: 1 to `MOST`, 256 for blocks, 0 only for `zero`.

    Its other numbers must be finite and not negative.
    """
    for entry in fields(config):
        value = getattr(config, entry.name)
        most = MOST_BLOCKS if "blocks" in entry.name else MOST
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, bool) or not isinstance(each, int | float):
                continue
            if isinstance(each, float) and not (math.isfinite(each) and 0 <= each <= MOST):
                raise ValueError(f"{entry.name} is {each}, expected a finite number from 0 to {MOST}")
            least = 0 if entry.name in zero or "blocks" in entry.name else 1
            if isinstance(each, int) and not least <= each <= most:
                raise ValueError(f"{entry.name} is {value}, expected {least} to {most}")


def check_heads(heads: int, **widths: int) -> None:
    """A ValueError, with their names, for widths that are no multiple of the number of heads."""
    for name, width in widths.items():
        if width % heads:
            raise ValueError(f"{name} {width} is not a multiple of the number of heads {heads}")
