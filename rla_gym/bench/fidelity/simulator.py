"""How far dreams are from the simulator, in millimetres, on recorded and on counterfactual actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rla_gym.bench.fidelity.probe import MILLIMETRES, StateProbe, pairs_of, probe_floor, state_values
from rla_gym.bench.fidelity.starts import KINDS, Handles, make_handles
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data.tokens import TokenStore
from rla_gym.dream.dream import Dream
from rla_gym.tasks import Task
from rla_gym.utils.progress import tracked
from rla_gym.utils.statistics import BOUNDS, resampled

MOVED = 0.005
"""Contact handles: the thing truly moved by more than this many metres over all chunks."""
STILL = 0.001
"""Still handles: it truly moved by less than this."""


def dreamed_positions(
    bundle: Bundle, probe: StateProbe, store: TokenStore, handles: Handles, **options: Any
) -> np.ndarray:
    """Positions ``(H, n + 1, V)`` in metres that the probe reads from dreamed tokens, start included.

    ``options`` go to :class:`rla_gym.dream.dream.Dream` (steps, temperature, dtype).
    """
    count, chunks = handles.chunks.shape[:2]
    found = np.empty((count, chunks + 1, len(probe.names)), np.float32)
    dream = Dream(bundle, count, **options)
    tokens = store.normalized(handles.rows)
    dream.reset_to(tokens, torch.from_numpy(store.proprio[handles.rows]))
    with torch.no_grad():
        found[:, 0] = probe(tokens)
        for index in range(chunks):
            dream.step(torch.from_numpy(handles.chunks[:, index]))
            found[:, index + 1] = probe(dream.tokens)
    return found


def thing_errors(probe: StateProbe, handles: Handles, found: np.ndarray, store: TokenStore) -> dict[str, Any]:
    """Mean errors in mm after each chunk, of the dream and of "nothing moves", on all and on contact handles."""
    values = state_values(store.info["spec"], handles.objects, handles.proprio)
    episodes = store.episode_of(handles.rows)
    truth = np.stack([values[name] for name in probe.names], axis=-1)
    result: dict[str, Any] = {}
    for thing, columns in pairs_of(probe.names).items():
        true, read = truth[..., columns] * MILLIMETRES, found[..., columns] * MILLIMETRES
        error = np.linalg.norm(read - true, axis=2)
        persistence = np.linalg.norm(true - true[:, :1], axis=2)
        moved = persistence[:, -1] > MOVED * MILLIMETRES
        result[thing] = {
            "handles": len(error),
            "contact_handles": int(moved.sum()),
            "error": error.mean(axis=0).tolist(),
            "persistence": persistence.mean(axis=0).tolist(),
            "contact_error": error[moved].mean(axis=0).tolist() if moved.any() else None,
            "contact_persistence": persistence[moved].mean(axis=0).tolist() if moved.any() else None,
            "contact_ratio": {
                str(n): ratio_interval(error[moved][:, n], persistence[moved][:, n], episodes[moved])
                for n in (1, error.shape[1] - 1)
                if moved.any()
            },
            "raw": {
                str(n): {"error": error[:, n].round(2).tolist(), "persistence": persistence[:, n].round(2).tolist()}
                for n in (1, error.shape[1] - 1)
            },
        }
    return result


def ratio_interval(
    error: np.ndarray, persistence: np.ndarray, episodes: np.ndarray, draws: int = 2000, seed: int = 0
) -> list[float]:
    """Mean error over mean persistence error of handles ``(H,)``, and its 95 % interval by a bootstrap over episodes.

    Args:
        episodes: ``(H,)`` that the handles are of: what follows from starts of one episode is alike.

    Returns:
        ``[ratio, low, high]``.
    """
    _, places = np.unique(episodes, return_inverse=True)
    drawn = resampled(int(places.max()) + 1, draws, seed)
    tops, bottoms = (drawn @ np.bincount(places, values) for values in (error, persistence))
    low, high = np.quantile(tops / np.maximum(bottoms, 1e-9), BOUNDS)
    return [float(error.mean() / max(persistence.mean(), 1e-9)), float(low), float(high)]


def drift(
    probe: StateProbe, handles: Handles, found: np.ndarray, spec: dict[str, Any], thing: str, goal: str
) -> dict[str, float]:
    """Goal-ward motion of ``thing`` in millimetres a chunk, dreamed, where in truth nothing moved it (should be 0)."""
    columns, goals = pairs_of(probe.names)[thing], pairs_of(probe.names)[goal]
    values = state_values(spec, handles.objects, handles.proprio)
    true = np.stack([values[probe.names[column]] for column in columns[:2]], axis=-1)
    still = np.linalg.norm(true[:, -1] - true[:, 0], axis=1) < STILL
    target = found[:, 0, goals]
    distance = np.linalg.norm(found[..., columns] - target[:, None], axis=2) * MILLIMETRES
    chunks = handles.chunks.shape[1]
    if not still.any():
        return {"handles": 0, "goalward_mm_per_chunk": 0.0, "motion_mm_per_chunk": 0.0}
    change = (distance[still, 0] - distance[still, -1]) / chunks
    moved = np.linalg.norm(found[still, -1][:, columns] - found[still, 0][:, columns], axis=1) * MILLIMETRES / chunks
    return {
        "handles": int(still.sum()),
        "goalward_mm_per_chunk": float(change.mean()),
        "motion_mm_per_chunk": float(moved.mean()),
    }


def fidelity(
    bundle: Bundle,
    probe: StateProbe,
    store: TokenStore,
    task: Task,
    count: int = 500,
    seed: int = 0,
    part: str = "test",
    **options: Any,
) -> dict[str, Any]:
    """Measure ``bundle`` on ``count`` handles of every kind from ``part`` of the episodes; options go to the dream.

    Returns:
        JSON-able: the probe's floor, and for each kind of handle the errors of each thing, and drift on still handles.
    """
    result: dict[str, Any] = {"probe_floor_mm": probe_floor(probe, store, part), "kinds": {}}
    things = list(pairs_of(probe.names))
    for kind in tracked(KINDS, len(KINDS), "dreaming and driving the simulator", "kind"):
        handles = make_handles(store, task, kind, count, bundle.config.chunk, part=part, seed=seed)
        found = dreamed_positions(bundle, probe, store, handles, **options)
        entry = thing_errors(probe, handles, found, store)
        if "target" in things[1:]:
            entry["drift"] = drift(probe, handles, found, store.info["spec"], things[0], "target")
        result["kinds"][kind] = entry
    return result
