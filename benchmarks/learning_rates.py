"""Whether other learning rates suit the comparison's models better: short trainings, judged on validation episodes.

    python -m benchmarks.learning_rates --tokens runs/tok-roll-ball --samples 24000

Test episodes, which models are compared on, are not looked at. What is finished is left alone, so that the same command
goes on where it was killed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import tyro

from benchmarks.baselines.shared import Shared, check_models
from benchmarks.baselines.train import Args as TrainArgs
from benchmarks.baselines.train import main as train
from benchmarks.fidelity.handles import file_of
from benchmarks.record import run_record
from rla_gym.data import TokenStore
from rla_gym.utils.files import write_json

MEASURES = ("c1_moving", "c6_moving")
"""How the errors of moving tokens over persistence after 1 and 6 chunks end; a toy store's begin with "train_"."""


@dataclass(frozen=True, kw_only=True)
class Args(Shared):
    """What is tried."""

    runs: Path = Path("runs/learning-rates")
    """A folder for each model, rate and seed is made in it."""
    models: tuple[str, ...] = ("rla-wm", "dino-wm", "fm-wm", "z-regression")
    rates: tuple[float, ...] = (2.5e-3, 5e-3, 1e-2)
    seeds: tuple[int, ...] = (0,)
    samples: int = 24_000
    """Budget of each training, an autoencoder's share included."""
    starts: int = 128
    """Validation starts."""
    out: Path | None = None
    """None: benchmarks/results/learning-rates-TASK.json."""


def main(args: Args) -> dict[str, Any]:
    """Train, write and print.

    Raises:
        KeyError: a model of an unknown name.
        ValueError: no models, or folders of trainings with other settings.
    """
    check_models(args.models, args.data)
    task = TokenStore.open(args.tokens).info["task"]
    rows = []
    for seed, model, rate in product(args.seeds, args.models, args.rates):
        place = args.runs / task / f"{model}-{rate:g}-{seed}"
        asked = TrainArgs(
            model=model, out=place, samples=args.samples, starts=args.starts, seed=seed, lr=rate, **args.common()
        )
        curve = train(asked)["trainings"]
        last = list(curve.values())[-1]["curve"][-1]
        found = {name: value for name, value in last.items() if name.endswith(MEASURES)}
        rows.append({"model": model, "rate": rate, "seed": seed, "steps": last["step"], **found})
        print(rows[-1], flush=True)
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(args).items()}
    result = {**run_record(), "task": task, "settings": settings, "rows": rows}
    write_json(args.out or Path(__file__).parent / "results" / f"learning-rates-{file_of(task)}", result)
    return result


if __name__ == "__main__":
    main(tyro.cli(Args))
