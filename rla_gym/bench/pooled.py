"""Transfer results of several training seeds as one: intervals resample seeds and recordings, crossed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rla_gym.bench.results import Results
from rla_gym.bench.tables import UNKNOWN, markdown, percent, points
from rla_gym.utils.statistics import Clusters, difference, ratio_of_means


def pooled(results: Sequence[Results]) -> dict[str, Any]:
    """Success of each arm over all seeds, on both sides, and its paired difference from the first arm's in reality.

    Raises:
        ValueError: the results have other starts or arms than each other.
    """
    begun = [results_of.episodes["starts"] for results_of in results]
    arms = list(results[0].episodes["agents"])
    same = all(np.array_equal(each[name], begun[0][name]) for each in begun for name in ("episode", "frame"))
    if not same or any(list(each.episodes["agents"]) != arms for each in results):
        raise ValueError("the seeds have other starts or agents than each other: they cannot be pooled")
    clusters = Clusters(np.asarray(begun[0]["episode"]))
    found: dict[str, Any] = {"seeds": len(results), "starts": len(clusters.episodes), "agents": {}}
    first = None
    for arm in arms:
        sides = [each.episodes["agents"][arm] for each in results]
        entry: dict[str, Any] = {}
        for side in ("dream", "real"):
            if all(side in each for each in sides) and _known(results, side):
                solved = np.array([each[side]["success"] for each in sides], np.float64)
                rate = ratio_of_means(solved, None, clusters)
                assert rate is not None
                entry[side] = dict(zip(("rate", "low", "high"), rate, strict=True))
                entry[side]["by_seed"] = solved.mean(axis=1).tolist()
                if side == "real" and first is not None:
                    entry["against_first"] = difference(solved, first, clusters)
                elif side == "real":
                    first = solved
        found["agents"][arm] = entry
    return found


def pooled_table(found: Mapping[str, Any]) -> str:
    """Markdown."""
    rows = []
    for arm, entry in found["agents"].items():
        change = entry.get("against_first")
        against = UNKNOWN if change is None else f"{points(change)}, p = {change['p']:.2g}"
        rows.append([arm, percent(entry.get("dream")), percent(entry.get("real")), against])
    titles = ("agent", "success in the dream", "in reality", "in reality, less the first agent's, points")
    counts = f"{found['seeds']} seeds, {found['starts']} starts; 95 % intervals over seeds and recordings"
    return "\n".join([counts, "", *markdown(titles, rows)])


def _known(results: Sequence[Results], side: str) -> bool:
    facts = [each.facts for each in results]
    return all(each["task_success"] if side == "real" else each["threshold"] is not None for each in facts)
