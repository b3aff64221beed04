"""Whether the parts of a checkpoint belong together: sizes, grids and bounds that must be the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from rla_gym.checkpoint.reward_names import METRICS, MODES, PATCHES
from rla_gym.models.shapes import MOST

if TYPE_CHECKING:
    from rla_gym.checkpoint.bundle import Bundle, BundleConfig

MOST_STEPS = 1_000_000


def check_config(config: BundleConfig) -> None:
    """A ValueError that names the first entries of a checkpoint's configuration that cannot be, or not together."""
    ranges = (
        ("chunk", config.chunk, 1, config.flow.max_horizon),
        ("max_episode_steps", config.max_episode_steps, 1, MOST_STEPS),
        ("steps", config.steps, 1, 1000),
        ("temperature", config.temperature, 0, 100),
        ("frame_size", min(config.frame_size), 1, MOST),
        ("frame_size", max(config.frame_size), 1, MOST),
        ("grid", min(config.grid), 1, min(config.frame_size)),
        ("grid", max(config.grid), 1, max(config.frame_size)),
    )
    for name, value, least, most in ranges:
        if not least <= value <= most:
            raise ValueError(f"{name} is {getattr(config, name)}, expected {least} to {most}")
    if not 0 < config.control_hz <= MOST_STEPS:
        raise ValueError(f"control_hz is {config.control_hz}, expected a frequency over 0")
    low, high = config.action_low, config.action_high
    if (
        not low
        or len(low) != len(high)
        or not all(-math.inf < a <= b < math.inf for a, b in zip(low, high, strict=True))
    ):
        raise ValueError(f"action_low {low} and action_high {high}: expected as many finite bounds, low up to high")
    for name, distance in config.thresholds.items():
        if not (math.isfinite(distance) and distance >= 0):
            raise ValueError(f"thresholds has {name!r}: {distance}, expected a distance")
    _check_reward(config)
    patches, channels = config.grid[0] * config.grid[1], config.autoencoder.channels
    latents = (config.autoencoder.latent_tokens, config.autoencoder.latent_channels)
    same = {
        "grid of the features": (config.features.grid, config.grid),
        "channels of the flow": (config.flow.channels, channels),
        "channels of the features": (config.features.channels, channels),
        "latents of the flow": ((config.flow.latent_tokens, config.flow.latent_channels), latents),
        "action size of the flow": (next(iter(config.flow.robots.values()), 0), len(low)),
    }
    if config.autoencoder.position_embedding or config.autoencoder.linear_path:
        same["patches of the autoencoder"] = (config.autoencoder.patches, patches)
    if config.flow.position_embedding or config.flow.anchor or config.flow.grid_columns:
        same["patches of the flow"] = (config.flow.patches, patches)
    if config.image_decoder is not None:
        same["channels of the image decoder"] = (config.image_decoder.in_channels, channels)
    for name, (found, expected) in same.items():
        if found != expected:
            raise ValueError(f"the {name} are {found}, the rest of the checkpoint has {expected}")
    if config.flow.anchor and not config.autoencoder.linear_path:
        raise ValueError("the flow has an anchor, but the autoencoder no linear_path, whose components it needs")


def _check_reward(config: BundleConfig) -> None:
    reward = config.reward
    for name, value, known in (
        ("mode", reward.mode, MODES),
        ("metric", reward.metric, METRICS),
        ("patches", reward.patches, PATCHES),
    ):
        if value not in known:
            raise ValueError(f"reward.{name} is {value[:60]!r}, expected one of {', '.join(known)}")
    if not (math.isfinite(reward.scale) and reward.scale > 0):
        raise ValueError(f"reward.scale is {reward.scale}, expected a positive factor")


def check_bundle(bundle: Bundle, place: Path, advice: str) -> None:
    """A ValueError unless a checkpoint's references and statistics have the sizes of its configuration."""
    config, references = bundle.config, bundle.references
    tokens = tuple(references.tokens.shape[1:])
    expected = (config.grid[0] * config.grid[1], config.autoencoder.channels)
    if tokens != expected:
        raise ValueError(
            f"{place}: references with tokens of shape {tokens}, the configuration has {expected}; {advice}"
        )
    widths = {
        "actions": (len(config.action_low),),
        "proprio": (config.proprio_size,) if config.proprio_size else None,
        "objects": (0, len(config.object_names)) if config.object_names else None,
    }
    for name, allowed in widths.items():
        width = int(getattr(references, name).shape[1])
        if allowed is not None and width not in allowed:
            raise ValueError(
                f"{place}: references with {name} of {width} numbers, the configuration has {allowed[-1]}; {advice}"
            )
    if not bool((bundle.flow.latent_scale > 0).all()):
        raise ValueError(f"{place}: 'flow.latent_scale' has an entry of 0 or less; {advice}")
