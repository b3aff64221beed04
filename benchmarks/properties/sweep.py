"""Autoencoders that differ in the size of their latent action and in their encoder alone, trained at equal cost.

Principal components take seconds to measure, which are not counted.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.baselines.budget import plan
from benchmarks.baselines.models import MUON
from benchmarks.properties.options import Args
from rla_gym.data import TokenStore
from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig
from rla_gym.models.presets import build_configs
from rla_gym.training.autoencoder import AutoencoderTraining
from rla_gym.training.loop import LoopConfig, fit
from rla_gym.training.run import TrainedRun

LATENTS = {
    16: (4, 4),
    32: (4, 8),
    64: (8, 8),
    128: (8, 16),
    256: (16, 16),
    512: (16, 32),
    1024: (32, 32),
    2048: (32, 64),
}
"""Slots and channels by the number of numbers; 64 and 2048 are the paper's."""
KINDS = ("rla", "rla-linear")
"""The paper's form, a transformer that encodes residuals, and ours, principal components that a network decodes."""
LOOP = {**MUON, "precision": "bf16"}
"""As in the comparison of models."""


def autoencoder_config(store: TokenStore, numbers: int, kind: str = "rla") -> RLAConfig:
    """The preset "tiny" with latents of `numbers` numbers; a ValueError for a size or kind that there is not."""
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r} of encoder; there are {', '.join(KINDS)}")
    if numbers not in LATENTS:
        raise ValueError(f"no latent of {numbers} numbers; there are {', '.join(map(str, LATENTS))}")
    configs = build_configs("tiny", store.tokens.shape[2], store.grid, store.actions.shape[1])
    slots, channels = LATENTS[numbers]
    config = replace(configs.autoencoder, latent_tokens=slots, latent_channels=channels)
    return config if kind == "rla" else replace(config, linear_path=True, encoder_blocks=0)


def trained(args: Args, store: TokenStore, kind: str, numbers: int, seed: int) -> tuple[RLAAutoencoder, dict[str, Any]]:
    """The autoencoder of a kind, size and seed, trained to the end of its budget, and what that was.

    A run that is there is gone on with; one with another budget is a ValueError (`benchmarks.baselines.budget`).
    """
    folder = args.runs / f"{kind}-{numbers}-{seed}"
    config = autoencoder_config(store, numbers, kind)

    def build() -> AutoencoderTraining:
        return AutoencoderTraining(
            store, config, args.batch_size, seed, max_horizon=max(args.horizons), moving_weight=4.0, moving_share=0.4,
            feedback=0.25,
        )  # fmt: skip

    loop: dict[str, Any] = {**LOOP, "batch_size": args.batch_size, "seed": seed}
    planned = plan(folder, build, loop, args.minutes, args.samples)
    steps = planned["steps"]
    settings = LoopConfig(
        **loop,
        steps=steps,
        ema=min(0.998, 1 - 10 / max(steps, 20)),
        warmup=min(200, max(1, steps // 10)),
        eval_every=max(1, steps // 2),
        save_every=max(1, steps // 10),
        log_every=max(1, steps // 20),
    )
    print(f"{kind} of {numbers} numbers, seed {seed}: {steps} steps in {folder}", flush=True)
    fit(build(), settings, folder, tensorboard=False, cpu=True)
    return read_autoencoder(folder), {"seed": seed, **planned}


def read_autoencoder(folder: Path) -> RLAAutoencoder:
    """The averaged weights of a run."""
    run = TrainedRun.read(folder)
    model = RLAAutoencoder(run.config(RLAConfig))
    run.fill("autoencoder", model)
    return model.eval().requires_grad_(False)
