"""Where an episode begins and what it is to reach, as `reset(options=...)` says."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

RESET_OPTIONS = ("reference", "frame", "goal")


def check_options(given: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """A ValueError that lists the options that there are, if others are given."""
    unknown = sorted(map(str, set(given) - set(allowed)))
    if unknown:
        expected = ", ".join(allowed) if allowed else "none, as episodes begin with the task's own reset"
        raise ValueError(f"reset options {unknown} are unknown: expected {expected}")


def given_start(given: Mapping[str, Any], reference: int, frame: int, lengths: np.ndarray) -> tuple[int, int]:
    """Reference and frame to start from.

    Args:
        given: the options, with "reference", "frame", both or neither; a reference alone means its first frame.
        reference, frame: the drawn ones, where none is given.
        lengths: (E,) frames of each reference.

    Raises:
        ValueError: a reference or frame that does not exist.
    """
    if "reference" in given:
        reference, frame = whole("reference", given["reference"]), 0
    if "frame" in given:
        frame = whole("frame", given["frame"])
    check_frame("", reference, frame, lengths)
    return reference, frame


def given_goal(given: Mapping[str, Any], reference: int, lengths: np.ndarray) -> tuple[int, int]:
    """Reference and frame that the goal distance is measured to.

    Args:
        given: the options; "goal" is a pair (reference, frame), or a frame of the episode's own reference. Without it
            the goal is the last frame of its own reference.
        reference: the episode's own.
        lengths: (E,) frames of each reference.

    Raises:
        ValueError: something else, or a reference or frame that does not exist.
    """
    goal = given.get("goal")
    if goal is None:
        return reference, int(lengths[reference]) - 1
    if isinstance(goal, Sequence | np.ndarray) and np.ndim(goal) == 1:
        if len(goal) != 2:
            raise ValueError(f"goal={goal}: expected a pair (reference, frame), or a frame of the episode's reference")
        reference, frame = whole("goal", goal[0]), whole("goal", goal[1])
    else:
        frame = whole("goal", goal)
    check_frame(f"goal={goal}: ", reference, frame, lengths)
    return reference, frame


def check_frame(what: str, reference: int, frame: int, lengths: np.ndarray) -> None:
    """A ValueError, which begins with `what`, for a reference or frame that does not exist."""
    if not 0 <= reference < len(lengths):
        raise ValueError(f"{what}reference={reference}: expected 0 to {len(lengths) - 1}")
    if not 0 <= frame < lengths[reference]:
        raise ValueError(f"{what}frame={frame}: reference {reference} has frames 0 to {lengths[reference] - 1}")


def whole(name: str, value: Any) -> int:
    """`value` as an integer; a ValueError where it is none."""
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name}={value!r}: expected whole numbers, counted from 0") from None
