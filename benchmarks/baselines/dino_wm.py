"""DINO-WM as the paper re-implements it: direct regression of the tokens K actions ahead.

The network is RLA-WM's own conditioning stage, wider or deeper and with a head that gives tokens: what is compared is
regression in token space against a flow over latent actions, not one transformer against another. Trained with RLA-WM's
decoded loss on batches like RLA-WM's, feedback included; but what is fed back has whole chunks here, in RLA-WM three in
four. `dino_wm_frames` is the original, frame by frame. With `grid_columns` and `copy_heads` it has what RLA-WM adds to
the paper's network, which tells that from what the latent action adds.

Source: Zhou et al., "DINO-WM: World Models on Pre-trained Visual Features enable Zero-shot Planning" (2024); the
re-implementation with action chunks is that of arXiv 2605.07079.
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
from rla_gym.models.autoencoder import autoencoder_loss
from rla_gym.models.neighbours import TokenCopy, grid_convolutions, through_blocks
from rla_gym.models.transformer import ConditioningBlock, full_precision, initialize, zero
from rla_gym.training.batches import without_gradients


@dataclass(frozen=True)
class DinoWMConfig:
    """Sizes of the network."""

    channels: int
    patches: int
    action_size: int
    proprio_size: int
    width: int
    blocks: int = 6
    heads: int = 4
    mlp_ratio: float = 4.0
    grid_columns: int = 0
    """> 0: a convolution over the grid before each block, as of `FlowConfig`."""
    copy_heads: int = 0
    """> 0: changes may copy tokens from elsewhere in the frame, as of `FlowConfig`."""


class DinoWMNetwork(nn.Module):
    """Tokens through blocks that the chunk modulates, to the change of the tokens."""

    def __init__(self, config: DinoWMConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.condition = Condition(config.action_size, config.proprio_size, config.width)
        self.input_layer = nn.Linear(config.channels, config.width)
        self.position = nn.Parameter(torch.empty(config.patches, config.width))
        self.blocks = nn.ModuleList(
            ConditioningBlock(config.width, config.heads, config.mlp_ratio) for _ in range(config.blocks)
        )
        self.grids = grid_convolutions(config.width, config.patches, config.grid_columns, config.blocks)
        self.copy = TokenCopy(config.width, config.channels, config.copy_heads) if config.copy_heads else None
        self.norm_out = nn.LayerNorm(config.width)
        self.out_layer = nn.Linear(config.width, config.channels)
        initialize(self, generator)
        self.condition.reset_parameters(generator)
        nn.init.normal_(self.position, std=0.2, generator=generator)
        zero(self.out_layer)
        if self.copy is not None:
            self.copy.reset_parameters()

    def forward(
        self, tokens: Tensor, chunk: Tensor, lengths: Tensor | None, proprio: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Tokens (B, L, C) and proprioception (B, P) or None after the chunk (B, K, A)."""
        vector, later = self.condition(chunk, lengths, proprio)
        x = full_precision(self.input_layer(tokens)) + self.position
        x = through_blocks(x, vector, self.blocks, self.grids)
        after = tokens + full_precision(self.out_layer(self.norm_out(x)))
        return after if self.copy is None else after + self.copy(x, tokens), later


class DinoWM(WorldModel):
    """A trained network; it draws nothing."""

    def __init__(self, network: DinoWMNetwork, name: str = "dino-wm") -> None:
        self.network, self.name = network, name

    def step(self, state: State, chunks: Tensor, keys: np.ndarray) -> State:
        """One pass of the network."""
        return state.moved(*self.network(state.tokens, chunks, None, state.proprio))

    def networks(self) -> dict[str, nn.Module]:
        """The one network."""
        return {"network": self.network}


class DinoWMTraining(ChunkTraining):
    """A `Trainable`: L1 + MSE of the tokens after the chunk, moving patches weighted as in RLA-WM's decoder.

    Args:
        recorded, options, batch_size, seed: see `ChunkTraining`.
        config: of the network.
        moving_weight: weight of patches that move.
        starts: held-out starts.
    """

    def __init__(
        self,
        recorded: Recorded,
        options: ChunkOptions,
        config: DinoWMConfig,
        batch_size: int,
        seed: int,
        moving_weight: float = 4.0,
        starts: int = 128,
    ) -> None:
        super().__init__(recorded, options, batch_size, seed)
        self.config, self.moving_weight = config, moving_weight
        self.network = DinoWMNetwork(config, torch.Generator().manual_seed(seed))
        self.held_out = HeldOut(recorded, options.chunk, starts)

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.network}

    def describe(self) -> dict[str, Any]:
        return {**self.description(), "model": asdict(self.config), "moving_weight": self.moving_weight}

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        """See `ChunkTraining.drawn` and `with_tokens`."""
        return self.with_tokens(self.drawn("dino-wm", step, rank)[0])

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        tokens, proprio, n = batch["tokens"], batch.get("proprio"), self.fed_back
        if n:
            fed, felt = batch["earlier_tokens"], batch.get("earlier_proprio")
            with without_gradients(tokens.device):
                for chunk in batch["earlier_chunks"]:
                    fed, felt = self.network(fed, chunk, None, felt)
            tokens = torch.cat([fed.float(), tokens[n:]])
            proprio = None if proprio is None or felt is None else torch.cat([felt.float(), proprio[n:]])
        predicted, later = self.network(tokens, batch["chunks"], batch["lengths"], proprio)
        loss = autoencoder_loss(predicted, tokens, batch["next_tokens"], moving_weight=self.moving_weight)
        parts = {"tokens": loss.detach()}
        if later is not None:
            error = F.mse_loss(later.float(), batch["next_proprio"])
            loss, parts["proprio"] = loss + error, error.detach()
        return loss, parts

    def evaluate(self, step: int) -> dict[str, float]:
        """See `HeldOut.measure`."""
        return self.held_out.measure(DinoWM(self.network))
