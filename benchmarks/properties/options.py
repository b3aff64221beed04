"""Settings of the measurement of one task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Args:
    """What is trained and measured."""

    tokens: Path
    """Token store; autoencoders are trained on its training episodes and measured on its test episodes."""
    ood_tokens: Path | None = None
    """Token store of things that the autoencoders never saw, encoded like the other (`rla-gym encode --like`)."""
    ckpt: str | None = None
    """Checkpoint whose autoencoder is measured too, and whose image decoder draws pictures."""
    runs: Path = Path("runs/properties")
    """Folder of the autoencoders; those that are there are gone on with."""
    sizes: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 1024, 2048)
    """Numbers of a latent action; those of `sweep.LATENTS`."""
    seeds: tuple[int, ...] = (0,)
    """Of the trainings."""
    minutes: float | None = None
    """Budget of each autoencoder, in minutes of one core."""
    samples: int | None = None
    """Budget in samples instead."""
    batch_size: int = 64
    horizons: tuple[int, ...] = (1, 2, 4, 8, 16, 24)
    """Control steps between two frames; training draws uniformly up to the longest."""
    progression: tuple[int, ...] = (8, 16, 24)
    """Control steps between the two frames whose way is followed."""
    followed: int = 200
    """Such pairs at each horizon."""
    count: int = 500
    """Pairs of frames at each horizon."""
    pca_pairs: int = 6000
    """Pairs of training frames that the linear baseline is fitted on."""
    times: int = 11
    """Places between noise and latent."""
    noises: int = 4
    """Draws of the noise for each pair."""
    pictures: int = 3
    """Pairs of each horizon that are drawn."""
    probe_steps: int = 4000
    seed: int = 0
    """Of pairs, noise, probe and resamples."""
    draws: int = 1000
    """Resamples of an interval."""
    out: Path | None = None
    """None: benchmarks/results/properties/TASK.json."""
    strips: Path | None = None
    """Folder of pictures; None: runs/properties/strips."""
    threads: int = 1
    smoke: bool = False
    """Little of everything: whether it runs, not how good anything is."""


def smoked(args: Args) -> Args:
    """The same at toy size."""
    return replace(
        args,
        sizes=(16, 64),
        minutes=None,
        samples=16,
        batch_size=8,
        horizons=(1, 4),
        progression=(6,),
        followed=8,
        count=8,
        pca_pairs=80,
        times=5,
        noises=2,
        pictures=1,
        probe_steps=20,
        draws=50,
    )
