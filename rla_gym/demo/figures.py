"""The learning curve as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rla_gym.demo.evaluate import pooled
from rla_gym.extras import require
from rla_gym.files import atomic_path
from rla_gym.utils.statistics import wilson

if TYPE_CHECKING:
    from rla_gym.demo.run import SeedResult


def draw_learning_curve(path: Path, results: Sequence[SeedResult]) -> None:
    """Write a PNG: dreamed reward and success and distance from the clone over dreamed chunks, real success beside."""
    figure = require("matplotlib.figure", extra="plot").Figure(figsize=(13, 3.4), layout="constrained")
    reward, success, divergence, real = figure.subplots(1, 4, width_ratios=(3, 3, 3, 2))
    for axes, name, title in (
        (reward, "reward", "reward a chunk, dreamed"),
        (success, "success", "episodes solved, dreamed"),
        (divergence, "kl_to_clone", "KL(policy || clone), nats"),
    ):
        for result in results:
            points = [point for point in result.trained.curve if getattr(point, name) is not None]
            axes.plot(
                [point.timesteps for point in points],
                [getattr(point, name) for point in points],
                label=f"seed {result.seed}",
            )
        axes.set(title=title, xlabel="chunks dreamed")
        axes.grid(alpha=0.3)
    success.set_ylim(-0.02, 1.02)
    if len(results) > 1:
        reward.legend(frameon=False, fontsize="small")
    _bars(real, results)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _bars(axes: Any, results: Sequence[SeedResult]) -> None:
    bars = {
        "clone": [result.before for result in results],
        "after\ndreams": [result.after for result in results],
        "after\nsimulator": [result.simulator[1] for result in results if result.simulator],
    }
    for place, (name, evaluations) in enumerate((name, found) for name, found in bars.items() if found):
        outcomes = pooled(evaluations)
        rate, (low, high) = float(np.mean(outcomes)), wilson(sum(outcomes), len(outcomes))
        axes.bar(place, rate, color=("0.6", "tab:blue", "tab:green")[place], label=name)
        axes.errorbar(place, rate, yerr=[[rate - low], [high - rate]], color="black", capsize=4)
    shown = [name for name, found in bars.items() if found]
    axes.set_xticks(range(len(shown)), shown)
    axes.set(title="episodes solved, really", ylim=(0, 1))
    axes.grid(alpha=0.3, axis="y")
