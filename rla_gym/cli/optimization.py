"""What the trainings of one run share, and the settings of one optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from rla_gym.utils.checks import Count, NonNegative, Positive, Range, Whole

Decay = Annotated[float, Range(low=0, below=1)]

LEARNING_RATES = {"nano": 1.2e-3, "tiny": 1.2e-3, "base": 3e-4, "paper": 1e-4}
"""Highest learning rates by preset; the paper's is the released one."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What all trainings of one run share."""

    tokens: Path
    """Token store that `encode` wrote."""
    out: Path
    """Folder of the run; each model gets a folder of its own in it. A killed run goes on where it stopped."""
    data: Path | None = None
    """The data set whose frames the tokens are; needed for the image decoder."""
    preset: Literal["nano", "tiny", "base", "paper"] = "tiny"
    """Sizes of the networks."""
    chunk: Count = 4
    """Control steps of one step of the world model."""
    unfinished: bool = False
    """Build on an autoencoder whose training was stopped before its last step. It must not be trained on afterwards."""


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """Settings of one optimisation."""

    steps: Whole = 20_000
    """Optimiser steps of the whole run; the learning rate falls to nearly zero over them."""
    batch_size: Count = 64
    """Samples a step and process."""
    lr: Positive | None = None
    """Highest learning rate; None: the preset's (nano and tiny 1.2e-3, base 3e-4, paper 1e-4)."""
    warmup: Whole = 200
    """Steps of linear warm-up."""
    weight_decay: NonNegative = 0.0
    """Of matrices and convolutions."""
    ema: Decay = 0.998
    """Highest decay of the averaged weights, which are the ones used later."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: Muon for the matrices of transformer blocks and AdamW for the rest."""
    precision: Literal["no", "bf16"] = "no"
    """bf16: autocast."""
    seed: Whole = 0
    """Of first weights and batches."""
    eval_every: Count = 1000
    """Steps between held-out measurements."""
    save_every: Count = 500
    """Steps between checkpoints."""
    log_every: Count = 100
    """Steps between lines of the log."""
    held_out: Count = 256
    """Samples that held-out metrics are measured on."""
