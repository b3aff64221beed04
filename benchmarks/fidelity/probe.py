"""A probe that reads positions in millimetres and angles in degrees out of tokens, and what it says of a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.fidelity.tokens import energy_score
from rla_gym.bench.fidelity.probe import MILLIMETRES, ProbeConfig, StateProbe, fit_probe, pairs_of, state_values
from rla_gym.data import TokenStore

FOLDS = {"cube": 4}
"""Turns of 360 degrees over this number cannot be told by looking; 1 for a thing that is not named."""
GOALS = ("target", "goal")
ANGLE = "_yaw"
STILL, MOVED = 1.0, 5.0
"""Millimetres: a thing that truly moved by less than the one stood still, by more than the other it moved."""


def readable(spec: Mapping[str, Any], objects: np.ndarray, proprio: np.ndarray) -> dict[str, np.ndarray]:
    """All that a probe reads, each (...) float32: positions in metres, angles as cosine and sine of their multiple.

    Args:
        spec: of the task, as data sets keep it.
        objects, proprio: (..., O) and (..., P).
    """
    found = state_values(dict(spec), objects, proprio)
    for name, values in zip(spec["object_names"], np.moveaxis(objects, -1, 0), strict=True):
        if name.endswith(ANGLE):
            angle = FOLDS.get(name.removesuffix(ANGLE), 1) * values.astype(np.float32)
            found |= {f"{name}_cos": np.cos(angle), f"{name}_sin": np.sin(angle)}
    return found


def part_rows(store: TokenStore, part: str) -> np.ndarray:
    """All rows of the episodes of a part; a ValueError if it has none."""
    episodes = store.split(part)
    if not len(episodes):
        raise ValueError(f"{store.path} has no {part} episodes: record more")
    return store.rows(episodes)


class Reader:
    """A trained probe and how far its readings are from the truth.

    Args:
        probe: frozen.
        spec: of the task.
    """

    def __init__(self, probe: StateProbe, spec: Mapping[str, Any]) -> None:
        self.probe, self.spec = probe, spec
        self.columns = pairs_of(probe.names)
        things = [thing for thing in self.columns if not thing.endswith(ANGLE)]
        goals = [thing for thing in things if thing in GOALS]
        self.goal = goals[0] if goals else None
        self.thing = things[0] if things and things[0] not in GOALS else None

    @classmethod
    def train(cls, store: TokenStore, steps: int, seed: int) -> Reader:
        """A new probe, trained on true tokens and states of the training episodes: a minute or two on one core."""
        values = readable(store.info["spec"], store.objects, store.proprio)
        config = ProbeConfig(steps=steps, seed=seed)
        probe = StateProbe(tuple(values), store.tokens.shape[2], store.grid, config)
        targets = np.stack(list(values.values()), axis=-1)
        return cls(fit_probe(probe, store.normalized, targets, part_rows(store, "train"), config), store.info["spec"])

    def truth(self, objects: np.ndarray, proprio: np.ndarray) -> np.ndarray:
        """True values (..., V) in the order of the probe's."""
        values = readable(self.spec, objects, proprio)
        return np.stack([values[name] for name in self.probe.names], axis=-1)

    def read(self, tokens: Tensor) -> np.ndarray:
        """Readings (B, V) of tokens (B, L, C) on the CPU."""
        with torch.no_grad():
            found: np.ndarray = self.probe(tokens).numpy()
        return found

    def errors(self, read: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
        """ "cube_mm", "cube_deg" and the like, each (...), of readings (..., V)."""
        found = {}
        for thing, columns in self.columns.items():
            if thing.endswith(ANGLE):
                name = thing.removesuffix(ANGLE)
                turns = [np.arctan2(values[..., columns[1]], values[..., columns[0]]) for values in (read, true)]
                off = (turns[0] - turns[1] + np.pi) % (2 * np.pi) - np.pi
                found[f"{name}_deg"] = np.degrees(np.abs(off)) / FOLDS.get(name, 1)
            else:
                found[f"{thing}_mm"] = MILLIMETRES * np.linalg.norm((read - true)[..., columns], axis=-1)
        return found

    def moved_error(self, read: np.ndarray, true_start: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
        """ "cube_moved_mm" and the like (B,), of the first thing: its error where it truly moved, NaN elsewhere.

        Where it did not, the error is the probe's own, and persistence cannot be beaten.
        """
        if self.thing is None:
            return {}
        columns = self.columns[self.thing]
        way = MILLIMETRES * np.linalg.norm((true - true_start)[:, columns], axis=1)
        error = MILLIMETRES * np.linalg.norm((read - true)[:, columns], axis=1)
        return {f"{self.thing}_moved_mm": np.where(way > MOVED, error, np.nan)}

    def sample_errors(self, read: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
        """Energy score and error of the best of S samples of positions, each (B,), of readings (B, S, V)."""
        found = {}
        for thing, columns in self.columns.items():
            if thing.endswith(ANGLE):
                continue
            places = MILLIMETRES * torch.from_numpy(read[..., columns])
            errors = (places - MILLIMETRES * torch.from_numpy(true[:, None, columns])).norm(dim=-1)
            pairs = [(places[:, i] - places[:, j]).norm(dim=-1) for i in range(places.shape[1]) for j in range(i)]
            found[f"{thing}_energy_mm"] = energy_score(errors, pairs).numpy()
            found[f"{thing}_best_mm"] = errors.min(dim=1).values.numpy()
        return found

    def goalward(
        self, start: np.ndarray, read: np.ndarray, true_start: np.ndarray, true: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Millimetres (B,) that the first thing comes nearer to the true goal; nothing for a task without a goal.

        "goalward_mm" as read, "goalward_bias_mm" that less the truth, and "drift_mm" as read where the thing truly
        stood still, NaN elsewhere.

        Args:
            start, read: readings (B, V) of the start and of the prediction.
            true_start, true: true values (B, V) at the same times.
        """
        if self.goal is None or self.thing is None:
            return {}
        thing, goal = self.columns[self.thing], true_start[:, self.columns[self.goal]]
        columns = thing[: goal.shape[1]]

        def nearer(before: np.ndarray, after: np.ndarray) -> np.ndarray:
            far, near = (np.linalg.norm(values[:, columns] - goal, axis=1) for values in (before, after))
            change: np.ndarray = MILLIMETRES * (far - near)
            return change

        found, truly = nearer(start, read), nearer(true_start, true)
        moved = MILLIMETRES * np.linalg.norm(true[:, thing] - true_start[:, thing], axis=1)
        drift = np.where(moved < STILL, found, np.nan)
        return {"goalward_mm": found, "goalward_bias_mm": found - truly, "drift_mm": drift}
