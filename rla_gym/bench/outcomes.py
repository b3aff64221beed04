"""What the outcomes of episodes amount to: rates, differences, exploitation and agreement, each with its interval.

Where every start is of a recording of its own, starts are independent: Wilson's interval, McNemar's test, Student's t.
Where some share a recording, the recordings are resampled instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rla_gym.utils.statistics import (
    Clusters,
    cohens_kappa,
    difference,
    mean_interval,
    paired_difference,
    permutation_test,
    ratio_of_means,
    wilson,
)

Sides = Mapping[str, Any]
"""Outcomes of N episodes, see `rla_gym.bench.play`."""


def rates(side: Sides, clusters: np.ndarray, success: bool) -> dict[str, Any]:
    """Mean return and, where `success` is known, its rate and the mean steps to it; `clusters` (N,): recordings."""
    found: dict[str, Any] = {"return": mean(side["return"], clusters)}
    if success:
        solved = np.asarray(side["success"], bool)
        steps = np.asarray(side["steps"], np.float64)
        found["success"] = rate(solved, clusters)
        found["steps_to_success"] = mean(steps[solved], clusters[solved]) if solved.any() else None
    return found


def compared(
    first: Sides, second: Sides, clusters: np.ndarray, success: bool, threshold: float | None
) -> dict[str, Any]:
    """`first` (the dream) less `second` (reality) on the same starts.

    Args:
        success: whether successes of both are known.
        threshold: of the goal distance, by which the dream counts as solved; with it reality is judged by the same rule
            too, which tells a wrong rule from wrong dynamics.
    """
    change = np.asarray(first["return"], np.float64) - np.asarray(second["return"], np.float64)
    found: dict[str, Any] = {"return": mean(change, clusters)}
    if len(change) > 1:
        found["return_p"] = permutation_test(first["return"], second["return"])
    if not success:
        return found
    one, two = (np.asarray(each["success"], bool) for each in (first, second))
    both = one & two
    steps = np.asarray(first["steps"], np.float64) - np.asarray(second["steps"], np.float64)
    found |= {
        "success": paired(two, one, clusters),
        "only_first": rate(one & ~two, clusters),
        "only_second": rate(two & ~one, clusters),
        "both": int(both.sum()),
        "steps_where_both": mean(steps[both], clusters[both]) if both.any() else None,
        "kappa": cohens_kappa(one, two),
    }
    if threshold is not None:
        by_rule = np.asarray(second["least_distance"]) < threshold
        found["rule"] = {
            "success": rate(by_rule, clusters),
            "only_rule": rate(by_rule & ~two, clusters),
            "only_task": rate(two & ~by_rule, clusters),
            "kappa": cohens_kappa(by_rule, two),
        }
    return found


def rate(solved: np.ndarray, clusters: np.ndarray) -> dict[str, Any]:
    """Rate of `solved` (N,) bool with a 95 % interval, and the count."""
    count, total = len(solved), int(solved.sum())
    if _independent(clusters):
        low, high = wilson(total, count)
    else:
        _, low, high = _resampled(solved, clusters)
    return {"rate": total / count, "low": low, "high": high, "count": total, "of": count}


def mean(values: Any, clusters: np.ndarray) -> list[float]:
    """[mean, low, high] of `values` (N,), 95 %."""
    array = np.asarray(values, np.float64)
    return list(mean_interval(array)) if _independent(clusters) else _resampled(array, clusters)


def paired(before: np.ndarray, after: np.ndarray, clusters: np.ndarray) -> dict[str, Any]:
    """Rate of `after` less that of `before` on the same starts, its 95 % interval, and a two-sided p-value."""
    if _independent(clusters):
        found = paired_difference(before, after)
        return {"difference": found.difference, "low": found.low, "high": found.high, "p": found.p_value}
    change = difference(after[None].astype(float), before[None].astype(float), Clusters(clusters))
    assert change is not None
    return {name: change[name] for name in ("difference", "low", "high", "p")}


def _independent(clusters: np.ndarray) -> bool:
    return len(np.unique(clusters)) == len(clusters)


def _resampled(values: np.ndarray, clusters: np.ndarray) -> list[float]:
    found = ratio_of_means(np.asarray(values, np.float64)[None], None, Clusters(clusters))
    assert found is not None
    return found
