"""RLA-WM, and its two ablations that keep its flow network: z-regression (no flow) and FM-WM (no RLA)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.baselines.held_out import HeldOut
from benchmarks.baselines.interface import State, WorldModel
from benchmarks.baselines.recorded import Recorded
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig
from rla_gym.models.flow import takes_midpoint
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.training.batches import device_of
from rla_gym.training.flow import FlowTraining
from rla_gym.training.flow_metrics import dream_chunk
from rla_gym.utils.keyed_rng import keyed_normal


class LatentFlow(WorldModel):
    """A flow over latents of residuals, and the autoencoder that they belong to.

    Args:
        name: in results.
        autoencoder, flow: trained.
        steps: evaluations of the flow.
        temperature: factor of the noise; 0 is the central sample, which no key changes.
        midpoint: integrate by the midpoint rule; None: where `rla_gym.dream.dream.Dream` does.
    """

    def __init__(
        self,
        name: str,
        autoencoder: RLAAutoencoder,
        flow: FlowWorldModel,
        steps: int = 1,
        temperature: float = 0.0,
        midpoint: bool | None = None,
    ) -> None:
        self.name, self.autoencoder, self.flow = name, autoencoder, flow
        self.steps, self.temperature, self.stochastic = steps, temperature, temperature > 0
        self.midpoint = takes_midpoint(steps, temperature) if midpoint is None else midpoint

    @classmethod
    def from_bundle(cls, bundle: Bundle, steps: int | None = None, temperature: float | None = None) -> LatentFlow:
        """RLA-WM of a checkpoint, with the checkpoint's own sampler unless told otherwise."""
        steps = bundle.config.steps if steps is None else steps
        temperature = bundle.config.temperature if temperature is None else temperature
        return cls("rla-wm", bundle.autoencoder, bundle.flow, steps, temperature)

    def sampling(self, steps: int, temperature: float, midpoint: bool | None = None) -> LatentFlow:
        """The same networks with another sampler."""
        return LatentFlow(self.name, self.autoencoder, self.flow, steps, temperature, midpoint)

    def step(self, state: State, chunks: Tensor, keys: np.ndarray) -> State:
        """Noise to a latent, the latent to tokens."""
        config = self.flow.config
        noise = None
        if self.stochastic:
            shape = (config.latent_tokens, config.latent_channels)
            drawn = np.float32(self.temperature) * keyed_normal(keys, shape)
            noise = torch.from_numpy(drawn).to(state.tokens)
        felt = state.tokens.new_zeros(len(state.tokens), 0) if state.proprio is None else state.proprio
        tokens, felt = dream_chunk(
            self.flow, self.autoencoder, state.tokens, chunks, felt, noise, self.steps, self.midpoint
        )
        return state.moved(tokens, None if state.proprio is None else felt)

    def networks(self) -> dict[str, nn.Module]:
        """Flow and autoencoder; that of FM-WM is no network."""
        parts: dict[str, nn.Module] = {"flow": self.flow}
        if not isinstance(self.autoencoder, TokenSpace):
            parts["autoencoder"] = self.autoencoder
        return parts


class TokenSpace(RLAAutoencoder):
    """No autoencoder: the latent of a residual is the residual itself, one slot a patch.

    In the place of RLA's autoencoder it makes RLA-WM's training that of a flow in token space.
    """

    def __init__(self, channels: int, patches: int) -> None:
        super(RLAAutoencoder, self).__init__()
        self.config = RLAConfig(channels=channels, patches=patches, latent_tokens=patches, latent_channels=channels)
        # Frozen by whoever trains on it; there so that the module is somewhere: on a device.
        self.unit = nn.Parameter(torch.ones(()), requires_grad=False)

    def encode(self, residual: Tensor) -> Tensor:
        """The residual (B, L, C)."""
        return residual * self.unit

    def decode(self, z: Tensor, tokens: Tensor) -> Tensor:
        """`tokens` and the residual `z`, both (B, L, C)."""
        return tokens + z


def fm_wm_config(flow: FlowConfig, width: int) -> FlowConfig:
    """The flow of FM-WM: RLA-WM's, over one slot a patch with the tokens' channels, of another width."""
    return widened(replace(flow, latent_tokens=flow.patches, latent_channels=flow.channels), width)


def widened(flow: FlowConfig, width: int) -> FlowConfig:
    """The flow with both stages of another width."""
    return replace(flow, width=width, flow_width=width)


class LatentTraining(FlowTraining):
    """RLA-WM's own training of a flow, with the comparison's held-out measures.

    Args:
        name: "rla-wm", "rla-wm-unanchored", "z-regression" or "fm-wm".
        recorded: the episodes.
        starts: held-out starts.
        options: of `FlowTraining`.
    """

    def __init__(
        self,
        name: str,
        recorded: Recorded,
        autoencoder: RLAAutoencoder,
        config: FlowConfig,
        batch_size: int,
        seed: int,
        chunk: int,
        starts: int = 128,
        **options: Any,
    ) -> None:
        super().__init__(recorded.store, autoencoder, config, batch_size, seed, chunk, held_out_chunks=1, **options)
        self.name, self.held_out = name, HeldOut(recorded, chunk, starts)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "name": self.name}

    def evaluate(self, step: int) -> dict[str, float]:
        """See `HeldOut.measure`; of the central sample, in one Euler step where there is no anchor."""
        self.autoencoder.to(device_of(self.model))
        return self.held_out.measure(LatentFlow(self.name, self.autoencoder, self.model))


OPTIONS: dict[str, dict[str, Any]] = {
    # Those of `rla_gym.cli.stages.FlowStage`, which the built-in checkpoint was trained with.
    "rla-wm": {
        "draws": 1, "full_share": 0.75, "end_share": 0.2, "zero_noise": 0.5, "moving_share": 0.5, "feedback": 0.3,
        "feedback_rounds": 2, "feedback_temperature": 0.0, "decoded_weight": 2.0,
    },
}  # fmt: skip
"""Options of the flow's training by model."""
OPTIONS["fm-wm"] = OPTIONS["rla-wm-unanchored"] = OPTIONS["rla-wm"]
# From zero noise at t = 1 the best velocity is -E[z]: the same network, trained there alone, regresses the latent.
OPTIONS["z-regression"] = {**OPTIONS["rla-wm"], "end_share": 1.0, "zero_noise": 1.0}
