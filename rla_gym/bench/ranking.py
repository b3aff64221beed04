"""The world model as a judge of policies: does it order them as reality does?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rla_gym.bench.outcomes import rate
from rla_gym.bench.results import Results, jsonable
from rla_gym.bench.tables import first, markdown, number, percent
from rla_gym.bench.transfer import Transfer
from rla_gym.utils.checks import check_fields
from rla_gym.utils.files import atomic_path, sha256_file
from rla_gym.utils.optional import require
from rla_gym.utils.statistics import BOUNDS, FEW, Clusters, mmrv

LEAST = 3
"""Policies below which a correlation says nothing."""
DRAWS = 2000
FIGURE = "ranking.png"
MEASURES = {"pearson": "Pearson r", "spearman": "Spearman ρ", "mmrv": "MMRV", "kappa": "Cohen's κ per start"}


@dataclass(frozen=True, kw_only=True)
class Ranking(Transfer):
    """Judge at least three policies in the dream and in reality, and compare the two orders.

    Give agents of graded quality (narrow intervals need eight or more), or the result of a transfer benchmark. Files of
    Stable-Baselines3 are pickles, which run code when they are loaded: give only agents that you trust.
    """

    name: ClassVar[str] = "ranking"

    agents: tuple[str, ...] = ()
    """As of `rla-gym bench transfer`; none where --results has them."""
    results: Path | None = None
    """Result file of a transfer benchmark, instead of playing again."""
    videos: int = 0
    """As of `rla-gym bench transfer`."""

    def settings(self) -> dict[str, Any]:
        """As of `Transfer`; a result file that is taken stands with its hash, and what was played with its settings."""
        if self.results is None:
            return super().settings()
        played = Results.read(self.results)
        return {**played.settings, "results": {"file": str(self.results), "sha256": sha256_file(self.results)}}

    def measure(self, progress: bool = True) -> Results:
        """Play, or take what was played.

        Raises:
            ValueError: under three policies, or without successes in both the dream and reality; as of `Transfer`.
        """
        check_fields(self)
        if self.results is not None and self.agents:
            raise ValueError(f"agents={list(self.agents)} beside results={self.results}: give one of them")
        if self.results is None:
            _check_count(self.agents)
            played = super().measure(progress)
        else:
            played = Results.read(self.results)
            if played.benchmark != Transfer.name:
                raise ValueError(f"{self.results} is a result of {played.benchmark!r}: expected one of 'transfer'")
            _check_count(list(played.episodes["agents"]))
        facts = {key: jsonable(played.facts[key]) for key in ("checkpoint", "agents", "threshold", "task_success")}
        if facts["threshold"] is None or not facts["task_success"]:
            raise ValueError("nothing to rank by: " + "; ".join(played.notes))
        kept = ("success", "return")
        episodes = {
            "starts": {"episode": played.episodes["starts"]["episode"]},
            "agents": {
                name: {side: {each: outcomes[each] for each in kept} for side, outcomes in sides.items()}
                for name, sides in played.episodes["agents"].items()
            },
        }
        notes = list(played.notes)
        if len(episodes["agents"]) < FEW:
            notes.append(f"no interval over policies: {len(episodes['agents'])} of them, {FEW} are needed")
        return Results(self.name, self.settings(), facts, episodes, tuple(notes))

    def illustrate(self, results: Results, folder: Path) -> list[str]:
        """Draw a figure into `folder`, and videos where some are asked for."""
        try:
            draw(folder / FIGURE, results.summary, results.facts)
        except ImportError as error:
            return [f"no figure: {error}"]
        return super().illustrate(results, folder) if self.results is None else []

    @staticmethod
    def summarize(episodes: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
        """Correlations of the rates of success, rank violations and agreement per start, with intervals.

        "over_starts": 95 % interval by resampling recordings, the same for all policies and both sides; the policies
        are these. "over_policies": by resampling policies instead, None for too few.
        """
        clusters, names = Clusters(np.asarray(episodes["starts"]["episode"]), draws=DRAWS), list(episodes["agents"])
        dream, real = (
            np.array([episodes["agents"][name][side]["success"] for name in names], np.float64)
            for side in ("dream", "real")
        )
        together = [dream, real, dream == real]
        rates = [each.mean(axis=1) for each in together]
        number = clusters.weights @ clusters.sums(np.ones((1, len(clusters.episodes))))[0]
        over_starts = _judged(*(clusters.weights @ clusters.sums(each).T / number[:, None] for each in together))
        over_policies: dict[str, Any] = {}
        if len(names) >= FEW:
            drawn = np.random.default_rng(0).integers(len(names), size=(DRAWS, len(names)))
            over_policies = _judged(*(each[drawn] for each in rates))
        found: dict[str, Any] = {"starts": len(clusters.episodes), "policies": len(names)}
        for name, value in _judged(*(each[None] for each in rates)).items():
            found[name] = {
                "value": float(value[0]),
                "over_starts": _interval(over_starts[name]),
                "over_policies": _interval(over_policies[name]) if over_policies else None,
            }
        found["agents"] = {
            name: {
                side: rate(np.asarray(episodes["agents"][name][side]["success"], bool), clusters.episodes)
                for side in ("dream", "real")
            }
            for name in names
        }
        return found

    @staticmethod
    def table(summary: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
        """Markdown."""
        rows = []
        for name, title in MEASURES.items():
            entry = summary[name]
            rows.append([title, number(entry["value"]), _span(entry["over_starts"]), _span(entry["over_policies"])])
        agents = sorted(summary["agents"].items(), key=lambda item: item[1]["real"]["rate"])
        checkpoint = facts["checkpoint"]
        return "\n".join(
            [
                f"checkpoint {checkpoint['name']} ({checkpoint['task']}), {summary['policies']} policies, "
                f"{summary['starts']} starts",
                "",
                *markdown(("measure", "value", "95 % over starts", "95 % over policies"), rows),
                "",
                *markdown(
                    ("policy, worst in reality first", "success in the dream", "in reality"),
                    [[name, percent(sides["dream"]), percent(sides["real"])] for name, sides in agents],
                ),
            ]
        )


def draw(path: Path, summary: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write a PNG: success in the dream over success in reality, each policy with its 95 % intervals."""
    figure = require("matplotlib.figure", extra="plot").Figure(figsize=(5.2, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    for name, sides in summary["agents"].items():
        real, dream = sides["real"], sides["dream"]
        errors = {f"{axis}err": _arms(side) for axis, side in (("x", real), ("y", dream))}
        axes.errorbar(real["rate"], dream["rate"], **errors, fmt="o", capsize=3, markersize=5, label=name)
    r, rho = summary["pearson"], summary["spearman"]
    axes.set(
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        aspect="equal",
        xlabel="success in reality",
        ylabel="success in the dream",
        title=f"{facts['checkpoint']['name']}: r = {r['value']:.2f} {_span(r['over_starts'])}, ρ = {rho['value']:.2f}",
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _check_count(policies: Sequence[str]) -> None:
    if len(policies) < LEAST:
        raise ValueError(
            f"{len(policies)} policies: expected at least {LEAST}, of graded quality, to say whether the dream orders "
            "them as reality does"
        )


def _judged(dream: np.ndarray, real: np.ndarray, agreeing: np.ndarray) -> dict[str, np.ndarray]:
    """The measures, (D,) each, of D resamples: rates (D, N) of N policies, and of starts on which both sides agree."""
    stats = require("scipy.stats", extra="bench")
    one, two, observed = dream.mean(axis=1), real.mean(axis=1), agreeing.mean(axis=1)
    chance = one * two + (1 - one) * (1 - two)
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa = np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)
    return {
        "pearson": _correlations(dream, real),
        "spearman": _correlations(stats.rankdata(dream, axis=1), stats.rankdata(real, axis=1)),
        "mmrv": mmrv(real=real, simulated=dream),
        "kappa": kappa,
    }


def _correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(D,) linear correlations of the rows of two arrays (D, N); 0 where a row is constant."""
    one, two = (each - each.mean(axis=1, keepdims=True) for each in (first, second))
    spread = np.sqrt((one**2).sum(axis=1) * (two**2).sum(axis=1))
    varied = (np.ptp(first, axis=1) > 0) & (np.ptp(second, axis=1) > 0)
    found: np.ndarray = np.where(varied, (one * two).sum(axis=1) / np.where(varied, spread, 1.0), 0.0)
    return found


def _interval(drawn: np.ndarray) -> list[float] | None:
    """95 % interval; None where some resample has no value."""
    return None if np.isnan(drawn).any() else [float(each) for each in np.quantile(drawn, BOUNDS)]


def _arms(side: Mapping[str, Any]) -> list[list[float]]:
    return [[max(0.0, side["rate"] - side["low"])], [max(0.0, side["high"] - side["rate"])]]


def _span(interval: Sequence[float] | None) -> str:
    return number(first(None)) if interval is None else f"[{interval[0]:.2f}, {interval[1]:.2f}]"
