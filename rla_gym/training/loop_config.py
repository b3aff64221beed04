"""Settings of the training loop."""

from __future__ import annotations

from dataclasses import dataclass

from rla_gym.training.optimizer import OPTIMIZERS


@dataclass(frozen=True)
class LoopConfig:
    """Settings of `rla_gym.training.loop.fit`.

    Attributes:
        steps: optimiser steps of the whole run.
        batch_size: samples of one process in one step.
        lr: highest learning rate (cosine with warm-up).
        warmup: steps of linear warm-up.
        weight_decay: of matrices and convolutions; biases, norms and other vectors are never decayed.
        clip: highest gradient norm.
        ema: highest decay of the averaged weights; 0 for none.
        optimizer: "adamw", or "muon" (see `rla_gym.training.optimizer`).
        precision: "no" (float32) or "bf16" (autocast).
        seed: of the batches; must equal the trainable's.
        log_every, eval_every, save_every: intervals in steps.
        keep: checkpoints that stay on disk.
        final_lr_fraction: the last step's learning rate as a fraction of `lr`.
        max_seconds: save and stop at the first step boundary after so many seconds of this call; None for no limit.
    """

    steps: int
    batch_size: int
    lr: float = 3e-4
    warmup: int = 200
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    optimizer: str = "adamw"
    precision: str = "no"
    seed: int = 0
    log_every: int = 20
    eval_every: int = 500
    save_every: int = 500
    keep: int = 2
    final_lr_fraction: float = 0.02
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_every", "eval_every", "save_every", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, not {self.optimizer!r}")
        if self.precision not in ("no", "bf16"):
            raise ValueError(f"precision must be 'no' or 'bf16', not {self.precision!r}")
        if not self.clip > 0 or not self.lr > 0:
            raise ValueError(f"lr and clip must be positive, not lr={self.lr}, clip={self.clip}")
