from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.image_decoder import ImageDecoder, ImageDecoderConfig
from rla_gym.models.presets import PRESETS, build_configs
from rla_gym.models.world_model import FlowWorldModel


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_paper_has_the_released_sizes():
    """Tensor counts 103 and 105 and the parameter totals of the release, without allocating a weight."""
    autoencoder, flow, image_decoder = build_configs("paper", 1024, (32, 32), 9)
    with torch.device("meta"):
        model, world_model, decoder = (
            RLAAutoencoder(autoencoder),
            FlowWorldModel(flow),
            ImageDecoder(image_decoder),
        )
        wider = replace(flow, conditioning_blocks=12, flow_blocks=12, robots={"0": 14})
        iws = FlowWorldModel(wider)
    assert len(model.encoder.state_dict()) == 103 and len(model.decoder.state_dict()) == 105
    assert round(count(model.encoder) / 1e6, 2) == 152.26
    assert round(count(model.decoder) / 1e6, 2) == 153.31
    assert round(count(world_model) / 1e6, 2) == 349.04
    assert round(count(iws) / 1e6, 2) == 521.15
    assert round(count(decoder) / 1e6, 2) == 62.61
    shapes = {name: tuple(tensor.shape) for name, tensor in world_model.state_dict().items()}
    assert shapes["qpos_encoders.0.gru.weight_ih_l0"] == (3072, 64)
    assert shapes["cond_blocks.7.modulation.1.weight"] == (6144, 1024)
    assert not any(name.startswith("xt_proj") for name in shapes)
    assert decoder.state_dict()["up1.upsample.weight"].shape == (1024, 512, 2, 2)


def test_paper_is_the_default_configuration():
    assert build_configs("paper", 1024, (32, 32), 9) == (RLAConfig(), FlowConfig(), ImageDecoderConfig())


@pytest.mark.parametrize(
    ("preset", "latents", "width", "heads", "blocks"),
    [("tiny", 16, 128, 4, (2, 3, 3)), ("base", 32, 384, 6, (6, 6, 6))],
)
def test_our_presets_differ_in_size_alone(preset, latents, width, heads, blocks):
    """Every entry: a run or checkpoint of a preset's name cannot be gone on with once one of them changes."""
    autoencoder, flow, _ = build_configs(preset, 64, (8, 9), 2, 3, max_horizon=4)
    assert autoencoder == RLAConfig(
        channels=64,
        patches=72,
        latent_tokens=latents,
        latent_channels=latents,
        encoder_width=width,
        encoder_blocks=blocks[0],
        encoder_heads=heads,
        decoder_width=width,
        decoder_blocks=blocks[1],
        decoder_heads=heads,
        position_embedding=True,
        residual_decoder=True,
    )
    assert flow == FlowConfig(
        channels=64,
        patches=72,
        latent_tokens=latents,
        latent_channels=latents,
        width=width,
        flow_width=width,
        conditioning_blocks=blocks[2],
        flow_blocks=blocks[2],
        heads=heads,
        robots={"0": 2},
        max_horizon=4,
        strict_chunks=True,
        latent_scale=1.0,
        per_dimension_scale=True,
        input_projection=True,
        position_embedding=True,
        slot_embedding=True,
        proprio_size=3,
        proprio_octaves=6,
        next_proprio=True,
    )


def test_our_image_decoders():
    tiny, base = (build_configs(preset, 64, (8, 8), 2).image_decoder for preset in ("tiny", "base"))
    assert tiny == ImageDecoderConfig(64, (96, 64, 48, 32, 16), 1, (1, 1, 1, 0), True)
    assert base == ImageDecoderConfig(64, (384, 256, 128, 64, 32))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_fit_together(preset):
    autoencoder, flow, image_decoder = build_configs(preset, 64, (8, 8), 2, 3, max_horizon=4)
    assert (autoencoder.latent_tokens, autoencoder.latent_channels) == (
        flow.latent_tokens,
        flow.latent_channels,
    )
    assert autoencoder.channels == flow.channels == image_decoder.in_channels == 64
    assert autoencoder.patches == flow.patches == 64
    assert flow.robots == {"0": 2} and flow.max_horizon == 4
    assert flow.proprio_size == (0 if preset == "paper" else 3)
    for config in (autoencoder, flow, image_decoder):
        assert json.loads(json.dumps(asdict(config)))


def test_tiny_runs_from_tokens_to_frame():
    autoencoder, flow, image_decoder = build_configs("tiny", 64, (8, 8), 2, 2, max_horizon=4)
    generator = torch.Generator().manual_seed(0)
    model, world_model = RLAAutoencoder(autoencoder, generator), FlowWorldModel(flow, generator)
    tokens = torch.randn(2, 64, 64, generator=generator)
    with torch.no_grad():
        c = world_model.condition(tokens, torch.zeros(2, 4, 2), proprio=torch.zeros(2, 2))
        x = world_model.sample(c, torch.randn(2, 16, 16, generator=generator), 4)
        tokens = model.decode(world_model.from_flow(x), tokens)
        frame = ImageDecoder(image_decoder, generator).image(tokens, (8, 8), (112, 112))
    assert frame.shape == (2, 3, 112, 112)
    assert count(model) + count(world_model) < 4e6


def test_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="unknown preset 'huge', expected one of base, nano, paper, tiny"):
        build_configs("huge", 64, (8, 8), 2)


def test_nano_is_anchored_on_a_linear_latent():
    autoencoder, flow, decoder = build_configs("nano", 64, (8, 8), 2, 4, max_horizon=4)
    assert autoencoder.linear_path and not autoencoder.encoder_blocks and flow.anchor
    assert (autoencoder.latent_tokens, autoencoder.latent_channels) == (16, 32)
    assert (flow.latent_tokens, flow.latent_channels) == (16, 32)
    assert (flow.grid_columns, flow.copy_heads) == (8, 4)
    assert (flow.width, flow.conditioning_blocks, flow.flow_width, flow.flow_blocks) == (128, 4, 64, 1)
    with torch.device("meta"):
        assert count(RLAAutoencoder(autoencoder)) + count(FlowWorldModel(flow)) < 2e6
    assert decoder == build_configs("tiny", 64, (8, 8), 2, 4, max_horizon=4).image_decoder
