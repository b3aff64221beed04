"""LeWM-style latent prediction: a joint embedding of the tokens, a predictor in it, a decoder trained apart.

Encoder and predictor learn from the latent alone: the predicted latent of the tokens K actions ahead against the
encoder's own, with SIGReg, which keeps latents normally distributed and so from collapsing. The decoder to tokens,
which the comparison needs, never reaches them: its latents are detached. A rollout stays in the latent and decodes
what it is asked to show. Latents are as large as RLA's. The original learns from pixels; here all share one encoder of
frames, so it embeds tokens.

Sources: LeWorldModel (2026) for the model; Balestriero and LeCun, "LeJEPA" (arXiv 2511.08544), for SIGReg.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.baselines.chunk_training import ChunkOptions, ChunkTraining
from benchmarks.baselines.condition import Condition
from benchmarks.baselines.held_out import HeldOut
from benchmarks.baselines.interface import State, WorldModel
from benchmarks.baselines.recorded import Recorded
from rla_gym.models.autoencoder import TokenTransformer, autoencoder_loss
from rla_gym.models.transformer import ConditioningBlock, full_precision, initialize, zero

KNOTS = 17
"""Points at which SIGReg compares characteristic functions, evenly over [0, 3]."""


@dataclass(frozen=True)
class LeWMConfig:
    """Sizes of the networks."""

    channels: int
    patches: int
    action_size: int
    proprio_size: int
    width: int
    latent_tokens: int = 16
    latent_channels: int = 16
    encoder_blocks: int = 2
    predictor_blocks: int = 6
    decoder_blocks: int = 3
    heads: int = 4
    mlp_ratio: float = 4.0


class Predictor(nn.Module):
    """Latent and chunk to the latent after the chunk."""

    def __init__(self, config: LeWMConfig, generator: torch.Generator | None) -> None:
        super().__init__()
        self.condition = Condition(config.action_size, config.proprio_size, config.width)
        self.input_layer = nn.Linear(config.latent_channels, config.width)
        self.slot = nn.Parameter(torch.empty(1, config.latent_tokens, config.width))
        self.blocks = nn.ModuleList(
            ConditioningBlock(config.width, config.heads, config.mlp_ratio) for _ in range(config.predictor_blocks)
        )
        self.norm_out = nn.LayerNorm(config.width)
        self.out_layer = nn.Linear(config.width, config.latent_channels)
        initialize(self, generator)
        self.condition.reset_parameters(generator)
        nn.init.normal_(self.slot, std=0.2, generator=generator)
        zero(self.out_layer)

    def forward(
        self, latent: Tensor, chunk: Tensor, lengths: Tensor | None, proprio: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Latent (B, N, D) and proprioception (B, P) or None after the chunk (B, K, A)."""
        vector, later = self.condition(chunk, lengths, proprio)
        x = full_precision(self.input_layer(latent)) + self.slot
        for block in self.blocks:
            x = block(x, vector)
        return latent + full_precision(self.out_layer(self.norm_out(x))), later


class LeWMNetwork(nn.Module):
    """Encoder, predictor and decoder."""

    def __init__(self, config: LeWMConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.encoder = TokenTransformer(
            config.channels,
            config.latent_channels,
            config.width,
            config.encoder_blocks,
            config.heads,
            config.mlp_ratio,
            prefix=config.latent_tokens,
            patches=config.patches,
        )
        # Its patches are places without contents: one channel of zeros, and a learned position.
        self.decoder = TokenTransformer(
            1,
            config.channels,
            config.width,
            config.decoder_blocks,
            config.heads,
            config.mlp_ratio,
            prefix=config.latent_tokens,
            prefix_channels=config.latent_channels,
            patches=config.patches,
        )
        self.encoder.reset_parameters(generator)
        self.decoder.reset_parameters(generator)
        self.predictor = Predictor(config, generator)

    def encode(self, tokens: Tensor) -> Tensor:
        """Latent (B, N, D) of tokens (B, L, C)."""
        return self.encoder(tokens)

    def decode(self, latent: Tensor) -> Tensor:
        """Tokens (B, L, C) from the latent (B, N, D) alone."""
        return self.decoder(latent.new_zeros(len(latent), self.config.patches, 1), latent)


def sigreg(latents: Tensor, directions: Tensor) -> Tensor:
    """Sketched isotropic Gaussian regularisation: how far latents are from a standard normal distribution.

    Projections onto random directions are compared with a normal distribution by the Epps-Pulley statistic: the
    squared difference of characteristic functions, weighted by exp(-t²/2), integrated over t.

    Args:
        latents: (B, F).
        directions: (F, M) of length 1.

    Returns:
        The statistic, B times the integral, mean over directions: a scalar of about 1 for normal latents.
    """
    t = torch.linspace(0, 3, KNOTS, device=latents.device)
    target = torch.exp(-t.square() / 2)
    weights = torch.full_like(t, 2 * 3 / (KNOTS - 1))  # the integrand is even: twice the half-line
    weights[0] = weights[-1] = 3 / (KNOTS - 1)
    angles = (latents.float() @ directions).unsqueeze(-1) * t
    error = (angles.cos().mean(0) - target).square() + angles.sin().mean(0).square()
    return len(latents) * (error @ (weights * target)).mean()


class LeWM(WorldModel):
    """Trained networks; they draw nothing. From the second chunk on the state's latent goes on, not its tokens."""

    name = "lewm"

    def __init__(self, network: LeWMNetwork) -> None:
        self.network = network

    def step(self, state: State, chunks: Tensor, keys: np.ndarray) -> State:
        """One step in the latent, decoded."""
        latent = state.memory["latent"] if "latent" in state.memory else self.network.encode(state.tokens)
        latent, later = self.network.predictor(latent, chunks, None, state.proprio)
        return state.moved(self.network.decode(latent), later, latent=latent)

    def networks(self) -> dict[str, nn.Module]:
        """The three networks as one."""
        return {"network": self.network}


@dataclass(frozen=True)
class LeWMOptions:
    """Weights of the loss."""

    sigreg: float = 0.1
    directions: int = 256
    """M, random directions of SIGReg, drawn anew each step."""
    moving_weight: float = 4.0
    """Weight of moving patches in the decoder's loss."""


class LeWMTraining(ChunkTraining):
    """A `Trainable`: predicted against encoded latent, SIGReg on both ends' latents, and the decoder on detached ones.

    Args:
        recorded, options, batch_size, seed: see `ChunkTraining`; `options.feedback` must be 0, as the original learns
            from encoded latents alone.
        config: of the networks.
        weights: of the loss.
        starts: held-out starts.
    """

    def __init__(
        self,
        recorded: Recorded,
        options: ChunkOptions,
        config: LeWMConfig,
        batch_size: int,
        seed: int,
        weights: LeWMOptions = LeWMOptions(),
        starts: int = 128,
    ) -> None:
        super().__init__(recorded, options, batch_size, seed)
        if self.fed_back:
            raise ValueError(f"feedback={options.feedback}: latent prediction is trained without, expected 0")
        self.config, self.weights = config, weights
        self.network = LeWMNetwork(config, torch.Generator().manual_seed(seed))
        self.held_out = HeldOut(recorded, options.chunk, starts)

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.network}

    def describe(self) -> dict[str, Any]:
        return {**self.description(), "model": asdict(self.config), "weights": asdict(self.weights)}

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        """See `ChunkTraining.drawn` and `with_tokens`; `directions` (N·D, M)."""
        batch, noises = self.drawn("lewm", step, rank)
        size = self.config.latent_tokens * self.config.latent_channels
        directions = F.normalize(torch.randn(size, self.weights.directions, generator=noises), dim=0)
        return {**self.with_tokens(batch), "directions": directions}

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        tokens, next_tokens = batch["tokens"], batch["next_tokens"]
        both = self.network.encode(torch.cat([tokens, next_tokens]))
        latent, target = both.chunk(2)
        predicted, later = self.network.predictor(latent, batch["chunks"], batch["lengths"], batch.get("proprio"))
        embedding = F.mse_loss(predicted, target)
        spread = sum((sigreg(part.flatten(1), batch["directions"]) for part in (latent, target)), torch.zeros(())) / 2
        # The decoder learns on what it is given in a rollout: predicted latents too.
        decoded = self.network.decode(torch.cat([target, predicted]).detach())
        again = next_tokens.repeat(2, 1, 1)
        shown = autoencoder_loss(decoded, tokens.repeat(2, 1, 1), again, moving_weight=self.weights.moving_weight)
        loss = embedding + self.weights.sigreg * spread + shown
        parts = {"latent": embedding.detach(), "sigreg": spread.detach(), "decoded": shown.detach()}
        if later is not None:
            error = F.mse_loss(later.float(), batch["next_proprio"])
            loss, parts["proprio"] = loss + error, error.detach()
        return loss, parts

    def evaluate(self, step: int) -> dict[str, float]:
        """See `HeldOut.measure`."""
        return self.held_out.measure(LeWM(self.network))
