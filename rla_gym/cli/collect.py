"""`rla-gym collect`: record episodes of a task."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rla_gym.utils.checks import Count, Fraction, NonNegative, Whole


@dataclass(frozen=True, kw_only=True)
class Collect:
    """Record episodes of a task with its scripted demonstrators; a killed run goes on where it stopped."""

    task: str
    """push-cube, push-t, roll-ball, poke-cube, pull-cube (or with @train, @unseen, @unseen-colours), Lift, Reacher-v5,
    robosuite:<environment>, gymnasium:<MuJoCo id>, or my_module:<name> of a task or Gymnasium id that it registers.
    Those with a colon have no scripted demonstrator, but for Lift and Reacher: all of their episodes are play."""
    out: Path
    """Folder of the data set."""
    episodes: Count = 600
    """How many."""
    play: Fraction = 0.4
    """Share of smooth random play."""
    goal_blind: Fraction = 0.2
    """Share of skilled motion to hidden targets while another is shown."""
    interrupted: Fraction = 0.0
    """Share of such motion interrupted by random, straight or no motion (tabletop tasks); the rest are experts."""
    noise: NonNegative = 0.3
    """Mean noise level of all but play."""
    seed: Whole = 0
    """Episodes are a function of it, whatever the number of workers."""
    workers: Whole = 2
    """Processes."""
    camera: str | None = None
    """Name or number of one of the model's cameras, or a viewpoint as JSON, such as '{"lookat": [0, 0, 0.8],
    "distance": 1.2, "azimuth": 180, "elevation": -30}'; by default the task's own."""
    frame_size: tuple[int, int] | None = None
    """Height and width of frames in pixels; by default the task's own, 112 112."""
    max_steps: int | None = None
    """Control steps of an episode; by default the task's own."""
    robot: tuple[str, ...] = ()
    """Of robosuite tasks: such as Panda, Sawyer or UR5e; one for each arm."""
    success: str | None = None
    """Of Gymnasium and robosuite tasks: "my_module:my_function", which reports of the environment whether its present
    state is a success."""
    env_kwargs: str | None = None
    """Of Gymnasium tasks: further arguments of the environment, as JSON, such as '{"reset_noise_scale": 0.1}'."""

    def run(self) -> None:
        """Collect and print what was collected, and how fast."""
        from rla_gym.collect.collect import CollectConfig, collect

        collect(
            CollectConfig(
                self.task,
                self.episodes,
                self.play,
                self.goal_blind,
                self.noise,
                self.seed,
                self.workers,
                self.out,
                self.interrupted,
                self.options(),
            )
        )

    def options(self) -> dict[str, Any]:
        """What the task is made with, beside its name.

        Raises:
            ValueError: a viewpoint or `env_kwargs` that are not JSON of the right form.
        """
        from rla_gym.tasks.offscreen import as_camera
        from rla_gym.tasks.options import recordable

        given: dict[str, Any] = {
            "camera": None if self.camera is None else as_camera(self.camera),
            "frame_size": self.frame_size,
            "max_steps": self.max_steps,
            "robot": self.robot[0] if len(self.robot) == 1 else self.robot or None,
            "success": self.success,
            "env_kwargs": None if self.env_kwargs is None else _mapping(self.env_kwargs),
        }
        return recordable(given)


def _mapping(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"--env-kwargs {text!r} is not JSON ({error}): expected {{\"name\": value}}") from error
    if not isinstance(value, dict):
        raise ValueError(f"--env-kwargs {text!r} is a {type(value).__name__}, expected names and values in braces")
    return value
