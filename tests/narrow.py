"""Presets "tiny" and "nano" with all their switches and few of their numbers: a training step takes milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from rla_gym.models.image_decoder import ImageDecoderConfig
from rla_gym.models.presets import PRESETS, ModelConfigs, Preset

# Of this width baselines of the comparison reach the same number of parameters; of 32, say, DINO-WM does not.
WIDTH = 40


def _narrow(preset: Preset) -> Preset:
    def build(
        channels: int, grid: tuple[int, int], action_size: int, proprio_size: int = 0, max_horizon: int = 15
    ) -> ModelConfigs:
        wide = preset(channels, grid, action_size, proprio_size, max_horizon)
        latents = {"latent_tokens": 4, "latent_channels": 8}
        encoder_blocks = min(1, wide.autoencoder.encoder_blocks)
        widths = {"encoder_width": WIDTH, "decoder_width": WIDTH, "encoder_blocks": encoder_blocks, "decoder_blocks": 1}
        autoencoder = replace(wide.autoencoder, **latents, **widths)
        flow = replace(wide.flow, **latents, width=WIDTH, flow_width=WIDTH, conditioning_blocks=1, flow_blocks=1)
        decoder = ImageDecoderConfig(channels, (16, 8, 8, 8, 8), 0, (0, 0, 0, 0), False)
        return ModelConfigs(autoencoder, flow, decoder)

    return build


@contextmanager
def narrow_presets() -> Iterator[None]:
    """In here the two presets are narrow."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("tiny", "nano"):
            patch.setitem(PRESETS, name, _narrow(PRESETS[name]))
        yield
