"""Real simulated tasks, found by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rla_gym.tasks.task import Policy, Task, TaskSpec

__all__ = ["Policy", "Task", "TaskSpec", "make_task", "task_names"]

_TABLETOP = {
    "push-cube": ("rla_gym.tasks.tabletop.push_cube", "PushCube"),
    "push-t": ("rla_gym.tasks.tabletop.push_t", "PushT"),
    "roll-ball": ("rla_gym.tasks.tabletop.roll_ball", "RollBall"),
    "poke-cube": ("rla_gym.tasks.tabletop.poke_cube", "PokeCube"),
    "pull-cube": ("rla_gym.tasks.tabletop.pull_cube", "PullCube"),
}
_ALIASES = {"Lift": "robosuite:Lift", "Reacher-v5": "gymnasium:Reacher-v5"}
_FAMILIES = {
    "robosuite": ("rla_gym.tasks.robosuite", "RobosuiteTask"),
    "gymnasium": ("rla_gym.tasks.gymnasium", "GymnasiumTask"),
}


def task_names() -> tuple[str, ...]:
    """Every name that :func:`make_task` takes; ``<name>`` stands for any environment of that library.

    A tabletop task takes a variant behind an ``@`` as well, such as ``"push-cube@unseen"``.
    """
    return (*_TABLETOP, *_ALIASES, *(f"{family}:<name>" for family in _FAMILIES))


def make_task(name: str, **kwargs: Any) -> Task:
    """Make the task called ``name``.

    Args:
        name: ``"push-cube"``, ``"push-t"``, ``"roll-ball"``, ``"poke-cube"``, ``"pull-cube"``, each also with other
            tools and blocks (``"push-cube@train"``, ``"@unseen"``, ``"@unseen-colours"``), ``"Lift"``,
            ``"Reacher-v5"``, ``"robosuite:<environment>"`` or ``"gymnasium:<MuJoCo environment id>"``.
        kwargs: passed to the task's class, such as ``frame_size``.

    Raises:
        ValueError: no task, or no variant of it, has that name; the message lists those that exist.
    """
    resolved = _ALIASES.get(name, name)
    tabletop, at, variant = resolved.partition("@")
    if tabletop in _TABLETOP and (variant or not at):
        module, attribute = _TABLETOP[tabletop]
        return getattr(import_module(module), attribute)(**kwargs, **({"variant": variant} if variant else {}))
    family, _, environment = resolved.partition(":")
    if family in _FAMILIES and environment:
        module, attribute = _FAMILIES[family]
        return getattr(import_module(module), attribute)(environment, **kwargs)
    raise ValueError(f"no task is called {name!r}; known tasks: {', '.join(task_names())}")
