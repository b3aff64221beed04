"""One run on one machine: rates, stages, memory, operations, growth of cost, and what fewer Euler steps cost.

    python -m benchmarks.speed --tokens runs/tokens

Everything is timed in turns beside what it is compared with, on the same cores (`clock.race`). On the CPU alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.record import run_record
from benchmarks.speed.clock import PRECISIONS
from benchmarks.speed.machine import cores, described
from benchmarks.speed.models import BUILDERS, Evaluations, built, setting_of
from benchmarks.speed.quality import QualityConfig, quality
from benchmarks.speed.races import Timing
from benchmarks.speed.scaling import batch_exponents
from benchmarks.speed.tables import headlines, speed
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.data import TokenStore
from rla_gym.utils.files import write_json
from rla_gym.utils.provenance import PACKAGES, versions


@dataclass(frozen=True)
class Args:
    """Settings of the measurement."""

    ckpt: str = "push-cube"
    """Checkpoint: folder, built-in name or hub id."""
    tokens: Path | None = None
    """Token store of episodes recorded in the checkpoint's task, for the quality of few Euler steps; None: not that."""
    out: Path = Path("benchmarks/results/speed.json")
    models: tuple[str, ...] = tuple(BUILDERS)
    """World models beside the dream, by their names in `benchmarks.baselines.models`."""
    evaluations: Evaluations = field(default_factory=Evaluations)
    """Of networks that one prediction asks several times."""
    batches: tuple[int, ...] = (1, 16, 64, 256)
    focus: int = 64
    """The batch, one of them, at which stages and compiled models are timed too."""
    real_most: int = 64
    """Real simulators at most; each has a renderer of its own, so their rate does not grow with their number."""
    precisions: tuple[str, ...] = PRECISIONS
    threads: int = 1
    """Threads of torch; as many cores are used, and as many processes of real simulators where it is more than 1."""
    rounds: int = 5
    """Turns of each."""
    seconds: float = 0.5
    """Least length of a turn."""
    longest: float = 20.0
    """Seconds that one run may take; what would take longer at a larger batch is left out there, and told."""
    matmuls: tuple[int, ...] = (512, 1024, 2048)
    """Sizes of the square matrices whose products give this machine's peak."""
    patches: tuple[int, ...] = (16, 64, 256, 1024)
    """Tokens of a frame, for the growth of cost."""
    patch_batch: int = 16
    compiled: bool = True
    """Also time RLA-WM through torch.compile at the focus batch; minutes of compiling."""
    quality: QualityConfig = field(default_factory=QualityConfig)
    seed: int = 0
    """Of actions, noise and keys."""
    smoke: bool = False
    """Seconds: the smallest of everything, to see that it runs."""


def smallest(args: Args) -> Args:
    """What `--smoke` measures."""
    few = replace(args.quality, steps=(1, 2), midpoint=(2,), starts=6, chunks=2, samples=2)
    return replace(
        args, evaluations=Evaluations(3, 1), batches=(1, 2), focus=2, real_most=1, rounds=2, seconds=0.0,
        matmuls=(64, 128), patches=(4, 9), patch_batch=2, compiled=False, quality=few,
    )  # fmt: skip


def main(args: Args) -> dict[str, Any]:
    """Measure, write and print.

    Raises:
        KeyError: a model that nobody knows.
        ValueError: a focus that is none of the batches, an unknown precision, or fewer cores than threads.
    """
    args = smallest(args) if args.smoke else args
    if args.focus not in args.batches:
        raise ValueError(f"focus={args.focus}: expected one of the batches {list(args.batches)}")
    if not set(args.precisions) <= set(PRECISIONS):
        raise ValueError(f"precisions={list(args.precisions)}: expected some of {', '.join(PRECISIONS)}")
    with cores(args.threads) as chosen, TemporaryDirectory() as folder:
        machine, bundle = described(args.threads, chosen), load_checkpoint(args.ckpt)
        setting = setting_of(bundle, Path(folder))
        models, skipped = built(bundle, setting, args.models, args.evaluations)
        timing = Timing(args, bundle, setting, models)
        peaks = {precision: timing.peak(precision) for precision in args.precisions}
        counted = timing.counted()
        races = [timing.race(batch, precision) for batch in args.batches for precision in args.precisions]
        stages = {precision: timing.stages(precision) for precision in args.precisions}
        tokens = {precision: timing.tokens(precision) for precision in args.precisions}
        euler = None
        if args.tokens is not None:
            euler = quality(bundle, TokenStore.open(args.tokens), args.quality)
            euler["timed"] = {precision: timing.euler(precision) for precision in args.precisions}
        result = {
            **run_record(),
            "machine": machine,
            "versions": versions((*PACKAGES, "diffusers", "stable-worldmodel")),
            "settings": settings(args),
            "seeds": [args.seed, args.quality.seed],
            "checkpoint": {
                "name": bundle.config.name,
                "chunk": bundle.config.chunk,
                "steps": bundle.config.steps,
                "temperature": bundle.config.temperature,
                "patches": bundle.config.flow.patches,
            },
            "skipped": skipped,
            "models": counted,
            "peaks": peaks,
            "races": races,
            "stages": stages,
            "exponents": {"batch": batch_exponents(races), "tokens": tokens},
            "quality": euler,
        }
    result["headlines"] = headlines(result)
    write_json(args.out, result)
    print(speed(result))
    busy = [turn for race in races for turn in race["timed"]["dream"]["turns"]]
    share = median(turn["cpu_seconds"] / turn["seconds"] for turn in busy) / args.threads
    print(f"\nthe dream had {share:.0%} of its cores; below 95 % other work disturbed the ratios too")
    return result


def settings(args: Args) -> dict[str, Any]:
    """As JSON."""
    return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(args).items()}
