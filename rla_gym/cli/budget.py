"""How many steps the stages of a quick training take, and what an unfinished training lacks, in steps and in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rla_gym.cli.stages import FOLDERS, Stage
from rla_gym.utils.progress import duration

S = TypeVar("S", bound=Stage)

FACTORS = {"small": 0.25, "medium": 1.0, "large": 3.0}
"""Steps of each budget over those of the medium one."""


class Planned(int):
    """Steps that are the medium budget's; steps that a user gives are a plain number."""


def within_budget(stage: S, budget: str) -> S:
    """The stage with the steps that `budget` plans for it, and as long a part of them to warm up; given steps stay."""
    if not isinstance(stage.steps, Planned):
        return stage
    factor = FACTORS[budget]
    return replace(stage, steps=round(stage.steps * factor), warmup=max(1, round(stage.warmup * min(factor, 1.0))))


def what_is_missing(run: Path, plan: Mapping[str, int], speeds: Mapping[str, float] | None = None) -> str:
    """One sentence: the steps that each stage lacks of those planned, about how long they take, and how to resume.

    The time is that of the steps a second of each stage in this call, `speeds`, or in its own log; of stages that have
    none it is not known.
    """
    from rla_gym.training.records import RunRecords

    lacking, seconds, unknown = [], 0.0, []
    for name, steps in plan.items():
        records = RunRecords(run / FOLDERS[name])
        done = records.step()
        if done >= steps:
            continue
        lacking.append(f"{name} lacks {steps - done:,} of {steps:,} steps")
        speed = (speeds or {}).get(name) or records.steps_a_second()
        if speed:
            seconds += (steps - done) / speed
        else:
            unknown.append(name)
    if not lacking:
        return "nothing is missing"
    time = f"about {duration(seconds)}" if seconds else "a time that is not known yet"
    if seconds and unknown:
        time += f" and that of {' and '.join(unknown)}, which {'has' if len(unknown) == 1 else 'have'} not begun"
    return f"{', '.join(lacking)}: {time} more at the speed so far; the same command resumes"
