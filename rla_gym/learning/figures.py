"""The learning curve as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rla_gym.learning.evaluate import pooled
from rla_gym.utils.files import atomic_path
from rla_gym.utils.optional import require
from rla_gym.utils.statistics import wilson

if TYPE_CHECKING:
    from rla_gym.learning.seed_run import SeedResult


THOUSAND = 1_000


def draw_learning_curve(path: Path, results: Sequence[SeedResult]) -> None:
    """Write a PNG: reward, success in dreams and distance from the BC policy over dreamed chunks, real success beside.

    Success in dreams is of the same starts, at full length, as in the table; reward is of the dreams trained in.
    """
    figure = require("matplotlib.figure", extra="plot").Figure(figsize=(14, 3.6), layout="constrained")
    reward, success, divergence, real = figure.subplots(1, 4, width_ratios=(3, 3, 3, 2.4))
    for axes, title in (
        (reward, "reward a chunk, training dreams"),
        (success, "dreams solved, starts of the table"),
        (divergence, "KL(policy || BC policy), nats"),
    ):
        axes.set(title=title, xlabel="thousand chunks dreamed")
        axes.grid(alpha=0.3)
        axes.locator_params(axis="x", nbins=5)
    for number, result in enumerate(results):
        style = {"label": f"seed {result.seed}", "color": f"C{number}"}
        points = result.trained.curve
        chunks = [point.timesteps / THOUSAND for point in points]
        reward.plot(chunks, [point.reward for point in points], **style)
        divergence.plot(chunks, [point.kl_to_clone for point in points], **style)
        checks = [(0, result.dream_before.rate), *((check.timesteps, check.rate) for check in result.trained.checks),
                  (result.trained.timesteps, result.dream_after.rate)]  # fmt: skip
        success.plot([at / THOUSAND for at, _ in checks], [rate for _, rate in checks], marker="o", **style)
    success.set_ylim(-0.02, 1.02)
    if len(results) > 1:
        reward.legend(frameon=False, fontsize="small")
    _bars(real, results)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _bars(axes: Any, results: Sequence[SeedResult]) -> None:
    bars = {
        "BC\npolicy": [result.before for result in results],
        "PPO in\ndreams": [result.after for result in results],
        "PPO in\nsimulator": [result.simulator[1] for result in results if result.simulator],
    }
    for place, (name, evaluations) in enumerate((name, found) for name, found in bars.items() if found):
        outcomes = pooled(evaluations)
        rate, (low, high) = float(np.mean(outcomes)), wilson(sum(outcomes), len(outcomes))
        axes.bar(place, rate, color=("0.6", "tab:blue", "tab:green")[place], label=name)
        axes.errorbar(place, rate, yerr=[[rate - low], [high - rate]], color="black", capsize=4)
    shown = [name for name, found in bars.items() if found]
    axes.set_xticks(range(len(shown)), shown)
    axes.set(title="solved in the simulator", ylim=(0, 1))
    axes.grid(alpha=0.3, axis="y")
