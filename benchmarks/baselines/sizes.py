"""Widths that give baselines as many parameters as RLA-WM has."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from rla_gym.models.autoencoder import RLAAutoencoder
from rla_gym.models.presets import ModelConfigs
from rla_gym.models.world_model import FlowWorldModel

TOLERANCE = 0.1
"""Largest relative difference of parameter counts in the comparison."""


def count(network: nn.Module) -> int:
    """Trained numbers of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def rla_wm_count(configs: ModelConfigs) -> int:
    """Parameters of RLA-WM: encoder and decoder of the autoencoder, and the flow."""
    with torch.device("meta"):
        return count(RLAAutoencoder(configs.autoencoder)) + count(FlowWorldModel(configs.flow))


def matched_width(build: Callable[[int], nn.Module], target: int, multiple: int = 8) -> int:
    """The width, a multiple of `multiple`, at which `build(width)` has nearest to `target` parameters.

    Args:
        build: makes the network; its size must grow with the width. Nothing is allocated.

    Raises:
        ValueError: no width comes within `TOLERANCE`.
    """

    def size(units: int) -> int:
        with torch.device("meta"):
            return count(build(units * multiple))

    high = 1
    while size(high) < target:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < target else (low, middle)
    best = min((units for units in (low, high) if units), key=lambda units: abs(size(units) - target))
    if abs(size(best) - target) > TOLERANCE * target:
        raise ValueError(
            f"at a width of {best * multiple} there are {size(best)} parameters, not within {TOLERANCE:.0%} of "
            f"{target}: take another number of blocks"
        )
    return best * multiple
