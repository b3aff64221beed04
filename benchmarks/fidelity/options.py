"""Settings of the measurement of one task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmarks.fidelity.handles import file_of


@dataclass(frozen=True, kw_only=True)
class Args:
    """What is measured, and how."""

    tokens: Path
    """Token store with the episodes of the handles."""
    models: tuple[str, ...]
    """Checkpoints and folders of trained baselines, each PLACE or NAME=PLACE."""
    decoder: str | None = None
    """Checkpoint whose encoder and image decoder are used; None: the first checkpoint among the models, if any."""
    image_decoder: Path | None = None
    """Folder of an image decoder's run (`rla-gym train image-decoder`), where the decoder is in no checkpoint."""
    encoder: Path | None = None
    """Encoder's file, where no checkpoint is given."""
    data: Path | None = None
    """The data set whose frames the tokens are; models of pixels need it."""
    handles: Path | None = None
    """List of starts; None: benchmarks/handles/TASK.json."""
    count: int | None = None
    """The first so many starts of the list; None: all."""
    horizons: tuple[int, ...] = (1, 2, 4, 6, 12)
    """Chunks after which is measured."""
    agent: Path | None = None
    """A PPO agent of SB3 whose actions are a kind of their own; it sees the dream of the decoder's checkpoint."""
    reference: str = "rla-wm"
    """Model that the others are compared with; the first one where there is none of that name."""
    samples: int = 8
    """Samples of which energy scores and the best are taken."""
    sampled: int = 200
    """Starts that are sampled from."""
    sampling_steps: int = 4
    """Evaluations of a flow for a sample: the midpoint rule where even, Euler steps where not."""
    temperature: float = 1.0
    """Of the samples of flows; their points are predicted as the models are used."""
    slow: int = 8
    """Slow models, of pixels or frame by frame, are measured on one in so many of the starts, the first ones."""
    images: int = 200
    """Starts whose frames are compared too; 0: none."""
    lpips: str | None = None
    """Measure LPIPS on "alex", "vgg" or "squeeze", whose weights have to be in torch's cache."""
    pictures: int = 3
    """Starts of each kind whose frames are kept as strips."""
    probe_steps: int = 4000
    """Optimiser steps of the probe."""
    seed: int = 0
    """Of probe, noise and resamples."""
    draws: int = 1000
    """Resamples of an interval."""
    out: Path | None = None
    """None: benchmarks/results/fidelity/TASK.json."""
    strips: Path | None = None
    """Folder of the strips of frames; None: runs/fidelity/TASK."""
    device: str = "cpu"
    precision: Literal["no", "bf16"] = "no"
    """bf16: models predict under autocast, as dreams for training do; probe and pictures stay in float32."""
    threads: int = 1
    smoke: bool = False
    """A few starts drawn on the spot and little of everything: whether it runs, not how good anything is."""


def smoked(args: Args) -> Args:
    """The same at toy size."""
    return replace(
        args, count=min(args.count or 3, 3), horizons=(1, 2), samples=2, sampled=2, slow=1, pictures=1, probe_steps=20,
        draws=50,
    )  # fmt: skip


def strip_folder(args: Args, task: str) -> Path:
    """Where strips go."""
    return args.strips or Path("runs") / "fidelity" / Path(file_of(task)).stem
