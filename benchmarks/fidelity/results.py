"""Numbers of all handles, and the files that they are written to."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fidelity.measure import Found
from rla_gym.utils.files import atomic_path

DIGITS = 4
"""Significant digits of what is written."""


class Table:
    """By kind of actions and run, every measure of every handle: (H, h) float32, NaN where nothing was measured.

    Args:
        handles, horizons: H and h.
    """

    def __init__(self, handles: int, horizons: int) -> None:
        self.shape = (handles, horizons)
        self.found: dict[str, dict[str, Found]] = {}

    def put(self, kind: str, run: str, first: int, measured: Found) -> None:
        """Measures of the handles from number `first` on."""
        place = self.found.setdefault(kind, {}).setdefault(run, {})
        for name, values in measured.items():
            if name not in place:
                place[name] = np.full(self.shape, np.nan, np.float32)
            place[name][first : first + len(values)] = values


def rounded(value: Any, digits: int = DIGITS) -> Any:
    """The same with floats of so many significant digits, NaN as None, arrays as lists."""
    if isinstance(value, np.ndarray):
        return rounded(value.tolist(), digits)
    if isinstance(value, dict):
        return {str(key): rounded(each, digits) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each, digits) for each in value]
    if isinstance(value, np.generic):
        return rounded(value.item(), digits)
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def write_tables(path: Path, tables: dict[str, Any]) -> None:
    """Rounded JSON, an entry of the whole a line: indented to the last number it would be several times as long."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(',', ':'))}"
        for name, value in rounded(tables).items()
    ]
    with atomic_path(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def write_raw(path: Path, raw: dict[str, Any]) -> None:
    """All handles, by `write_compressed`.

    Layout of "measured": kind, run, measure, then for each horizon one number a handle.
    """
    columns = {
        kind: {run: {name: values.T for name, values in found.items()} for run, found in runs.items()}
        for kind, runs in raw["measured"].items()
    }
    write_compressed(path, {**raw, "measured": columns})


def write_compressed(path: Path, value: Any) -> None:
    """`value`, rounded, as compressed JSON; the same numbers give the same bytes."""
    text = json.dumps(rounded(value), allow_nan=False, separators=(",", ":"))
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))


def read_raw(path: Path) -> dict[str, Any]:
    """What `write_raw` wrote, measures as arrays (H, h)."""
    raw: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    raw["measured"] = {
        kind: {
            run: {name: np.array(values, np.float32).T for name, values in found.items()} for run, found in runs.items()
        }
        for kind, runs in raw["measured"].items()
    }
    return raw
