"""What a task is: a simulator, a camera, a demonstrator and a success rule behind one small protocol.

Tasks know nothing of the world model. Arrays are NumPy; lengths are metres, angles radians, times seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rla_gym.tasks.options import recordable


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
        options: what the task was made with: `make_task(name, **options)` makes the same task.

    Raises:
        ValueError: a value that cannot be.
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
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame_size", checked_frame_size(self.frame_size))
        if not isinstance(self.max_steps, int | np.integer) or isinstance(self.max_steps, bool) or self.max_steps < 1:
            raise ValueError(f"task {self.name!r} with max_steps={self.max_steps!r}: expected at least 1")
        low, high = np.asarray(self.action_low), np.asarray(self.action_high)
        if low.ndim != 1 or low.shape != high.shape or not (np.isfinite(low) & np.isfinite(high) & (low <= high)).all():
            raise ValueError(
                f"task {self.name!r} has actions from {low.tolist()} to {high.tolist()}: expected two lists of finite "
                "numbers, the first not above the second; bound the environment's actions (Gymnasium's RescaleAction "
                "and ClipAction do not apply here: the task drives the unwrapped environment)"
            )
        if not 0 < self.control_hz < np.inf:
            raise ValueError(f"task {self.name!r} with control_hz={self.control_hz!r}: expected a positive number")

    def to_dict(self) -> dict[str, Any]:
        """The same facts as JSON-able values; without `options` where there are none.

        Raises:
            ValueError: an option that cannot be recorded, such as a success rule that is a lambda.
        """
        fields = {**asdict(replace(self, options={})), "options": recordable(self.options)}
        if not fields["options"]:
            del fields["options"]
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


def checked_frame_size(frame_size: Any) -> tuple[int, int]:
    """Return `(height, width)`.

    Raises:
        ValueError: not two whole numbers from 1 to 4096.
    """
    whole = isinstance(frame_size, list | tuple | np.ndarray) and all(
        isinstance(side, int | np.integer) and not isinstance(side, bool) and 1 <= side <= 4096 for side in frame_size
    )
    if not whole or len(frame_size) != 2:
        raise ValueError(f"frame_size={frame_size!r}: expected (height, width), each from 1 to 4096 pixels")
    return int(frame_size[0]), int(frame_size[1])


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
