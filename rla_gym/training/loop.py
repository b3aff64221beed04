"""One training loop for all models, on HuggingFace accelerate: exact resume, averaged weights, checkpoints, logs.

The same call works in one process and, under `accelerate launch`, in several: gradients are averaged over the
processes, each draws its own batches, and only the first writes.
"""

from __future__ import annotations

import json
import os
from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rla_gym.training.ema import Ema, flat_state
from rla_gym.training.log import RunLog
from rla_gym.training.loop_config import LoopConfig
from rla_gym.training.optimizer import load_moments, make_optimizers, moments
from rla_gym.training.prefetch import prefetched
from rla_gym.training.records import RunRecords, load_weights, section
from rla_gym.training.resume import check_same
from rla_gym.training.saved_state import ADVICE
from rla_gym.training.schedule import learning_rate
from rla_gym.training.stopping import check_finite, signals_noted, stop_reason
from rla_gym.training.trainable import Trainable, TrainingStep
from rla_gym.utils.devices import find_device
from rla_gym.utils.optional import require
from rla_gym.utils.tensors import check_fit, fill

__all__ = ["LoopConfig", "Trainable", "fit", "load_weights"]


DEVICE_VARIABLE = "ACCELERATE_TORCH_DEVICE"
"""Environment variable that accelerate takes the device from."""


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
    saves at the next step boundary and returns; Ctrl-C saves there too, and a second one does not wait for it.

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
        FileExistsError: `out` holds a run and `resume` is False, or files that a training did not write are in its way.
        BlockingIOError: another process trains there.
        OSError: the disk has no room, or the folder cannot be written to; the latest checkpoint stays.
        KeyboardInterrupt: Ctrl-C, after saving.
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
    records = RunRecords(out, config.keep)
    # Of several processes the first alone writes, and keeps other trainings out.
    with records.writing() if accelerator.is_main_process else nullcontext():
        return _fit(trainable, config, records, accelerator, resume, extend, progress, tensorboard)


def _fit(
    trainable: Trainable,
    config: LoopConfig,
    records: RunRecords,
    accelerator: Any,
    resume: bool,
    extend: bool,
    progress: bool | None,
    tensorboard: bool,
) -> dict[str, Any]:
    """`fit`, once the folder is this training's own."""
    rank, processes = accelerator.process_index, accelerator.num_processes
    writes = accelerator.is_main_process
    description = json.loads(
        json.dumps({"loop": asdict(config), "trainable": trainable.describe(), "processes": processes})
    )
    folder = records.latest()
    if folder is not None and not resume:
        raise FileExistsError(f"{records.out} already holds a run at {folder.name}: pass resume=True or another folder")
    state, tensors = records.load(folder) if folder is not None else ({"step": 0, "metrics": {}}, {})
    if folder is not None:
        check_same(state["description"], description, extend, folder)
    accelerator.wait_for_everyone()  # everyone has looked at the folder before it changes
    if writes:
        records.prepare()
        records.rewind_log(state["step"])

    modules = trainable.modules()
    for name, module in modules.items():
        if folder is not None:
            fill(module, section(tensors, f"model/{name}"), folder, ADVICE, f"model/{name}/")
        module.to(accelerator.device).train()
    optimizing = make_optimizers(
        modules, config.optimizer, config.lr, config.weight_decay, fused=accelerator.device.type == "cuda"
    )
    trained = [parameter for one in optimizing for parameter in one.names.values()]
    wrapped, *prepared = accelerator.prepare(TrainingStep(trainable), *(one.optimizer for one in optimizing))
    ema = Ema(modules, config.ema)
    if folder is not None:
        check_fit(ema.shadow, section(tensors, "ema"), folder, ADVICE, "ema/")
        ema.load(section(tensors, "ema"), state["ema_updates"])
        load_moments(optimizing, tensors, folder)
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
        signals_noted() as noted,
        prefetched(trainable, accelerator.device, rank, step, config.steps, ahead) as batches,
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
            check_finite(loss, norm, batch, step, rank, records.latest)
            for one in prepared:
                one.step()
            ema.update()
            step += 1
            log.step(step, rate, loss, norm, parts)
            stopped = stop_reason(accelerator, noted(), log.seconds, config.max_seconds)
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
        # Of all processes, or here alone while it was measured or saved for the last time.
        interrupted = "SIGINT" in (stopped, noted())
    accelerator.wait_for_everyone()
    if interrupted:
        raise KeyboardInterrupt
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
    if not cpu and DEVICE_VARIABLE in os.environ:
        find_device(os.environ[DEVICE_VARIABLE])
    shared = accelerate.state.AcceleratorState._shared_state
    if shared and shared.get("_mixed_precision") != precision:
        # accelerate keeps one state a process and refuses another precision: a second run in this process needs its
        # own.
        accelerate.state.AcceleratorState._reset_state()
    # A loss that leaves a head unused in some step must not stop a run in several processes.
    unused = accelerate.utils.DistributedDataParallelKwargs(find_unused_parameters=True)
    return accelerate.Accelerator(mixed_precision=precision, cpu=cpu, kwargs_handlers=[unused])


@torch.no_grad()
def _evaluate(trainable: Trainable, modules: dict[str, nn.Module], ema: Ema, step: int) -> dict[str, float]:
    for module in modules.values():
        module.eval()
    with ema.swapped():
        metrics = {name: float(value) for name, value in trainable.evaluate(step).items()}
    for module in modules.values():
        module.train()
    return metrics
