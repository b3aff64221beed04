"""Batches are the same whether they are made ahead or not, and an error in making one is not lost."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from rla_gym.training.prefetch import prefetched

CPU = torch.device("cpu")


class Drawn:
    """Batches drawn from step and rank; notes the thread that made each."""

    batch_size, seed = 4, 0

    def __init__(self, bad_step: int | None = None) -> None:
        self.bad_step = bad_step
        self.threads: list[int] = []

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        self.threads.append(threading.get_ident())
        if step == self.bad_step:
            raise ValueError(f"no batch for step {step}")
        generator = torch.Generator().manual_seed(100 * step + rank)
        return {"inputs": torch.randn(self.batch_size, 3, generator=generator)}

    def modules(self) -> dict[str, nn.Module]:
        return {}

    def describe(self) -> dict[str, object]:
        return {}

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, object]]:
        return batch["inputs"].mean(), {}

    def evaluate(self, step: int) -> dict[str, float]:
        return {}


@pytest.mark.parametrize("ahead", [False, True])
def test_batches_come_in_order(ahead: bool) -> None:
    drawn = Drawn()
    with prefetched(drawn, CPU, 1, 3, 7, ahead) as batches:
        found = [batch["inputs"] for batch in batches]
    assert len(found) == 4
    assert all(torch.equal(one, Drawn().batch(step, 1)["inputs"]) for step, one in enumerate(found, start=3))
    assert (threading.get_ident() in drawn.threads) is not ahead


@pytest.mark.parametrize("ahead", [False, True])
def test_a_run_that_is_finished_has_none(ahead: bool) -> None:
    with prefetched(Drawn(), CPU, 0, 5, 5, ahead) as batches:
        assert list(batches) == []


@pytest.mark.parametrize("ahead", [False, True])
def test_an_error_reaches_the_step_that_it_belongs_to(ahead: bool) -> None:
    with prefetched(Drawn(bad_step=2), CPU, 0, 0, 4, ahead) as batches:
        next(batches), next(batches)
        with pytest.raises(ValueError, match="no batch for step 2"):
            next(batches)
