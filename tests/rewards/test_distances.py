"""Distances between tokens on numbers one can check by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rla_gym.rewards import change_weights, token_distance


def test_token_distances_on_numbers_one_can_check() -> None:
    tokens, targets = torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])
    assert token_distance(tokens, targets, "l1").item() == pytest.approx(7 / 4)
    assert token_distance(tokens, targets, "l2").item() == pytest.approx(np.sqrt(25 / 4))
    weights = torch.tensor([[0.0, 2.0]])
    assert token_distance(tokens, targets, "l1", weights).item() == 0.0
    ones = torch.ones(1, 2, 2)
    assert token_distance(ones, 5 * ones, "cosine").item() == pytest.approx(0.0, abs=1e-6)
    assert token_distance(ones, -ones, "cosine").item() == pytest.approx(2.0)


def test_weights_are_those_of_what_changes() -> None:
    frames = torch.zeros(3, 4, 2)
    assert torch.equal(change_weights(frames), torch.ones(4))
    frames[1, 2] = 1.0  # a patch that changes and changes back
    assert torch.equal(change_weights(frames), torch.tensor([0.0, 0.0, 4.0, 0.0]))
