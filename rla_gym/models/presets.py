"""Named sizes of the three networks: "nano" and "tiny" for a CPU, "base" for one GPU, "paper" as released."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, Protocol

from rla_gym.models.autoencoder import RLAConfig
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.image_decoder import ImageDecoderConfig


class ModelConfigs(NamedTuple):
    """Configurations of the three networks of one world model."""

    autoencoder: RLAConfig
    flow: FlowConfig
    image_decoder: ImageDecoderConfig


class Preset(Protocol):
    """Builder of the configurations for one task's sizes.

    Args: `channels` C of the tokens, `grid` (h, w) of patches, `action_size` A, `proprio_size` P (0 for
        none),
    `max_horizon` K, the longest action chunk.
    """

    def __call__(
        self,
        channels: int,
        grid: tuple[int, int],
        action_size: int,
        proprio_size: int = 0,
        max_horizon: int = 15,
    ) -> ModelConfigs: ...


def nano(
    channels: int, grid: tuple[int, int], action_size: int, proprio_size: int = 0, max_horizon: int = 15
) -> ModelConfigs:
    """About 1.7 million parameters at 64 channels: for minutes of one core, as in comparisons of many models.

    Anchored: most of it regresses tokens, by convolutions and copies as well, and a linear latent carries what
    regression leaves open.
    """
    autoencoder = _our_autoencoder(channels, grid, latents=(16, 32), width=64, heads=4, blocks=(0, 2))
    flow = _our_flow(autoencoder, action_size, proprio_size, max_horizon, width=128, heads=4, blocks=4)
    flow = replace(flow, flow_width=64, flow_blocks=1, anchor=True, grid_columns=grid[1], copy_heads=4)
    image_decoder = tiny(channels, grid, action_size, proprio_size, max_horizon).image_decoder
    return ModelConfigs(replace(autoencoder, linear_path=True), flow, image_decoder)


def tiny(
    channels: int, grid: tuple[int, int], action_size: int, proprio_size: int = 0, max_horizon: int = 15
) -> ModelConfigs:
    """About 4 million parameters at 64 channels: trains and dreams on a CPU. Our switches are on."""
    autoencoder = _our_autoencoder(channels, grid, latents=(16, 16), width=128, heads=4, blocks=(2, 3))
    flow = _our_flow(autoencoder, action_size, proprio_size, max_horizon, width=128, heads=4, blocks=3)
    image_decoder = ImageDecoderConfig(
        in_channels=channels,
        channels=(96, 64, 48, 32, 16),
        grid_blocks=1,
        stage_blocks=(1, 1, 1, 0),
        head_block=True,
    )
    return ModelConfigs(autoencoder, flow, image_decoder)


def base(
    channels: int, grid: tuple[int, int], action_size: int, proprio_size: int = 0, max_horizon: int = 15
) -> ModelConfigs:
    """About 70 million parameters: trains on one GPU within hours. Our switches are on."""
    autoencoder = _our_autoencoder(channels, grid, latents=(32, 32), width=384, heads=6, blocks=(6, 6))
    flow = _our_flow(autoencoder, action_size, proprio_size, max_horizon, width=384, heads=6, blocks=6)
    image_decoder = ImageDecoderConfig(in_channels=channels, channels=(384, 256, 128, 64, 32))
    return ModelConfigs(autoencoder, flow, image_decoder)


def paper(
    channels: int = 1024,
    grid: tuple[int, int] = (32, 32),
    action_size: int = 9,
    proprio_size: int = 0,
    max_horizon: int = 15,
) -> ModelConfigs:
    """The released architecture, our switches off. It knows no proprioception: `proprio_size` is unused."""
    patches = grid[0] * grid[1]
    return ModelConfigs(
        RLAConfig(channels=channels, patches=patches),
        FlowConfig(channels=channels, patches=patches, robots={"0": action_size}, max_horizon=max_horizon),
        ImageDecoderConfig(in_channels=channels),
    )


PRESETS: dict[str, Preset] = {"nano": nano, "tiny": tiny, "base": base, "paper": paper}


def build_configs(
    preset: str,
    channels: int,
    grid: tuple[int, int],
    action_size: int,
    proprio_size: int = 0,
    max_horizon: int = 15,
) -> ModelConfigs:
    """Configurations of the preset named `preset` (see `Preset`). ValueError if there is none."""
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}, expected one of {', '.join(sorted(PRESETS))}")
    return PRESETS[preset](channels, grid, action_size, proprio_size, max_horizon)


def _our_autoencoder(
    channels: int, grid: tuple[int, int], latents: tuple[int, int], width: int, heads: int, blocks: tuple[int, int]
) -> RLAConfig:
    """With our switches; `latents` are N x D, `blocks` those of encoder and decoder."""
    return RLAConfig(
        channels=channels,
        patches=grid[0] * grid[1],
        latent_tokens=latents[0],
        latent_channels=latents[1],
        encoder_width=width,
        encoder_blocks=blocks[0],
        encoder_heads=heads,
        decoder_width=width,
        decoder_blocks=blocks[1],
        decoder_heads=heads,
        position_embedding=True,
        residual_decoder=True,
    )


def _our_flow(
    autoencoder: RLAConfig,
    action_size: int,
    proprio_size: int,
    max_horizon: int,
    width: int,
    heads: int,
    blocks: int,
) -> FlowConfig:
    """The flow over the latents of `autoencoder`, with our switches; `blocks` of the conditioning and of the flow."""
    return FlowConfig(
        channels=autoencoder.channels,
        patches=autoencoder.patches,
        latent_tokens=autoencoder.latent_tokens,
        latent_channels=autoencoder.latent_channels,
        width=width,
        flow_width=width,
        conditioning_blocks=blocks,
        flow_blocks=blocks,
        heads=heads,
        robots={"0": action_size},
        max_horizon=max_horizon,
        strict_chunks=True,
        latent_scale=1.0,
        per_dimension_scale=True,
        input_projection=True,
        position_embedding=True,
        slot_embedding=True,
        proprio_size=proprio_size,
        proprio_octaves=6,
        next_proprio=True,
    )
