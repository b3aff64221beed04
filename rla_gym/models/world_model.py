"""The flow world model: tokens and an action chunk condition a flow that turns noise into a latent action.

One prediction runs `condition` once and `velocity` as often as the flow is evaluated; everything that does not depend
on the noise, the keys and values of the cross-attention included, is computed in `condition`.

Source: the released implementation of arXiv 2605.07079 (its paper's figure shows another conditioning).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from rla_gym.models.action_encoder import ActionEncoders
from rla_gym.models.conditioning import Conditioning
from rla_gym.models.flow import euler_sample, midpoint_sample
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.latent_space import LatentSpace
from rla_gym.models.neighbours import TokenCopy, grid_convolutions, through_blocks
from rla_gym.models.shapes import check_position_count, check_shape
from rla_gym.models.transformer import (
    ConditioningBlock,
    FlowBlock,
    TimeEmbedding,
    full_precision,
    initialize,
    waves,
    zero,
)

PREDICTIONS = ("velocity", "latent")
SMALLEST_TIME = 0.05
"""Floor of t in velocity = (x_t - z) / t, so that latent prediction does not divide by zero."""


class FlowWorldModel(LatentSpace):
    """Action-conditioned flow over latent actions.

    Tensors: tokens (B, L, C) float32, standardised; chunk (B, K, A) float32 in [-1, 1]; flow-space latents
    x (B, N, D) float32, which are (z - latent_mean) / latent_scale of the autoencoder's z. `generator` fills
    the weights; without one torch's global generator does.

    Raises:
        ValueError: `config.prediction` is unknown, `robots` is empty, `heads` does not divide a width,
            `grid_columns` does not divide the patches, or `copy_heads` without `anchor` or with channels that do not
            fall into 4 groups.
    """

    components: torch.Tensor

    def __init__(self, config: FlowConfig, generator: torch.Generator | None = None) -> None:
        latent_shape = (config.latent_tokens, config.latent_channels)
        super().__init__(latent_shape, config.latent_scale, config.per_dimension_scale)
        if config.prediction not in PREDICTIONS:
            raise ValueError(f"prediction is {config.prediction!r}, expected one of {', '.join(PREDICTIONS)}")
        self.config = config
        width, flow_width = config.width, config.flow_width

        self.qpos_encoders = ActionEncoders(
            config.robots, width, config.frame_channels, config.max_horizon, config.strict_chunks
        )
        projects = config.input_projection or config.channels != width
        self.xt_proj: nn.Module = nn.Linear(config.channels, width) if projects else nn.Identity()
        self.position = nn.Parameter(torch.empty(config.patches, width)) if config.position_embedding else None
        self.cond_blocks = nn.ModuleList(
            ConditioningBlock(width, config.heads, config.mlp_ratio) for _ in range(config.conditioning_blocks)
        )
        self.cond_grids = grid_convolutions(width, config.patches, config.grid_columns, config.conditioning_blocks)
        self.flow_latent_proj = nn.Linear(config.latent_channels, flow_width)
        self.slot = nn.Parameter(torch.empty(config.latent_tokens, flow_width)) if config.slot_embedding else None
        self.flow_time_embedder = TimeEmbedding(flow_width)
        self.flow_blocks = nn.ModuleList(
            FlowBlock(flow_width, config.heads, config.mlp_ratio, width) for _ in range(config.flow_blocks)
        )
        self.flow_norm_out = nn.LayerNorm(flow_width)
        self.flow_out_proj = nn.Linear(flow_width, config.latent_channels)
        if config.copy_heads and not config.anchor:
            raise ValueError(f"copy_heads={config.copy_heads} without anchor=True: there is no change to be regressed")
        if config.anchor:
            self.change_norm = nn.LayerNorm(width)
            self.change_proj = nn.Linear(width, config.channels)
            self.anchor_proj = nn.Linear(config.latent_channels, flow_width)
            numbers = config.latent_tokens * config.latent_channels
            self.register_buffer("components", torch.zeros(numbers, config.patches * config.channels))
            self.change_copy = TokenCopy(width, config.channels, config.copy_heads) if config.copy_heads else None
        if config.proprio_size:
            self.proprio_embed = self._proprio_mlp()
            if config.next_proprio:
                self.next_proprio_embed = self._proprio_mlp()
                self.proprio_guess = nn.Sequential(
                    nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, config.proprio_size)
                )
            self.proprio_head = nn.Sequential(
                nn.Linear(3 * width, width), nn.GELU(), nn.Linear(width, config.proprio_size)
            )
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None) -> None:
        """Xavier linears, modulation and output layers at zero, embeddings 0.2·normal."""
        initialize(self, generator)
        zero(self.flow_out_proj)
        if self.config.anchor:
            zero(self.change_proj)
            if self.change_copy is not None:
                self.change_copy.reset_parameters()
        for embedding in (self.position, self.slot):
            if embedding is not None:
                nn.init.normal_(embedding, std=0.2, generator=generator)
        if self.config.proprio_size:
            zero(self.proprio_head[2])
            if self.config.next_proprio:
                zero(self.proprio_guess[2])

    def _proprio_mlp(self) -> nn.Sequential:
        size, width = self.config.proprio_size * (1 + 2 * self.config.proprio_octaves), self.config.width
        return nn.Sequential(nn.Linear(size, width), nn.GELU(), nn.Linear(width, width))

    def condition(
        self,
        tokens: torch.Tensor,
        chunk: torch.Tensor,
        lengths: torch.Tensor | None = None,
        proprio: torch.Tensor | None = None,
        robots: torch.Tensor | None = None,
        central: bool = False,
    ) -> Conditioning:
        """Everything about a prediction that does not depend on noise or flow time.

        Args:
            tokens: s_t (B, L, C).
            chunk: actions (B, K, A), right-padded where `lengths` is given.
            lengths: (B,) int64 valid actions of each row; None if all K are valid.
            proprio: standardised proprioception (B, P); given exactly if `config.proprio_size` is not 0.
            robots: (B,) int64 robot ids; None is the default robot.
            central: no noise will be drawn. With an anchor no flow is evaluated then, and what it needs is left out.

        Raises:
            ValueError: a shape differs from the configuration.
        """
        config = self.config
        patches = config.patches if config.anchor or config.grid_columns else "patches"
        check_shape("tokens", tokens, ("batch", patches, config.channels))
        check_shape("chunk", chunk, (tokens.shape[0], "actions", "action size"))
        check_position_count("tokens", tokens, self.position)
        action = self.qpos_encoders.encode(chunk, lengths, robots)
        embedded = self._embed_proprio(proprio, tokens.shape[0])
        guess = None
        if embedded is not None and proprio is not None:
            action = action + embedded
            if config.next_proprio:
                guess = full_precision(self.proprio_guess(torch.cat([action, embedded], dim=-1)))
                # Detached: the guess learns to be right about proprioception, not what suits the tokens.
                later = waves(proprio + guess.detach(), config.proprio_octaves)
                action = action + full_precision(self.next_proprio_embed(later))

        x = full_precision(self.xt_proj(tokens))
        if self.position is not None:
            x = x + self.position
        x = through_blocks(x, action, self.cond_blocks, self.cond_grids)

        change = anchor = None
        context, flow_blocks = x, list(self.flow_blocks)
        if config.anchor:
            change = full_precision(self.change_proj(self.change_norm(x)))
            if self.change_copy is not None:
                change = change + self.change_copy(x, tokens)
            if central:
                flow_blocks = []
            else:
                linear = F.linear(change.detach().flatten(1), self.components).unflatten(1, self.latent_mean.shape)
                anchor = self.to_flow(full_precision(linear))
            # The flow's loss, which is noisy, does not reach the regression.
            context = x.detach()
        keys, values = [], []
        for block in flow_blocks:
            assert isinstance(block, FlowBlock)
            block_keys, block_values = block.cross_attn.keys_values(context)
            keys.append(block_keys)
            values.append(block_values)
        delta = None
        if embedded is not None:
            delta = full_precision(self.proprio_head(torch.cat([action, embedded, x.mean(1)], dim=-1)))
            delta = delta if guess is None else guess + delta
        return Conditioning(action, x, tuple(keys), tuple(values), delta, change, anchor)

    def _embed_proprio(self, proprio: torch.Tensor | None, batch: int) -> torch.Tensor | None:
        size = self.config.proprio_size
        if proprio is None:
            if size:
                raise ValueError(f"the model needs proprioception: pass proprio of shape ({batch}, {size})")
            return None
        if not size:
            raise ValueError(f"proprio has shape {tuple(proprio.shape)}, but the model was built with proprio_size=0")
        check_shape("proprio", proprio, (batch, size))
        return full_precision(self.proprio_embed(waves(proprio, self.config.proprio_octaves)))

    def velocity(self, x: torch.Tensor, t: torch.Tensor, conditioning: Conditioning) -> torch.Tensor:
        """Velocity (R, N, D) float32 of the flow at `x` (R, N, D), R = len(conditioning), and `t` (R,) or
        (1,).

        Raises:
            ValueError: a shape differs from the configuration or from the conditioning.
        """
        config = self.config
        check_shape("x", x, (len(conditioning), config.latent_tokens, config.latent_channels))
        if t.shape not in ((1,), (x.shape[0],)):
            raise ValueError(f"t has shape {tuple(t.shape)}, expected ({x.shape[0]},) or (1,)")
        time = self.flow_time_embedder(t)
        hidden = full_precision(self.flow_latent_proj(x))
        if self.slot is not None:
            hidden = hidden + self.slot
        anchor = conditioning.anchor
        if anchor is not None:
            anchor = anchor.repeat_interleave(conditioning.draws, dim=0)
            hidden = hidden + full_precision(self.anchor_proj(anchor))
        for block, keys, values in zip(self.flow_blocks, conditioning.keys, conditioning.values, strict=True):
            hidden = block(hidden, time, keys, values)
        output = full_precision(self.flow_out_proj(self.flow_norm_out(hidden)))
        if config.prediction == "velocity":
            # At t = 1 the best velocity is noise - E[z]: the anchor stands for most of the latter.
            return output if anchor is None else output - anchor
        latent = output if anchor is None else output + anchor
        return (x - latent) / t.clamp(min=SMALLEST_TIME)[:, None, None]

    def sample(
        self, conditioning: Conditioning, noise: torch.Tensor, steps: int, midpoint: bool = False
    ) -> torch.Tensor:
        """Flow-space latents (R, N, D) from `noise` (R, N, D); `from_flow` gives z.

        By `steps` Euler steps, or, with `midpoint`, by as many evaluations of the velocity in the midpoint rule.
        """
        integrate = midpoint_sample if midpoint else euler_sample
        return integrate(lambda x, t: self.velocity(x, t, conditioning), noise, steps)

    def proprio_delta(self, conditioning: Conditioning) -> torch.Tensor:
        """Predicted change of standardised proprioception (B, P) over the chunk.

        Raises:
            ValueError: the model was built without proprioception.
        """
        if conditioning.proprio_delta is None:
            raise ValueError("the model was built with proprio_size=0 and predicts no proprioception")
        return conditioning.proprio_delta
