"""The table of mutations in docs/reliability.md; run `python -m benchmarks.reliability.report_mutations`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.reliability.hunt import FAULTS, OUTCOMES, RESULT
from benchmarks.reliability.report import PAGE
from rla_gym.utils.files import read_json

START, END = "<!-- mutations -->", "<!-- /mutations -->"


def table(result: dict[str, Any]) -> str:
    """Markdown of a hunt's summary: a row a kind of folder."""
    shown = [name for name in OUTCOMES if name not in FAULTS]
    lines = [f"| folder | mutations | {' | '.join(shown)} | faults |", f"|---|---|{'---|' * len(shown)}---|"]
    rows = {target: _total(kinds) for target, kinds in result["counts"].items()}
    rows["**all**"] = result["outcomes"]
    for target, counts in rows.items():
        faults = sum(counts.get(name, 0) for name in FAULTS)
        cells = [str(counts.get(name, 0)) for name in shown]
        lines.append(f"| {target} | {sum(counts.values())} | {' | '.join(cells)} | {faults} |")
    note = (
        f"Seed {result['seed']}, commit {str(result['commit'])[:12]}; counts by mutation are in "
        "`benchmarks/results/reliability-mutations.json`."
    )
    return "\n".join([*lines, "", note])


def _total(kinds: dict[str, Any]) -> dict[str, int]:
    """Counts by outcome over all mutations of one kind of folder."""
    found: dict[str, int] = {}
    for signs in kinds.values():
        for outcomes in signs.values():
            for name, count in outcomes.items():
                found[name] = found.get(name, 0) + count
    return found


def write_block(result: dict[str, Any], page: Path = PAGE) -> None:
    """Put the table of `result` into the page; a ValueError where it has no marks for it."""
    text = page.read_text(encoding="utf-8")
    if text.count(START) != 1 or text.count(END) != 1:
        raise ValueError(f"{page} needs exactly one {START} and one {END}")
    before, rest = text.split(START)
    page.write_text(f"{before}{START}\n{table(result)}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    write_block(read_json(RESULT))
