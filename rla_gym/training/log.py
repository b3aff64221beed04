"""What a run reports while it trains: a progress bar or lines, JSON lines, TensorBoard."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from torch import Tensor

from rla_gym.training.records import RunRecords
from rla_gym.utils.optional import require


class RunLog:
    """Progress bar or lines, log.jsonl and TensorBoard; silent in processes that do not write.

    Args:
        records: the run's folder.
        steps: steps of the whole run.
        every: steps of one logging interval.
        first: steps already done.
        writes: False in every process but the first.
        progress: progress bar; None for only where stderr is a terminal; without it, lines.
        tensorboard: also write `tensorboard/` in the run's folder.
    """

    def __init__(
        self,
        records: RunRecords,
        steps: int,
        every: int,
        first: int,
        writes: bool,
        progress: bool | None,
        tensorboard: bool,
    ) -> None:
        self.records, self.steps, self.every, self.first, self.writes = records, steps, every, first, writes
        self.last_loss = math.nan
        self._sums: dict[str, Tensor | float] = {}
        self._count = 0
        self._start = time.monotonic()
        self._bar: Any = None
        self._board: Any = None
        if writes and (sys.stderr.isatty() if progress is None else progress):
            self._bar = require("tqdm", extra="train").tqdm(total=steps, initial=first, unit="step")
        if writes and tensorboard:
            require("tensorboard", extra="train")
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(records.out / "tensorboard"), purge_step=first + 1)

    @property
    def seconds(self) -> float:
        """Seconds since the run was started or resumed."""
        return time.monotonic() - self._start

    def close(self) -> None:
        """Ends the bar and the TensorBoard file."""
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            self._board.close()

    def step(self, step: int, rate: float, loss: Tensor, norm: Tensor, parts: dict[str, Any]) -> None:
        """Adds one step to the running means; writes them at the end of an interval."""
        for name, value in {"loss": loss, "gradient_norm": norm, **parts}.items():
            number = value.detach().float() if isinstance(value, Tensor) else float(value)
            self._sums[name] = self._sums.get(name, 0.0) + number
        self._count += 1
        if self._bar is not None:
            self._bar.update()
        if step % self.every and step != self.steps:
            return
        means = {name: float(total) / self._count for name, total in self._sums.items()}
        self._sums, self._count, self.last_loss = {}, 0, means["loss"]
        if not self.writes:
            return
        speed = (step - self.first) / max(self.seconds, 1e-9)
        self.records.log({"step": step, "lr": rate, "steps_per_second": round(speed, 3), **means})
        self._scalars("train", step, {**means, "lr": rate})
        if self._bar is not None:
            self._bar.set_postfix({name: f"{value:.4g}" for name, value in means.items()})
        else:
            left = (self.steps - step) / max(speed, 1e-9)
            shown = " ".join(f"{name} {value:.4g}" for name, value in means.items())
            print(
                f"step {step}/{self.steps} {shown} lr {rate:.2e} {speed:.2f} steps/s, {left:.0f} s left",
                flush=True,
            )

    def metrics(self, step: int, metrics: dict[str, float]) -> None:
        """Writes held-out metrics."""
        self.records.log({"step": step, "held_out": metrics})
        self._scalars("held_out", step, metrics)
        shown = f"step {step} held out: " + " ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        if self._bar is not None:
            self._bar.write(shown)
        else:
            print(shown, flush=True)

    def _scalars(self, group: str, step: int, values: dict[str, float]) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, step)
