"""Whether a checkpoint's task has a simulator here; recordings of one's own robot have none."""

from __future__ import annotations

from rla_gym.tasks import canonical_name


def is_simulated(name: str) -> bool:
    """Whether `make_task` knows the task called `name` here; nothing is made, so its simulator may still not start."""
    try:
        canonical_name(name)
    except (ValueError, ImportError):
        return False
    return True
