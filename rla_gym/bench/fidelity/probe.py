"""A state probe: reads positions (metres) out of tokens, trained on true tokens and true states, for measuring only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rla_gym.data.tokens import TokenStore
from rla_gym.models.features import FeaturesConfig, KeypointFeatures
from rla_gym.utils.progress import tracked

MILLIMETRES = 1000.0


@dataclass(frozen=True)
class ProbeConfig:
    """Sizes and training of a probe."""

    keypoints: int = 12
    width: int = 64
    hidden: int = 128
    steps: int = 4000
    batch_size: int = 128
    lr: float = 3e-3
    seed: int = 0


class StateProbe(nn.Module):
    """Tokens ``(B, L, C)`` to named positions ``(B, V)`` in metres.

    Attributes:
        names: what each value is, such as ``"cube_x"``.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, names: tuple[str, ...], channels: int, grid: tuple[int, int], config: ProbeConfig):
        super().__init__()
        generator = torch.Generator().manual_seed(config.seed)
        self.names = names
        self.readout = KeypointFeatures(FeaturesConfig(channels, grid, config.keypoints, config.width), generator)
        self.hidden = nn.Linear(2 * config.keypoints, config.hidden)
        self.output = nn.Linear(config.hidden, len(names))
        for layer in (self.hidden, self.output):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        self.register_buffer("mean", torch.zeros(len(names)))
        self.register_buffer("scale", torch.ones(len(names)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Positions ``(B, V)`` float32."""
        hidden = nn.functional.gelu(self.hidden(self.readout(tokens)))
        return self.output(hidden) * self.scale + self.mean


def probe_targets(store: TokenStore) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and true values ``(N, V)`` float32 of all that a probe reads: every x, y, z of objects and of the robot."""
    values = state_values(store.info["spec"], store.objects, store.proprio)
    columns = [np.zeros((len(store), 0), np.float32), *(column[:, None] for column in values.values())]
    return tuple(values), np.concatenate(columns, axis=1)


def state_values(spec: dict[str, Any], objects: np.ndarray, proprio: np.ndarray) -> dict[str, np.ndarray]:
    """Positions in metres by name, each ``(...)`` float32.

    Args:
        spec: of the task, as data sets keep it.
        objects, proprio: ``(..., O)`` true object states and ``(..., P)`` proprioception.
    """
    known = FROM_JOINTS.get(spec.get("name", ""))
    named = [] if known is None else [*known(proprio).items()]
    named += zip(spec["object_names"], np.moveaxis(objects, -1, 0), strict=True)
    # Only values that the task names: others may be angles or velocities.
    if spec.get("proprio_names"):
        named += zip(spec["proprio_names"], np.moveaxis(proprio, -1, 0), strict=True)
    return {name: values.astype(np.float32) for name, values in named if name.endswith(("_x", "_y", "_z"))}


def reacher_fingertip(proprio: np.ndarray) -> dict[str, np.ndarray]:
    """Where Reacher's fingertip is, by the angles of its two joints, which proprioception begins with."""
    first, both = proprio[..., 0], proprio[..., 0] + proprio[..., 1]
    near, far = REACHER_ARM
    return {
        "fingertip_x": near * np.cos(first) + far * np.cos(both),
        "fingertip_y": near * np.sin(first) + far * np.sin(both),
    }


REACHER_ARM = (0.1, 0.11)
"""Metres from its base to the elbow, and from there to the fingertip."""
FROM_JOINTS: dict[str, Callable[[np.ndarray], dict[str, np.ndarray]]] = {"gymnasium:Reacher-v5": reacher_fingertip}
"""Positions of robots that only their joints tell, from proprioception (..., P), by the task."""


def train_probe(store: TokenStore, config: ProbeConfig | None = None) -> StateProbe:
    """Train a probe on the training episodes of ``store``; takes a minute or two on one core."""
    config = config or ProbeConfig()
    names, values = probe_targets(store)
    if not names:
        raise ValueError(
            f"{store.info['task']} names no positions (object_names and proprio_names that end in _x, _y or _z): there "
            "is nothing that a probe could read"
        )
    probe = StateProbe(names, store.tokens.shape[2], store.grid, config)
    return fit_probe(probe, store.normalized, values, _rows(store, "train"), config)


def fit_probe(
    probe: StateProbe, tokens: Callable[[np.ndarray], Tensor], values: np.ndarray, rows: np.ndarray, config: ProbeConfig
) -> StateProbe:
    """Train ``probe`` to read ``values`` ``(N, V)`` (metres, float32) of ``rows`` ``(n,)``, and give it back frozen.

    ``tokens`` gives the standardised tokens ``(B, L, C)`` float32 of some rows.
    """
    probe.mean.copy_(torch.from_numpy(values[rows].mean(axis=0)))
    probe.scale.copy_(torch.from_numpy(values[rows].std(axis=0) + 1e-6))
    optimizer = torch.optim.AdamW(probe.parameters(), lr=config.lr, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=config.steps, pct_start=0.1)
    rng = np.random.default_rng(config.seed)
    for _ in tracked(range(config.steps), config.steps, "training the state probe"):
        batch = rows[rng.integers(len(rows), size=config.batch_size)]
        error = (probe(tokens(batch)) - torch.from_numpy(values[batch])) / probe.scale
        loss = error.abs().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(probe.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return probe.eval().requires_grad_(False)


def pairs_of(names: tuple[str, ...]) -> dict[str, list[int]]:
    """Columns that belong to one thing: ``{"cube": [0, 1], "pusher": [4, 5]}``."""
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        groups.setdefault(name.rsplit("_", 1)[0], []).append(column)
    return groups


def probe_floor(probe: StateProbe, store: TokenStore, part: str = "validation", count: int = 2048) -> dict[str, float]:
    """The probe's own mean position error in millimetres on true held-out tokens, for each thing."""
    _, values = probe_targets(store)
    rows = _rows(store, part)
    rows = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)]
    with torch.no_grad():
        error = (probe(store.normalized(rows)).numpy() - values[rows]) * MILLIMETRES
    return {
        thing: float(np.linalg.norm(error[:, columns], axis=1).mean())
        for thing, columns in pairs_of(probe.names).items()
    }


def _rows(store: TokenStore, part: str) -> np.ndarray:
    episodes = store.split(part)
    if not len(episodes):
        raise ValueError(f"{store.path} has no {part} episodes to probe: record more episodes")
    return store.rows(episodes)
