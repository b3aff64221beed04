"""Strips of frames for people: the truth and every model, under the same actions from the same start."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.fidelity.measure import Ruler
from benchmarks.fidelity.rollouts import states
from benchmarks.fidelity.runs import Run
from benchmarks.fidelity.truth import Truth
from rla_gym.utils.files import atomic_path, write_json
from rla_gym.utils.optional import require

INDEX = "strips.json"
SIMULATOR = "simulator"


def write_strips(
    folder: Path,
    kind: str,
    runs: Sequence[Run],
    ruler: Ruler,
    truth: Truth,
    numbers: Sequence[int],
    device: torch.device,
) -> list[dict[str, object]]:
    """Write one PNG a handle and run: the frame at the start and after each chunk, side by side.

    Args:
        truth: of the handles, with frames after every chunk.
        numbers: of the handles in the list.

    Returns:
        What was written: kind, number, run, file, frames.
    """
    imageio = require("imageio.v3", extra="data")
    length = int(truth.counts.min())
    chunks, seeds = torch.from_numpy(truth.chunks[:, :length]), np.array(numbers)
    drawn = {SIMULATOR: truth.frames[:, : length + 1]}
    for run in runs:
        start = run.start(truth, device)
        frames = [
            ruler.frames(state, state.tokens.float().cpu())
            for state in states(run.model(truth), start, chunks, seeds, bf16=ruler.bf16)
        ]
        if all(frame is not None for frame in frames):
            drawn[run.label] = np.stack([truth.frames[:, 0], *(f for f in frames if f is not None)], axis=1)
    written: list[dict[str, object]] = []
    for label, found in drawn.items():
        for number, frames in zip(numbers, found, strict=True):
            file = f"{kind}-{number}-{re.sub(r'[^a-z0-9]+', '-', label.lower()).strip('-')}.png"
            with atomic_path(folder / file) as temporary:
                imageio.imwrite(temporary, np.concatenate(list(frames), axis=1), extension=".png")
            written.append({"kind": kind, "handle": number, "run": label, "file": file, "frames": length + 1})
    return written


def write_index(folder: Path, strips: list[dict[str, object]]) -> None:
    """What strips there are."""
    write_json(folder / INDEX, {"strips": strips})
