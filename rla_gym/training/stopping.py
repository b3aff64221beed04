"""Why a run stops before its last step: SIGTERM, a time limit, a loss that is no number."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


@contextmanager
def sigterm_noted() -> Iterator[Callable[[], bool]]:
    """Notes SIGTERM instead of dying of it. Outside the main thread Python allows no handlers: then it never fires."""
    received = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield received.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: received.set())
    try:
        yield received.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


def stop_reason(accelerator: Any, terminated: bool, seconds: float, limit: float | None) -> str | None:
    """Why to stop at this boundary, or None: the same answer in all processes, as soon as one has a reason."""
    reasons = [float(terminated), float(limit is not None and seconds >= limit)]
    if accelerator.num_processes > 1:
        reasons = accelerator.reduce(torch.tensor(reasons, device=accelerator.device), reduction="sum").tolist()
    if reasons[0]:
        return "SIGTERM"
    return "max_seconds" if reasons[1] else None


def check_finite(
    loss: Tensor,
    norm: Tensor,
    batch: dict[str, Tensor],
    step: int,
    rank: int,
    latest: Callable[[], Path | None],
) -> None:
    """Raises FloatingPointError, with the step and the batch's rows, where loss or gradient norm is not finite."""
    values = torch.stack([loss.detach().float(), norm.detach().float().to(loss.device)]).tolist()
    if all(math.isfinite(value) for value in values):
        return
    rows = batch["rows"].flatten().tolist() if "rows" in batch else "unknown (the batch names none)"
    raise FloatingPointError(
        f"loss {values[0]} with gradient norm {values[1]} at step {step} (process {rank}), rows of the batch: {rows}. "
        f"The last good checkpoint is {latest()}: look at those rows, or lower the learning rate"
    )
