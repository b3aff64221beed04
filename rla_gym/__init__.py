"""Residual-latent-action world models as Gymnasium environments.

Importing registers the environments and nothing else: torch, MuJoCo and the rest are imported where they are used.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register, registry

if TYPE_CHECKING:
    from rla_gym.bench.registry import register_benchmark
    from rla_gym.checkpoint.bundle import Bundle, BundleConfig, RewardDefaults
    from rla_gym.checkpoint.reference_data import load_references
    from rla_gym.checkpoint.references import References
    from rla_gym.checkpoint.resolve import built_in_names
    from rla_gym.checkpoint.store import load_checkpoint, save_checkpoint
    from rla_gym.dream.dream import Dream, DreamStep
    from rla_gym.envs.goal import RLAWorldGoalEnv
    from rla_gym.envs.goal_batch import RLAWorldGoalVectorEnv
    from rla_gym.envs.goal_vector import RLAWorldGoalVecEnv
    from rla_gym.envs.real import RLARealEnv
    from rla_gym.envs.real_batch import RLARealVectorEnv
    from rla_gym.envs.real_vector import RLARealVecEnv
    from rla_gym.envs.sb3 import RLAWorldVecEnv
    from rla_gym.envs.sb3_wrappers import UncertaintyPenaltyVecEnv
    from rla_gym.envs.vector import RLAWorldVectorEnv
    from rla_gym.envs.world import RLAWorldEnv
    from rla_gym.envs.wrappers import SingleActions, UncertaintyPenalty, UncertaintyTruncation, VectorUncertaintyPenalty
    from rla_gym.learning.deploy import RobotPolicy
    from rla_gym.tasks import make_task, register_task, task_names
    from rla_gym.tasks.simulated import is_simulated
    from rla_gym.utils.outputs import Output, output

__all__ = [
    # environments
    "RLAWorldEnv",
    "RLAWorldGoalEnv",
    "RLARealEnv",
    # many of them: for Gymnasium
    "RLAWorldVectorEnv",
    "RLAWorldGoalVectorEnv",
    "RLARealVectorEnv",
    # and for Stable-Baselines3
    "RLAWorldVecEnv",
    "RLAWorldGoalVecEnv",
    "RLARealVecEnv",
    # wrappers
    "SingleActions",
    "UncertaintyPenalty",
    "UncertaintyTruncation",
    "VectorUncertaintyPenalty",
    "UncertaintyPenaltyVecEnv",
    # the world model behind them
    "Dream",
    "DreamStep",
    # checkpoints
    "Bundle",
    "BundleConfig",
    "RewardDefaults",
    "built_in_names",
    "load_checkpoint",
    "save_checkpoint",
    # recordings that dreams start from
    "References",
    "load_references",
    # an agent on the robot itself
    "RobotPolicy",
    # tasks
    "is_simulated",
    "make_task",
    "register_task",
    "task_names",
    # benchmarks
    "register_benchmark",
    # a folder that a program writes
    "Output",
    "output",
    "__version__",
]

_PLACES = {
    "RLAWorldEnv": "rla_gym.envs.world",
    "RLAWorldGoalEnv": "rla_gym.envs.goal",
    "RLARealEnv": "rla_gym.envs.real",
    "RLAWorldVectorEnv": "rla_gym.envs.vector",
    "RLAWorldGoalVectorEnv": "rla_gym.envs.goal_batch",
    "RLARealVectorEnv": "rla_gym.envs.real_batch",
    "RLAWorldVecEnv": "rla_gym.envs.sb3",
    "RLAWorldGoalVecEnv": "rla_gym.envs.goal_vector",
    "RLARealVecEnv": "rla_gym.envs.real_vector",
    "SingleActions": "rla_gym.envs.wrappers",
    "UncertaintyPenalty": "rla_gym.envs.wrappers",
    "UncertaintyTruncation": "rla_gym.envs.wrappers",
    "VectorUncertaintyPenalty": "rla_gym.envs.wrappers",
    "UncertaintyPenaltyVecEnv": "rla_gym.envs.sb3_wrappers",
    "Dream": "rla_gym.dream.dream",
    "DreamStep": "rla_gym.dream.dream",
    "Bundle": "rla_gym.checkpoint.bundle",
    "BundleConfig": "rla_gym.checkpoint.bundle",
    "References": "rla_gym.checkpoint.references",
    "RobotPolicy": "rla_gym.learning.deploy",
    "is_simulated": "rla_gym.tasks.simulated",
    "RewardDefaults": "rla_gym.checkpoint.bundle",
    "built_in_names": "rla_gym.checkpoint.resolve",
    "load_checkpoint": "rla_gym.checkpoint.store",
    "load_references": "rla_gym.checkpoint.reference_data",
    "save_checkpoint": "rla_gym.checkpoint.store",
    "make_task": "rla_gym.tasks",
    "Output": "rla_gym.utils.outputs",
    "output": "rla_gym.utils.outputs",
    "register_benchmark": "rla_gym.bench.registry",
    "register_task": "rla_gym.tasks",
    "task_names": "rla_gym.tasks",
}

try:
    __version__ = metadata.version("rla_gym")
except metadata.PackageNotFoundError:  # run from a source tree
    __version__ = "0.1.0"

for _id, _entry_point, _vector_entry_point in (
    ("RLAWorld-v0", "rla_gym.envs.world:RLAWorldEnv", "rla_gym.envs.vector:RLAWorldVectorEnv"),
    ("RLAWorldGoal-v0", "rla_gym.envs.goal:RLAWorldGoalEnv", "rla_gym.envs.goal_batch:RLAWorldGoalVectorEnv"),
    ("RLAReal-v0", "rla_gym.envs.real:RLARealEnv", "rla_gym.envs.real_batch:RLARealVectorEnv"),
):
    if _id not in registry:
        register(_id, entry_point=_entry_point, vector_entry_point=_vector_entry_point)


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _PLACES:
        raise AttributeError(f"module 'rla_gym' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
