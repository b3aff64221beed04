"""Batches in their order, the next one made while the present one trains."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

from rla_gym.training.trainable import Trainable


@contextmanager
def prefetched(
    trainable: Trainable, device: torch.device, rank: int, start: int, stop: int, ahead: bool
) -> Iterator[Iterator[dict[str, Tensor]]]:
    """Batches of steps [start, stop) on `device`; with `ahead`, a thread makes the next while one trains."""

    def place(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.to(device) for name, value in batch.items()}

    if not ahead:
        yield (place(trainable.batch(step, rank)) for step in range(start, stop))
        return
    with ThreadPoolExecutor(1) as pool:

        def made_ahead() -> Iterator[dict[str, Tensor]]:
            coming = [pool.submit(trainable.batch, step, rank) for step in range(start, min(start + 1, stop))]
            for step in range(start, stop):
                batch = coming.pop().result()
                if step + 1 < stop:
                    coming.append(pool.submit(trainable.batch, step + 1, rank))
                yield place(batch)

        yield made_ahead()
