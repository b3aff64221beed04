"""Write results as one HTML page that needs nothing else: tables, curves, strips of frames, small videos.

    python -m benchmarks.report --out runs/report.html

Strips are taken from where the benchmarks wrote them, unless told otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from benchmarks.report.fidelity import fidelity_section, tasks_section
from benchmarks.report.html import page
from benchmarks.report.properties import properties_section
from rla_gym.utils.files import atomic_path, read_json

RESULTS = Path(__file__).resolve().parents[1] / "results"


@dataclass(frozen=True, kw_only=True)
class Args:
    """What is shown."""

    fidelity: tuple[Path, ...] | None = None
    """Files of `benchmarks.fidelity`; None: all in benchmarks/results/fidelity."""
    properties: tuple[Path, ...] | None = None
    """Files of `benchmarks.properties`; None: all in benchmarks/results/properties."""
    strips: Path | None = None
    """Folder of all strips; None: those that the files name, where they are still there."""
    out: Path = Path("runs/report.html")


def main(args: Args) -> None:
    """Write the page; a FileNotFoundError if there are no results at all."""
    fidelity = [read_json(path) for path in chosen(args.fidelity, "fidelity")]
    properties = [read_json(path) for path in chosen(args.properties, "properties")]
    if not fidelity and not properties:
        raise FileNotFoundError(
            f"no results in {RESULTS}: run `python -m benchmarks.fidelity` or `python -m benchmarks.properties` first"
        )
    sections = [tasks_section(fidelity)] if len(fidelity) > 1 else []
    sections += [fidelity_section(found, args.strips) for found in fidelity]
    sections += [properties_section(found, args.strips) for found in properties]
    with atomic_path(args.out) as temporary:
        temporary.write_text(page("World models against the simulator", sections), encoding="utf-8")
    print(f"{args.out}: {args.out.stat().st_size / 2**20:.1f} MiB")


def chosen(given: tuple[Path, ...] | None, folder: str) -> list[Path]:
    """The files that are given, or all that there are."""
    return list(given) if given is not None else sorted((RESULTS / folder).glob("*.json"))


if __name__ == "__main__":
    main(tyro.cli(Args))
