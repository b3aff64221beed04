"""Who is ahead of whom, by paired differences on the same starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.fidelity.actions import RECORDED
from benchmarks.fidelity.summary import COUNTERFACTUAL, PERSISTENCE, TRUTH

HORIZON = 6
"""Chunks at which models are compared."""
BOUND = 1.3
"""Counterfactual errors are to stay within this factor of recorded ones."""


def horizon_place(found: Mapping[str, Any], wanted: int = HORIZON) -> int:
    """Place of the horizon in the results: the wanted one, or the last before it, or the first."""
    fitting = [place for place, horizon in enumerate(found["horizons"]) if horizon <= wanted]
    return fitting[-1] if fitting else 0


def judged(found: Mapping[str, Any]) -> list[str]:
    """The measures that the target names: tokens that move, the probe, pictures; as far as there are any."""
    thing = found["thing"]
    measures = ("moving_l1", *([f"{thing}_moved_mm"] if thing else []), "ssim")
    return [name for name in measures if name in found["means"][RECORDED]]


def baselines(found: Mapping[str, Any]) -> list[str]:
    """What the reference is compared with: no bound, and no part of itself."""
    reference = found["reference"]
    own = (reference, f"{reference} reconstruction", TRUTH)
    return [model for model in found["models"] if model not in own and not model.endswith(" reconstruction")]


def verdict(found: Mapping[str, Any], kind: str, measure: str, other: str, place: int) -> str | None:
    """ "ahead", "behind" or "even": of the reference, by whether the interval of the difference leaves out 0."""
    change = found["differences"][kind].get(measure, {}).get(other)
    if change is None or change[place] is None or change[place]["low"] is None:
        return None
    sign = 1 if found["measures"][measure]["better"] == "higher" else -1
    low, high = sorted((sign * change[place]["low"], sign * change[place]["high"]))
    return "ahead" if low > 0 else "behind" if high < 0 else "even"


def scores(found: Mapping[str, Any]) -> dict[tuple[str, str, str], str | None]:
    """Verdicts by kind (recorded, counterfactual), measure and other model, persistence left out."""
    place, kinds = horizon_place(found), [kind for kind in (RECORDED, COUNTERFACTUAL) if kind in found["means"]]
    return {
        (kind, measure, other): verdict(found, kind, measure, other, place)
        for kind in kinds
        for measure in judged(found)
        for other in baselines(found)
        if other != PERSISTENCE
    }


def wins(found: Mapping[str, Any]) -> bool:
    """Whether the reference is ahead of every baseline on every judged measure, recorded and counterfactual."""
    told = list(scores(found).values())
    return bool(told) and all(each == "ahead" for each in told)
