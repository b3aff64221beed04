"""Real simulated tasks, found by name."""

from __future__ import annotations

from rla_gym.tasks.registry import canonical_name, make_task, register_builtin, register_task, task_names
from rla_gym.tasks.task import Policy, Task, TaskSpec

__all__ = ["Policy", "Task", "TaskSpec", "canonical_name", "make_task", "register_task", "task_names"]

register_builtin("push-cube", "rla_gym.tasks.tabletop.push_cube:PushCube", variants=True)
register_builtin("push-t", "rla_gym.tasks.tabletop.push_t:PushT", variants=True)
register_builtin("roll-ball", "rla_gym.tasks.tabletop.roll_ball:RollBall", variants=True)
register_builtin("poke-cube", "rla_gym.tasks.tabletop.poke_cube:PokeCube", variants=True)
register_builtin("pull-cube", "rla_gym.tasks.tabletop.pull_cube:PullCube", variants=True)
register_builtin("robosuite", "rla_gym.tasks.robosuite:RobosuiteTask", family=True)
register_builtin("gymnasium", "rla_gym.tasks.gymnasium:GymnasiumTask", family=True)
