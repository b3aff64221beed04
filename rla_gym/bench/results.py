"""The one schema of results: where they come from, every episode's outcome, and a summary that follows from these."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rla_gym.bench.registry import benchmark
from rla_gym.utils.files import atomic_path, read_json
from rla_gym.utils.provenance import PACKAGES, commit, versions
from rla_gym.utils.typed import build

SCHEMA = 1
LIMIT = 1_000_000
"""Bytes of a result file that may be kept in git."""
DIGITS = 5
"""Significant digits of measured numbers."""


@dataclass(frozen=True)
class Results:
    """What one run of a benchmark found.

    Attributes:
        benchmark: its name, or "module:Class".
        settings: of the run, JSON-able.
        facts: what the run was about and the summary needs beside the outcomes (checkpoint, agents, thresholds, ...).
        episodes: outcomes of every episode: nested mappings of NumPy arrays.
        notes: one line for each thing that could not be measured, and why.
        protocol: the suite's file and its SHA-256, None outside a suite.
        made: commit, versions and machine.
    """

    benchmark: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    episodes: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    protocol: Mapping[str, Any] | None = None
    made: Mapping[str, Any] = field(default_factory=lambda: provenance())

    def __post_init__(self) -> None:
        # Rounded before anything is computed of them: the summary of a file is that of the run.
        object.__setattr__(self, "episodes", _compact(self.episodes))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What the benchmark makes of the outcomes."""
        found: dict[str, Any] = benchmark(self.benchmark).summarize(self.episodes, self.facts)
        return found

    @property
    def settings_hash(self) -> str:
        """SHA-256 of the settings."""
        return hashlib.sha256(json.dumps(jsonable(self.settings), sort_keys=True).encode()).hexdigest()

    def table(self) -> str:
        """The summary for people, and the notes."""
        text: str = benchmark(self.benchmark).table(self.summary, self.facts)
        return "\n".join([text, *(f"note: {note}" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; NaN becomes None."""
        found = {
            "schema": SCHEMA,
            "benchmark": self.benchmark,
            "protocol": self.protocol,
            "settings": self.settings,
            "settings_hash": self.settings_hash,
            "made": self.made,
            "facts": self.facts,
            "notes": self.notes,
            "summary": self.summary,
            "episodes": self.episodes,
        }
        return {key: jsonable(value) for key, value in found.items()}

    def write(self, path: str | Path) -> Path:
        """Write one JSON file, whole or not at all, and return its path; a warning where it is over `LIMIT` bytes."""
        text = dumps(self.to_dict()) + "\n"
        size = len(text.encode())
        if size >= LIMIT:
            warnings.warn(f"{path} has {size} bytes, over {LIMIT}: keep it out of git", stacklevel=2)
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return Path(path)

    @classmethod
    def read(cls, path: str | Path) -> Results:
        """Read what `write` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: no result file, one of another schema, or one that was edited: its settings do not give their
                hash, or its outcomes do not give its summary.
        """
        found = read_json(path)
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            schema = found.get("schema") if isinstance(found, dict) else None
            raise ValueError(f"{path} has schema {schema!r}: expected a result file of schema {SCHEMA}; run it again")
        checks = {name: found.pop(name, None) for name in ("schema", "settings_hash", "summary")}
        results: Results = build(cls, {**found, "episodes": _arrays(found.get("episodes", {}))}, path, "run it again")
        if results.settings_hash != checks["settings_hash"]:
            raise ValueError(f"{path} was edited: its settings have another hash than it says; run it again")
        if not _same(jsonable(results.summary), checks["summary"]):
            raise ValueError(
                f"{path} was edited, or is of another version of {results.benchmark!r}: its outcomes give another "
                "summary than it says; run it again"
            )
        return results


def provenance() -> dict[str, Any]:
    """Commit (with "+changes" if tracked files differ), machine, and versions of Python and packages."""
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "system": platform.platform()}
    return {"commit": commit(), "machine": machine, "versions": versions((*PACKAGES, "scipy"))}


def jsonable(value: Any) -> Any:
    """`value` with arrays and tuples as lists, paths as text, bools of arrays as 0 and 1, and NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable((value.astype(int) if value.dtype == bool else value).tolist())
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def dumps(value: Any, indent: int = 0) -> str:
    """JSON with an entry a line, but lists of numbers and texts on one: a file of outcomes stays small and readable."""
    space = "  " * (indent + 1)
    if isinstance(value, dict) and value:
        inner = ",\n".join(f"{space}{json.dumps(key)}: {dumps(each, indent + 1)}" for key, each in value.items())
        return f"{{\n{inner}\n{'  ' * indent}}}"
    if isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        inner = ",\n".join(f"{space}{dumps(each, indent + 1)}" for each in value)
        return f"[\n{inner}\n{'  ' * indent}]"
    separators = (",", ":") if isinstance(value, list) else None
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=separators)


def _same(first: Any, second: Any) -> bool:
    """Whether two JSON values agree, numbers to six digits: another machine sums in another order."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, float) and isinstance(second, int | float):
        return math.isclose(first, second, rel_tol=1e-6, abs_tol=1e-9)
    return bool(first == second)


def _compact(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _compact(each) for key, each in value.items()}
    array = np.asarray(value)
    if array.dtype.kind == "f":
        rounded = [float(f"{each:.{DIGITS}g}") for each in array.astype(np.float64).ravel()]
        return np.array(rounded).reshape(array.shape)
    return array.astype(np.int64)


def _arrays(value: Any) -> Any:
    """Lists as arrays, None as NaN."""
    if isinstance(value, Mapping):
        return {key: _arrays(each) for key, each in value.items()}
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype == object else array
