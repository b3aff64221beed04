"""Sizes and switches of the flow world model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rla_gym.models.flow import SIGMA_MIN
from rla_gym.models.shapes import MOST, check_heads, check_sizes

MOST_OCTAVES = 24
"""Finer waves than float32 has bits of."""


@dataclass(frozen=True)
class FlowConfig:
    """Sizes and switches of the flow world model; the defaults are the released model, our switches off."""

    channels: int = 1024
    """C, channels of the (standardised) encoder tokens."""
    patches: int = 1024
    """L, patches of a frame; binding only with `position_embedding`, `anchor` or `grid_columns`."""
    latent_tokens: int = 32
    latent_channels: int = 64
    width: int = 1024
    """Width of the conditioning stage and of the action vector."""
    flow_width: int = 1024
    conditioning_blocks: int = 8
    flow_blocks: int = 8
    heads: int = 16
    mlp_ratio: float = 4.0
    robots: Mapping[str, int] = field(default_factory=lambda: {"0": 9})
    """Action size of each robot id."""
    frame_channels: int = 64
    """Channels of one encoded action before the GRU."""
    max_horizon: int = 15
    """Longest action chunk."""
    strict_chunks: bool = False
    """Refuse chunks of the wrong width or length (ours); the release cuts and zero-fills them."""
    sigma_min: float = SIGMA_MIN
    latent_scale: float = 10.0
    """Latents are divided by this before the flow sees them, until statistics are set."""
    per_dimension_scale: bool = False
    """Keep one scale for each of the N·D latent numbers (ours) instead of one constant."""
    prediction: str = "velocity"
    """Output of the network: "velocity", or "latent" (ours), the clean latent that implies a velocity."""
    input_projection: bool = False
    """Project the tokens even where C equals `width` (ours); the release projects only where they differ."""
    position_embedding: bool = False
    """Add a learned vector per patch to the conditioning tokens (ours)."""
    slot_embedding: bool = False
    """Add a learned vector per latent slot (ours); without it the flow cannot tell slots apart."""
    proprio_size: int = 0
    """P > 0: proprioception conditions the prediction and its change is predicted (ours)."""
    proprio_octaves: int = 0
    """Sines and cosines of proprioception, at so many octaves, beside its values (ours): an MLP of the bare
    values is too smooth to point at a place within a patch."""
    next_proprio: bool = False
    """Predict the change of proprioception from the actions first, and condition the tokens on it (ours)."""
    anchor: bool = False
    """The conditioning tokens regress the change of the tokens, and the flow starts from its linear latent (ours):
    what it has left to learn is what regression leaves open. Needs an autoencoder with `linear_path`."""
    grid_columns: int = 0
    """Patches in a row of the frame's grid; > 0: a convolution over the grid before each conditioning block (ours)."""
    copy_heads: int = 0
    """> 0: regressed changes may copy tokens from elsewhere in the frame, in so many ways a patch (ours); with
    `anchor`."""

    def __post_init__(self) -> None:
        check_sizes(self, zero=("proprio_size", "proprio_octaves", "grid_columns", "copy_heads"))
        check_heads(self.heads, width=self.width, flow_width=self.flow_width)
        if self.proprio_octaves > MOST_OCTAVES:
            raise ValueError(f"proprio_octaves is {self.proprio_octaves}, expected 0 to {MOST_OCTAVES}")
        if not self.latent_scale > 0:
            raise ValueError(f"latent_scale is {self.latent_scale}, expected a number over 0")
        for name, size in self.robots.items():
            if not (name.isascii() and name.isdigit() and 1 <= size <= MOST):
                raise ValueError(f"robots has {name!r}: {size}, expected ids such as '0' and sizes of 1 to {MOST}")
