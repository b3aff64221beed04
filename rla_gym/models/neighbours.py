"""What ties a patch to others (ours): things in a scene mostly move to where other patches are.

Both parts do nothing at first, and cost little beside a transformer block. `initialize` fills all linear layers of a
network, so `TokenCopy.reset_parameters` has to come after it.
"""

from __future__ import annotations

import torch
from torch import nn

from rla_gym.models.transformer import full_precision, zero

KEY_WIDTH = 32
"""Of the queries and keys of one head of `TokenCopy`."""
GROUPS = 4
"""Of channels that share a gate; a gate for each channel learned more slowly."""


class GridConvolution(nn.Module):
    """Adds to each patch a depth-wise 3×3 convolution of the patches around it.

    Source: Chu et al., "Conditional Positional Encodings for Vision Transformers" (2021).

    Args:
        width: of the patches.
        columns: patches in a row of the grid.
    """

    def __init__(self, width: int, columns: int) -> None:
        super().__init__()
        self.columns = columns
        self.convolution = nn.Conv2d(width, width, 3, padding=1, groups=width)
        zero(self.convolution)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, width), L a multiple of the columns, to the same shape."""
        # Channels last in memory, as tokens are: nothing is copied.
        grid = x.unflatten(1, (-1, self.columns)).permute(0, 3, 1, 2)
        return x + full_precision(self.convolution(grid)).permute(0, 2, 3, 1).flatten(1, 2)


class TokenCopy(nn.Module):
    """The change of tokens that copying them from elsewhere in the frame makes.

    Each head looks at a mixture of the present tokens, and gates say how much of the way a patch goes from its own
    token to that mixture. Related to the transformations of pixels of Finn et al., "Unsupervised Learning for Physical
    Interaction through Video Prediction" (2016), with attention in the place of filters.

    Args:
        width: of the features that choose.
        channels: C of the tokens.
        heads: mixtures for each patch.

    Raises:
        ValueError: channels that do not fall into `GROUPS` groups.
    """

    def __init__(self, width: int, channels: int, heads: int) -> None:
        super().__init__()
        if channels % GROUPS:
            raise ValueError(f"tokens of {channels} channels cannot be copied in {GROUPS} groups of channels")
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.queries_keys = nn.Linear(width, 2 * heads * KEY_WIDTH)
        self.gate = nn.Linear(width, heads * GROUPS)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Closed gates: nothing is copied."""
        zero(self.gate)

    def forward(self, x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Change (B, L, C) float32 of `tokens` (B, L, C), by the features `x` (B, L, width)."""
        x = self.norm(x)
        split = self.queries_keys(x).unflatten(-1, (2, self.heads, KEY_WIDTH)).permute(2, 0, 3, 1, 4)
        queries, keys = split[0], split[1]
        weights = ((queries * KEY_WIDTH**-0.5) @ keys.transpose(-2, -1)).softmax(dim=-1)
        mixtures = full_precision(weights @ tokens.to(weights.dtype).unsqueeze(1))
        moves = (mixtures - tokens.unsqueeze(1)).unflatten(-1, (GROUPS, -1))
        gates = full_precision(self.gate(x)).unflatten(-1, (self.heads, GROUPS, 1)).transpose(1, 2)
        return (moves * gates).sum(dim=1).flatten(-2)


def grid_convolutions(width: int, patches: int, columns: int, count: int) -> nn.ModuleList | None:
    """One for each of `count` blocks over `patches` in rows of `columns`; None for 0 columns.

    Raises:
        ValueError: columns that do not divide the patches.
    """
    if not columns:
        return None
    if patches % columns:
        raise ValueError(f"grid_columns={columns} does not divide the {patches} patches")
    return nn.ModuleList(GridConvolution(width, columns) for _ in range(count))


def through_blocks(
    x: torch.Tensor, vector: torch.Tensor, blocks: nn.ModuleList, grids: nn.ModuleList | None
) -> torch.Tensor:
    """`x` (B, L, width) through blocks that `vector` modulates, each after its convolution where there are any."""
    for i, block in enumerate(blocks):
        x = block(x if grids is None else grids[i](x), vector)
    return x
