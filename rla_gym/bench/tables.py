"""Summaries for people, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rla_gym.utils.statistics import difference_text, rate_text

UNKNOWN = "–"


def transfer_table(summary: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """A row for each agent: success in dream and reality, their difference, exploitation, agreement and steps."""
    titles = (
        "agent",
        "dream",
        "reality",
        "dream − reality, points",
        "dream only (exploited)",
        "reality only",
        "κ",
        "chunks to success, dream / reality",
        "return, dream / reality",
    )
    rows = []
    for name, entry in summary["agents"].items():
        dream, real, between = entry["dream"], entry.get("real", {}), entry.get("compared", {})
        change = between.get("success")
        rows.append(
            [
                name,
                percent(dream.get("success")),
                percent(real.get("success")),
                UNKNOWN if change is None else f"{points(change)}, p = {change['p']:.2g}",
                percent(between.get("only_first")),
                percent(between.get("only_second")),
                number(between.get("kappa")),
                " / ".join(number(first(side.get("steps_to_success")), 1) for side in (dream, real)),
                " / ".join(number(first(side.get("return"))) for side in (dream, real)),
            ]
        )
    checkpoint = facts["checkpoint"]
    lines = [
        f"checkpoint {checkpoint['name']} ({checkpoint['task']}), {summary['starts']} starts, 95 % intervals",
        "",
        *markdown(titles, rows),
    ]
    rules = {
        name: entry["compared"]["rule"]
        for name, entry in summary["agents"].items()
        if "rule" in entry.get("compared", {})
    }
    for name, rule in rules.items():
        lines.append(
            f"{name}: reality judged by the dream's rule {percent(rule['success'])}, κ with the task's own "
            f"{number(rule['kappa'])}"
        )
    if "object_gap" in summary:
        lines.append(f"object states of dream and reality at the start differ by at most {summary['object_gap']:.1g}")
    return "\n".join(lines)


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    return [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}", *(f"| {' | '.join(row)} |" for row in rows)]


def percent(found: Mapping[str, Any] | None) -> str:
    """A rate with its interval."""
    if found is None:
        return UNKNOWN
    if not np.isfinite(found["low"]):
        return f"{100 * found['rate']:.1f} %"
    return rate_text(found["rate"], (found["low"], found["high"]))


def points(found: Mapping[str, Any]) -> str:
    """A difference of rates in percentage points, with its interval."""
    if not np.isfinite(found["low"]):
        return f"{100 * found['difference']:+.1f}"
    return difference_text(found["difference"], found["low"], found["high"])


def number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash where there is none."""
    return UNKNOWN if value is None else f"{value:.{digits}f}"


def first(interval: Sequence[float] | None) -> float | None:
    """The value of [value, low, high]."""
    return None if interval is None else interval[0]
