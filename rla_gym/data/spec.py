"""What a data set says about its task: checked before anything is written, and when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

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
SLACK = 1e-4
"""How far an action may lie outside its bounds, in their width: rounding."""


def checked_spec(spec: Mapping[str, Any], where: str = "the spec") -> dict[str, Any]:
    """The same facts as JSON values.

    Args:
        spec: as `TaskSpec.to_dict` gives it; arrays and tuples become lists.
        where: what the text of an error begins with.

    Raises:
        ValueError: a fact that is missing or cannot be; the text shows one that is complete.
    """
    found = {name: plain(value) for name, value in spec.items()}
    missing = [name for name in EXAMPLE if name not in found]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}; a complete one is {json.dumps(EXAMPLE)}")
    low, high = found["action_low"], found["action_high"]
    wrong = None
    if len(low) != len(high) or not all(-np.inf < a < b < np.inf for a, b in zip(low, high, strict=True)):
        wrong = f"action_low {low} and action_high {high} must be finite, one below the other"
    elif len(found["frame_size"]) != 2 or min(found["frame_size"]) < 1:
        wrong = f"frame_size is {found['frame_size']}, expected [height, width]"
    elif not found["control_hz"] > 0 or found["max_steps"] < 1 or found["proprio_size"] < 0:
        wrong = "control_hz and max_steps must be positive, proprio_size not negative"
    elif len(found.get("proprio_names") or ()) not in (0, found["proprio_size"]):
        wrong = f"{len(found['proprio_names'])} proprio_names for proprio_size {found['proprio_size']}"
    if wrong is not None:
        raise ValueError(f"{where}: {wrong}")
    try:
        json.dumps(found)
    except TypeError as error:
        raise ValueError(f"{where} holds more than JSON values ({error}): give numbers, strings and lists") from error
    return found


def plain(value: Any) -> Any:
    """Arrays, NumPy's numbers and tuples as lists and Python's numbers."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


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
        low, high = np.asarray(spec["action_low"]), np.asarray(spec["action_high"])
        outside = np.maximum(low - episode.actions, episode.actions - high) / (high - low) > SLACK
        if outside.any():
            step, entry = np.argwhere(outside)[0]
            raise ValueError(
                f"{where}: action {entry} of step {step} is {episode.actions[step, entry]:g}, the spec's bounds are "
                f"{low[entry]:g} to {high[entry]:g}: scale the actions, or widen the bounds"
            )
