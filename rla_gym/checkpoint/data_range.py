"""The range of values that a world model was trained on: dreams are kept in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from rla_gym.checkpoint.bundle import Bundle
    from rla_gym.data.tokens import TokenStore

RANGES = ("token_low", "token_high", "proprio_low", "proprio_high")
"""Statistics of a checkpoint: (C,) and (P,) float32 in the units of the token store, before standardisation."""
MARGIN = 1.0
"""How far beyond its references dreams may go where a checkpoint holds no range, in widths of theirs: references are
some dozens of the episodes that were trained on."""
ROWS = 4096
"""Frames of a token store that are read at a time."""


def store_range(store: TokenStore) -> dict[str, Any]:
    """`RANGES` over all training episodes of a token store."""
    rows = store.rows(store.split("train"))
    parts = [store.tokens[rows[at : at + ROWS]] for at in range(0, len(rows), ROWS)]
    return _as_range(
        np.min([part.min(axis=(0, 1)) for part in parts], axis=0),
        np.max([part.max(axis=(0, 1)) for part in parts], axis=0),
        store.proprio[rows],
    )


def reference_range(bundle: Bundle) -> dict[str, Tensor]:
    """`RANGES` of a checkpoint that holds none: those of its references, wider by `MARGIN` on either side."""
    tokens, proprio = bundle.references.tokens, bundle.references.proprio
    low, high = tokens.amin(dim=(0, 1)).float(), tokens.amax(dim=(0, 1)).float()
    wide = MARGIN * torch.maximum(high - low, bundle.std)
    ranges = {"token_low": low - wide, "token_high": high + wide}
    if not bundle.config.proprio_size:
        return ranges | dict.fromkeys(("proprio_low", "proprio_high"), proprio.new_zeros(0))
    low, high = proprio.amin(dim=0).float(), proprio.amax(dim=0).float()
    wide = MARGIN * torch.maximum(high - low, bundle.proprio_std)
    return ranges | {"proprio_low": low - wide, "proprio_high": high + wide}


def check_range(bundle: Bundle) -> None:
    """A ValueError unless the bundle's range has its shapes, and finite bounds in order."""
    for kind, size in (("token", len(bundle.mean)), ("proprio", bundle.config.proprio_size)):
        low, high = getattr(bundle, f"{kind}_low"), getattr(bundle, f"{kind}_high")
        fits = low.shape == high.shape == (size,)
        inside = fits and (low.is_meta or bool((low <= high).all() & low.isfinite().all() & high.isfinite().all()))
        if not inside:
            raise ValueError(
                f"checkpoint {bundle.config.name!r}: {kind}_low and {kind}_high are no range of {size} values: export "
                "or fetch it again"
            )


def _as_range(low: Any, high: Any, proprio: np.ndarray) -> dict[str, Tensor]:
    values = (low, high, proprio.min(axis=0), proprio.max(axis=0))
    return {name: torch.from_numpy(np.array(value, np.float32)) for name, value in zip(RANGES, values, strict=True)}
