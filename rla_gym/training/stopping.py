"""Why a run stops before its last step: a signal, a time limit, a loss that is no number."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


@contextmanager
def signals_noted() -> Iterator[Callable[[], str | None]]:
    """Notes SIGTERM and the first Ctrl-C instead of dying of them, and tells the name of the first one that came.

    A second Ctrl-C interrupts at once. Outside the main thread Python allows no handlers: then nothing is noted.
    """
    received: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    found = {number: signal.getsignal(number) or signal.SIG_DFL for number in (signal.SIGTERM, signal.SIGINT)}
    # Shells let their background jobs ignore Ctrl-C, which is meant for others then.
    before = {number: handler for number, handler in found.items() if handler != signal.SIG_IGN}

    def note(number: int, _: object) -> None:
        received.append(signal.Signals(number).name)
        if number == signal.SIGINT:
            os.write(2, b"\nsaving after this step, then stopping; Ctrl-C once more stops at once\n")
            signal.signal(signal.SIGINT, before[signal.SIGINT])

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_reason(accelerator: Any, noted: str | None, seconds: float, limit: float | None) -> str | None:
    """Why to stop at this boundary, or None: the same answer in all processes, as soon as one has a reason."""
    names = ("SIGTERM", "SIGINT", "max_seconds")
    reasons = [float(noted == name) for name in names[:2]] + [float(limit is not None and seconds >= limit)]
    if accelerator.num_processes > 1:
        reasons = accelerator.reduce(torch.tensor(reasons, device=accelerator.device), reduction="sum").tolist()
    return next((name for name, given in zip(names, reasons, strict=True) if given), None)


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
