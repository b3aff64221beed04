"""One episode from each start, for an agent: in the dream, and in the real simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rla_gym.bench.agents import Agent
from rla_gym.bench.starts import Starts
from rla_gym.envs.episodes import Episodes
from rla_gym.envs.spaces import put_rows

Outcomes = dict[str, np.ndarray]
"""Of N episodes, (N,) each: "success", "steps" (chunks until success or the end), "return", "start_distance" (to the
goal, in the metric of the reward), "least_distance" and "last_distance"."""


def play(
    agent: Agent,
    episodes: Episodes,
    starts: Starts,
    deterministic: bool = True,
    done: Callable[[int], Any] = lambda count: None,
    seen: Callable[[np.ndarray], Any] | None = None,
) -> Outcomes:
    """Play each of the N starts once, in blocks of the batch; what follows from a start does not depend on the block.

    Args:
        episodes: at least one and at most N of them.
        done: is called with the number of episodes that have ended.
        seen: is called with the images (B, H, W, 3) uint8 of all episodes after the start and after every step.

    Returns:
        The outcomes, and "objects" (N, O), true object states at the start, where the episodes know them.
    """
    count, batch = len(starts), episodes.batch
    assert 1 <= batch <= count
    found: dict[str, np.ndarray] = {
        "success": np.zeros(count, bool),
        "steps": np.zeros(count, np.int64),
        **{name: np.zeros(count) for name in ("return", "start_distance", "least_distance", "last_distance")},
    }
    objects: list[np.ndarray] = []
    observation: Any = None
    for first in range(0, count, batch):
        block = np.arange(first, min(first + batch, count))
        rows = block - first
        episodes.seed(rows, starts.seeds[block].tolist())
        begun, infos = episodes.begin(rows, starts.options(block))
        if observation is None:
            observation = begun
        else:
            put_rows(observation, rows, begun)
        episodes.resting[len(rows) :] = True
        for start, info in zip(block, infos, strict=True):
            found["start_distance"][start] = found["least_distance"][start] = info["goal_distance"]
            if "objects" in info:
                objects.append(info["objects"])
        if seen is not None:
            seen(episodes.images())
        state, beginning = None, np.ones(batch, bool)
        while not episodes.resting.all():
            running = np.flatnonzero(~episodes.resting)
            actions, state = agent.act(observation, state, beginning, deterministic)
            beginning = np.zeros(batch, bool)
            step = episodes.step(actions)
            observation = step.observation
            for row in running:
                start, info = first + row, step.infos[row]
                found["steps"][start] += 1
                found["return"][start] += step.reward[row]
                found["success"][start] |= info["success"]
                found["last_distance"][start] = info["goal_distance"]
                found["least_distance"][start] = min(found["least_distance"][start], info["goal_distance"])
            over = running[(step.terminated | step.truncated)[running]]
            episodes.resting[over] = True
            if seen is not None:
                seen(episodes.images())
            done(len(over))
    return {**found, **({"objects": np.stack(objects)} if objects else {})}
