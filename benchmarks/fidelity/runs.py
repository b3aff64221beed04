"""All that is rolled out: the trained models, and what they are set against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.baselines.interface import State, WorldModel
from benchmarks.baselines.latent_flow import LatentFlow
from benchmarks.baselines.persistence import Persistence
from benchmarks.baselines.reconstruction import Reconstruction
from benchmarks.baselines.recorded import Recorded
from benchmarks.fidelity.entries import Entry, on_device
from benchmarks.fidelity.given import TrueTokens
from benchmarks.fidelity.summary import PERSISTENCE, TRUTH
from benchmarks.fidelity.truth import Truth


@dataclass(frozen=True)
class Run:
    """One model to roll out.

    Attributes:
        name: models of one name differ in their training seed alone.
        label: tells all runs apart.
        model: given the truth of a block of handles; a model that is trained ignores it.
        recorded: what it starts from.
        sampled: what samples are drawn from; None where nothing is drawn.
        slow: whether it is measured on fewer handles.
    """

    name: str
    label: str
    model: Callable[[Truth], WorldModel]
    recorded: Recorded
    sampled: WorldModel | None = None
    slow: bool = False

    def start(self, truth: Truth, device: torch.device) -> State:
        """The recorded states that the handles of `truth` start from."""
        return on_device(self.recorded.start(self.model(truth), np.asarray(truth.rows)), device)


def all_runs(entries: list[Entry], recorded: Recorded) -> list[Run]:
    """The truth and persistence, then every entry, each RLA-WM followed by the reconstruction of its autoencoder.

    Args:
        recorded: the episodes.
    """
    still = Persistence()
    runs = [
        Run(TRUTH, TRUTH, lambda truth: TrueTokens(truth.tokens[:, 1:]), recorded),
        Run(PERSISTENCE, PERSISTENCE, lambda truth: still, recorded),
    ]
    for entry in entries:
        runs.append(Run(entry.name, entry.label, _always(entry.model), entry.recorded, entry.sampled, entry.model.slow))
        if isinstance(entry.model, LatentFlow) and entry.model.name == "rla-wm":
            label = entry.label.replace(entry.name, f"{entry.name} reconstruction", 1)
            runs.append(Run(f"{entry.name} reconstruction", label, _reconstruction(entry.model), entry.recorded))
    return runs


def _always(model: WorldModel) -> Callable[[Truth], WorldModel]:
    return lambda truth: model


def _reconstruction(model: LatentFlow) -> Callable[[Truth], WorldModel]:
    return lambda truth: Reconstruction(model.autoencoder, truth.tokens[:, 1:])
