"""A checkpoint's tensors by the part that they belong to, and its statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rla_gym.checkpoint.bundle import BundleConfig
from rla_gym.checkpoint.data_range import RANGES
from rla_gym.utils.tensors import check_fit

STATISTICS = ("mean", "std", "proprio_mean", "proprio_std")
OPTIONAL_STATISTICS = ("pca_mean", "pca_components", "object_weights", *RANGES)


def by_part(
    tensors: Mapping[str, Tensor], parts: Sequence[str], place: Path, advice: str
) -> dict[str, dict[str, Tensor]]:
    """Tensors by the first part of their names, which must be one of `parts`."""
    found: dict[str, dict[str, Tensor]] = {part: {} for part in parts}
    extra = []
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part in found:
            found[part][rest] = tensor
        else:
            extra.append(name)
    if extra:
        raise ValueError(
            f"{place} has tensors of no part in the configuration: {', '.join(sorted(extra)[:5])}; {advice}"
        )
    return found


def statistics_of(found: Mapping[str, Tensor], config: BundleConfig, place: Path, advice: str) -> dict[str, Any]:
    """Statistics by name in float32, of the sizes that the configuration says; standard deviations are positive."""
    channels, proprio = config.autoencoder.channels, config.proprio_size
    shapes: dict[str, tuple[int, ...]] = {
        "mean": (channels,),
        "std": (channels,),
        "proprio_mean": (proprio,),
        "proprio_std": (proprio,),
        "object_weights": (config.features.size,),
    }
    if "pca_components" in found or "pca_mean" in found:
        shapes["pca_mean"] = tuple(found["pca_mean"].shape[:1]) if "pca_mean" in found else (-1,)
        shapes["pca_components"] = (channels, *shapes["pca_mean"])
    if not proprio:  # a store's statistics, which a model without proprioception has no use for
        for name in ("proprio_mean", "proprio_std"):
            shapes[name] = tuple(found[name].shape[:1]) if name in found else (0,)
    shapes |= {name: tuple(found[name].shape) for name in RANGES if name in found}  # the bundle looks at them
    wanted = {
        name: torch.empty(shape, device="meta")
        for name, shape in shapes.items()
        if name in found or name not in OPTIONAL_STATISTICS or name.startswith("pca")
    }
    check_fit(wanted, found, place, advice, "stats.")
    for name in ("std", "proprio_std"):
        if not bool((found[name] > 0).all()):
            raise ValueError(
                f"{place}: 'stats.{name}' has an entry of 0 or less, by which nothing can be divided; {advice}"
            )
    names = (*STATISTICS, *OPTIONAL_STATISTICS)
    return {name: found[name].float() if name in found else None for name in names}
