"""(a) and (b): how well the later of two frames comes back, by size, horizon and whether its things were ever seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from benchmarks.fidelity.probe import Reader
from benchmarks.fidelity.tokens import motion_threshold, point_errors
from benchmarks.properties.compression import BLOCK, Compressor
from rla_gym.data import TokenStore
from rla_gym.data.sampling import sample_chunks
from rla_gym.utils.statistics import Clusters, ratio_of_means

Errors = dict[str, np.ndarray]
"""By measure, a number a pair (P,)."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of frames, `horizon` control steps apart.

    Attributes:
        rows: (P,) rows of the first frames in `store`.
        threshold: see `motion_threshold`.
    """

    store: TokenStore
    rows: np.ndarray
    horizon: int
    threshold: float

    @property
    def episodes(self) -> np.ndarray:
        """(P,) episode of each."""
        return self.store.episode_of(self.rows)

    def blocks(self) -> list[tuple[np.ndarray, Tensor, Tensor]]:
        """Rows of the later frames, and tokens (B, L, C) of the first and the later ones, in blocks."""
        parts = np.split(self.rows, range(BLOCK, len(self.rows), BLOCK))
        return [
            (rows + self.horizon, self.store.normalized(rows), self.store.normalized(rows + self.horizon))
            for rows in parts
        ]


def draw_pairs(
    store: TokenStore, episodes: np.ndarray, horizons: Sequence[int], count: int, seed: int
) -> dict[int, Pairs]:
    """`count` random pairs of these episodes at each horizon that they are long enough for."""
    found = {}
    for horizon in horizons:
        if int(store.lengths[episodes].max()) > horizon:
            rows = sample_chunks(store, episodes, count, np.random.default_rng([seed, 59, horizon]), horizon)
            found[horizon] = Pairs(store, rows, horizon, motion_threshold(store, horizon, seed))
    return found


def pair_errors(compress: Compressor, pairs: Pairs, reader: Reader | None) -> Errors:
    """Errors of each pair: those of `point_errors`, their squares, and what the probe reads.

    Args:
        reader: None where the probe was not trained on such things.
    """
    parts: list[Errors] = []
    for later_rows, tokens, later in pairs.blocks():
        found = compress(tokens, later)
        moving = (later - tokens).norm(dim=-1) > pairs.threshold
        errors = {name: values.numpy() for name, values in point_errors(found, later, tokens, moving).items()}
        errors |= {f"{place}_square": errors[f"{place}_l2"] ** 2 for place in ("tokens", "moving")}
        if reader is not None:
            true = reader.truth(pairs.store.objects[later_rows], pairs.store.proprio[later_rows])
            errors |= reader.errors(reader.read(found), true)
        parts.append(errors)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def nothing(tokens: Tensor, later: Tensor) -> Tensor:
    """Persistence: no number at all."""
    return tokens


def everything(tokens: Tensor, later: Tensor) -> Tensor:
    """The later frame itself."""
    return later


def compared(
    found: Sequence[Errors], still: Errors, pairs: Pairs, draws: int, seed: int
) -> dict[str, list[float] | None]:
    """Means over pairs with 95 % intervals by resampling episodes (and trainings): of the measures of readings as they
    are, and of errors in tokens over those of `still`; "tokens_square" is then one less R².

    Args:
        found: of each training.
    """
    clusters = Clusters(pairs.episodes, seed, draws)
    result = {}
    for name in found[0]:
        values = np.stack([errors[name] for errors in found])
        if not name.endswith("_motion"):
            over = still[name][None] if name.startswith(("tokens_", "moving_")) else None
            result[name] = ratio_of_means(values, over, clusters)
    return result
