"""How many steps a model may train: as many samples as all, or as many as fit into minutes that cost the same.

Minutes are of one core: what the process computed (with a GPU, by the clock). They are turned into steps once, by
measuring, and written down; the schedule of the learning rate ends there, and a resumed run keeps to it. What
shares a core's caches makes steps longer, so a comparison measures all its models first, while nothing else runs: see
`benchmarks.baselines.costs`. What is measured before the first step, as statistics and principal components, takes
seconds and is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor, nn

from rla_gym.training.loop import LoopConfig, Trainable, fit
from rla_gym.utils.files import read_json, write_json

WARM, MEASURED = 3, 12
"""Steps before and while the time is taken."""
FILE_NAME = "budget.json"


class Clocked:
    """A `Trainable` that notes when its batches are asked for, and measures nothing else.

    From one batch to the next is a whole step, optimiser and averages included.
    """

    def __init__(self, trainable: Trainable, clock: Callable[[], float]) -> None:
        self.inner, self.batch_size, self.seed = trainable, trainable.batch_size, trainable.seed
        self.clock = clock
        self.times: list[float] = []

    def modules(self) -> dict[str, nn.Module]:
        return self.inner.modules()

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        self.times.append(self.clock())
        return self.inner.batch(step, rank)

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        return self.inner.loss(batch, step)

    def evaluate(self, step: int) -> dict[str, float]:
        return {}


def seconds_a_step(build: Callable[[], Trainable], loop: dict[str, Any], cpu: bool = True) -> float:
    """Seconds of an undisturbed training step: of the processor, or by the clock where something else computes.

    Args:
        build: makes the training; its weights are spoiled here, so the real run has to make it anew.
        loop: settings of `LoopConfig` but for the steps.
    """
    clocked = Clocked(build(), time.process_time if cpu else time.perf_counter)
    steps = WARM + MEASURED + 1
    config = LoopConfig(**{**loop, "steps": steps, "log_every": steps, "eval_every": steps, "save_every": steps})
    with TemporaryDirectory() as folder:
        fit(clocked, config, folder, progress=False, tensorboard=False, cpu=cpu)
    times = clocked.times[WARM:]
    # Whatever disturbs a step can only make it longer.
    return min(after - before for before, after in pairwise(times))


def plan(
    folder: Path,
    build: Callable[[], Trainable],
    loop: dict[str, Any],
    minutes: float | None,
    samples: int | None,
    cpu: bool = True,
    seconds: float | None = None,
) -> dict[str, Any]:
    """Steps of a training, planned once and read back from `folder` after that.

    Args:
        minutes, samples: the budget of this training, one of the two.
        seconds: of one step, where they are known (`benchmarks.baselines.costs`); None: they are measured here.

    Returns:
        `steps`, `minutes` and `samples` as asked for, `seconds_a_step`.

    Raises:
        ValueError: the folder's training was planned with another budget, or none or both are given.
    """
    if (minutes is None) == (samples is None):
        raise ValueError(f"minutes={minutes} and samples={samples}: give one of the two as the budget")
    path = folder / FILE_NAME
    if path.is_file():
        planned: dict[str, Any] = read_json(path)
        if (planned["minutes"], planned["samples"]) != (minutes, samples):
            raise ValueError(
                f"the training in {folder} was planned with minutes={planned['minutes']} and "
                f"samples={planned['samples']}, this asks for minutes={minutes} and samples={samples}: give the same "
                "or another folder"
            )
        return planned
    seconds = seconds_a_step(build, loop, cpu) if seconds is None else seconds
    steps = samples // loop["batch_size"] if samples is not None else int(60 * (minutes or 0.0) / seconds)
    planned = {"steps": max(1, steps), "minutes": minutes, "samples": samples, "seconds_a_step": seconds}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, planned)
    return planned
