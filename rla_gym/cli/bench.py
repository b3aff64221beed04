"""`rla-gym bench`: measures of the user's own checkpoint and agents, one benchmark or a whole suite."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from rla_gym.utils.threads import use_threads


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Measure a checkpoint and agents: `rla-gym bench` lists the benchmarks.

    Each has help of its own: rla-gym bench transfer --help. Results go to ./bench/NAME/CHECKPOINT.
    """

    def run(self) -> None:
        """List the benchmarks."""
        from rla_gym.bench.registry import benchmark, benchmarks

        print("usage: rla-gym bench NAME [options], or rla-gym bench suite FILE\n")
        for name in benchmarks():
            print(f"  {name:12s} {_first_sentence(benchmark(name))}")
        print(f"  {'suite':12s} {_first_sentence(RunSuite)}")
        print("\nrla-gym bench NAME --help lists its options; module:Class runs a benchmark of your own")


@dataclass(frozen=True)
class Measured:
    """A benchmark with its settings, and where its result goes."""

    settings: Any
    out: Path | None
    threads: int

    def run(self) -> None:
        """Measure, write and print the table."""
        from rla_gym.bench.run import default_folder, run

        use_threads(self.threads)
        folder = self.out or default_folder(self.settings.name, self.settings.ckpt)
        results, path = run(self.settings, folder)
        print(results.table())
        print(f"written to {path}")


@dataclass(frozen=True, kw_only=True)
class RunSuite:
    """Run a protocol file to its end; finished parts are not repeated."""

    file: tyro.conf.Positional[Path]
    """JSON or TOML: checkpoints, arms, seeds, episodes and benchmarks; see docs/bench.md."""
    out: Path | None = None
    """Folder of the results; none: ./bench/NAME of the protocol."""
    threads: int = 1
    """Threads of torch."""

    def run(self) -> None:
        """Run what is left of it and print the tables."""
        from rla_gym.bench.suite import run_suite

        use_threads(self.threads)
        print(run_suite(self.file, self.out))


def parse_bench(arguments: Sequence[str]) -> Any:
    """The command that the arguments after `rla-gym bench` ask for; only the benchmark that is named is imported.

    Raises:
        ValueError: no benchmark has that name.
        SystemExit: `--help` (0) and what does not parse (2).
    """
    if not arguments or arguments[0].startswith("-"):
        return tyro.cli(Bench, args=list(arguments), prog="rla-gym bench")
    name, rest = arguments[0], list(arguments[1:])
    if name == "suite":
        return tyro.cli(RunSuite, args=rest, prog="rla-gym bench suite")
    from rla_gym.bench.registry import benchmark

    kind = benchmark(name)

    def measured(settings: Any, out: Path | None = None, threads: int = 1) -> Measured:
        """Placeholder; its help text is the benchmark's.

        Args:
            settings: of the benchmark.
            out: Folder of the result, videos and figures; none: ./bench/NAME/CHECKPOINT.
            threads: Threads of torch.
        """
        return Measured(settings, out, threads)

    measured.__annotations__ = {"settings": kind, "out": Path | None, "threads": int, "return": Measured}
    description, flat = inspect.cleandoc(kind.__doc__ or ""), (tyro.conf.OmitArgPrefixes,)
    return tyro.cli(measured, args=rest, prog=f"rla-gym bench {name}", description=description, config=flat)


def _first_sentence(kind: type) -> str:
    text = " ".join((kind.__doc__ or "").split())
    return text.partition(". ")[0].rstrip(".")
