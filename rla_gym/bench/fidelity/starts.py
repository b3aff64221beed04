"""Handles: a held-out recorded state and a sequence of chunks to drive on with, recorded or counterfactual.

A world model that is only right on what the expert did is no simulator; agents break it. So the simulator is put back
into recorded states and driven by other actions too, and the dream has to follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rla_gym.data.sampling import chunk_actions, sample_chunks
from rla_gym.data.tokens import TokenStore
from rla_gym.tasks import Task

KINDS = ("recorded", "perturbed", "other", "random", "still")
PERTURBATION = 0.5
"""Standard deviation of the smooth noise on perturbed actions, in units of the action bounds."""


@dataclass(frozen=True)
class Handles:
    """H starts with what was done from them and what truly came of it.

    Attributes:
        kind: one of :data:`KINDS`.
        rows: ``(H,)`` rows of the token store to start from.
        chunks: ``(H, n, K, A)`` float32 actions in [−1, 1].
        objects: ``(H, n + 1, O)`` float32 true object states at the start and after each chunk.
        proprio: ``(H, n + 1, P)`` float32.
    """

    kind: str
    rows: np.ndarray
    chunks: np.ndarray
    objects: np.ndarray
    proprio: np.ndarray


def make_handles(
    store: TokenStore, task: Task, kind: str, count: int, chunk: int, chunks: int = 6, part: str = "test", seed: int = 0
) -> Handles:
    """Draw ``count`` starts from ``part`` and drive the simulator from them.

    Args:
        store: tokens, states and actions of the recorded episodes.
        task: the simulator they were recorded in.
        kind: "recorded" (the episode's own actions, replayed), "perturbed" (those with smooth noise), "other" (another
            episode's), "random" (smooth random) or "still" (no motion).
        count, chunk, chunks: handles, actions a chunk, chunks a handle.
        part: of the split by episode.
        seed: of starts and actions; the starts are the same for every kind.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"no handles of kind {kind!r}; there are {', '.join(KINDS)}")
    rng = np.random.default_rng([seed, 17])
    rows = sample_chunks(store, store.split(part), count, rng, chunk, chunks)
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    recorded = np.stack([chunk_actions(store, rows + i * chunk, chunk) for i in range(chunks)], axis=1)
    actions = _actions(kind, recorded, rng)
    low, high = task.spec.action_low, task.spec.action_high
    driven = low + (actions + 1) / 2 * (high - low)
    objects = np.empty((count, chunks + 1, store.objects.shape[1]), np.float32)
    proprio = np.empty((count, chunks + 1, store.proprio.shape[1]), np.float32)
    for handle, row in enumerate(rows):
        task.set_state(store.states[row])
        objects[handle, 0], proprio[handle, 0] = task.object_state(), task.proprioception()
        for index in range(chunks):
            for action in driven[handle, index]:
                task.step(action)
            objects[handle, index + 1], proprio[handle, index + 1] = task.object_state(), task.proprioception()
    return Handles(kind, rows, actions.astype(np.float32), objects, proprio)


def _actions(kind: str, recorded: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    count, chunks, chunk, width = recorded.shape
    if kind == "recorded":
        return recorded
    if kind == "still":
        return np.zeros_like(recorded)
    if kind == "other":
        return np.roll(recorded, count // 2, axis=0)
    # Not tasks.smooth_noise.SmoothNoise, which works 0.6 out and gets 0.5999999999999999: the actions of the handles
    # that published numbers were measured on have to stay the same to the last bit.
    noise = np.empty((count, chunks * chunk, width))
    value = rng.normal(size=(count, width))
    for step in range(chunks * chunk):
        value = 0.8 * value + 0.6 * rng.normal(size=value.shape)
        noise[:, step] = value
    noise = noise.reshape(recorded.shape)
    return np.clip(0.7 * noise if kind == "random" else recorded + PERTURBATION * noise, -1.0, 1.0)
