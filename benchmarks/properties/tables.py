"""README's table of what latent actions of some size hold."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import markdown
from benchmarks.report.html import interval


def properties(found: dict[str, Any]) -> str:
    """What a latent action of some size keeps, seen and unseen, and whether it follows time."""
    rows = []
    for task, result in found.items():
        for split, methods in result["reconstruction"].items():
            for method, sizes in methods.items():
                for size, horizons in sizes.items():
                    horizon, told = list(horizons.items())[-1]
                    if method in ("rla", "rla-linear", "linear", "entries"):
                        cells = [interval(told[name], 2) for name in ("moving_l1", "tokens_square")]
                        rows.append(f"| {task}, {split} | {horizon} | {method}, {size} | {' | '.join(cells)} |")
    title = "**What does a latent action hold?** The change between two frames in few numbers, held-out episodes.\n\n"
    return title + markdown(
        "| task | control steps | by, numbers | moving tokens | 1 − R² |",
        rows,
        "Error of tokens that come back, over the error if nothing moved: `rla` through the autoencoder, "
        "`rla-linear` through one whose encoder is principal components alone, `linear` through principal components "
        "there and back, `entries` by the largest entries of the residual, whose "
        "places are free (`benchmarks/results/properties/`).",
    )
