"""Convolutions over the grid, and changes that are copies of other patches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.neighbours import GROUPS, KEY_WIDTH, GridConvolution, TokenCopy
from rla_gym.models.transformer import zero
from rla_gym.models.world_model import FlowWorldModel

SMALL = FlowConfig(
    channels=12, patches=12, latent_tokens=2, latent_channels=6, width=32, flow_width=32, conditioning_blocks=2,
    flow_blocks=1, heads=4, robots={"0": 3}, frame_channels=16, max_horizon=5, input_projection=True, anchor=True,
    grid_columns=4, copy_heads=2,
)  # fmt: skip


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_patch_hears_of_those_around_it_alone() -> None:
    grid = GridConvolution(3, columns=4)
    nn.init.normal_(grid.convolution.weight, generator=torch.Generator().manual_seed(1))
    x = draws(2, 12, 3)
    other = x.clone()
    other[:, 5] += 1  # second row, second column
    heard = (grid(x) != grid(other)).any(dim=-1)[0].view(3, 4)
    assert heard.tolist() == [[True, True, True, False]] * 3
    kernel = grid.convolution.weight[:, 0]
    torch.testing.assert_close((grid(other) - grid(x))[0, 1], kernel[:, 2, 1])  # from below
    torch.testing.assert_close((grid(other) - grid(x))[0, 6], kernel[:, 1, 0])  # from its left
    zero(grid)
    assert torch.equal(grid(x), x)


def test_tokens_are_copied_where_attention_points() -> None:
    """Features that name their patch, and keys that name the next one: with open gates every patch becomes its left
    neighbour."""
    copy = TokenCopy(16, 8, heads=1)
    with torch.no_grad():
        copy.norm = nn.Identity()  # type: ignore[assignment]
        zero(copy.queries_keys)
        zero(copy.gate)
        weight = copy.queries_keys.weight.view(2, KEY_WIDTH, 16)
        weight[0, :16] = 100 * torch.eye(16)
        weight[1, :16] = 100 * torch.eye(16).roll(1, 0)
        copy.gate.bias.fill_(1.0)
    tokens = draws(3, 16, 8)
    change = copy(torch.eye(16).expand(3, 16, 16), tokens)
    torch.testing.assert_close(tokens + change, tokens.roll(1, 1))
    with torch.no_grad():
        copy.gate.bias[GROUPS - 1] = 0.0
    half = copy(torch.eye(16).expand(3, 16, 16), tokens)
    assert torch.equal(half[..., -2:], torch.zeros(3, 16, 2)) and torch.equal(half[..., :-2], change[..., :-2])


def test_both_do_nothing_at_first_and_learn() -> None:
    model = FlowWorldModel(SMALL, torch.Generator().manual_seed(0))
    bare = FlowWorldModel(replace(SMALL, grid_columns=0, copy_heads=0), torch.Generator().manual_seed(0))
    assert set(bare.state_dict()) < set(model.state_dict())
    tokens, chunk = draws(4, 12, 12), draws(4, 5, 3, seed=1).clamp(-1, 1)
    c = model.condition(tokens, chunk)
    assert c.change is not None and not c.change.any()
    (c.change - 1).square().mean().backward()  # type: ignore[no-untyped-call]
    assert model.change_copy is not None and model.change_copy.gate.weight.grad.abs().max() > 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    target = tokens.roll(1, 1)
    for _ in range(60):
        optimizer.zero_grad()
        loss = (tokens + model.condition(tokens, chunk).change - target).square().mean()
        loss.backward()
        optimizer.step()
    assert model.cond_grids is not None and model.cond_grids[0].convolution.weight.abs().max() > 0
    assert loss < 0.5 * (tokens - target).square().mean()


def test_both_stay_close_in_bfloat16() -> None:
    model = FlowWorldModel(SMALL, torch.Generator().manual_seed(0))
    fill = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=fill))
        tokens, chunk = draws(4, 12, 12), draws(4, 5, 3, seed=1).clamp(-1, 1)
        exact = model.condition(tokens, chunk).change
        with torch.autocast("cpu", torch.bfloat16):
            rough = model.condition(tokens, chunk).change
    assert exact is not None and rough is not None and rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().mean() < 0.03 * exact.abs().mean()


def test_sizes_that_do_not_fit_are_told() -> None:
    with pytest.raises(ValueError, match="grid_columns=5 does not divide the 12 patches"):
        FlowWorldModel(replace(SMALL, grid_columns=5))
    with pytest.raises(ValueError, match="copy_heads=2 without anchor=True"):
        FlowWorldModel(replace(SMALL, anchor=False))
    with pytest.raises(ValueError, match="tokens of 10 channels cannot be copied in 4 groups"):
        TokenCopy(16, 10, 2)
