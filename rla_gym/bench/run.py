"""Runs a benchmark into a folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rla_gym.bench.results import Results
from rla_gym.utils.outputs import output

FOLDER = Path("bench")
"""Where results go, below the present folder."""
FILE = "result.json"


def default_folder(name: str, ckpt: str) -> Path:
    """bench/NAME/CHECKPOINT below the present folder."""
    last = Path(ckpt.partition("@")[0]).name or "checkpoint"
    return FOLDER / name.replace(":", ".") / last


def run(
    benchmark: Any, folder: Path, protocol: Mapping[str, Any] | None = None, progress: bool = True
) -> tuple[Results, Path]:
    """Measure and write `folder`/result.json, with videos and figures beside it.

    Raises:
        FileExistsError: the folder has the result of other settings, or files of others in the way of this one's;
            nothing is measured then, unless a video or figure is in the way, which is found when it is drawn.
        BlockingIOError: another process measures into that folder.
        ValueError: as of the benchmark, or what is there is no result file.
    """
    path = folder / FILE
    with output(folder, f"bench {benchmark.name}") as out:
        if path.exists():
            before = Results.read(path)
            # The settings that identify a run are the benchmark's to say.
            if (before.benchmark, before.settings_hash) != (benchmark.name, _hash(benchmark)):
                raise FileExistsError(
                    f"{path} is the result of {before.benchmark!r} with other settings: choose another folder with "
                    "--out, or move it away"
                )
        out.check([FILE])
        results: Results = replace(benchmark.measure(progress), protocol=protocol)
        out.claim([FILE])
        results.write(path)
        out.seal()
        with out.adding() as new:
            lines = benchmark.illustrate(results, new)
        out.seal()
    for line in lines:
        print(line, file=sys.stderr)
    return results, path


def _hash(benchmark: Any) -> str:
    return Results(benchmark.name, benchmark.settings(), {}, {}, made={}).settings_hash
