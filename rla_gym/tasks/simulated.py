"""Whether a checkpoint's task has a simulator here; recordings of one's own robot have none."""

from __future__ import annotations

from rla_gym.tasks import task_names


def is_simulated(name: str) -> bool:
    """Whether `make_task` knows the task called `name`; nothing is made, so the simulator may still be missing."""
    names, family = task_names(), name.partition(":")[0]
    return name.partition("@")[0] in names or (":" in name and f"{family}:<name>" in names)
