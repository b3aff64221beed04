"""What one prediction of the flow needs of tokens and actions, computed once for all Euler steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Conditioning:
    """All that one prediction needs of tokens and actions. B rows, each serving `draws` rows of noise."""

    action: torch.Tensor
    """Action vectors (B, width)."""
    tokens: torch.Tensor
    """Conditioning tokens (B, L, width)."""
    keys: tuple[torch.Tensor, ...]
    """Cross-attention keys of each flow block, (B, heads, L, flow_width / heads); none for a central one."""
    values: tuple[torch.Tensor, ...]
    """Cross-attention values of each flow block, as keys."""
    proprio_delta: torch.Tensor | None = None
    """Predicted change of standardised proprioception (B, P)."""
    change: torch.Tensor | None = None
    """Regressed change of the tokens (B, L, C), where the flow has an anchor."""
    anchor: torch.Tensor | None = None
    """Flow-space latent (B, N, D) of that change, from which the flow starts; None where no noise will be drawn."""
    draws: int = 1
    """Rows of noise for each row; draws of row b are rows b·draws to b·draws + draws - 1."""

    def __len__(self) -> int:
        """Rows of noise that this conditioning serves."""
        return self.tokens.shape[0] * self.draws

    def repeat(self, n: int) -> Conditioning:
        """The conditioning for `n` consecutive draws of noise of each row; nothing is copied."""
        if n < 1:
            raise ValueError(f"n is {n}, expected at least 1 draw")
        return replace(self, draws=self.draws * n)
