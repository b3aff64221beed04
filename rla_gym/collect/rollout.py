"""Record one episode of a task with one of its demonstrators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rla_gym.collect.plan import EpisodePlan
from rla_gym.data.episodes import Episode

if TYPE_CHECKING:
    from rla_gym.tasks.task import Task

MIN_FRAMES = 8  # a few chunks' worth, even where the start is nearly solved
STEPS_AFTER_SUCCESS = 4  # experts go on so long: enough to see the solved state stand still


def record_episode(task: Task, plan: EpisodePlan) -> Episode:
    """Reset the task, let the demonstrator act and record everything.

    Experts end 4 control steps after their first success, the others run to the task's `max_steps`; the
    frames are those before each action and one after the last, so T frames have T-1 actions.

    Raises:
        ValueError: the task has no such demonstrator.
    """
    spec = task.spec
    if plan.kind not in task.demonstrators:
        raise ValueError(
            f"task {spec.name!r} has no {plan.kind!r} demonstrator, only {list(task.demonstrators)}: collect with the "
            "share of that kind at 0; what needs an expert, as the demonstration does, is not for this task"
        )
    task.reset(plan.seed)
    policy = task.demonstrator(plan.kind, plan.noise, plan.demonstrator_seed)
    frames, proprio, states, objects, actions, rewards = [], [], [], [], [], []
    ends_at = spec.max_steps
    for step in range(spec.max_steps + 1):
        frames.append(task.render())
        proprio.append(np.asarray(task.proprioception(), np.float32))
        states.append(np.asarray(task.get_state(), np.float64))
        objects.append(np.asarray(task.object_state(), np.float32))
        if step >= ends_at:
            break
        # What is recorded is what is applied: clipped, in float32.
        action = np.clip(np.asarray(policy(), np.float32), spec.action_low, spec.action_high)
        task.step(action)
        actions.append(action)
        rewards.append(float(task.success()))
        if plan.kind == "expert" and rewards[-1] and ends_at == spec.max_steps:
            ends_at = min(spec.max_steps, max(step + 1 + STEPS_AFTER_SUCCESS, MIN_FRAMES - 1))
    return Episode(
        frames=np.stack(frames),
        actions=np.stack(actions),
        proprio=np.stack(proprio),
        states=np.stack(states),
        objects=np.stack(objects),
        task=spec.name,
        success=any(rewards),
        seed=plan.seed,
        source=plan.kind,
        rewards=np.asarray(rewards, np.float32),
    )
