"""Benchmarks by name: those of this package, of other packages' entry points, and registered ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

PARTS = ("name", "measure", "illustrate", "settings", "summarize", "table")
"""What a benchmark has."""
GROUP = "rla_gym.benchmarks"
"""Entry points of this group are benchmarks: name = "module:Class"."""

_BENCHMARKS: dict[str, str | type] = {
    "transfer": "rla_gym.bench.transfer:Transfer",
    "ranking": "rla_gym.bench.ranking:Ranking",
}


@runtime_checkable
class Benchmark(Protocol):
    """A frozen dataclass whose fields are the settings of one measurement; `rla-gym bench NAME` fills them in.

    What a suite sets by itself has the names `ckpt`, `agents`, `episodes` and `seed`; a benchmark has those of them
    that mean something for it. The class's docstring is the help text.
    """

    name: ClassVar[str]

    def measure(self, progress: bool = True) -> Any:
        """Run it and return `rla_gym.bench.results.Results`; nothing is printed but progress."""
        ...

    def illustrate(self, results: Any, folder: Path) -> list[str]:
        """Write figures and videos of a result, which is safe by then; lines on what cannot be shown.

        `folder` is empty: what is written there takes its place beside the result afterwards.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """What the outcomes depend on, JSON-able: a result is of the same run where these are the same."""
        ...

    @staticmethod
    def summarize(episodes: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
        """The summary of raw outcomes: a function of what a result file holds and of nothing else."""
        ...

    @staticmethod
    def table(summary: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
        """A summary for people, as Markdown."""
        ...


def register_benchmark(name: str, benchmark: str | type) -> None:
    """Make `benchmark` known as `name` in this process.

    Packages that want `rla-gym bench NAME` to find theirs declare an entry point of the group "rla_gym.benchmarks".

    Args:
        name: letters, digits, "-" and "_".
        benchmark: a class as `Benchmark` says, or "module:Class", imported at its first use.

    Raises:
        ValueError: a name that is taken by another, or that cannot be one.
    """
    if not name.replace("-", "").replace("_", "").isalnum() or name in ("suite", "report"):
        raise ValueError(f"benchmark name {name!r}: expected letters, digits, '-', '_'; not suite, report")
    if _BENCHMARKS.get(name, benchmark) != benchmark:
        raise ValueError(f"benchmark {name!r} is already {_BENCHMARKS[name]}: choose another name")
    _BENCHMARKS[name] = benchmark


def benchmarks() -> tuple[str, ...]:
    """Names of all benchmarks."""
    return tuple(sorted({*_BENCHMARKS, *_declared()}))


def benchmark(name: str) -> type[Any]:
    """The class of the benchmark `name`, or of "module:Class".

    Raises:
        ValueError: no benchmark has that name, or what it names is none.
    """
    found = _BENCHMARKS.get(name) or _declared().get(name)
    if found is None and ":" in name:
        found = name
    if found is None:
        raise ValueError(f"no benchmark is called {name!r}: there are {', '.join(benchmarks())}, or give module:Class")
    if isinstance(found, EntryPoint):
        found = found.load()
    if isinstance(found, str):
        module, _, attribute = found.partition(":")
        found = getattr(import_module(module), attribute, None)
    missing = [part for part in PARTS if not hasattr(found, part)]
    if not isinstance(found, type) or not is_dataclass(found) or missing:
        raise ValueError(
            f"benchmark {name!r} is {found!r}: expected a dataclass with {', '.join(PARTS)}: "
            "see rla_gym.bench.registry.Benchmark"
        )
    return found


def _declared() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
