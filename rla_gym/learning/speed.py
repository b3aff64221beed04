"""How fast the dream alone is: what a demonstration prints beside its own rate, which includes PPO's updates."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.dream.dream import PRECISIONS, Dream
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.learning.config import DemoConfig

TIMED = 2
"""Steps timed of each precision; the faster one counts, as other work only ever delays."""


@dataclass(frozen=True)
class DreamSpeed:
    """Steps of the dreaming environment, rewards and observations included, without a policy.

    Attributes:
        chunks_per_second: over all dreams side by side.
        num_envs, threads, precision: of the measurement.
        steps: batched steps measured.
    """

    chunks_per_second: float
    num_envs: int
    threads: int
    precision: str
    steps: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def with_precision(config: DemoConfig, bundle: Bundle) -> DemoConfig:
    """`config` with the faster precision in the place of "auto": steps of all dreams in each are timed."""
    if config.precision != "auto":
        return config
    seconds = {}
    for precision in PRECISIONS:
        dream = Dream(bundle, config.num_envs, config.steps, config.temperature, precision)
        actions = torch.zeros(config.num_envs, bundle.config.chunk, bundle.config.action_size)
        dream.step(actions)  # the first step allocates
        seconds[precision] = min(_seconds(dream, actions) for _ in range(TIMED))
    return replace(config, precision=min(seconds, key=lambda precision: seconds[precision]))


def _seconds(dream: Dream, actions: torch.Tensor) -> float:
    began = time.perf_counter()
    dream.step(actions)
    return time.perf_counter() - began


def dream_speed(config: DemoConfig, bundle: Bundle, steps: int = 12) -> DreamSpeed:
    """Measure `steps` batched steps of `config.num_envs` dreams under random actions."""
    env = RLAWorldVecEnv(bundle, config.num_envs, **config.sampler(), **config.dream_options())
    try:
        env.seed(0)
        env.reset()
        env.action_space.seed(0)
        actions = [np.stack([env.action_space.sample() for _ in range(env.num_envs)]) for _ in range(steps)]
        for action in actions[:2]:  # the first steps allocate
            env.step(action)
        began = time.perf_counter()
        for action in actions:
            env.step(action)
        seconds = time.perf_counter() - began
    finally:
        env.close()
    return DreamSpeed(
        steps * config.num_envs / seconds, config.num_envs, torch.get_num_threads(), config.precision, steps
    )
