"""Robosuite as a library: imported late, its log lines held back, its compiling announced."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rla_gym.utils.optional import require

CONTROL_HZ = 20.0
NOT_RESTORABLE = {"Wipe": "it keeps the wiped markers outside of the simulation"}
SLOW_SECONDS = 8.0
"""Longer than this, and a line says what takes so long."""


def make_environment(name: str, robot: str | Sequence[str]) -> Any:
    """Make a robosuite environment, without any renderer or observations of its own.

    Raises:
        ImportError: robosuite is not installed.
        ValueError: robosuite has no such environment or robot, or the environment's state cannot be restored; the
            message lists those that can be used.
    """
    with quiet():
        robosuite = require("robosuite", extra="robosuite")
    known = sorted(robosuite.ALL_ENVIRONMENTS)
    if name not in known or name in NOT_RESTORABLE:
        why = NOT_RESTORABLE.get(name, "robosuite has no such environment")
        usable = ", ".join(n for n in known if n not in NOT_RESTORABLE)
        raise ValueError(f"cannot make the robosuite environment {name!r}: {why}; choose from {usable}")
    robots = [robot] if isinstance(robot, str) else list(robot)
    for one in robots:
        if one not in robosuite.ALL_ROBOTS:
            raise ValueError(f"robosuite has no robot {one!r}; it has {', '.join(sorted(robosuite.ALL_ROBOTS))}")
    if name.startswith("TwoArm") and len(robots) == 1:
        robots *= 2
    with quiet():
        env = robosuite.make(
            name,
            robots=robots,
            renderer="mujoco",
            has_renderer=False,
            has_offscreen_renderer=False,
            use_camera_obs=False,
            use_object_obs=False,
            hard_reset=False,
            ignore_done=True,
            control_freq=CONTROL_HZ,
            seed=0,
        )
    # Nothing here reads robosuite's observations, which it would otherwise update at every physics step.
    for observable in env.observation_names:
        env.modify_observable(observable, "enabled", False)
        env.modify_observable(observable, "active", False)
    return env


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back robosuite's log lines below errors: at import and at each `make` it logs several."""
    logger = logging.getLogger("robosuite_logs")

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    logger.addFilter(is_error)
    try:
        yield
    finally:
        logger.removeFilter(is_error)


_announced = threading.Event()


@contextmanager
def compiling(seconds: float = SLOW_SECONDS) -> Iterator[None]:
    """Say on stderr, once a process, that numba compiles robosuite's controllers, if the block takes longer."""
    timer = threading.Timer(seconds, _announce)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _announce() -> None:
    if not _announced.is_set():
        _announced.set()
        print(
            "robosuite's first reset and step: numba compiles its controllers, once on a machine, up to a minute",
            file=sys.stderr,
            flush=True,
        )
