"""One result of several runs of the demonstration that differ in their seeds alone.

python -m benchmarks.merge_demo runs/a/result.json runs/b/result.json --out benchmarks/results/demo-push-cube.json
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from rla_gym.learning.report import summary
from rla_gym.utils.files import read_json, write_json

FREE = ("seeds", "out", "workers", "videos", "threads")
"""Settings that may differ: they change no result."""


@dataclass(frozen=True)
class Args:
    """What is merged."""

    results: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The runs' result.json files."""
    out: Path = Path("benchmarks/results/demo-push-cube.json")


def merged(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The runs as one, seeds in order.

    Raises:
        ValueError: the runs differ in more than their seeds, or share one.
    """
    first = found[0]
    for other in found[1:]:
        pairs = {name: (first["config"][name], other["config"][name]) for name in first["config"]}
        different = {name: pair for name, pair in pairs.items() if name not in FREE and pair[0] != pair[1]}
        if different or first["checkpoint"] != other["checkpoint"]:
            raise ValueError(f"the runs differ in {', '.join(different) or 'their checkpoint'}: {different}")
    seeds = sorted((seed for each in found for seed in each["seeds"]), key=lambda seed: seed["seed"])
    numbers = [seed["seed"] for seed in seeds]
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"the runs share seeds: {numbers}")
    return {
        **first,
        "config": {**first["config"], "seeds": numbers},
        "seconds": sum(each["seconds"] for each in found),
        "memory_mib": {name: max(each["memory_mib"][name] for each in found) for name in first["memory_mib"]},
        "summary": summary(seeds),
        "seeds": seeds,
    }


def main(args: Args) -> None:
    """Merge and write."""
    write_json(args.out, merged([read_json(path) for path in args.results]))


if __name__ == "__main__":
    main(tyro.cli(Args))
