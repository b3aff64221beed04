"""Train one model of the comparison with a stated budget.

    python -m benchmarks.baselines.train --model dino-wm --data data/push-cube --tokens runs/tokens \
        --out runs/baselines/dino-wm --minutes 60

A model's folder holds the run of each of its trainings, what each was planned for (`budget.json`) and the held-out
curve (`curve.json`). The same command goes on where a killed one stopped.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

from benchmarks.baselines.budget import FILE_NAME, plan
from benchmarks.baselines.interface import parameter_count
from benchmarks.baselines.known_costs import known_cost
from benchmarks.baselines.models import STAGES, Stage, loop_of, share_of
from benchmarks.baselines.recorded import Recorded
from benchmarks.baselines.setting import Setting
from benchmarks.baselines.shared import Shared
from benchmarks.baselines.sizes import rla_wm_count
from benchmarks.baselines.trained import load_model
from benchmarks.record import run_record
from rla_gym.cli.optimization import LEARNING_RATES
from rla_gym.data import EpisodeDataset, TokenStore
from rla_gym.models.encoder import Encoder
from rla_gym.models.presets import build_configs
from rla_gym.training.loop import LoopConfig, fit
from rla_gym.utils.files import write_json
from rla_gym.utils.threads import use_threads

MEASUREMENTS = 10
"""Points of the held-out curve of one training."""


@dataclass(frozen=True, kw_only=True)
class Args(Shared):
    """What is trained, on what, and for how long."""

    model: str
    """Name in `models.STAGES`."""
    out: Path
    """Folder of the model."""
    minutes: float | None = None
    """Budget in minutes of one core, shared among the model's trainings; measurements are not counted."""
    samples: int | None = None
    """Budget in samples instead, shared likewise."""
    costs: Path | None = None
    """Seconds a step that `benchmarks.baselines.costs` measured; None: measured at the start."""
    stop_after: float | None = None
    """Save and stop after so many minutes by the clock; the same command goes on from there."""
    autoencoder: Path | None = None
    """Folder of an autoencoder's run to use instead of training one; its share of the budget counts as spent."""
    seed: int = 0
    """Of first weights and batches."""
    lr: float | None = None
    """Highest learning rate of the last training, as of the flow; None: the model's."""
    starts: int = 128
    """Held-out starts of the curve; an eighth for video diffusion."""
    cpu: bool = True
    """Stay on the CPU where there is a GPU."""


def main(args: Args) -> dict[str, Any]:
    """Train, write the curve and give it back.

    Raises:
        KeyError: no model of that name.
        ValueError: a budget or settings other than those that the folder's run was started with.
    """
    if args.model not in STAGES:
        raise KeyError(f"no model {args.model!r}; there are {', '.join(STAGES)}")
    use_threads(args.threads)
    setting = setting_of(args)
    finished, trained, began = True, dict[str, Any](), time.monotonic()
    for stage in STAGES[args.model]:
        if stage.folder == "autoencoder" and args.autoencoder is not None:
            continue
        left = None if args.stop_after is None else max(0.0, 60 * args.stop_after - (time.monotonic() - began))
        trained[stage.folder] = train_stage(stage, setting, args, left)
        finished = trained[stage.folder]["finished"]
        if not finished:
            print(f"{args.model}, {stage.folder}: stopped; the same command goes on from here")
            break
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(args).items()}
    result: dict[str, Any] = {**run_record(), "model": args.model, "settings": settings, "finished": finished}
    result |= {"rla_wm_parameters": rla_wm_count(setting.configs), "trainings": trained}
    if finished:
        result["parameters"] = parameter_count(load_model(args.model, setting))
    write_json(args.out / "curve.json", result)
    return result


def setting_of(args: Args) -> Setting:
    """Data and sizes."""
    dataset = None if args.data is None else EpisodeDataset(args.data)
    recorded = Recorded(TokenStore.open(args.tokens), dataset)
    store = recorded.store
    encoder = None
    if args.model == "video-diffusion":
        encoder = Encoder.load(args.encoder or args.tokens / "encoder.safetensors")
    return Setting(
        recorded=recorded,
        configs=build_configs(
            args.preset, store.tokens.shape[2], store.grid, store.actions.shape[1], store.proprio.shape[1], args.chunk
        ),
        out=args.out,
        chunk=args.chunk,
        batch_size=args.batch_size,
        seed=args.seed,
        encoder=encoder,
        autoencoder=args.autoencoder,
        starts=args.starts,
    )


def train_stage(stage: Stage, setting: Setting, args: Args, left: float | None) -> dict[str, Any]:
    """Plan and run one training of at most `left` seconds by the clock; its plan, parameters and held-out curve."""
    loop = {**loop_of(stage, setting, args.precision), "seed": setting.seed}
    loop["lr"] = learning_rate(stage, args)
    folder = setting.out / stage.folder
    share = share_of(stage, setting)
    minutes = None if args.minutes is None else share * args.minutes
    samples = None if args.samples is None else round(share * args.samples)
    seconds = None
    if args.costs is not None and args.minutes is not None and not (folder / FILE_NAME).is_file():
        seconds = known_cost(args.costs, args.model, stage, setting, args.precision, args.threads)
    planned = plan(folder, lambda: stage.build(setting), loop, minutes, samples, args.cpu, seconds)
    steps = planned["steps"]
    config = LoopConfig(
        **loop,
        steps=steps,
        ema=min(0.998, 1 - 10 / max(steps, 20)),
        warmup=min(200, max(1, steps // 10)),
        eval_every=max(1, steps // MEASUREMENTS),
        save_every=max(1, steps // (2 * MEASUREMENTS)),
        log_every=max(1, steps // (4 * MEASUREMENTS)),
        max_seconds=left,
    )
    print(f"{args.model}, {stage.folder}: {steps} steps of {planned['seconds_a_step']:.3f} s, in {folder}", flush=True)
    trainable = stage.build(setting)
    done = fit(trainable, config, folder, tensorboard=False, cpu=args.cpu)
    numbers = {name: sum(p.numel() for p in module.parameters()) for name, module in trainable.modules().items()}
    return {
        **planned,
        "done": done["step"],
        "finished": done["finished"],
        "loop": asdict(config),
        "parameters": numbers,
        "curve": curve(folder, planned["seconds_a_step"], setting.batch_size),
    }


def learning_rate(stage: Stage, args: Args) -> float:
    """As given for the model's last stage, or the stage's, in proportion to the preset's."""
    scale: float = LEARNING_RATES[args.preset] / LEARNING_RATES["tiny"]
    given = None if stage.folder != STAGES[args.model][-1].folder else args.lr
    return scale * stage.loop["lr"] if given is None else given


def curve(folder: Path, seconds: float, batch_size: int) -> list[dict[str, float]]:
    """Held-out measurements of a run by steps, samples and minutes of one core."""
    log = folder / "log.jsonl"  # not there yet where a training was stopped in its first steps
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    entries = [entry for entry in map(json.loads, lines) if "held_out" in entry]
    return [
        {
            "step": entry["step"],
            "samples": entry["step"] * batch_size,
            "minutes": entry["step"] * seconds / 60,
            **entry["held_out"],
        }
        for entry in entries
    ]


if __name__ == "__main__":
    main(tyro.cli(Args))
