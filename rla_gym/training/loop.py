"""One training loop for all models, on HuggingFace accelerate: exact resume, averaged weights, checkpoints, logs.

The same call works in one process and, under `accelerate launch`, in several: gradients are averaged over the
processes, each draws its own batches, and only the first writes.
"""

from __future__ import annotations

import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from rla_gym.extras import require
from rla_gym.training.ema import Ema, flat_state
from rla_gym.training.log import RunLog
from rla_gym.training.optimizer import OPTIMIZERS, load_moments, make_optimizers, moments
from rla_gym.training.records import RunRecords, differences, load_weights, section
from rla_gym.training.schedule import learning_rate

__all__ = ["LoopConfig", "Trainable", "fit", "load_weights"]

# Entries that may change when a run is resumed: they decide what is written when, not what is learnt.
FREE_ON_RESUME = ("log_every", "eval_every", "save_every", "keep", "max_seconds")


@dataclass(frozen=True)
class LoopConfig:
    """Settings of `fit`.

    Attributes:
        steps: optimiser steps of the whole run.
        batch_size: samples of one process in one step.
        lr: highest learning rate (cosine with warm-up).
        warmup: steps of linear warm-up.
        weight_decay: of matrices and convolutions; biases, norms and other vectors are never decayed.
        clip: highest gradient norm.
        ema: highest decay of the averaged weights; 0 for none.
        optimizer: "adamw", or "muon" (see `rla_gym.training.optimizer`).
        precision: "no" (float32) or "bf16" (autocast).
        seed: of the batches; must equal the trainable's.
        log_every, eval_every, save_every: intervals in steps.
        keep: checkpoints that stay on disk.
        final_lr_fraction: the last step's learning rate as a fraction of `lr`.
        max_seconds: save and stop at the first step boundary after so many seconds of this call; None for no limit.
    """

    steps: int
    batch_size: int
    lr: float = 3e-4
    warmup: int = 200
    weight_decay: float = 0.0
    clip: float = 1.0
    ema: float = 0.999
    optimizer: str = "adamw"
    precision: str = "no"
    seed: int = 0
    log_every: int = 20
    eval_every: int = 500
    save_every: int = 500
    keep: int = 2
    final_lr_fraction: float = 0.02
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_every", "eval_every", "save_every", "keep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, not {self.optimizer!r}")
        if self.precision not in ("no", "bf16"):
            raise ValueError(f"precision must be 'no' or 'bf16', not {self.precision!r}")
        if not self.clip > 0 or not self.lr > 0:
            raise ValueError(f"lr and clip must be positive, not lr={self.lr}, clip={self.clip}")


class Trainable(Protocol):
    """What `fit` trains. `batch_size` and `seed` must equal those of the LoopConfig."""

    batch_size: int
    seed: int

    def modules(self) -> dict[str, nn.Module]:
        """The trained modules by name. Their buffers are saved and restored with them."""

    def describe(self) -> dict[str, Any]:
        """JSON-able configuration of model, data and loss; a resumed run must have the same."""

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        """CPU tensors of one step, a function of (seed, step, rank) alone, noise included.

        It may run in another thread while the step before trains, so it must not read the trained modules. An
        entry "rows" names the samples in error messages.
        """

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        """Scalar loss and named float-like parts for the log. Draws nothing at random by itself."""

    def evaluate(self, step: int) -> dict[str, float]:
        """Held-out metrics; called in evaluation mode, without gradients, with the averaged weights in place."""


class _Step(nn.Module):
    """Holds the trained modules, so that DistributedDataParallel and autocast wrap the whole loss."""

    def __init__(self, trainable: Trainable) -> None:
        super().__init__()
        self.trained = nn.ModuleDict(trainable.modules())
        self._trainable = trainable

    def forward(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        return self._trainable.loss(batch, step)


def fit(
    trainable: Trainable,
    config: LoopConfig,
    out: str | Path,
    resume: bool = True,
    extend: bool = False,
    progress: bool | None = None,
    tensorboard: bool = True,
    cpu: bool = False,
) -> dict[str, Any]:
    """Trains, and continues a run that was killed exactly where its latest checkpoint stands.

    On one CPU process, killed and resumed equals uninterrupted bit for bit (weights, averages, moments). SIGTERM
    saves at the next step boundary and returns.

    Args:
        trainable: the models and their loss.
        config: settings of the loop.
        out: folder of the run (see `rla_gym.training.records`).
        resume: continue a run found in `out`; with False, a run found there is an error.
        extend: allow `config.steps` to differ from the saved run's (the cosine is then that of the new length).
        progress: progress bar with losses and time left; None for only where stderr is a terminal. Without it a
            line is printed every `log_every` steps.
        tensorboard: also write TensorBoard logs to `out/tensorboard` (needs `rla_gym[train]`).
        cpu: stay on the CPU where there is an accelerator.

    Returns:
        `step` reached, `finished`, `stopped` (None, "SIGTERM" or "max_seconds"), `seconds`, `loss` (mean of the last
        log interval), `metrics` (last held-out ones) and `checkpoint` (path).

    Raises:
        ValueError: the run in `out` had another configuration; the text names what differs.
        FileExistsError: `out` holds a run and `resume` is False.
        FloatingPointError: a loss or gradient norm is NaN or infinite; names the step and the batch's rows. The weights
            are those of the last checkpoint, which stays.
    """
    for name in ("batch_size", "seed"):
        if getattr(trainable, name) != getattr(config, name):
            raise ValueError(
                f"{name} is {getattr(trainable, name)} in the trainable and {getattr(config, name)} in LoopConfig: "
                "give both the same"
            )
    accelerate = require("accelerate", extra="train")
    accelerator = _accelerator(accelerate, config.precision, cpu)
    rank, processes = accelerator.process_index, accelerator.num_processes
    writes = accelerator.is_main_process
    description = json.loads(
        json.dumps({"loop": asdict(config), "trainable": trainable.describe(), "processes": processes})
    )
    records = RunRecords(out, config.keep)
    folder = records.latest()
    if folder is not None and not resume:
        raise FileExistsError(
            f"{out} already holds a run at {folder.name}: pass resume=True or another folder"
        )
    state, tensors = records.load(folder) if folder is not None else ({"step": 0, "metrics": {}}, {})
    if folder is not None:
        _check_same(state["description"], description, extend, folder)
    accelerator.wait_for_everyone()  # everyone has looked at the folder before it changes
    if writes:
        records.prepare()
        records.rewind_log(state["step"])

    modules = trainable.modules()
    for name, module in modules.items():
        if folder is not None:
            module.load_state_dict(section(tensors, f"model/{name}"))
        module.to(accelerator.device).train()
    optimizing = make_optimizers(
        modules, config.optimizer, config.lr, config.weight_decay, fused=accelerator.device.type == "cuda"
    )
    trained = [parameter for one in optimizing for parameter in one.names.values()]
    wrapped, *prepared = accelerator.prepare(_Step(trainable), *(one.optimizer for one in optimizing))
    ema = Ema(modules, config.ema)
    if folder is not None:
        ema.load(section(tensors, "ema"), state["ema_updates"])
        load_moments(optimizing, tensors)
    del tensors

    log = RunLog(records, config.steps, config.log_every, state["step"], writes, progress, tensorboard)
    metrics: dict[str, float] = state["metrics"]
    step, stopped, saved = int(state["step"]), None, folder

    def save() -> Path | None:
        if not writes:
            return None
        everything = {f"model/{name}": tensor for name, tensor in flat_state(modules).items()}
        everything |= {f"ema/{name}": tensor for name, tensor in ema.shadow.items()}
        everything |= moments(optimizing)
        content = {"ema_updates": ema.updates, "metrics": metrics, "description": description}
        return records.save(step, everything, content)

    # On a CPU the thread would only compete with the training for the same cores.
    ahead = accelerator.device.type != "cpu"
    with (
        _sigterm() as terminated,
        _batches(trainable, accelerator.device, rank, step, config.steps, ahead) as batches,
        closing(log),
    ):
        for batch in batches:
            rate = learning_rate(step, config.steps, config.lr, config.warmup, config.final_lr_fraction)
            for one in prepared:
                for group in one.param_groups:
                    group["lr"] = rate
                one.zero_grad()
            loss, parts = wrapped(batch, step)
            accelerator.backward(loss)
            norm = accelerator.clip_grad_norm_(trained, config.clip)
            _check_finite(loss, norm, batch, step, rank, records.latest)
            for one in prepared:
                one.step()
            ema.update()
            step += 1
            log.step(step, rate, loss, norm, parts)
            stopped = _agree(accelerator, terminated(), log.seconds, config.max_seconds)
            last = step == config.steps or stopped is not None
            if step % config.eval_every == 0 or step == config.steps:
                if writes:
                    metrics = _evaluate(trainable, modules, ema, step)
                    log.metrics(step, metrics)
                accelerator.wait_for_everyone()
            if step % config.save_every == 0 or last:
                saved = save()
            if last:
                break
    accelerator.wait_for_everyone()
    return {
        "step": step,
        "finished": step >= config.steps,
        "stopped": stopped if step < config.steps else None,
        "seconds": log.seconds,
        "loss": log.last_loss,
        "metrics": metrics,
        "checkpoint": saved,
    }


def _accelerator(accelerate: Any, precision: str, cpu: bool) -> Any:
    shared = accelerate.state.AcceleratorState._shared_state
    if shared and shared.get("_mixed_precision") != precision:
        # accelerate keeps one state a process and refuses another precision: a second run in this process needs its
        # own.
        accelerate.state.AcceleratorState._reset_state()
    # A loss that leaves a head unused in some step must not stop a run in several processes.
    unused = accelerate.utils.DistributedDataParallelKwargs(find_unused_parameters=True)
    return accelerate.Accelerator(mixed_precision=precision, cpu=cpu, kwargs_handlers=[unused])


def _check_same(saved: dict[str, Any], present: dict[str, Any], extend: bool, folder: Path) -> None:
    def relevant(description: dict[str, Any]) -> dict[str, Any]:
        dropped = FREE_ON_RESUME + (("steps",) if extend else ())
        loop = {name: value for name, value in description["loop"].items() if name not in dropped}
        return {**description, "loop": loop}

    found = differences(relevant(saved), relevant(present))
    if found:
        hint = (
            " (pass extend=True to change the number of steps)"
            if any("loop.steps" in one for one in found)
            else ""
        )
        raise ValueError(
            f"the run at {folder} was started with another configuration, saved -> given: {'; '.join(found)}. "
            f"Give the same one or another folder{hint}"
        )


def _check_finite(
    loss: Tensor,
    norm: Tensor,
    batch: dict[str, Tensor],
    step: int,
    rank: int,
    latest: Callable[[], Path | None],
) -> None:
    values = torch.stack([loss.detach().float(), norm.detach().float().to(loss.device)]).tolist()
    if all(math.isfinite(value) for value in values):
        return
    rows = batch["rows"].flatten().tolist() if "rows" in batch else "unknown (the batch names none)"
    raise FloatingPointError(
        f"loss {values[0]} with gradient norm {values[1]} at step {step} (process {rank}), rows of the batch: {rows}. "
        f"The last good checkpoint is {latest()}: look at those rows, or lower the learning rate"
    )


def _agree(accelerator: Any, terminated: bool, seconds: float, limit: float | None) -> str | None:
    """Why to stop at this boundary, or None: the same answer in all processes, as soon as one has a reason."""
    reasons = [float(terminated), float(limit is not None and seconds >= limit)]
    if accelerator.num_processes > 1:
        reasons = accelerator.reduce(
            torch.tensor(reasons, device=accelerator.device), reduction="sum"
        ).tolist()
    if reasons[0]:
        return "SIGTERM"
    return "max_seconds" if reasons[1] else None


@torch.no_grad()
def _evaluate(trainable: Trainable, modules: dict[str, nn.Module], ema: Ema, step: int) -> dict[str, float]:
    for module in modules.values():
        module.eval()
    with ema.swapped():
        metrics = {name: float(value) for name, value in trainable.evaluate(step).items()}
    for module in modules.values():
        module.train()
    return metrics


@contextmanager
def _sigterm() -> Iterator[Callable[[], bool]]:
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


@contextmanager
def _batches(
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
