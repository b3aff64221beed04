"""Expert demonstrations, as pairs of an observation and the chunk of actions that follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.collect.plan import EpisodePlan
from rla_gym.collect.rollout import record_episode
from rla_gym.data.episodes import Episode
from rla_gym.envs.spaces import observe
from rla_gym.learning.seeds import stream_seed
from rla_gym.tasks import Task

FRESH = "recorded fresh in the simulator, successful episodes of the scripted expert"
REFERENCES = "training references of the checkpoint, as the task has no scripted expert"
MOST_TRIES = 5
"""Give up after this many times as many episodes as are wanted."""


@dataclass(frozen=True)
class Demonstrations:
    """n pairs, of every frame that a whole chunk follows."""

    observations: np.ndarray
    """(n, F + P) float32, as environments give with obs_mode="features"."""
    chunks: np.ndarray
    """(n, K * A) float32 in [-1, 1]; the first action is the one taken at the observation's frame."""
    episode: np.ndarray
    """(n,) int64, which demonstration a pair is from."""
    seeds: tuple[int, ...]
    """Simulator seeds of the demonstrations."""
    tried: int
    """Episodes that were recorded to get so many successful ones."""
    noise: float
    """Noise level of the expert."""
    source: str = FRESH
    """Where they are from."""

    def __len__(self) -> int:
        return len(self.seeds)


def record_demonstrations(
    bundle: Bundle, task: Task, count: int, noise: float, seed: int, tick: Callable[[], None] = lambda: None
) -> Demonstrations:
    """Record `count` successful episodes of the task's expert, with seeds of the stream "demonstrations".

    Args:
        tick: called after each of them.

    Raises:
        ValueError: the task has no expert, or it hardly ever succeeds.
    """
    kept: list[int] = []
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    tried = 0
    for number, episode in successful_episodes(task, count, noise, seed, bundle.config.chunk):
        kept.append(episode.seed)
        pairs.append(episode_pairs(bundle, episode))
        tried = number + 1
        tick()
    return Demonstrations(
        np.concatenate([observations for observations, _ in pairs]),
        np.concatenate([chunks for _, chunks in pairs]),
        np.repeat(np.arange(len(pairs)), [len(chunks) for _, chunks in pairs]),
        tuple(kept),
        tried,
        noise,
    )


def reference_demonstrations(bundle: Bundle, count: int) -> Demonstrations:
    """Up to `count` of the checkpoint's training references, for tasks without a scripted expert.

    Raises:
        ValueError: fewer than two of them hold a whole chunk of recorded actions.
    """
    references, size = bundle.references, bundle.config.chunk
    usable = [int(e) for e in references.select("train") if int(references.lengths[e]) > size][:count]
    if len(usable) < 2 or references.actions.shape[1] != bundle.config.action_size:
        raise ValueError(
            f"{bundle.config.task} has no scripted expert, and checkpoint {bundle.config.name!r} has {len(usable)} "
            f"training references with {size} recorded actions to clone: export it with more references"
        )
    pairs = []
    for episode in usable:
        first, length = int(references.starts[episode]), int(references.lengths[episode])
        windows = chunk_windows(bundle.scale_actions(references.actions[first : first + length - 1].numpy()), size)
        rows = slice(first, first + len(windows))
        tokens = bundle.standardize(references.tokens[rows])
        felt = bundle.standardize_proprio(references.proprio[rows])
        pairs.append((np.asarray(observe(bundle, "features", tokens, felt)), windows))
    return Demonstrations(
        np.concatenate([observations for observations, _ in pairs]),
        np.concatenate([chunks for _, chunks in pairs]),
        np.repeat(np.arange(len(pairs)), [len(chunks) for _, chunks in pairs]),
        tuple(int(references.seeds[episode]) for episode in usable),
        len(usable),
        0.0,
        REFERENCES,
    )


def successful_episodes(task: Task, count: int, noise: float, seed: int, chunk: int) -> Iterator[tuple[int, Episode]]:
    """`count` successful episodes of the task's expert that are longer than a chunk, with the number of each of all
    that were tried.

    Raises:
        ValueError: the task has no expert, or it hardly ever succeeds.
    """
    kept = 0
    for tried in range(MOST_TRIES * count):
        reset_seed, policy_seed = demonstration_seeds(seed, tried)
        episode = record_episode(task, EpisodePlan(tried, reset_seed, policy_seed, "expert", noise))
        if episode.success and len(episode) > chunk:
            kept += 1
            yield tried, episode
        if kept == count:
            return
    raise ValueError(
        f"the expert of {task.spec.name} solved {kept} of {MOST_TRIES * count} episodes at noise {noise}: lower the "
        f"noise, as with demonstration_noise={noise / 2:g}"
    )


def demonstration_seeds(seed: int, index: int) -> tuple[int, int]:
    """Seeds (63 bits) of the simulator and of the expert in demonstration `index` of the run `seed`."""
    sequence = np.random.SeedSequence([stream_seed("demonstrations", seed), index])
    reset_seed, policy_seed = (int(word) >> 1 for word in sequence.generate_state(2, np.uint64))
    return reset_seed, policy_seed


def episode_pairs(bundle: Bundle, episode: Episode) -> tuple[np.ndarray, np.ndarray]:
    """Observations (n, F + P) and chunks (n, K * A) of an episode of T frames, n = T - K.

    Raises:
        ValueError: no actions, no proprioception although the model has some, or not longer than a chunk.
    """
    size = bundle.config.chunk
    if episode.actions is None or len(episode.actions) < size:
        raise ValueError(f"episode {episode.seed} has no {size} actions in a row, the length of a chunk")
    if episode.proprio is None and bundle.config.proprio_size:
        raise ValueError(f"episode {episode.seed} has no proprioception, checkpoint {bundle.config.name!r} asks for it")
    windows = chunk_windows(bundle.scale_actions(episode.actions), size)
    tokens = bundle.encode_frames(episode.frames[: len(windows)])
    felt = np.zeros((len(windows), 0), np.float32) if episode.proprio is None else episode.proprio[: len(windows)]
    observations = observe(bundle, "features", tokens, bundle.standardize_proprio(torch.from_numpy(felt)))
    assert isinstance(observations, np.ndarray)
    return observations, windows


def chunk_windows(actions: np.ndarray, size: int) -> np.ndarray:
    """All runs of `size` actions in a row, flattened, of actions (T, A): (T - size + 1, size * A) float32."""
    windows = np.lib.stride_tricks.sliding_window_view(actions, size, axis=0)  # (n, A, size)
    return np.ascontiguousarray(windows.transpose(0, 2, 1).reshape(len(windows), -1).clip(-1, 1), np.float32)
