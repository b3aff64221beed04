"""Dreams: each row is its own, whatever the batch; tokens are fed back; wrong input is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rla_gym.bundle import Bundle
from rla_gym.dream import Dream


def run(bundle: Bundle, seeds: list[int], chunks: np.ndarray, **options: object) -> list[torch.Tensor]:
    """Tokens (B, L, C) after each of `chunks` (T, B, K, A); row i starts at reference seeds[i] % 3."""
    dream = Dream(bundle, len(seeds), **options)  # type: ignore[arg-type]
    dream.seed(seeds)
    everyone = np.ones(len(seeds), bool)
    dream.reset(everyone, np.array(seeds) % 3, np.zeros(len(seeds), int))
    return [dream.step(chunk).tokens for chunk in chunks]


def random_chunks(steps: int, batch: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (steps, batch, 4, 2)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 5, 8, 13, 32, 70])
def test_a_row_does_not_depend_on_the_batch(bundle: Bundle, batch: int) -> None:
    seeds, chunks = list(range(batch)), random_chunks(3, batch)
    together = run(bundle, seeds, chunks)
    for row in {0, batch // 2, batch - 1}:
        alone = run(bundle, [row], chunks[:, row : row + 1])
        for whole, single in zip(together, alone, strict=True):
            assert torch.equal(whole[row], single[0])
