"""What a task is: a simulator, a camera, a demonstrator and a success rule behind one small protocol.

Tasks know nothing of the world model. Arrays are NumPy; lengths are metres, angles radians, times seconds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class TaskSpec:
    """The fixed facts of a task.

    Attributes:
        name: registered name, such as ``"push-cube"``.
        frame_size: ``(height, width)`` of rendered frames in pixels.
        action_low: ``(A,)`` float32, lower bounds of the action of one control step.
        action_high: ``(A,)`` float32, upper bounds.
        proprio_size: number of proprioceptive values ``P``.
        object_names: names of the ``O`` entries of :meth:`Task.object_state`.
        control_hz: control steps a second.
        max_steps: control steps of one episode.
        proprio_names: what the ``P`` values are, where the task can say; positions in metres end in ``_x``,
            ``_y`` or ``_z``.
        frame_name: name under which robomimic-layout files keep the frames.
    """

    name: str
    frame_size: tuple[int, int]
    action_low: np.ndarray
    action_high: np.ndarray
    proprio_size: int
    object_names: tuple[str, ...]
    control_hz: float
    max_steps: int
    proprio_names: tuple[str, ...] = ()
    frame_name: str = "agentview_image"

    def to_dict(self) -> dict[str, Any]:
        """The same facts as JSON-able values."""
        fields = asdict(self)
        fields["action_low"] = [float(x) for x in self.action_low]
        fields["action_high"] = [float(x) for x in self.action_high]
        fields["frame_size"] = list(self.frame_size)
        fields["object_names"] = list(self.object_names)
        fields["proprio_names"] = list(self.proprio_names)
        return fields


class Policy(Protocol):
    """A demonstrator bound to a task: each call reads the task's true state and gives the next action."""

    def __call__(self) -> np.ndarray:
        """Return the next action, ``(A,)`` float32."""
        ...


@runtime_checkable
class Task(Protocol):
    """A simulated task that can be reset from a seed, restored to a recorded state, stepped and looked at."""

    spec: TaskSpec
    demonstrators: tuple[str, ...]

    def reset(self, seed: int) -> None:
        """Start a new episode; the same seed gives the same state."""
        ...

    def step(self, action: np.ndarray) -> None:
        """Apply one control action ``(A,)``, clipped to the bounds; NaN or another width is a ValueError."""
        ...

    def render(self) -> np.ndarray:
        """The camera's picture of the present state, ``(H, W, 3)`` uint8."""
        ...

    def proprioception(self) -> np.ndarray:
        """What the robot knows of itself, ``(P,)`` float32."""
        ...

    def get_state(self) -> np.ndarray:
        """The full simulator state, target included, ``(S,)`` float64."""
        ...

    def set_state(self, state: np.ndarray) -> None:
        """Restore a recorded state; the same actions then give the same states."""
        ...

    def success(self) -> bool:
        """Whether the present state solves the task."""
        ...

    def object_state(self) -> np.ndarray:
        """True state of the objects, ``(O,)`` float32: for measuring only, never an input of a model."""
        ...

    def demonstrator(self, kind: str, noise: float, seed: int) -> Policy:
        """A scripted policy of one of :attr:`demonstrators`; another kind is a ValueError that lists them."""
        ...

    def close(self) -> None:
        """Free the renderer; safe to call twice."""
        ...


def checked_action(action: np.ndarray, spec: TaskSpec) -> np.ndarray:
    """Return ``action`` as float64 clipped to the bounds of ``spec``.

    Raises:
        ValueError: the width differs from the task's, or a value is NaN or infinite.
    """
    array = np.asarray(action, dtype=np.float64)
    if array.shape != spec.action_low.shape:
        raise ValueError(
            f"{spec.name} takes actions of shape {spec.action_low.shape}, got {array.shape}; "
            "pass one control step at a time, in the recorded control interface"
        )
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{spec.name} got an action with NaN or infinite values: {array.tolist()}; check the policy")
    return np.clip(array, spec.action_low, spec.action_high)


def unknown_demonstrator(task: Task, kind: str) -> ValueError:
    """The error for a demonstrator kind that ``task`` does not have."""
    return ValueError(f"{task.spec.name} has no demonstrator {kind!r}; it has {', '.join(task.demonstrators)}")
