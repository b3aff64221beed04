"""What tests of the benchmarks share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.baselines import budget
from rla_gym.models.image_decoder import ImageDecoderConfig
from rla_gym.models.presets import PRESETS, ModelConfigs, Preset


@pytest.fixture(scope="module")
def brief_timing() -> Iterator[None]:
    """Two steps are timed, not seventeen: what a step costs is not at issue here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "WARM", 0)
        patch.setattr(budget, "MEASURED", 1)
        yield


def _narrow(preset: Preset) -> Preset:
    """`preset` with all its switches and few of its numbers."""

    def build(
        channels: int, grid: tuple[int, int], action_size: int, proprio_size: int = 0, max_horizon: int = 15
    ) -> ModelConfigs:
        wide = preset(channels, grid, action_size, proprio_size, max_horizon)
        latents = {"latent_tokens": 4, "latent_channels": 8}
        encoder_blocks = min(1, wide.autoencoder.encoder_blocks)
        autoencoder = replace(
            wide.autoencoder, **latents, encoder_width=40, decoder_width=40, encoder_blocks=encoder_blocks,
            decoder_blocks=1,
        )  # fmt: skip
        flow = replace(wide.flow, **latents, width=40, flow_width=40, conditioning_blocks=1, flow_blocks=1)
        return ModelConfigs(
            autoencoder, flow, ImageDecoderConfig(channels, (16, 8, 8, 8, 8), 0, (0, 0, 0, 0), False)
        )

    return build


@pytest.fixture(scope="module")
def narrow_presets() -> Iterator[None]:
    """Presets "tiny" and "nano" of networks that train in milliseconds a step."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("tiny", "nano"):
            patch.setitem(PRESETS, name, _narrow(PRESETS[name]))
        yield
