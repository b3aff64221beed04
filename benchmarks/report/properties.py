"""What `benchmarks.properties` found of one task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.report.fidelity import name_of
from benchmarks.report.figures import Line, curves, line_of
from benchmarks.report.html import block, folded, interval, note, number, section, table
from benchmarks.report.media import media

WORDS = {
    "rla": "RLA, learned encoder",
    "rla-linear": "RLA, linear encoder",
    "linear": "principal components",
    "entries": "largest entries",
    "patches": "largest patches",
    "nothing": "persistence",
    "everything": "true tokens",
}
STYLES = {
    "RLA, learned encoder": ("#1f5fbf", "-"),
    "RLA, linear encoder": ("#6aa5e8", "-"),
    "principal components": ("#d1661b", "-"),
    "largest entries": ("#2e8b57", "--"),
    "largest patches": ("#b5338a", "--"),
}
WAYS = {"noise": "noise to latent", "mean": "mean latent to latent", "tokens": "interpolated tokens"}
MEASURES = {
    "correlation": "rank correlation of τ with time",
    "off": "mean distance of τ from the time of the nearest frame",
    "between": "nearest frame is an inner one",
    "distance": "distance to the nearest frame, over that between the ends",
}


def properties_section(found: Mapping[str, Any], strips: Path | None = None) -> str:
    """All of one task."""
    settings = found["settings"]
    folder = strips or Path(settings["strips"] or Path(settings["runs"]) / "strips")
    splits = found["reconstruction"]
    return section(
        f"Properties of residual latent actions: {found['task']}",
        note(
            f"{settings['count']} pairs of frames at each horizon; intervals are of 95 %, by resampling episodes. Each "
            f"autoencoder had {budget(settings)}. Commit {str(found['commit'])[:18]}, seeds {found['seeds']}, "
            f"{number(found['minutes'])} minutes."
        ),
        *(
            block(f"What comes back, {split}", size_curves(each), horizon_curves(each))
            for split, each in splits.items()
        ),
        *(block(f"In numbers, {split}", sizes_table(found, each)) for split, each in splits.items()),
        block("From noise to a latent action, through time?", *progression_tables(found)),
        block("Pictures", media(folder, videos=False)),
    )


def budget(settings: Mapping[str, Any]) -> str:
    """In words."""
    return f"{settings['minutes']:g} minutes of one core" if settings["minutes"] else f"{settings['samples']:,} samples"


def plain_sizes(method: Mapping[str, Any]) -> list[str]:
    """Sizes that are numbers alone, in order."""
    return sorted((size for size in method if size.isdigit()), key=int)


def size_curves(split: Mapping[str, Any], measure: str = "moving_l1") -> str:
    """Error by size at a short, a middle and the longest horizon."""
    horizons = list(next(iter(split["rla"].values())))
    panels = []
    for horizon in dict.fromkeys((horizons[0], horizons[len(horizons) // 2], horizons[-1])):
        lines: dict[str, Line] = {}
        for method, words in WORDS.items():
            if words not in STYLES or method not in split:
                continue
            points = [
                (float(size), told)
                for size in plain_sizes(split[method])
                if (told := split[method][size][horizon][measure]) is not None
            ]
            if points:
                lines[words] = line_of(points)
        panels.append((f"{horizon} control steps", f"{name_of(measure)}, over persistence", lines))
    return curves(panels, STYLES, "numbers", xscale="log")


def horizon_curves(split: Mapping[str, Any], measure: str = "moving_l1") -> str:
    """Error by horizon, both kinds of RLA of all sizes and the linear baseline."""
    panels = []
    for method in ("rla", "rla-linear", "linear"):
        lines: dict[str, Line] = {}
        for size, by_horizon in split.get(method, {}).items():
            points = [(float(h), told[measure]) for h, told in by_horizon.items() if told[measure] is not None]
            if points:
                lines[f"{size} numbers" if size.isdigit() else size] = line_of(points)
        panels.append((WORDS[method], f"{name_of(measure)}, over persistence", lines))
    return curves(panels, {}, "control steps between the frames")


def sizes_table(found: Mapping[str, Any], split: Mapping[str, Any]) -> str:
    """All sizes at the longest horizon."""
    thing = found["thing"]
    horizon = list(next(iter(split["rla"].values())))[-1]
    measures = ["moving_l1", "tokens_l1", "tokens_square", f"{thing}_mm", f"{thing}_deg"]
    kept = [name for name in measures if name in next(iter(split["rla"].values()))[horizon]]
    rows = [
        [f"{WORDS[method]}, {size}", *(interval(by_horizon[horizon][name]) for name in kept)]
        for method, sizes in split.items()
        for size, by_horizon in sizes.items()
    ]
    names = {"tokens_square": "tokens, 1 − R²"}
    columns = ["by, numbers", *(names.get(name, name_of(name)) for name in kept)]
    return folded(f"{horizon} control steps; tokens over persistence", table(columns, rows))


def progression_tables(found: Mapping[str, Any]) -> list[str]:
    """By kind, size and horizon: means of each way, and paired differences from interpolated tokens."""
    ways = found["progression"]
    parts = [
        folded(
            f"{WORDS[kind]}: {size} numbers" if size.isdigit() else f"{WORDS[kind]}: {size}",
            table(["way", *MEASURES.values()], progression_rows(by_horizon)),
        )
        for kind in ways
        for size, by_horizon in ways[kind].items()
    ]
    text = "In brackets: paired difference from interpolated tokens, and the p-value of random signs."
    return [*parts, note(text)]


def progression_rows(by_horizon: Mapping[str, Any]) -> list[list[str]]:
    """Of one autoencoder."""
    rows = []
    for horizon, told in by_horizon.items():
        for way, words in WAYS.items():
            cells = [f"{horizon} control steps: {words}"]
            for measure in MEASURES:
                text = interval(told["means"][way][measure])
                change = told["differences"].get(way, {}).get(measure)
                if change is not None:
                    text += f" ({number(change['difference'], 2)}, p {number(change['p'], 2)})"
                cells.append(text)
            rows.append(cells)
    return rows
