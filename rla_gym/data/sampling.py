"""Random rows of a token store for training: stateless, vectorised, never across an episode's end."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rla_gym.data.tokens import TokenStore


def sample_pairs(
    store: TokenStore,
    episodes: np.ndarray,
    batch: int,
    generator: np.random.Generator,
    max_horizon: int,
    min_horizon: int = 1,
    moving_share: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw pairs of rows of one episode, `horizon` control steps apart.

    The first row is uniform over all rows with at least `min_horizon` steps left in their episode, the
    horizon uniform in [min_horizon, max_horizon], cut to the steps left.

    Args:
        episodes: (n,) ids to draw from.
        moving_share: this share of first rows comes from the half of the rows with the most motion
            (`TokenStore.motion`).

    Returns:
        rows_t, rows_th, horizons, each (batch,) int64, rows_th = rows_t + horizons.

    Raises:
        ValueError: a range that is empty, or no episode that is long enough.
    """
    if not 1 <= min_horizon <= max_horizon:
        raise ValueError(f"horizons {min_horizon} to {max_horizon}: expected 1 <= min_horizon <= max_horizon")
    rows = _sample_rows(store, episodes, batch, generator, min_horizon, moving_share)
    episode = store.episode_of(rows)
    left = store.starts[episode] + store.lengths[episode] - 1 - rows
    horizons = generator.integers(min_horizon, np.minimum(max_horizon, left), endpoint=True)
    return rows, rows + horizons, horizons


def sample_chunks(
    store: TokenStore,
    episodes: np.ndarray,
    batch: int,
    generator: np.random.Generator,
    length: int,
    count: int = 1,
    moving_share: float = 0.0,
) -> np.ndarray:
    """Draw first rows that `count` chunks of `length` actions fit behind: (batch,) int64.

    Row r, r + length, ..., r + count * length are then all frames of one episode. `moving_share` as in
    `sample_pairs`.

    Raises:
        ValueError: no episode is long enough.
    """
    if length < 1 or count < 1:
        raise ValueError(f"length={length} and count={count} must be at least 1")
    return _sample_rows(store, episodes, batch, generator, length * count, moving_share)


def chunk_actions(store: TokenStore, rows: np.ndarray, length: int, lengths: np.ndarray | None = None) -> np.ndarray:
    """The actions that follow each row, scaled to [-1, 1] by the task's bounds.

    Args:
        rows: (B,) first rows.
        length: K, the width of the chunks.
        lengths: (B,) actions to take of each, 1 to K; the rest is zero. None: all K.

    Returns:
        (B, K, A) float32.

    Raises:
        ValueError: the store has no actions, lengths out of range, or a chunk that runs over its episode's
            end.
    """
    rows = np.asarray(rows, np.int64)
    lengths = np.full(len(rows), length, np.int64) if lengths is None else np.asarray(lengths, np.int64)
    if not store.actions.shape[1]:
        raise ValueError(f"the episodes of {store.path} were recorded without actions")
    if len(rows) and not (lengths.min() >= 1 and lengths.max() <= length):
        raise ValueError(f"lengths run from {lengths.min()} to {lengths.max()}, expected 1 to {length}")
    episode = store.episode_of(rows)
    over = rows + lengths > store.starts[episode] + store.lengths[episode] - 1
    if over.any():
        first = int(np.flatnonzero(over)[0])
        raise ValueError(
            f"{lengths[first]} actions from row {rows[first]} run over the end of episode {episode[first]} "
            f"({store.lengths[episode[first]]} frames from row {store.starts[episode[first]]}): draw rows "
            "with sample_chunks or sample_pairs"
        )
    steps = np.arange(length)
    taken = store.actions[np.minimum(rows[:, None] + steps, len(store) - 1)]
    scaled = scale_actions(taken, store.info["spec"])
    return np.where((steps < lengths[:, None])[..., None], scaled, np.float32(0.0))


def scale_actions(actions: np.ndarray, spec: dict[str, list[float]]) -> np.ndarray:
    """Actions (..., A) from the bounds of `spec` to [-1, 1], float32; a bound of no width gives 0."""
    low, high = np.asarray(spec["action_low"], np.float32), np.asarray(spec["action_high"], np.float32)
    width = high - low
    safe = np.where(width > 0, width, np.float32(1.0))
    scaled: np.ndarray = np.where(width > 0, 2 * (actions - low) / safe - 1, 0.0).astype(np.float32)
    return scaled


@dataclass(frozen=True)
class _Rows:
    """Rows of some episodes with enough steps left, counted through; they do not change from batch to batch."""

    first: np.ndarray
    """(n,) first row of each episode."""
    ends: np.ndarray
    """(n,) how many such rows there are up to the end of each episode."""
    moving: np.ndarray | None
    """The half of them with the most motion; None where nobody asked."""

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        which = np.searchsorted(self.ends, places, side="right")
        before = np.concatenate([[0], self.ends[:-1]])
        found: np.ndarray = self.first[which] + places - before[which]
        return found


def _rows(store: TokenStore, episodes: np.ndarray, steps: int, moving: bool) -> _Rows:
    """The rows of `episodes` with at least `steps` steps left, remembered with the store."""
    key = (steps, moving, episodes.tobytes())
    if key not in store.remembered:
        counts = np.maximum(store.lengths[episodes] - steps, 0)
        rows = _Rows(store.starts[episodes], np.cumsum(counts), None)
        if moving and len(rows):
            feasible = rows[np.arange(len(rows))]
            motion = store.motion[feasible]
            rows = replace(rows, moving=feasible[motion >= np.median(motion)])
        store.remembered[key] = rows
    found: _Rows = store.remembered[key]
    return found


def _sample_rows(
    store: TokenStore,
    episodes: np.ndarray,
    batch: int,
    generator: np.random.Generator,
    steps: int,
    moving_share: float,
) -> np.ndarray:
    """Uniform rows of the episodes with at least `steps` steps left."""
    episodes = np.asarray(episodes, np.int64)
    rows = _rows(store, episodes, steps, moving_share > 0)
    if not len(rows):
        longest = int(store.lengths[episodes].max()) if len(episodes) else 0
        raise ValueError(
            f"none of the {len(episodes)} episodes has more than {steps} frames (longest: {longest}): record "
            "longer episodes, ask for shorter chunks, or use a part that is not empty"
        )
    drawn = rows[generator.integers(len(rows), size=batch)]
    if rows.moving is not None:
        replaced = generator.random(batch) < moving_share
        drawn = np.where(replaced, rows.moving[generator.integers(len(rows.moving), size=batch)], drawn)
    return drawn
