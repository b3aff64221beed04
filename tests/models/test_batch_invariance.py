"""Whole blocks of rows: a row comes out the same, to the last bit, however many others there are."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rla_gym.models.batch_invariance import WholeBlocks, filled


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("size", [(2, 64), (128, 128), (128, 512)])
def test_rows_of_linear_layers_do_not_depend_on_their_number(size: tuple[int, int]) -> None:
    rows, weight, bias = random(70, size[0]), random(size[1], size[0]), random(size[1])
    with WholeBlocks():
        together = F.linear(rows, weight, bias)
        for count in range(1, 70):
            assert torch.equal(F.linear(rows[:count], weight, bias=bias), together[:count])
    assert torch.allclose(together, F.linear(rows, weight, bias), atol=1e-4)


def test_views_are_as_copies() -> None:
    """A slice along the second axis is contiguous in one row alone, and only there."""
    tokens, layer = random(16, 12, 2), nn.Linear(2, 64)
    with WholeBlocks():
        whole = layer(tokens[:, 4:])
        assert torch.equal(layer(tokens[:1, 4:]), whole[:1])
        assert torch.equal(layer(tokens[:8, 4:].contiguous()), whole[:8])
    assert whole.shape == (16, 8, 64)


@pytest.mark.parametrize("actions", [1, 3])
def test_rows_of_recurrent_layers_do_not_depend_on_their_number(actions: int) -> None:
    gru, chunks = nn.GRU(64, 32, batch_first=True), random(20, actions, 64)
    with WholeBlocks(), torch.inference_mode():
        outputs, last = gru(chunks)
        for count in range(1, 20):
            some, end = gru(chunks[:count])
            assert torch.equal(some, outputs[:count]) and torch.equal(end, last[:, :count])
    assert torch.allclose(outputs, gru(chunks)[0], atol=1e-5)


def test_gradients_pass() -> None:
    layer, rows = nn.Linear(3, 4), random(5, 3)
    layer(rows).square().sum().backward()
    assert layer.weight.grad is not None
    plain = layer.weight.grad.clone()
    layer.zero_grad()
    with WholeBlocks():
        layer(rows).square().sum().backward()
    assert torch.allclose(layer.weight.grad, plain, atol=1e-5)


def test_what_is_filled_up_is_the_first_row() -> None:
    rows = torch.arange(6.0).reshape(3, 2)
    assert filled(rows).tolist() == [[0, 1], [2, 3], [4, 5]] + [[0, 1]] * 5
    assert filled(rows.T, axis=1).shape == (2, 8)
    assert filled(random(16, 2)).shape == (16, 2)
