"""What a data set says about its task: checked before anything is written, and when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rla_gym.utils.typed import shown

if TYPE_CHECKING:
    from rla_gym.data.episodes import Episode

EXAMPLE: dict[str, Any] = {
    "name": "my-robot",
    "frame_size": [112, 112],
    "action_low": [-1.0, -1.0],
    "action_high": [1.0, 1.0],
    "proprio_size": 0,
    "object_names": [],
    "control_hz": 10.0,
    "max_steps": 100,
}
"""All that must be there, for a robot with two actions; see `rla_gym.tasks.task.TaskSpec` for what each means."""
READ = ("name", "frame_size", "action_low", "proprio_size", "object_names")
"""What is needed to read episodes; older files may have no more."""
SLACK = 1e-4
"""How far an action may lie outside its bounds, in their width: rounding."""


def checked_spec(
    spec: Mapping[str, Any], where: str = "the spec", needed: Sequence[str] = tuple(EXAMPLE)
) -> dict[str, Any]:
    """The same facts as JSON values.

    Args:
        spec: as `TaskSpec.to_dict` gives it; arrays and tuples become lists.
        where: what the text of an error begins with.
        needed: facts that must be there.

    Raises:
        ValueError: a fact that is missing or cannot be; the text shows one that is complete.
    """
    found = {name: as_json(value) for name, value in spec.items()}
    missing = [name for name in needed if name not in found]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}; a complete one is {json.dumps(EXAMPLE)}")
    try:
        wrong = _what_cannot_be({**EXAMPLE, "action_high": found.get("action_low"), **found})
        json.dumps(found)
    except TypeError as error:
        raise ValueError(
            f"{where} holds a value of another type ({error}) than this one's: {json.dumps(EXAMPLE)}"
        ) from error
    if wrong is not None:
        raise ValueError(f"{where}: {wrong}")
    return found


def _what_cannot_be(spec: Mapping[str, Any]) -> str | None:
    """The first fact that cannot be; a TypeError for a value of a type that cannot be looked at."""
    low, high = spec["action_low"], spec["action_high"]
    if not isinstance(spec["name"], str) or not all(isinstance(name, str) for name in spec["object_names"]):
        return f"name {shown(spec['name'])} and object_names {shown(spec['object_names'])} must be texts"
    # A bound of no width is an action that is never taken, such as that of a gripper that stays open.
    if len(low) != len(high) or not all(-np.inf < a <= b < np.inf for a, b in zip(low, high, strict=True)):
        return f"action_low {shown(low)} and action_high {shown(high)} must be finite, the one not above the other"
    if len(spec["frame_size"]) != 2 or min(spec["frame_size"]) < 1:
        return f"frame_size is {shown(spec['frame_size'])}, expected [height, width]"
    if not spec["control_hz"] > 0 or spec["max_steps"] < 1 or spec["proprio_size"] < 0:
        return "control_hz and max_steps must be positive, proprio_size not negative"
    options = spec.get("options", {})
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        return f"options are {options!r}, expected what make_task takes beside the name, such as {{\"max_steps\": 100}}"
    if len(spec.get("proprio_names") or ()) not in (0, spec["proprio_size"]):
        return f"{len(spec['proprio_names'])} proprio_names for proprio_size {shown(spec['proprio_size'])}"
    return None


def as_json(value: Any) -> Any:
    """Arrays, NumPy's numbers and tuples as lists and Python's numbers."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [as_json(each) for each in value] if isinstance(value, list | tuple) else value


def check_episode(episode: Episode, spec: Mapping[str, Any], where: str) -> None:
    """A ValueError, beginning with `where`, for an episode whose sizes or actions are not those of a checked `spec`."""
    size = tuple(spec["frame_size"])
    if episode.frames.shape[1:3] != size:
        raise ValueError(f"{where}: frames are of {episode.frames.shape[1:3]}, the spec's frame_size is {size}")
    widths = {"actions": len(spec["action_low"]), "proprio": spec["proprio_size"], "objects": len(spec["object_names"])}
    for name, width in widths.items():
        array = getattr(episode, name)
        if array is not None and array.shape[1] != width:
            raise ValueError(f"{where}: {name} of width {array.shape[1]}, the spec says {width}")
    if episode.actions is not None:
        check_bounds(episode.actions, spec, where)
    if episode.rewards is not None:
        if not np.isin(episode.rewards, (0, 1)).all():
            raise ValueError(
                f"{where}: rewards hold {episode.rewards[~np.isin(episode.rewards, (0, 1))][0]:g}, expected 1 for each "
                "step after which the task counts as solved and 0 for the others"
            )
        if bool(episode.rewards.any()) != bool(episode.success):
            raise ValueError(
                f"{where}: success is {bool(episode.success)}, but {int(episode.rewards.sum())} steps have a reward: "
                "an episode counts as successful if it is solved after some step"
            )


def check_bounds(actions: np.ndarray, spec: Mapping[str, Any], where: str) -> None:
    """A ValueError, beginning with `where`, for actions (T-1, A) outside the bounds of a `spec` that has both."""
    if "action_high" not in spec:
        return
    low, high = np.asarray(spec["action_low"], np.float64), np.asarray(spec["action_high"], np.float64)
    outside = np.maximum(low - actions, actions - high) > SLACK * np.maximum(high - low, 1e-3)
    if outside.any():
        step, entry = np.argwhere(outside)[0]
        raise ValueError(
            f"{where}: action {entry} of step {step} is {actions[step, entry]:g}, the spec's bounds are "
            f"{low[entry]:g} to {high[entry]:g}: scale the actions, or widen the bounds"
        )
