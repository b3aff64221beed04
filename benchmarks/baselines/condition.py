"""What an action chunk and proprioception say, as one vector, as in RLA-WM's own conditioning stage."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rla_gym.models.action_encoder import ActionEncoder
from rla_gym.models.shapes import check_shape
from rla_gym.models.transformer import full_precision, initialize, waves, zero

OCTAVES = 6
"""Sines and cosines of proprioception, as in the presets."""


def proprio_mlp(proprio_size: int, width: int) -> nn.Sequential:
    """Embedding of `waves(proprio, OCTAVES)`."""
    return nn.Sequential(nn.Linear(proprio_size * (1 + 2 * OCTAVES), width), nn.GELU(), nn.Linear(width, width))


class Condition(nn.Module):
    """Chunk and proprioception to a vector, and to the proprioception that follows, which goes into the vector too.

    Args:
        action_size, proprio_size: A and P; P = 0 for none.
        width: of the vector.
    """

    def __init__(self, action_size: int, proprio_size: int, width: int) -> None:
        super().__init__()
        self.action_size, self.proprio_size = action_size, proprio_size
        self.actions = ActionEncoder(action_size, width)
        if proprio_size:
            self.now, self.later = proprio_mlp(proprio_size, width), proprio_mlp(proprio_size, width)
            self.change = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, proprio_size))

    def reset_parameters(self, generator: torch.Generator | None) -> None:
        """Xavier linears; at first nothing changes."""
        initialize(self, generator)
        if self.proprio_size:
            zero(self.change[2])

    def forward(self, chunk: Tensor, lengths: Tensor | None, proprio: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Vector (B, width), and the standardised proprioception (B, P) after the chunk or None.

        Args:
            chunk: (B, K, A), right-padded where `lengths` (B,) is given.
            proprio: (B, P) standardised; ignored where P is 0.
        """
        check_shape("chunk", chunk, ("batch", "actions", self.action_size))
        vector = self.actions(chunk, lengths)
        if not self.proprio_size:
            return vector, proprio
        if proprio is None:
            raise ValueError(f"the model needs proprioception: pass proprio ({len(chunk)}, {self.proprio_size})")
        check_shape("proprio", proprio, (len(chunk), self.proprio_size))
        now = full_precision(self.now(waves(proprio, OCTAVES)))
        later = proprio + full_precision(self.change(torch.cat([vector + now, now], dim=-1)))
        # Detached: what comes next learns to be right, not to suit the tokens.
        ahead = full_precision(self.later(waves(later.detach(), OCTAVES)))
        return vector + now + ahead, later
