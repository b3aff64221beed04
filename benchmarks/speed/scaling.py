"""How cost grows with the batch and with the tokens of a frame: exponents of fitted powers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.baselines.dino_wm import DinoWM, DinoWMNetwork
from benchmarks.baselines.interface import State, WorldModel
from benchmarks.baselines.latent_flow import LatentFlow, TokenSpace
from benchmarks.baselines.models import dino_wm_config, flow_config
from benchmarks.baselines.setting import Setting
from benchmarks.speed.clock import Entrant, precise
from benchmarks.speed.entrants import predicting, random_chunks
from benchmarks.speed.models import weights
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.models.autoencoder import RLAAutoencoder
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.utils.keyed_rng import make_keys


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The p of cost = c * size^p that fits best in logarithms.

    Raises:
        ValueError: fewer than two different sizes, or a number that is not positive.
    """
    if len(set(sizes)) < 2 or min(*sizes, *costs) <= 0:
        raise ValueError(f"sizes {list(sizes)} and costs {list(costs)}: expected two different sizes, all positive")
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def batch_exponents(races: Sequence[dict[str, Any]], least: int = 16) -> dict[str, dict[str, Any]]:
    """Of each entrant by precision and name: `exponent` over all batches, and `from_16` over those of at least 16.

    Args:
        races: of the result file, one for each batch and precision.
        least: where the time that does not depend on the batch is small.
    """
    found: dict[str, dict[str, Any]] = {}
    for precision in dict.fromkeys(race["precision"] for race in races):
        costs: dict[str, dict[int, float]] = {}
        for race in races:
            if race["precision"] == precision:
                for name, timed in race["timed"].items():
                    if timed["amount"] == race["batch"]:
                        costs.setdefault(name, {})[race["batch"]] = race["batch"] / timed["per_second"]
        found[precision] = {}
        for name, points in costs.items():
            large = {batch: cost for batch, cost in points.items() if batch >= least}
            if len(points) > 1:
                found[precision][name] = {
                    "batches": list(points),
                    "exponent": exponent(list(points), list(points.values())),
                    "from_16": exponent(list(large), list(large.values())) if len(large) > 1 else None,
                }
    return found


def rla_wm(setting: Setting, patches: int, steps: int) -> WorldModel:
    """RLA-WM."""
    autoencoder = RLAAutoencoder(replace(setting.configs.autoencoder, patches=patches), weights())
    flow = replace(setting.configs.flow, patches=patches)
    if flow.grid_columns:
        flow = replace(flow, grid_columns=math.isqrt(patches))
    return LatentFlow("rla-wm", autoencoder, FlowWorldModel(flow, weights()), steps)


def fm_wm(setting: Setting, patches: int, steps: int) -> WorldModel:
    """FM-WM: the flow itself is over the patches."""
    config = replace(flow_config("fm-wm", setting), patches=patches, latent_tokens=patches)
    return LatentFlow("fm-wm", TokenSpace(config.channels, patches), FlowWorldModel(config, weights()), steps)


def dino_wm(setting: Setting, patches: int, steps: int) -> WorldModel:
    """DINO-WM, one regression."""
    return DinoWM(DinoWMNetwork(replace(dino_wm_config(setting), patches=patches), weights()))


RESIZED: dict[str, Callable[[Setting, int, int], WorldModel]] = {"rla-wm": rla_wm, "fm-wm": fm_wm, "dino-wm": dino_wm}
"""Untrained models of the checkpoint's width, for frames of another number of patches."""


def token_entrants(
    bundle: Bundle, setting: Setting, patches: Sequence[int], batch: int, precision: str, seed: int
) -> dict[tuple[str, int], Entrant]:
    """Predictions by model and number of patches, with the checkpoint's Euler steps."""
    chunks = torch.from_numpy(random_chunks(bundle, batch, seed))
    keys = make_keys(seed + np.arange(batch), np.zeros(batch), np.zeros(batch))
    draw = torch.Generator().manual_seed(seed)
    entrants = {}
    for count in patches:
        shape = (batch, count, bundle.config.flow.channels)
        proprio = torch.randn(batch, bundle.config.proprio_size, generator=draw)
        state = State(torch.randn(shape, generator=draw), proprio if bundle.config.proprio_size else None)
        for name, build in RESIZED.items():
            try:
                model = build(setting, count, bundle.config.steps)
            except ValueError:  # no width gives it as many parameters as RLA-WM; told where models are made
                continue
            for network in model.networks().values():
                network.eval().requires_grad_(False)
            run = precise(predicting(model, state, chunks, keys), precision)
            entrants[name, count] = Entrant(f"{name}, {count} patches", run, batch)
    return entrants


def token_exponents(
    entrants: dict[tuple[str, int], Entrant], timed: dict[str, Any], flops: dict[str, float]
) -> dict[str, Any]:
    """By model: `patches`, `seconds` a run, `flops` a chunk, and the `exponent` of both."""
    found: dict[str, Any] = {}
    for (name, count), entrant in entrants.items():
        row = found.setdefault(name, {"patches": [], "seconds": [], "flops": []})
        row["patches"].append(count)
        row["seconds"].append(entrant.amount / timed[entrant.name]["per_second"])
        row["flops"].append(flops[entrant.name])
    for row in found.values():
        row["exponent"] = exponent(row["patches"], row["seconds"])
        row["flops_exponent"] = exponent(row["patches"], row["flops"])
    return found
