"""Principal directions against torch's own decomposition."""

from __future__ import annotations

import pytest
import torch

from rla_gym.training.principal import principal_directions


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(rows: int = 300, features: int = 80) -> torch.Tensor:
    """Rows whose directions fade slowly, far from zero mean."""
    scales = torch.arange(1, features + 1).float() ** -0.7
    rotation = torch.linalg.qr(torch.randn(features, features, generator=generator(1))).Q
    return (torch.randn(rows, features, generator=generator(2)) * scales + 0.3) @ rotation


def test_directions_are_those_of_the_decomposition():
    x = data()
    found = principal_directions(x, 10, generator())
    right = torch.linalg.svd(x, full_matrices=False).Vh[:10]
    assert found.shape == (10, 80) and found.is_contiguous()
    torch.testing.assert_close(found @ found.T, torch.eye(10), atol=1e-5, rtol=0)
    assert ((found * right).sum(dim=1).abs() > 0.99).all()


def test_all_directions_give_everything_back():
    x = data(40, 12)
    found = principal_directions(x, 12, generator())
    torch.testing.assert_close(x @ found.T @ found, x, atol=1e-4, rtol=0)


def test_the_generator_decides_and_nothing_else():
    x = data()
    one, again = (principal_directions(x, 5, generator(3)) for _ in range(2))
    torch.manual_seed(5)
    assert torch.equal(one, again) and torch.equal(one, principal_directions(x, 5, generator(3)))


@pytest.mark.parametrize(("rows", "features"), [(4, 80), (300, 4)])
def test_more_directions_than_there_can_be_are_refused(rows, features):
    with pytest.raises(ValueError, match=f"5 directions of {rows} residuals of {features} numbers: at most 4"):
        principal_directions(data(rows, features), 5, generator())
