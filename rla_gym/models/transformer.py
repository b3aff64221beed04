"""Transformer blocks of the paper's networks, with the tensor names of the released weights.

Attention is torch's multi-head attention (packed input projection, bias, no mask, no dropout) with two savings that do
not change the result: the last block of a network computes only the tokens that are kept, and keys and values of a
fixed context can be computed once and used many times. Residual streams and layer norms stay in float32 under autocast.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


def full_precision(x: torch.Tensor) -> torch.Tensor:
    """`x` in float32 if it is stored in a 16-bit type, else `x` itself."""
    return x.float() if x.element_size() < 4 else x


def layer_norm(x: torch.Tensor) -> torch.Tensor:
    """Layer norm over the last axis without learned scale, eps 1e-5, in float32."""
    return F.layer_norm(full_precision(x), x.shape[-1:], eps=1e-5)


def modulate(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Layer-normalised `x` scaled by 1 + `scale` and moved by `shift` (adaptive layer norm)."""
    return layer_norm(x) * (1 + scale) + shift


def mlp(width: int, ratio: float) -> nn.Sequential:
    """Linear, exact GELU, Linear, with `ratio` times `width` hidden units."""
    hidden = int(width * ratio)
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class Attention(nn.Module):
    """Multi-head attention with the parameter names of `torch.nn.MultiheadAttention`.

    Args:
        width: width of queries and output.
        heads: number of heads; must divide `width`.
        context_width: width of keys' and values' input, `width` if None. A different width gives separate
            `q_proj_weight`, `k_proj_weight` and `v_proj_weight`, as in torch.
    """

    def __init__(self, width: int, heads: int, context_width: int | None = None) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of the number of heads {heads}")
        self.width, self.heads = width, heads
        context_width = width if context_width is None else context_width
        self.packed = context_width == width
        if self.packed:
            self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        else:
            self.q_proj_weight = nn.Parameter(torch.empty(width, width))
            self.k_proj_weight = nn.Parameter(torch.empty(width, context_width))
            self.v_proj_weight = nn.Parameter(torch.empty(width, context_width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.reset_parameters(None)

    def reset_parameters(self, generator: torch.Generator | None) -> None:
        """Xavier-uniform projections, zero biases."""
        for name, parameter in self.named_parameters(recurse=False):
            if name == "in_proj_bias":
                nn.init.zeros_(parameter)
            else:
                nn.init.xavier_uniform_(parameter, generator=generator)

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, self.width // self.heads)).transpose(1, 2)

    def queries(self, x: torch.Tensor) -> torch.Tensor:
        """Queries (B, heads, T, width / heads) of `x` (B, T, width)."""
        weight = self.in_proj_weight[: self.width] if self.packed else self.q_proj_weight
        return self._heads(F.linear(x, weight, self.in_proj_bias[: self.width]))

    def keys_values(self, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values, each (B, heads, S, width / heads), of `context` (B, S, context_width)."""
        bias = self.in_proj_bias[self.width :]
        if self.packed:
            keys, values = F.linear(context, self.in_proj_weight[self.width :], bias).chunk(2, dim=-1)
        else:
            keys = F.linear(context, self.k_proj_weight, bias[: self.width])
            values = F.linear(context, self.v_proj_weight, bias[self.width :])
        return self._heads(keys), self._heads(values)

    def attend(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Attention output (B, T, width) after the output projection."""
        if queries.dtype == torch.bfloat16 and queries.device.type == "cpu":
            # At the lengths of frames, torch's fused kernel for CPUs is slower than plain products.
            weights = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-2, -1)
            mixed = weights.softmax(dim=-1) @ values
        else:
            mixed = F.scaled_dot_product_attention(queries, keys, values)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def forward(self, x: torch.Tensor, keep: slice | None = None) -> torch.Tensor:
        """Self-attention over `x` (B, T, width); with `keep`, only those tokens are queries and come out."""
        if keep is not None:
            return self.attend(self.queries(x[:, keep]), *self.keys_values(x))
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        return self.attend(self._heads(q), self._heads(k), self._heads(v))


class Block(nn.Module):
    """Pre-norm block: x += attention(LN(x)); x += MLP(LN(x)), norms without learned scale."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.mlp = mlp(width, mlp_ratio)

    def forward(self, x: torch.Tensor, keep: slice | None = None) -> torch.Tensor:
        """(B, T, width) to the same shape, or to the tokens of `keep` only."""
        attended = self.attn(layer_norm(x), keep)
        x = (x if keep is None else x[:, keep]) + attended
        return x + self.mlp(layer_norm(x))


class ConditioningBlock(nn.Module):
    """Self-attention block whose two sublayers are modulated by a vector (adaptive layer norm,
    zero-initialised).

    Modulation comes as shift, scale, gate of attention, then of the MLP; with its last layer at zero the
    block is the identity.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.mlp = mlp(width, mlp_ratio)
        self.cond_proj = nn.Linear(width, width)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        """`x` (B, T, width) modulated by `vector` (B, width)."""
        modulation = full_precision(self.modulation(self.cond_proj(vector))).unsqueeze(1)
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation.chunk(6, dim=-1)
        x = x + gate_a * self.attn(modulate(x, shift_a, scale_a))
        return x + gate_m * self.mlp(modulate(x, shift_m, scale_m))


class FlowBlock(nn.Module):
    """Block over noisy latents: gated self-attention, ungated cross-attention, gated MLP."""

    def __init__(self, width: int, heads: int, mlp_ratio: float, context_width: int) -> None:
        super().__init__()
        self.norm2 = nn.LayerNorm(width)
        self.self_attn = Attention(width, heads)
        self.cross_attn = Attention(width, heads, context_width)
        self.mlp = mlp(width, mlp_ratio)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x: torch.Tensor, time: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """One block.

        Args:
            x: (R, N, width), R a multiple n·B of the B rows of keys; rows b·n to b·n + n - 1 use row b of the
                keys.
            time: time embedding, (R, width) or (1, width).
            keys, values: (B, heads, L, width / heads), from `cross_attn.keys_values`.
        """
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = (
            full_precision(self.modulation(time)).unsqueeze(1).chunk(6, dim=-1)
        )
        x = x + gate_a * self.self_attn(modulate(x, shift_a, scale_a))
        # Queries do not see one another here: several draws of one row share its keys as one longer sequence.
        grouped = self.norm2(x).reshape(keys.shape[0], -1, x.shape[-1])
        crossed = self.cross_attn.attend(self.cross_attn.queries(grouped), keys, values)
        x = x + crossed.reshape(x.shape)
        return x + gate_m * self.mlp(modulate(x, shift_m, scale_m))


def sinusoid(t: torch.Tensor, size: int = 256, max_period: float = 10_000.0) -> torch.Tensor:
    """[cos | sin] embedding (R, size) float32 of 1000·t for times `t` (R,) in [0, 1].

    The frequencies are max_period^(-k / (size / 2)), k = 0, 1, ..., size / 2 - 1.
    """
    half = size // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = 1000.0 * t.float()[:, None] * torch.exp(-math.log(max_period) * steps / half)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def waves(x: torch.Tensor, octaves: int) -> torch.Tensor:
    """`x` (B, P) with its sines and cosines at π/4, π/2, π, ... radians a unit: (B, P·(1 + 2·octaves)).

    Standardised values stay within ±4, one period of the slowest.
    """
    if not octaves:
        return x
    frequencies = math.pi / 4 * 2.0 ** torch.arange(octaves, dtype=x.dtype, device=x.device)
    angles = (x.unsqueeze(-1) * frequencies).flatten(-2)
    return torch.cat([x, angles.sin(), angles.cos()], dim=-1)


class TimeEmbedding(nn.Module):
    """Sinusoid of the flow time, Linear, SiLU, Linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """(R, width) of `t` (R,) in [0, 1]."""
        return self.mlp(sinusoid(t))


def zero(layer: nn.Module) -> None:
    """Set every parameter of `layer` to zero: its block then starts without effect."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def initialize(module: nn.Module, generator: torch.Generator | None) -> None:
    """Released initialisation: Xavier-uniform linears, zero biases and modulation; torch's own for the GRU.

    Numbers come from `generator`, or from torch's global one if it is None.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, Attention):
            part.reset_parameters(generator)
        elif isinstance(part, nn.GRU):
            bound = part.hidden_size**-0.5
            for parameter in part.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
    for part in module.modules():
        if isinstance(part, ConditioningBlock | FlowBlock):
            zero(part.modulation[1])
