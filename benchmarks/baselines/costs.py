"""Measure what a training step of each model costs, once, while nothing else runs.

    python -m benchmarks.baselines.costs --tokens runs/tokens --data data/push-cube --out runs/compare/costs.json

`benchmarks.compare --costs` then gives every model as many steps as its minutes buy, whatever the machine is doing
while they are trained.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import tyro

from benchmarks.baselines.budget import seconds_a_step
from benchmarks.baselines.models import STAGES, Setting, Stage, loop_of
from benchmarks.record import run_record
from rla_gym.cli.threads import use_threads
from rla_gym.files import read_json, write_json
from rla_gym.training.loop import LoopConfig, fit
from rla_gym.training.records import differences


@dataclass(frozen=True, kw_only=True)
class Args:
    """What is measured; as of `benchmarks.compare`."""

    tokens: Path
    """Token store of any task of the comparison."""
    out: Path
    """JSON file that is written; costs that it has of other models, at the same sizes, are kept."""
    data: Path | None = None
    """The data set whose frames the tokens are; video diffusion needs it."""
    encoder: Path | None = None
    """Encoder's file for video diffusion; None: the token store's own."""
    models: tuple[str, ...] = tuple(name for name, stages in STAGES.items() if stages)
    preset: Literal["nano", "tiny", "base", "paper"] = "nano"
    batch_size: int = 32
    precision: Literal["no", "bf16"] = "bf16"
    chunk: int = 4
    rounds: int = 3
    """Each cost is the lowest of so many measurements, far from one another: neighbours can only add to it."""
    threads: int = 1


def main(args: Args) -> dict[str, Any]:
    """Measure, print and write.

    Raises:
        KeyError: a model of an unknown name.
        ValueError: no models, or video diffusion without frames.
    """
    from benchmarks.baselines.train import Args as TrainArgs
    from benchmarks.baselines.train import setting_of

    for name in args.models:
        if not STAGES.get(name):
            raise KeyError(f"no trained model {name!r}; there are {', '.join(each for each in STAGES if STAGES[each])}")
    if not args.models or ("video-diffusion" in args.models and args.data is None):
        raise ValueError(f"models={args.models}: expected one or more, and --data with the frames for video-diffusion")
    use_threads(args.threads)
    found: dict[str, dict[str, float]] = {}
    for name in args.rounds * args.models:
        with TemporaryDirectory() as folder:
            asked = TrainArgs(
                model=name, tokens=args.tokens, out=Path(folder), data=args.data, encoder=args.encoder,
                preset=args.preset, chunk=args.chunk, batch_size=args.batch_size, starts=8,
            )  # fmt: skip
            setting = setting_of(asked)
            here = {stage.folder: _measured(stage, setting, args.precision) for stage in STAGES[name]}
        found[name] = {stage: min(seconds, found.get(name, here)[stage]) for stage, seconds in here.items()}
        print(name, {stage: round(seconds, 4) for stage, seconds in here.items()}, flush=True)
    result = {**run_record(), "tokens": str(args.tokens), "sizes": sizes_of(setting, args.precision, args.threads)}
    before = read_json(args.out) if args.out.is_file() else {}
    kept = before["seconds_a_step"] if before.get("sizes") == result["sizes"] else {}
    result["seconds_a_step"] = {**kept, **found}
    write_json(args.out, result)
    return result


def sizes_of(setting: Setting, precision: str, threads: int) -> dict[str, Any]:
    """What a step's cost depends on and is the same in all tasks of a comparison, as JSON has it."""
    flow = asdict(setting.configs.flow)
    own = {name: value for name, value in flow.items() if name not in ("robots", "proprio_size")}
    frame = [int(side) for side in setting.recorded.store.info["spec"]["frame_size"]]
    common = {"batch_size": setting.batch_size, "precision": precision, "threads": threads, "chunk": setting.chunk}
    return {**common, "frame_size": frame, "flow": own, "autoencoder": asdict(setting.configs.autoencoder)}


def known_cost(path: Path, model: str, stage: Stage, setting: Setting, precision: str, threads: int) -> float:
    """Seconds a step of a model's training, from the file that `main` wrote.

    Raises:
        KeyError: the model or its training was not measured.
        ValueError: it was measured at other sizes.
    """
    measured, wanted = read_json(path), sizes_of(setting, precision, threads)
    other = "; ".join(differences(measured["sizes"], wanted))
    if other:
        raise ValueError(
            f"the costs in {path} are of other sizes than this training, measured -> given: {other}: measure them anew"
        )
    found = measured["seconds_a_step"].get(model, {})
    if stage.folder not in found:
        raise KeyError(f"{path} has no cost of {model}, {stage.folder}: measure with it among --models")
    return float(found[stage.folder])


def _measured(stage: Stage, setting: Setting, precision: str) -> float:
    """Seconds a step; the weights of a training that others build on are left behind after one step."""
    loop = loop_of(stage, setting, precision)
    seconds = seconds_a_step(lambda: stage.build(setting), loop)
    once = LoopConfig(**loop, steps=1)
    fit(stage.build(setting), once, setting.out / stage.folder, progress=False, tensorboard=False, cpu=True)
    return seconds


if __name__ == "__main__":
    main(tyro.cli(Args))
