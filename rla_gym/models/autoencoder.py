"""The autoencoder of residual latent actions (RLA): z = f_enc(s_{t+h} - s_t), s_{t+h} = f_dec(z, s_t).

Source: arXiv 2605.07079 ("... World Models via Residual Latent Action") and its released implementation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from rla_gym.models.shapes import check_position_count, check_shape
from rla_gym.models.transformer import Block, full_precision, initialize, zero


@dataclass(frozen=True)
class RLAConfig:
    """Sizes and switches of the autoencoder; the defaults are the released model, with our switches off."""

    channels: int = 1024
    """C, channels of the (standardised) encoder tokens."""
    patches: int = 1024
    """L, patches of a frame; binding only with `position_embedding` or `linear_path`."""
    latent_tokens: int = 32
    """N, slots of the latent action."""
    latent_channels: int = 64
    """D, channels of a slot."""
    encoder_width: int = 1024
    encoder_blocks: int = 12
    encoder_heads: int = 16
    decoder_width: int = 1024
    decoder_blocks: int = 12
    decoder_heads: int = 16
    mlp_ratio: float = 4.0
    position_embedding: bool = False
    """Add a learned vector per patch after the input projections (ours; the release has none)."""
    residual_decoder: bool = False
    """The decoder predicts the change of the tokens instead of the next tokens (ours)."""
    linear_path: bool = False
    """Beside both networks, z holds and gives back principal components of the residual (ours), so that they start from
    the best linear code. With `encoder_blocks` 0 the encoder is this linear map alone."""


class TokenTransformer(nn.Module):
    """Patches and N prefix tokens through one transformer; prefix outputs (encoder) or patch outputs
    (decoder).

    Args:
        in_channels, out_channels: channels of the patches that come in and of the tokens that come out.
        prefix: N, number of learned prefix tokens.
        prefix_channels: channels of a latent added to the prefix (decoder), or None (encoder).
        patches: number of patches of a learned position embedding, or None for no embedding.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        blocks: int,
        heads: int,
        mlp_ratio: float,
        prefix: int,
        prefix_channels: int | None = None,
        patches: int | None = None,
    ) -> None:
        super().__init__()
        self.prefix, self.decodes = prefix, prefix_channels is not None
        self.tokens = nn.Parameter(torch.empty(prefix, width))
        self.position = nn.Parameter(torch.empty(patches, width)) if patches is not None else None
        self.token_proj: nn.Module = nn.Identity()
        if prefix_channels is not None and prefix_channels != width:
            self.token_proj = nn.Linear(prefix_channels, width)
        self.input_layer = nn.Linear(in_channels, width)
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio) for _ in range(blocks))
        self.norm_out = nn.LayerNorm(width)
        self.out_layer = nn.Linear(width, out_channels)

    def reset_parameters(self, generator: torch.Generator | None) -> None:
        """Released initialisation: prefix 0.2·normal, Xavier linears, the decoder's output layer at zero."""
        initialize(self, generator)
        nn.init.normal_(self.tokens, std=0.2, generator=generator)
        if self.position is not None:
            nn.init.normal_(self.position, std=0.2, generator=generator)
        if self.decodes:
            zero(self.out_layer)

    def forward(self, patches: torch.Tensor, latent: torch.Tensor | None = None) -> torch.Tensor:
        """Outputs (B, N, out_channels) of an encoder, (B, L, out_channels) of a decoder, in float32.

        `patches` is (B, L, in_channels), `latent` (B, N, prefix_channels) for a decoder and else None.
        """
        x = full_precision(self.input_layer(patches))
        if self.position is not None:
            x = x + self.position
        prefix = self.tokens.expand(x.shape[0], -1, -1)
        if latent is not None:
            prefix = prefix + self.token_proj(latent)
        x = torch.cat([prefix, x], dim=1)
        kept = slice(self.prefix, None) if self.decodes else slice(None, self.prefix)
        for i, block in enumerate(self.blocks):
            x = block(x, kept if i + 1 == len(self.blocks) else None)
        return full_precision(self.out_layer(self.norm_out(x)))


class RLAAutoencoder(nn.Module):
    """Encoder of token residuals to latent actions and decoder back to tokens.

    Tensors: tokens (B, L, C) float32, standardised; latent action z (B, N, D) float32, unscaled. `generator` fills the
    weights; without one torch's global generator does. `components` (N·D, L·C) of a linear path are zero until
    `AutoencoderTraining` measures them.

    Raises:
        ValueError: a configuration without any encoder.
    """

    components: torch.Tensor

    def __init__(self, config: RLAConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        patches = config.patches if config.position_embedding else None
        if not config.encoder_blocks and not config.linear_path:
            raise ValueError("encoder_blocks=0 without linear_path leaves no encoder: give one of the two")
        if config.linear_path:
            shape = (config.latent_tokens * config.latent_channels, config.patches * config.channels)
            self.register_buffer("components", torch.zeros(shape))
        self.encoder: TokenTransformer | None = None
        if config.encoder_blocks:
            self.encoder = TokenTransformer(
                in_channels=config.channels,
                out_channels=config.latent_channels,
                width=config.encoder_width,
                blocks=config.encoder_blocks,
                heads=config.encoder_heads,
                mlp_ratio=config.mlp_ratio,
                prefix=config.latent_tokens,
                patches=patches,
            )
        self.decoder = TokenTransformer(
            in_channels=config.channels,
            out_channels=config.channels,
            width=config.decoder_width,
            blocks=config.decoder_blocks,
            heads=config.decoder_heads,
            mlp_ratio=config.mlp_ratio,
            prefix=config.latent_tokens,
            prefix_channels=config.latent_channels,
            patches=patches,
        )
        if self.encoder is not None:
            self.encoder.reset_parameters(generator)
            if config.linear_path:
                zero(self.encoder.out_layer)
        self.decoder.reset_parameters(generator)

    def encode(self, residual: torch.Tensor) -> torch.Tensor:
        """Latent action z (B, N, D) of the residual s_{t+h} - s_t (B, L, C). ValueError on another shape."""
        patches = self.config.patches if self.config.linear_path else "patches"
        check_shape("residual", residual, ("batch", patches, self.config.channels))
        z = residual.new_zeros(())
        if self.encoder is not None:
            check_position_count("residual", residual, self.encoder.position)
            z = self.encoder(residual)
        if self.config.linear_path:
            z = z + self.project(residual)
        return z

    def project(self, residual: torch.Tensor) -> torch.Tensor:
        """The linear part (B, N, D) float32 of z of the residual (B, L, C), with `linear_path`."""
        flat = full_precision(F.linear(residual.flatten(1), self.components))
        return flat.unflatten(1, (self.config.latent_tokens, self.config.latent_channels))

    def decode(self, z: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Next tokens (B, L, C) from the unscaled latent action `z` (B, N, D) and `tokens` s_t (B, L, C).

        Raises:
            ValueError: a shape differs from the configuration, or the two batches differ.
        """
        config = self.config
        patches = config.patches if config.linear_path else "patches"
        check_shape("tokens", tokens, ("batch", patches, config.channels))
        check_shape("z", z, (tokens.shape[0], config.latent_tokens, config.latent_channels))
        check_position_count("tokens", tokens, self.decoder.position)
        decoded = self.decoder(tokens, z)
        if config.linear_path:
            decoded = decoded + full_precision(F.linear(z.flatten(1), self.components.T)).view_as(tokens)
        return tokens + decoded if config.residual_decoder else decoded

    def forward(self, tokens: torch.Tensor, next_tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Reconstruction of `next_tokens` (B, L, C) through the latent action, and that z (B, N, D)."""
        z = self.encode(next_tokens - tokens)
        return self.decode(z, tokens), z


def moving_patch_weights(residual: torch.Tensor, moving_weight: float, moving_quantile: float) -> torch.Tensor:
    """Weights (B, L, 1), mean 1, that count patches which move `moving_weight` times.

    A patch of `residual` (B, L, C) moves if its norm exceeds the `moving_quantile` quantile of the batch's
    norms: most patches show background, and without weights they decide what the latent stores.
    """
    norms = residual.float().norm(dim=-1)
    rank = min(int(moving_quantile * norms.numel()), norms.numel() - 1)
    threshold = norms.flatten().kthvalue(rank + 1).values
    weights = torch.where(norms > threshold, moving_weight, 1.0)
    return (weights / weights.mean()).unsqueeze(-1)


def autoencoder_loss(
    predicted: torch.Tensor,
    tokens: torch.Tensor,
    next_tokens: torch.Tensor,
    l1_weight: float = 1.0,
    mse_weight: float = 1.0,
    moving_weight: float = 1.0,
    moving_quantile: float = 0.75,
) -> torch.Tensor:
    """Reconstruction loss, L1 + MSE (the release; VQ and VAE branches are unused there).

    Args:
        predicted, tokens, next_tokens: (B, L, C): the decoder's output, s_t and s_{t+h}.
        l1_weight, mse_weight: weights of the two terms, 1 in the release.
        moving_weight: factor for patches that move (see `moving_patch_weights`); 1 is the release's plain
            mean.
        moving_quantile: share of patches counted as still, in [0, 1).

    Returns:
        A scalar.
    """
    error = predicted.float() - next_tokens.float()
    elementwise = l1_weight * error.abs() + mse_weight * error.square()
    if moving_weight == 1.0:
        return elementwise.mean()
    return (elementwise * moving_patch_weights(next_tokens - tokens, moving_weight, moving_quantile)).mean()
