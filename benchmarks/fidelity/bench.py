"""Drives simulator and models over all starts, kind of actions by kind, block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from benchmarks.fidelity.actions import actions_of
from benchmarks.fidelity.handles import HandleList
from benchmarks.fidelity.measure import Ruler
from benchmarks.fidelity.options import Args, strip_folder
from benchmarks.fidelity.pictures import write_strips
from benchmarks.fidelity.results import Table
from benchmarks.fidelity.runs import Run
from benchmarks.fidelity.truth import Truth, simulate
from rla_gym.data import TokenStore
from rla_gym.tasks import Task

BLOCK = 50
"""Handles simulated and measured at a time."""


@dataclass(frozen=True)
class Bench:
    """Everything that is needed to measure, and the table that it goes to.

    Attributes:
        encode: frames (B, H, W, 3) uint8 to standardised tokens (B, L, C) on the CPU.
    """

    args: Args
    handles: HandleList
    store: TokenStore
    task: Task
    encode: Callable[[np.ndarray], Tensor]
    ruler: Ruler
    runs: list[Run]
    device: torch.device
    table: Table

    def measure(self, kind: str, given: np.ndarray | None = None) -> list[dict[str, object]]:
        """Measure all runs under one kind of actions; `given` is an agent's. Returns the strips that were written."""
        rows, longest = self.handles.rows(self.store), max(self.args.horizons)
        chunks, counts = actions_of(self.store, self.handles, kind, given)
        chunks, counts = chunks[:, :longest], np.minimum(counts, longest)
        for first in range(0, len(rows), BLOCK):
            here = np.arange(first, min(first + BLOCK, len(rows)))
            truth = self._truth(rows, chunks, counts, here, self.args.horizons)
            for run in self.runs:
                self._block(run, truth, kind, first)
            print(f"{kind}: {here[-1] + 1} of {len(rows)} starts", flush=True)
        shown = np.flatnonzero(counts == counts.max())[: self.args.pictures]
        if not len(shown) or not self.args.images:
            return []
        truth = self._truth(rows, chunks, counts, shown, tuple(range(1, int(counts.max()) + 1)))
        folder = strip_folder(self.args, self.handles.task)
        return write_strips(folder, kind, self.runs, self.ruler, truth, shown.tolist(), self.device)

    def _truth(
        self, rows: np.ndarray, chunks: np.ndarray, counts: np.ndarray, here: np.ndarray, horizons: tuple[int, ...]
    ) -> Truth:
        return simulate(self.task, self.store, rows[here], chunks[here], counts[here], horizons, self.encode)

    def _block(self, run: Run, truth: Truth, kind: str, first: int) -> None:
        """Measure a run on the block of handles from number `first` on, and put it into the table.

        Runs that are slow take a share of the handles, and samples are drawn from the first ones; a model that draws
        nothing is its own only sample on these.
        """
        share, total = self.args.slow if run.slow else 1, len(self.handles)
        points = min(len(truth.rows), -(-total // share) - first)
        if points <= 0:
            return
        seeds, part = np.arange(first, first + points), cut(truth, points)
        images = min(points, -(-min(self.args.images, total) // share) - first)
        found = self.ruler.points(run.model(part), run.start(part, self.device), part, seeds, images)
        self.table.put(kind, run.label, first, found)
        count = min(points, -(-min(self.args.sampled, total) // share) - first)
        if count <= 0:
            return
        if run.sampled is None:
            drawn = {name: values[:count] for name, values in self.ruler.certain(found).items()}
        else:
            part = cut(truth, count)
            start = run.start(part, self.device)
            drawn = self.ruler.samples(run.sampled, start, part, seeds[:count], self.args.samples)
        self.table.put(kind, run.label, first, drawn)


def cut(truth: Truth, count: int) -> Truth:
    """The first handles."""
    return Truth(**{field.name: getattr(truth, field.name)[:count] for field in fields(Truth)})
