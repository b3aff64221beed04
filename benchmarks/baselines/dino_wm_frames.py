"""DINO-WM in its original form: the next frame's tokens from a history of frames and their actions.

A transformer over the patches of H frames, in which a frame sees itself and those before it; every patch carries its
frame's action and proprioception as further channels. Trained by teacher forcing on recorded frames at all H places at
once; a chunk of K actions is K predictions fed back. Unlike RLA-WM and the other baselines it sees earlier frames.

The predictor is ours, on the package's attention, or that of the package stable-worldmodel (MIT), which is not ours.
Two departures, both to the model's good: the change of the tokens is predicted, not the tokens, with the loss of
RLA-WM's decoder; and tokens enter and leave by a linear layer, since their 64 channels are a narrow residual stream.

Source: Zhou et al., "DINO-WM: World Models on Pre-trained Visual Features enable Zero-shot Planning" (2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.baselines.condition import OCTAVES
from benchmarks.baselines.interface import State, WorldModel
from rla_gym.models.transformer import Attention, full_precision, initialize, layer_norm, mlp, waves, zero
from rla_gym.utils.optional import require

PREDICTORS = ("ours", "stable-worldmodel")


@dataclass(frozen=True)
class FramesConfig:
    """Sizes of the network."""

    channels: int
    patches: int
    action_size: int
    proprio_size: int
    width: int
    history: int = 3
    """H, frames that a prediction sees, the present one included."""
    blocks: int = 6
    heads: int = 4
    mlp_ratio: float = 4.0
    embedding: int = 16
    """Channels of an action's and of proprioception's embedding."""
    predictor: str = "ours"
    """One of `PREDICTORS`."""


def frame_mask(history: int, patches: int) -> Tensor:
    """Bool (H·L, H·L): which tokens a token sees, those of its own frame and of earlier ones."""
    frame = torch.arange(history * patches) // patches
    return frame[:, None] >= frame[None, :]


class FrameBlock(nn.Module):
    """The package's pre-norm block with a mask."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.mlp = mlp(width, mlp_ratio)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, width) to the same shape; `mask` (T, T) bool."""
        normed = layer_norm(x)
        mixed = F.scaled_dot_product_attention(
            self.attn.queries(normed), *self.attn.keys_values(normed), attn_mask=mask
        )
        x = x + self.attn.out_proj(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(layer_norm(x))


class FramePredictor(nn.Module):
    """Blocks over the patches of up to H frames, position and frame embedded."""

    mask: Tensor

    def __init__(self, config: FramesConfig) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.empty(1, config.history * config.patches, config.width))
        self.blocks = nn.ModuleList(
            FrameBlock(config.width, config.heads, config.mlp_ratio) for _ in range(config.blocks)
        )
        self.norm_out = nn.LayerNorm(config.width)
        self.register_buffer("mask", frame_mask(config.history, config.patches), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T·L, width) of T ≤ H frames to the same shape."""
        size = x.shape[1]
        x = x + self.position[:, :size]
        for block in self.blocks:
            x = block(x, self.mask[:size, :size])
        return self.norm_out(x)


def make_predictor(config: FramesConfig) -> nn.Module:
    """The network between the linear layers, (B, H·L, width) to the same shape.

    Raises:
        ImportError: "stable-worldmodel" is asked for and not installed.
        ValueError: an unknown predictor.
    """
    if config.predictor == "ours":
        return FramePredictor(config)
    if config.predictor not in PREDICTORS:
        raise ValueError(f"predictor {config.predictor!r}: expected one of {', '.join(PREDICTORS)}")
    theirs = require("stable_worldmodel.wm.prejepa.module", extra="stable-worldmodel")
    # No dropout: the training loop's exact resume wants a loss that draws nothing.
    predictor: nn.Module = theirs.CausalPredictor(
        num_patches=config.patches,
        num_frames=config.history,
        dim=config.width,
        depth=config.blocks,
        heads=config.heads,
        dim_head=config.width // config.heads,
        mlp_dim=round(config.mlp_ratio * config.width),
    )
    return predictor


class FramesNetwork(nn.Module):
    """Frames' tokens, actions and proprioception to the change of tokens and proprioception after each frame."""

    def __init__(self, config: FramesConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        extra = config.embedding * (2 if config.proprio_size else 1)
        self.action_embed = nn.Linear(config.action_size, config.embedding)
        if config.proprio_size:
            self.proprio_embed = nn.Linear(config.proprio_size * (1 + 2 * OCTAVES), config.embedding)
            self.proprio_layer = nn.Linear(config.width + extra, config.proprio_size)
        self.input_layer = nn.Linear(config.channels + extra, config.width)
        # The optimiser Muon knows a transformer's matrices by "blocks." in their names.
        self.predictor_blocks = make_predictor(config)
        self.out_layer = nn.Linear(config.width, config.channels)
        initialize(self, generator)
        # Called "position" or "pos_embedding"; all other parameters are linear layers and norms, which are set by now.
        (position,) = (p for name, p in self.predictor_blocks.named_parameters() if name.startswith("pos"))
        nn.init.normal_(position, std=0.2, generator=generator)
        zero(self.out_layer)
        if config.proprio_size:
            zero(self.proprio_layer)

    def forward(self, tokens: Tensor, actions: Tensor, proprio: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Tokens (B, T, L, C) and proprioception (B, T, P) or None of the frames after each of T ≤ H frames.

        `actions` (B, T, A) are those that lead on from each frame.
        """
        frames, patches = tokens.shape[1:3]
        embedded = [full_precision(self.action_embed(actions))]
        if self.config.proprio_size:
            if proprio is None:
                raise ValueError(f"the model needs proprioception of {self.config.proprio_size} values")
            felt = self.proprio_embed(waves(proprio.flatten(0, 1), OCTAVES))
            embedded.append(full_precision(felt).unflatten(0, proprio.shape[:2]))
        extra = torch.cat(embedded, dim=-1)
        tiled = extra.unsqueeze(2).expand(-1, -1, patches, -1)
        x = full_precision(self.input_layer(torch.cat([tokens, tiled], dim=-1)))
        x = full_precision(self.predictor_blocks(x.flatten(1, 2))).unflatten(1, (frames, patches))
        change = None
        if self.config.proprio_size and proprio is not None:
            seen = torch.cat([x.mean(dim=2), extra], dim=-1)
            change = proprio + full_precision(self.proprio_layer(seen))
        return tokens + full_precision(self.out_layer(x)), change


class DinoWMFrames(WorldModel):
    """A trained network, rolled out frame by frame; it draws nothing."""

    slow = True

    def __init__(self, network: FramesNetwork) -> None:
        self.network, self.history = network, network.config.history - 1
        ours = network.config.predictor == "ours"
        self.name = "dino-wm-frames" if ours else "dino-wm-stable-worldmodel"

    def step(self, state: State, chunks: Tensor, keys: np.ndarray) -> State:
        """K predictions, each from the last H frames."""
        tokens, proprio, memory = state.tokens, state.proprio, dict(state.memory)
        for action in chunks.unbind(dim=1):
            now = {"tokens": tokens, "actions": action, "proprio": proprio}
            seen = {name: value.unsqueeze(1) for name, value in now.items() if value is not None}
            if self.history:
                seen = {name: torch.cat([memory[f"past_{name}"], value], dim=1) for name, value in seen.items()}
                memory |= {f"past_{name}": value[:, 1:] for name, value in seen.items()}
            after, felt = self.network(seen["tokens"], seen["actions"], seen.get("proprio"))
            tokens, proprio = after[:, -1], None if felt is None else felt[:, -1]
        return state.moved(tokens, proprio, **memory)

    def networks(self) -> dict[str, nn.Module]:
        """The one network."""
        return {"network": self.network}
