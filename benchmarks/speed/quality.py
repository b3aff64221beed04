"""What fewer Euler steps cost in quality: dreams of held-out starts against what truly followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines.interface import State, rollout
from benchmarks.baselines.latent_flow import LatentFlow
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.reference_data import check_coordinates
from rla_gym.data import TokenStore
from rla_gym.data.sampling import chunk_actions, sample_chunks
from rla_gym.training.batches import held_out
from rla_gym.training.metrics import moving_patches
from rla_gym.utils.statistics import cluster_interval

BLOCK = 32
"""Starts dreamed at a time."""


@dataclass(frozen=True)
class QualityConfig:
    """What is dreamed."""

    steps: tuple[int, ...] = (1, 2, 4, 10, 30)
    """Euler steps; the last is what the others are compared with."""
    midpoint: tuple[int, ...] = (2, 4)
    """Evaluations by the midpoint rule."""
    temperatures: tuple[float, ...] = (0.0, 1.0)
    """Factors of the initial noise."""
    starts: int = 256
    chunks: int = 6
    """Chunks fed back."""
    samples: int = 4
    """Dreams of each start where there is noise."""
    seed: int = 0
    """Of starts and noise."""


@dataclass(frozen=True)
class Truth:
    """Held-out starts (B,), their chunks (B, n, K, A), and tokens (B, n + 1, L, C), the start included."""

    part: str
    rows: np.ndarray
    chunks: Tensor
    tokens: Tensor


def recorded(bundle: Bundle, store: TokenStore, config: QualityConfig) -> Truth:
    """Starts in test episodes; where a small store has none that is long enough, in validation or training ones.

    Raises:
        ValueError: the store is of another encoder or task, or all its episodes are too short.
    """
    check_coordinates(store, bundle)
    length, episodes, part = bundle.config.chunk, store.split("test"), "test"
    frames = config.chunks * length + 1
    if not (store.lengths[episodes] >= frames).any():
        episodes, prefix = held_out(store, frames)
        part = "train" if prefix else "validation"
    rng = np.random.default_rng([config.seed, 23])
    rows = sample_chunks(store, episodes, config.starts, rng, length, config.chunks)
    chunks = [chunk_actions(store, rows + i * length, length) for i in range(config.chunks)]
    tokens = [store.normalized(rows + i * length) for i in range(config.chunks + 1)]
    return Truth(part, rows, torch.from_numpy(np.stack(chunks, axis=1)), torch.stack(tokens, dim=1))


def errors(dreamed: Tensor, true: Tensor, moving: Tensor) -> dict[str, np.ndarray]:
    """Errors (B,) of S dreams of one moment (B, S, L, C) against the `true` tokens (B, L, C).

    "error" is the L1 distance of a dream, "moving" that on the patches where `moving` (B, L). "energy" is the energy
    score: the dreams' mean Euclidean distance to the truth (over the root of L * C) less half of that between two of
    them. It is proper: neither blurring nor exaggerating what is uncertain improves it, as blurring does the others.
    """
    difference = (dreamed - true[:, None]).abs().mean(-1)
    weights = moving[:, None].float()
    share = (difference * weights).sum(-1) / weights.sum(-1).clamp(min=1)
    samples, size = dreamed.shape[1], true[0].numel() ** 0.5
    flat = dreamed.flatten(2) / size
    energy = (flat - true.flatten(1)[:, None] / size).norm(dim=-1).mean(1)
    if samples > 1:
        energy = energy - torch.cdist(flat, flat).sum((1, 2)) / (samples * (samples - 1)) / 2
    found = {"error": difference.mean((1, 2)), "moving": share.mean(1), "energy": energy}
    return {name: values.numpy() for name, values in found.items()}


class Judge:
    """Dreams from held-out starts, judged by what truly followed.

    Args:
        bundle: the checkpoint.
        store: with held-out episodes.
        config: what is dreamed.

    Raises:
        ValueError: as of `recorded`.
    """

    def __init__(self, bundle: Bundle, store: TokenStore, config: QualityConfig) -> None:
        self.bundle, self.store, self.config = bundle, store, config
        self.truth, self.model = recorded(bundle, store, config), LatentFlow.from_bundle(bundle)
        tokens = self.truth.tokens
        self.moving = {n: moving_patches(tokens[:, n] - tokens[:, 0]) for n in (1, config.chunks)}
        self.still = {n: errors(tokens[:, :1], tokens[:, n], moving) for n, moving in self.moving.items()}

    def measured(
        self, steps: int, temperature: float, precision: str = "float32", midpoint: bool | None = None
    ) -> dict[int, dict[str, np.ndarray]]:
        """`errors` after 1 and after all chunks."""
        model, found = self.model.sampling(steps, temperature, midpoint), dict[int, list[Tensor]]()
        for first in range(0, len(self.truth.rows), BLOCK):
            here = slice(first, first + BLOCK)
            rows = self.truth.rows[here]
            felt = self.bundle.standardize_proprio(torch.from_numpy(self.store.proprio[rows]))
            state = State(self.truth.tokens[here, 0], felt if felt.shape[1] else None)
            samples = self.config.samples if model.stochastic else 1
            seeds = self.config.seed * len(self.truth.rows) + np.arange(first, first + len(rows))
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                after = rollout(model, state, self.truth.chunks[here], seeds, samples)
            for number in self.moving:
                found.setdefault(number, []).append(after[:, :, number - 1].float())
        true = self.truth.tokens
        return {n: errors(torch.cat(parts), true[:, n], self.moving[n]) for n, parts in found.items()}


def quality(bundle: Bundle, store: TokenStore, config: QualityConfig) -> dict[str, Any]:
    """Errors by temperature, chunks and Euler steps.

    Returns:
        JSON-able. `part` of the episodes, `starts`, `still`: by chunks, errors of "nothing moves". `rows`: the means
        of the measures of `errors`; `to_last`, their ratios to those of most Euler steps as [ratio, low, high],
        the 95 % interval by a bootstrap over episodes; and the `raw` values of all starts. `bf16`: by chunks, the same
        ratios of the checkpoint's sampler in bfloat16 to it in float32.
    """
    judge, rows = Judge(bundle, store, config), []
    episodes = store.episode_of(judge.truth.rows)
    for temperature in config.temperatures:
        rules = [(steps, "euler") for steps in config.steps] + [(steps, "midpoint") for steps in config.midpoint]
        measured = {
            (steps, rule): judge.measured(steps, temperature, midpoint=rule == "midpoint") for steps, rule in rules
        }
        for (steps, rule), moments in measured.items():
            for number, own in moments.items():
                rows.append(
                    {
                        "temperature": temperature,
                        "chunks": number,
                        "steps": steps,
                        "rule": rule,
                        **_means(own),
                        "to_last": _ratios(own, measured[config.steps[-1], "euler"][number], episodes),
                        "raw": {name: np.round(values, 5).tolist() for name, values in own.items()},
                    }
                )
    sampler = bundle.config.steps, bundle.config.temperature
    exact, rough = (judge.measured(*sampler, precision) for precision in ("float32", "bf16"))
    return {
        "part": judge.truth.part,
        "starts": len(judge.truth.rows),
        "episodes": episodes.tolist(),
        "still": {str(number): _means(own) for number, own in judge.still.items()},
        "rows": rows,
        "bf16": {str(number): _ratios(rough[number], exact[number], episodes) for number in exact},
    }


def _means(own: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in own.items()}


def _ratios(own: dict[str, np.ndarray], other: dict[str, np.ndarray], episodes: np.ndarray) -> dict[str, list[float]]:
    def ratio(one: np.ndarray, two: np.ndarray) -> float:
        return float(one.mean() / two.mean())

    return {name: cluster_interval(ratio, [own[name], other[name]], episodes) for name in own}
