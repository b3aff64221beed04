"""Every measure of one model on one block of handles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines.interface import State, WorldModel
from benchmarks.fidelity.images import image_errors
from benchmarks.fidelity.probe import Reader
from benchmarks.fidelity.rollouts import states
from benchmarks.fidelity.tokens import point_errors, sample_errors
from benchmarks.fidelity.truth import Truth

Found = dict[str, np.ndarray]
"""By measure, a number for each handle and horizon (B, h); NaN where there is none."""


@dataclass(frozen=True)
class Ruler:
    """What predictions are measured with.

    Attributes:
        reader: the probe.
        horizons: chunks after which is measured.
        thresholds: by horizon, how much a patch must change to count as moving.
        draw: tokens (B, L, C) on the CPU to frames (B, H, W, 3) uint8; None: only what models draw themselves.
        lpips: a distance of images; None: it is not measured.
        bf16: predict under autocast to bfloat16.
    """

    reader: Reader
    horizons: tuple[int, ...]
    thresholds: dict[int, float]
    draw: Callable[[Tensor], np.ndarray] | None = None
    lpips: Callable[[Tensor, Tensor], Tensor] | None = None
    bf16: bool = False

    def moving(self, truth: Truth, horizon: int) -> Tensor:
        """Bool (B, L): patches that truly changed more than the threshold."""
        change: Tensor = truth.tokens[:, horizon] - truth.tokens[:, 0]
        return change.norm(dim=-1) > self.thresholds[horizon]

    def points(self, model: WorldModel, start: State, truth: Truth, seeds: np.ndarray, images: int = 0) -> Found:
        """Errors of one prediction of each handle, and of the frames of the first `images` of them."""
        places = {horizon: place for place, horizon in enumerate(self.horizons, start=1)}
        true = self.reader.truth(truth.objects, truth.proprio)
        first = self.reader.read(truth.tokens[:, 0])
        found: list[Found] = []
        chunks = torch.from_numpy(truth.chunks[:, : self.horizons[-1]])
        for horizon, state in enumerate(states(model, start, chunks, seeds, bf16=self.bf16), start=1):
            if horizon not in places:
                continue
            tokens = state.tokens.float().cpu()
            errors = point_errors(tokens, truth.tokens[:, horizon], truth.tokens[:, 0], self.moving(truth, horizon))
            measured = {name: values.numpy() for name, values in errors.items()}
            read = self.reader.read(tokens)
            measured |= self.reader.errors(read, true[:, horizon])
            measured |= self.reader.moved_error(read, true[:, 0], true[:, horizon])
            measured |= self.reader.goalward(first, read, true[:, 0], true[:, horizon])
            frames = self.frames(state, tokens, images) if images > 0 else None
            if frames is not None:
                errors_of = image_errors(frames, truth.frames[:images, places[horizon]], self.lpips)
                measured |= {name: padded(values, len(tokens)) for name, values in errors_of.items()}
            found.append(measured)
        return self._columns(found, truth)

    def samples(self, model: WorldModel, start: State, truth: Truth, seeds: np.ndarray, count: int) -> Found:
        """Energy scores, and errors of the best, of `count` samples of each handle."""
        true = self.reader.truth(truth.objects, truth.proprio)
        found: list[Found] = []
        chunks = torch.from_numpy(truth.chunks[:, : self.horizons[-1]])
        for horizon, state in enumerate(states(model, start, chunks, seeds, count, self.bf16), start=1):
            if horizon not in self.horizons:
                continue
            tokens = state.tokens.float().cpu()
            drawn = tokens.unflatten(0, (-1, count))
            errors = sample_errors(drawn, truth.tokens[:, horizon], self.moving(truth, horizon))
            measured = {name: values.numpy() for name, values in errors.items()}
            read = self.reader.read(tokens).reshape(len(drawn), count, -1)
            found.append(measured | self.reader.sample_errors(read, true[:, horizon]))
        return self._columns(found, truth)

    def certain(self, points: Found) -> Found:
        """What `samples` would measure of a model that draws nothing: every sample is its one prediction."""
        found: Found = {}
        for place in ("tokens", "moving"):
            found |= {f"{place}_energy": points[f"{place}_l2"], f"{place}_best": points[f"{place}_l2"]}
        for thing in self.reader.columns:
            if f"{thing}_mm" in points:
                found |= {f"{thing}_energy_mm": points[f"{thing}_mm"], f"{thing}_best_mm": points[f"{thing}_mm"]}
        return found

    def frames(self, state: State, tokens: Tensor, count: int | None = None) -> np.ndarray | None:
        """What the first `count` rows look like: as the model drew them, or decoded from `tokens`; None without either.

        Args:
            tokens: the state's, on the CPU.
        """
        drawn = state.memory.get("frames")
        if drawn is not None:
            frames: np.ndarray = drawn[:count].cpu().numpy()
            return frames
        return None if self.draw is None else self.draw(tokens[:count])

    def _columns(self, found: list[Found], truth: Truth) -> Found:
        """Horizons as columns, NaN where the handle was not driven so far."""
        valid = truth.valid(self.horizons)
        return {
            name: np.where(valid, np.stack([measured[name] for measured in found], axis=1), np.nan).astype(np.float32)
            for name in found[0]
        }


def padded(values: np.ndarray, length: int) -> np.ndarray:
    """`values` (n,) and NaN behind them, (length,)."""
    return np.concatenate([values, np.full(length - len(values), np.nan, np.float32)])
