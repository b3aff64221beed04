"""The table of kills in docs/reliability.md, between its marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
START, END = "<!-- kills -->", "<!-- /kills -->"
COLUMNS = {
    "kills": "kills",
    "SIGKILL": "SIGKILL",
    "SIGTERM": "SIGTERM",
    "SIGINT": "SIGINT",
    "while_writing": "at a change to files",
    "twice": "twice",
    "sigint_ignored": "SIGINT ignored",
    "resumed_killed_too": "resumed run killed too",
    "wrong": "wrong",
}


def table(result: dict[str, Any]) -> str:
    """Markdown of a hunt's summary: a row a command, notes, and hunts before it."""
    rows = dict(result["stages"])
    rows["**all**"] = {name: sum(row.get(name, 0) for row in result["stages"].values()) for name in COLUMNS}
    lines = [f"| command | {' | '.join(COLUMNS.values())} |", f"|---|{'---|' * len(COLUMNS)}"]
    lines += [f"| {stage} | {' | '.join(str(row.get(name, 0)) for name in COLUMNS)} |" for stage, row in rows.items()]
    cost = f", {result['cpu_seconds']} s of CPU" if "cpu_seconds" in result else ""  # unknown of one that was stopped
    note = (
        f"{result['kills']} kills in {result['runs']} runs, seed {result['seed']}{cost}. "
        "Wrong: half an output, a resumed command that failed, or other bytes than undisturbed "
        "(`benchmarks/results/reliability-kills.json`)."
    )
    notes = [note, *result.get("notes", ())]
    for hunt in result.get("earlier", ()):
        commit, kills, wrong = hunt["commit"][:8], hunt["kills"], hunt["wrong"]
        mended = f" ({'; '.join(hunt['mended'])}: mended)" if hunt.get("mended") else ""
        notes.append(f"Earlier, at {commit}: {kills} kills of seed {hunt['seed']}, {wrong} wrong{mended}.")
    note = " ".join(notes)
    return "\n".join([*lines, "", note])


def write_block(result: dict[str, Any], page: Path = PAGE) -> None:
    """Put the table of `result` into the page; a ValueError where it has no marks for it."""
    text = page.read_text(encoding="utf-8")
    if text.count(START) != 1 or text.count(END) != 1:
        raise ValueError(f"{page} needs exactly one {START} and one {END}")
    before, rest = text.split(START)
    page.write_text(f"{before}{START}\n{table(result)}\n{END}{rest.split(END)[1]}", encoding="utf-8")
