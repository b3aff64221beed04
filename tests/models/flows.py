"""Small flows, and what goes into them."""

from __future__ import annotations

from dataclasses import replace

import torch

from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.world_model import FlowWorldModel

SMALL = FlowConfig(
    channels=12, patches=9, latent_tokens=4, latent_channels=6, width=32, flow_width=32,
    conditioning_blocks=2, flow_blocks=2, heads=4, robots={"0": 3}, frame_channels=16, max_horizon=5,
)  # fmt: skip
OURS = replace(
    SMALL, strict_chunks=True, latent_scale=1.0, per_dimension_scale=True, input_projection=True,
    position_embedding=True, slot_embedding=True, proprio_size=2, proprio_octaves=3, next_proprio=True,
)  # fmt: skip
ANCHORED = replace(OURS, anchor=True)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randomised(config: FlowConfig) -> FlowWorldModel:
    """A model whose zero-initialised layers are filled too, as after some training."""
    model = FlowWorldModel(config, generator())
    fill = generator(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=fill))
    return model


def inputs(batch: int = 6, actions: int = 5) -> dict[str, torch.Tensor]:
    return {
        "tokens": torch.randn(batch, 9, 12, generator=generator(1)),
        "chunk": torch.rand(batch, actions, 3, generator=generator(2)) * 2 - 1,
        "proprio": torch.randn(batch, 2, generator=generator(3)),
    }


def noise(batch: int = 6) -> torch.Tensor:
    return torch.randn(batch, 4, 6, generator=generator(4))


def without_proprio(**given: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in given.items() if name != "proprio"}


def anchored() -> FlowWorldModel:
    """Randomised, in components of its own."""
    model = randomised(ANCHORED)
    with torch.no_grad():
        model.components.copy_(torch.linalg.qr(torch.randn(108, 24, generator=generator(8))).Q.T)
    model.set_latent_statistics(torch.full((4, 6), 2.0), torch.full((4, 6), 0.5))
    return model
