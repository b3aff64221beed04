"""Train all models of the comparison on one task, each with the same budget, in several seeds.

    python -m benchmarks.compare --tokens runs/tokens --data data/push-cube --out runs/compare/push-cube --minutes 10

What is finished is left alone, so that the same command goes on where it was killed or stopped; `benchmarks.fidelity`
then measures the folders, which the last line names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.baselines.known_costs import known_cost
from benchmarks.baselines.models import STAGES
from benchmarks.baselines.shared import Shared, check_models
from benchmarks.baselines.sizes import rla_wm_count
from benchmarks.baselines.train import Args as TrainArgs
from benchmarks.baselines.train import learning_rate, setting_of
from benchmarks.baselines.train import main as train
from rla_gym.utils.files import read_json

MODELS = (
    "rla-wm", "rla-wm-unanchored", "z-regression", "dino-wm", "dino-wm-neighbours", "fm-wm", "lewm",
    "dino-wm-frames", "video-diffusion",
)  # fmt: skip
OWNER = {"z-regression": "rla-wm", "rla-wm-unanchored": "rla-wm"}
"""Models that take another one's autoencoder, of the same seed; its share of their budget counts as spent."""

SAME = ("tokens", "minutes", "samples", "preset", "batch_size", "precision", "chunk", "costs")
"""Settings that all models of a comparison share."""


@dataclass(frozen=True, kw_only=True)
class Args(Shared):
    """What is trained, on what, and for how long."""

    out: Path
    """A folder for each model and seed is made in it."""
    models: tuple[str, ...] = MODELS
    seeds: tuple[int, ...] = (0, 1, 2)
    minutes: float | None = None
    """Budget of each model in minutes of one core."""
    samples: int | None = None
    """Budget of each model in samples instead."""
    starts: int = 128
    """Held-out starts of the curves."""
    costs: Path | None = None
    """Seconds a step that `benchmarks.baselines.costs` measured; None: each training measures its own."""
    stop_after: float | None = None
    """Save and stop after so many minutes by the clock."""


def main(args: Args) -> dict[str, bool]:
    """Train what is not finished, seed by seed; which folders are finished.

    Raises:
        KeyError: a model of an unknown name, or without a cost in the file.
        ValueError: no models, a model without the one whose autoencoder it takes, no budget or two, video diffusion
            without frames, or folders of models that were trained otherwise.
    """
    if (args.minutes is None) == (args.samples is None):
        raise ValueError(f"minutes={args.minutes} and samples={args.samples}: give one of the two as the budget")
    check_models(args.models, args.data)
    for model in args.models:
        if OWNER.get(model, model) not in args.models:
            raise ValueError(f"{model} takes the autoencoder of {OWNER[model]}: add it to --models")
    check_costs(args)
    began, stopped, found = time.monotonic(), False, dict[str, bool]()
    for seed in args.seeds:
        for model in sorted(args.models, key=lambda name: name in OWNER):
            folder = args.out / f"{model}-{seed}"
            left = None if args.stop_after is None else args.stop_after - (time.monotonic() - began) / 60
            asked = options(args, model, seed, left)
            found[folder.name] = finished(folder, asked)
            # A half-trained autoencoder is no start for others, and who was stopped is not to begin something else.
            ready = found.get(f"{OWNER[model]}-{seed}", True) if model in OWNER else True
            if not found[folder.name] and ready and not stopped and (left is None or left > 0):
                found[folder.name] = bool(train(asked)["finished"])
                stopped = not found[folder.name]
    done = [f"{name.rpartition('-')[0]}={args.out / name}" for name, each in found.items() if each]
    print(f"{len(done)} of {len(found)} finished: --models {' '.join(done)}")
    return found


def check_costs(args: Args) -> None:
    """Before anything is trained: a KeyError for a model whose costs are not in the file, a ValueError for others."""
    if args.costs is None or args.minutes is None:
        return
    for model in args.models:
        asked = options(args, model, args.seeds[0], None)
        setting = setting_of(asked)
        for stage in STAGES[model]:
            known_cost(args.costs, model, stage, setting, args.precision, args.threads)


def finished(folder: Path, asked: TrainArgs) -> bool:
    """Whether a folder holds a model that was trained to its end; a ValueError if it was trained otherwise."""
    path = folder / "curve.json"
    if not path.is_file():
        return False
    made = read_json(path)
    for name in SAME:
        value = getattr(asked, name)
        value = str(value) if isinstance(value, Path) else value
        was = made["settings"].get(name)
        if was != value:
            raise ValueError(
                f"the model in {folder} was trained with {name}={was}, this asks for {value}: give "
                "the same, or another --out"
            )
    setting = setting_of(asked)
    wanted, was = rla_wm_count(setting.configs), made["rla_wm_parameters"]
    rates = {stage.folder: learning_rate(stage, asked) for stage in STAGES[asked.model]}
    differing = [f for f, training in made["trainings"].items() if training["loop"]["lr"] != rates[f]]
    if wanted != was or differing:
        raise ValueError(
            f"the model in {folder} was trained by an earlier version: its RLA-WM had {was:,} parameters and has "
            f"{wanted:,} by now, or it had other learning rates ({', '.join(differing) or 'no'}): give another --out"
        )
    return bool(made["finished"])


def options(args: Args, model: str, seed: int, left: float | None) -> TrainArgs:
    """Of one training, of which `left` minutes are left by the clock."""
    own = {name: getattr(args, name) for name in ("minutes", "samples", "starts", "costs")}
    owner = None if model not in OWNER else args.out / f"{OWNER[model]}-{seed}" / "autoencoder"
    place = args.out / f"{model}-{seed}"
    return TrainArgs(model=model, out=place, seed=seed, autoencoder=owner, stop_after=left, **own, **args.common())


if __name__ == "__main__":
    main(tyro.cli(Args))
