"""Means, intervals and paired differences of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.fidelity.actions import RECORDED
from benchmarks.fidelity.measure import Found
from rla_gym.utils.statistics import Clusters, difference, ratio_of_means, spearman

COUNTERFACTUAL = "counterfactual"
"""All kinds of actions but the recorded ones, pooled."""
TRUTH, PERSISTENCE = "truth", "persistence"
HIGHER = ("ssim", "psnr")
SIGNED = ("goalward", "drift")
"""Measures whose best value is no extreme: they are compared with the truth, not ranked."""

Raw = Mapping[str, Mapping[str, Found]]
"""By kind of actions and run, the measures."""


def relative_to(measure: str) -> str | None:
    """The run whose mean a measure is set against: persistence for errors, the truth for motion, none for others."""
    if measure.endswith("_motion"):
        return TRUTH
    return None if measure in (*HIGHER, "lpips") or measure.startswith(SIGNED) else PERSISTENCE


def better(measure: str) -> str | None:
    """Whether "lower" or "higher" is better; None where neither is."""
    if measure.endswith("_motion") or measure.startswith(SIGNED):
        return None
    return "higher" if measure in HIGHER else "lower"


def pooled(raw: Raw) -> dict[str, dict[str, Found]]:
    """The kinds, and all counterfactual ones as one, handles of one kind after those of another."""
    others = [kind for kind in raw if kind != RECORDED]
    result = {kind: dict(runs) for kind, runs in raw.items()}
    if others:
        result[COUNTERFACTUAL] = {
            run: {name: np.concatenate([raw[kind][run][name] for kind in others]) for name in measures}
            for run, measures in raw[others[0]].items()
        }
    return result


def summarize(
    raw: Raw,
    runs: Mapping[str, Sequence[str]],
    episodes: np.ndarray,
    horizons: Sequence[int],
    reference: str,
    clusters: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All tables.

    Args:
        raw: what was measured, (H, len(horizons)) each.
        runs: labels of the runs of each model, one a training seed.
        episodes: (H,) episode of each handle.
        reference: the model that the others are compared with.
        clusters: further options of `Clusters`.

    Returns:
        "means": by kind, measure and model: "value" [mean, low, high] at each horizon, "ratio" likewise to persistence
        (errors) or to the truth (motion), "seeds" means of each seed, "handles" that count.
        "differences": by kind, measure and other model: the reference's mean less the other's, see
        `statistics.difference`, at each horizon.
        "counterfactual": by measure and model: its mean over that with recorded actions, by kind, [ratio, low, high] at
        each horizon.
        "follows": by kind and model: rank correlation of predicted with true goal-ward motion at each horizon.
    """
    groups = pooled(raw)
    result: dict[str, Any] = {"means": {}, "differences": {}, "counterfactual": {}, "follows": {}}

    def values(kind: str, model: str, measure: str, horizon: int) -> np.ndarray:
        return np.stack([groups[kind][label][measure][:, horizon] for label in runs[model]])

    for kind, found in groups.items():
        many = len(next(iter(next(iter(found.values())).values()))) // len(episodes)
        here = Clusters(np.tile(episodes, many), **(clusters or {}))
        has = {
            measure: [model for model in runs if all(measure in found[label] for label in runs[model])]
            for measure in _names(found)
        }
        means, changes = result["means"].setdefault(kind, {}), result["differences"].setdefault(kind, {})
        for measure, models in has.items():
            base = relative_to(measure)
            means[measure] = {
                model: _mean(
                    [values(kind, model, measure, h) for h in range(len(horizons))],
                    [values(kind, base, measure, h) for h in range(len(horizons))] if base in models else None,
                    here,
                )
                for model in models
            }
            if better(measure) is not None and reference in models:
                changes[measure] = {
                    model: [
                        difference(values(kind, reference, measure, h), values(kind, model, measure, h), here)
                        for h in range(len(horizons))
                    ]
                    for model in models
                    if model not in (reference, TRUTH)
                }
        result["follows"][kind] = {
            model: [_follow(values, kind, model, h) for h in range(len(horizons))]
            for model in has.get("goalward_mm", [])
            if model != TRUTH
        }
    for measure in _names(groups[RECORDED]) if RECORDED in groups else ():
        if better(measure) == "lower":
            result["counterfactual"][measure] = _against_recorded(groups, runs, measure, episodes, clusters or {})
    return result


def _names(found: Mapping[str, Found]) -> list[str]:
    """All measures of any run, in order."""
    return list(dict.fromkeys(name for measures in found.values() for name in measures))


def _mean(values: list[np.ndarray], over: list[np.ndarray] | None, clusters: Clusters) -> dict[str, Any]:
    """Of values (S, H) at each horizon."""
    found: dict[str, Any] = {
        "value": [ratio_of_means(each, None, clusters) for each in values],
        "handles": [int(np.isfinite(each).all(axis=0).sum()) for each in values],
    }
    if over is not None:
        pairs = zip(values, over, strict=True)
        found["ratio"] = [ratio_of_means(each, below, clusters) for each, below in pairs]
    if len(values[0]) > 1:
        found["seeds"] = [
            [float(np.nanmean(row)) if np.isfinite(row).any() else None for row in each] for each in values
        ]
    return found


def _follow(values: Any, kind: str, model: str, horizon: int) -> float | None:
    """Rank correlation of a model's goal-ward motion, averaged over seeds, with the simulator's."""
    predicted = values(kind, model, "goalward_mm", horizon)
    truly = predicted - values(kind, model, "goalward_bias_mm", horizon)
    valid = np.isfinite(predicted).all(axis=0)
    if valid.sum() < 3:
        return None
    return spearman(predicted.mean(axis=0)[valid], truly.mean(axis=0)[valid])


def _against_recorded(
    groups: Mapping[str, Mapping[str, Found]],
    runs: Mapping[str, Sequence[str]],
    measure: str,
    episodes: np.ndarray,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """By model and kind, the mean error over that with recorded actions from the same starts."""
    found: dict[str, Any] = {}
    for model, labels in runs.items():
        if any(measure not in groups[RECORDED][label] for label in labels):
            continue
        recorded = np.stack([groups[RECORDED][label][measure] for label in labels])
        for kind, entries in groups.items():
            if kind == RECORDED:
                continue
            other = np.stack([entries[label][measure] for label in labels])
            many = other.shape[1] // recorded.shape[1]
            here = Clusters(np.tile(episodes, many), **options)
            base = np.tile(recorded, (1, many, 1))
            found.setdefault(model, {})[kind] = [
                ratio_of_means(other[..., h], base[..., h], here) for h in range(other.shape[2])
            ]
    return found
