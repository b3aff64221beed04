"""Expert demonstrations, as pairs of an observation and the chunk of actions that follows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from rla_gym.bundle import Bundle
from rla_gym.data.episodes import Episode
from rla_gym.data.rollout import record_episode
from rla_gym.data.seeds import EpisodePlan
from rla_gym.demo.seeds import stream_seed
from rla_gym.envs.spaces import observe
from rla_gym.tasks import Task

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

    def __len__(self) -> int:
        return len(self.seeds)


def record_demonstrations(bundle: Bundle, task: Task, count: int, noise: float, seed: int) -> Demonstrations:
    """Record `count` successful episodes of the task's expert, with seeds of the stream "demonstrations".

    Raises:
        ValueError: the task has no expert, or it hardly ever succeeds.
    """
    kept, tried = successful_episodes(task, count, noise, seed, bundle.config.chunk)
    pairs = [episode_pairs(bundle, episode) for episode in kept]
    return Demonstrations(
        np.concatenate([observations for observations, _ in pairs]),
        np.concatenate([chunks for _, chunks in pairs]),
        np.repeat(np.arange(len(pairs)), [len(chunks) for _, chunks in pairs]),
        tuple(episode.seed for episode in kept),
        tried,
        noise,
    )


def successful_episodes(task: Task, count: int, noise: float, seed: int, chunk: int) -> tuple[list[Episode], int]:
    """`count` successful episodes of the task's expert that are longer than a chunk, and how many were tried.

    Raises:
        ValueError: the task has no expert, or it hardly ever succeeds.
    """
    kept: list[Episode] = []
    tried = 0
    while len(kept) < count:
        if tried >= MOST_TRIES * count:
            raise ValueError(
                f"the expert of {task.spec.name} solved {len(kept)} of {tried} episodes at noise {noise}: lower the "
                "noise (of a demonstration: demonstration_noise)"
            )
        reset_seed, policy_seed = demonstration_seeds(seed, tried)
        episode = record_episode(task, EpisodePlan(tried, reset_seed, policy_seed, "expert", noise))
        tried += 1
        if episode.success and len(episode) > chunk:
            kept.append(episode)
    return kept, tried


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
