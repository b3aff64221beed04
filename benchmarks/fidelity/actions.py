"""What is done from a start: the recorded actions, and six other things that nobody recorded there.

A world model that is only right on what was recorded is no simulator; agents break it.
"""

from __future__ import annotations

import numpy as np

from benchmarks.fidelity.handles import HandleList, places_of
from rla_gym.data import TokenStore
from rla_gym.data.sampling import scale_actions
from rla_gym.tasks.smooth_noise import SmoothNoise

STRENGTHS = (0.25, 0.5, 1.0)
"""Standard deviations of the smooth noise on recorded actions, in units of the action bounds."""
RANDOM = 0.7
"""The same of actions that are smooth noise alone."""
RECORDED, AGENT = "recorded", "agent"
KINDS = (RECORDED, *(f"perturbed-{strength:g}" for strength in STRENGTHS), "other", "random", "still")
"""Kinds of actions; "agent" comes besides where an agent is given (`benchmarks.fidelity.agent`)."""


def actions_of(
    store: TokenStore, handles: HandleList, kind: str, given: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Actions of a kind from every start.

    Each handle draws from a generator of its own, whatever else is in the list, and the same noise at all strengths.

    Args:
        given: (H, n, K, A) an agent's chunks, for the kind "agent".

    Returns:
        Chunks (H, n, K, A) float32 in [-1, 1], and the number (H,) of chunks that there are: recorded actions end with
        their episode, and what is behind them is zero.

    Raises:
        ValueError: an unknown kind.
    """
    count, length = len(handles), handles.chunks * handles.chunk
    shape = (count, handles.chunks, handles.chunk, store.actions.shape[1])
    full = np.full(count, handles.chunks)
    if kind == AGENT and given is not None:
        return given.astype(np.float32), full
    if kind not in KINDS:
        raise ValueError(f"no actions of kind {kind!r}; there are {', '.join(KINDS)}")
    if kind == "still":
        return np.zeros(shape, np.float32), full
    noise = np.stack([_noise(handles, index, length, shape[-1]) for index in range(count)])
    if kind == "random":
        return np.clip(RANDOM * noise, -1, 1).reshape(shape).astype(np.float32), full
    rows = store.starts[places_of(store, handles.others)] if kind == "other" else handles.rows(store)
    actions, steps = _recorded(store, rows, length)
    if kind.startswith("perturbed"):
        actions = np.clip(actions + float(kind.partition("-")[2]) * noise, -1, 1)
        actions[np.arange(length) >= steps[:, None]] = 0
    return actions.reshape(shape).astype(np.float32), steps // handles.chunk


def _recorded(store: TokenStore, rows: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Scaled actions (H, length, A) that follow each row, zero past the episode's end, and how many there are (H,)."""
    episodes = store.episode_of(rows)
    left = store.starts[episodes] + store.lengths[episodes] - 1 - rows
    steps = np.arange(length)
    taken = store.actions[np.minimum(rows[:, None] + steps, len(store) - 1)]
    scaled = scale_actions(taken, store.info["spec"])
    return np.where((steps < left[:, None])[..., None], scaled, np.float32(0.0)), np.minimum(left, length)


def _noise(handles: HandleList, index: int, length: int, width: int) -> np.ndarray:
    rng = np.random.default_rng([handles.seed, 43, handles.episodes[index], handles.frames[index]])
    process = SmoothNoise(width, 1.0, rng)
    return np.stack([process() for _ in range(length)])
