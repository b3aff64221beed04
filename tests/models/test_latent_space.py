"""Between latent actions and flow space: there and back, kept with the weights, and wrong statistics refused."""

import pytest
import torch

from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.latent_space import LatentSpace
from rla_gym.models.world_model import FlowWorldModel


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_statistics_round_trip_and_persist() -> None:
    space = LatentSpace((4, 6), 1.0, per_dimension=True)
    z = 5 * torch.randn(3, 4, 6, generator=generator())
    torch.testing.assert_close(space.to_flow(z), z)
    scale, mean = torch.rand(4, 6, generator=generator(1)) + 1, torch.randn(4, 6, generator=generator(2))
    space.set_latent_statistics(scale, mean)
    torch.testing.assert_close(space.to_flow(z), (z - mean) / scale)
    torch.testing.assert_close(space.from_flow(space.to_flow(z)), z)
    loaded = LatentSpace((4, 6), 1.0, per_dimension=True)
    loaded.load_state_dict(space.state_dict())
    assert torch.equal(loaded.latent_scale, scale) and torch.equal(loaded.latent_mean, mean)
    space.set_latent_statistics(scale)
    assert not space.latent_mean.any()


def test_one_scale_for_all_and_wrong_statistics() -> None:
    space, single = LatentSpace((4, 6), 1.0, per_dimension=True), LatentSpace((4, 6), 10.0, per_dimension=False)
    z = torch.randn(3, 4, 6, generator=generator())
    torch.testing.assert_close(single.to_flow(z), z / 10)
    with pytest.raises(ValueError, match=r"scale has shape \(4, 6\), expected \(\)"):
        single.set_latent_statistics(torch.ones(4, 6))
    with pytest.raises(ValueError, match="scale must be positive"):
        space.set_latent_statistics(torch.ones(4, 6) - 5)
    with pytest.raises(ValueError, match=r"mean has shape \(6,\)"):
        space.set_latent_statistics(torch.ones(4, 6), torch.zeros(6))


def test_the_flow_has_them_under_its_own_names() -> None:
    """Stored checkpoints call them so."""
    config = FlowConfig(channels=6, latent_tokens=4, latent_channels=6, width=8, flow_width=8, heads=2)
    model = FlowWorldModel(config, generator())
    assert {"latent_scale", "latent_mean"} <= set(model.state_dict())
    assert model.latent_scale.shape == () and float(model.latent_scale) == 10.0
    wider = FlowWorldModel(FlowConfig(**{**vars(config), "per_dimension_scale": True}), generator())
    assert wider.latent_scale.shape == wider.latent_mean.shape == (4, 6)
