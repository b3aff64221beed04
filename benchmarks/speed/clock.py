"""Timing what is to be compared in turns, so that a machine that slows down slows all of it down."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

PRECISIONS = ("float32", "bf16")


@dataclass(frozen=True)
class Entrant:
    """Something to be timed.

    Attributes:
        name: in results.
        run: does it once.
        amount: how much one run does: chunks, frames or floating-point operations; rates are in these.
    """

    name: str
    run: Callable[[], object]
    amount: float


def precise(run: Callable[[], object], precision: str) -> Callable[[], object]:
    """`run` in float32, or in autocast to bfloat16 for the precision "bf16"."""

    def call() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return run()

    return call


def race(entrants: Sequence[Entrant], rounds: int, seconds: float) -> dict[str, list[dict[str, float]]]:
    """Turns of each entrant by name, one for each of the rounds, after a run that is not counted.

    Args:
        seconds: a turn repeats the run until so much time has passed.

    Returns:
        For each turn `runs`; `seconds` by the clock, `cpu_seconds` of this process and its minor page `faults` a run.

    Raises:
        ValueError: two entrants have one name.
    """
    turns: dict[str, list[dict[str, float]]] = {entrant.name: [] for entrant in entrants}
    if len(turns) < len(entrants):
        raise ValueError(f"entrants {[entrant.name for entrant in entrants]}: expected different names")
    for entrant in entrants:
        entrant.run()
    for number in range(rounds):
        # Every other round backwards: what drifts steadily then favours nobody.
        for entrant in entrants if number % 2 == 0 else entrants[::-1]:
            turns[entrant.name].append(turn(entrant.run, seconds))
    return turns


def turn(run: Callable[[], object], seconds: float) -> dict[str, float]:
    """At least one run, and as many as begin within `seconds`."""
    faults, cpu, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time(), time.perf_counter()
    runs = 0
    while not runs or time.perf_counter() - began < seconds:
        run()
        runs += 1
    passed = time.perf_counter() - began
    used, faulted = time.process_time() - cpu, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    return {"runs": runs, "seconds": passed / runs, "cpu_seconds": used / runs, "faults": faulted / runs}


def summary(entrants: Sequence[Entrant], turns: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """By name: `amount`, the `turns`, and `per_second`, the rate of the median turn."""
    found = {}
    for entrant in entrants:
        own = turns[entrant.name]
        rate = entrant.amount / median(each["seconds"] for each in own)
        found[entrant.name] = {"amount": entrant.amount, "per_second": rate, "turns": own}
    return found


def times(timed: dict[str, Any], name: str, other: str) -> list[float] | None:
    """How many times the rate of `other` that of `name` is: [median, least, most] over the rounds, which are pairs.

    `timed` is of `summary`; None where one of the two is missing.
    """
    if name not in timed or other not in timed:
        return None
    rates = [[timed[key]["amount"] / each["seconds"] for each in timed[key]["turns"]] for key in (name, other)]
    ratios = [theirs / own for own, theirs in zip(*rates, strict=True)]
    return [median(ratios), min(ratios), max(ratios)]
