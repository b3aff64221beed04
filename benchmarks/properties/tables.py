"""README's tables of what latent actions of some size hold, and of how they follow time."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import markdown
from benchmarks.report.html import interval, number

METHODS = {
    "rla": "RLA, as published",
    "rla-linear": "RLA, linear encoder",
    "linear": "principal components",
    "entries": "largest entries",
}
FOLLOWED = ("64", "512")
"""Numbers of the latents that are followed through time: the paper's and those of the preset nano."""


def properties(found: dict[str, Any]) -> str:
    """What a latent action of some size keeps, seen and unseen, and whether it follows time."""
    return "\n\n".join(f"{kept(task, result)}\n\n{followed(task, result)}" for task, result in found.items())


def kept(task: str, result: dict[str, Any]) -> str:
    """A row for each split and method, a column for each size, at the longest horizon; means of moving tokens' L1."""
    splits = result["reconstruction"]
    sizes = [size for size in next(iter(splits.values()))["linear"] if size.isdigit()]
    rows, horizon, widest = [], "", 0.0
    for split, methods in splits.items():
        for method, name in METHODS.items():
            cells = []
            for size in sizes:
                horizon, told = list(methods[method][size].items())[-1]
                value, low, high = told["moving_l1"]
                cells.append(number(value, 2))
                widest = max(widest, high - value, value - low)
            rows.append(f"| {split}, {name} | {' | '.join(cells)} |")
    settings = result["settings"]
    trained = f"{settings['minutes']:g} minutes" if settings["minutes"] else f"{settings['samples']:,} samples"
    title = f"**What does a latent action hold?** {task}, changes over {horizon} control steps in so many numbers:"
    return f"{title}\n\n" + markdown(
        f"| test episodes | {' | '.join(sizes)} |",
        rows,
        "Error of the moving tokens that come back, over the error if nothing moved; "
        f"{settings['count']} pairs of frames; 95 % intervals over their episodes reach "
        f"{number(widest, 2)} to either side at most. Autoencoders had "
        f"{trained} each, {len(settings['seeds'])} seed; `largest entries` keeps the largest of the residual, whose "
        'places are free; "out of distribution" are things of shapes and colours that were never trained on '
        "(`benchmarks/results/properties/`).",
    )


def followed(task: str, result: dict[str, Any]) -> str:
    """Ways from noise to latents and between tokens, at the longest distance; columns of measures."""
    ways, horizon = {}, ""
    for kind, sizes in result["progression"].items():
        for size in [size for size in FOLLOWED if size in sizes] or list(sizes)[:1]:
            horizon, told = list(sizes[size].items())[-1]
            ways[f"{METHODS[kind]}, {size} numbers"] = told["means"]["noise"]
            ways["tokens, interpolated"] = told["means"]["tokens"]  # the same for all: no autoencoder is in it
    ways["tokens, interpolated"] = ways.pop("tokens, interpolated")
    measures = ("correlation", "off", "between")
    rows = [f"| {way} | {' | '.join(interval(told[name], 2) for name in measures)} |" for way, told in ways.items()]
    return markdown(
        "| way | rank correlation with time | off by, of the way | nearest frame is an inner one |",
        rows,
        "Does the way from noise to a latent action lead through time? It is decoded at "
        f"{result['settings']['times']} places between two frames of {task} that lie {horizon} control steps apart, "
        "and the nearest real frame found: "
        "`off` is how far its time is from the place on the way.",
    )
