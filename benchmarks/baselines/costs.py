"""Measure what a training step of each model costs, once, while nothing else runs.

    python -m benchmarks.baselines.costs --tokens runs/tokens --data data/push-cube --out runs/compare/costs.json

`benchmarks.compare --costs` then gives every model as many steps as its minutes buy, whatever the machine is doing
while they are trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tyro

from benchmarks.baselines.budget import seconds_a_step
from benchmarks.baselines.known_costs import sizes_of
from benchmarks.baselines.models import STAGES, Stage, loop_of
from benchmarks.baselines.setting import Setting
from benchmarks.baselines.shared import Shared, check_models
from benchmarks.baselines.train import Args as TrainArgs
from benchmarks.baselines.train import setting_of
from benchmarks.record import run_record
from rla_gym.training.loop import LoopConfig, fit
from rla_gym.utils.files import read_json, write_json
from rla_gym.utils.threads import use_threads


@dataclass(frozen=True, kw_only=True)
class Args(Shared):
    """What is measured; as of `benchmarks.compare`, with the tokens of any of its tasks."""

    out: Path
    """JSON file that is written; costs that it has of other models, at the same sizes, are kept."""
    models: tuple[str, ...] = tuple(name for name, stages in STAGES.items() if stages)
    rounds: int = 3
    """Each cost is the lowest of so many measurements, far from one another: neighbours can only add to it."""


def main(args: Args) -> dict[str, Any]:
    """Measure, print and write.

    Raises:
        KeyError: a model of an unknown name.
        ValueError: no models, or video diffusion without frames.
    """
    check_models(args.models, args.data)
    use_threads(args.threads)
    found: dict[str, dict[str, float]] = {}
    for name in args.rounds * args.models:
        with TemporaryDirectory() as folder:
            setting = setting_of(TrainArgs(model=name, out=Path(folder), starts=8, **args.common()))
            here = {stage.folder: _measured(stage, setting, args.precision) for stage in STAGES[name]}
        found[name] = {stage: min(seconds, found.get(name, here)[stage]) for stage, seconds in here.items()}
        print(name, {stage: round(seconds, 4) for stage, seconds in here.items()}, flush=True)
    result = {**run_record(), "tokens": str(args.tokens), "sizes": sizes_of(setting, args.precision, args.threads)}
    before = read_json(args.out) if args.out.is_file() else {}
    kept = before["seconds_a_step"] if before.get("sizes") == result["sizes"] else {}
    result["seconds_a_step"] = {**kept, **found}
    write_json(args.out, result)
    return result


def _measured(stage: Stage, setting: Setting, precision: str) -> float:
    """Seconds a step; the weights of a training that others build on are left behind after one step."""
    loop = loop_of(stage, setting, precision)
    seconds = seconds_a_step(lambda: stage.build(setting), loop)
    once = LoopConfig(**loop, steps=1)
    fit(stage.build(setting), once, setting.out / stage.folder, progress=False, tensorboard=False, cpu=True)
    return seconds


if __name__ == "__main__":
    main(tyro.cli(Args))
