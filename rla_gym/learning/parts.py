"""Parts of the demo that measurements use as well: the environment that dreams are trained in, training, evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.real_vector import RLARealVecEnv
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.envs.sb3_wrappers import UncertaintyPenaltyVecEnv
from rla_gym.learning.config import DemoConfig
from rla_gym.learning.demonstrations import Demonstrations
from rla_gym.learning.evaluate import Evaluation, Predictor, run_episodes
from rla_gym.learning.ppo import TrainResult, train
from rla_gym.learning.seeds import stream_seed


def anchored_training(
    agent: Any, env: Any, config: DemoConfig, demonstrations: Demonstrations, seed: int, **options: Any
) -> TrainResult:
    """Anchor the agent where it stands and let it learn in `env`; `options` are those of `train`."""
    agent.policy.set_anchor(config.kl_weight, config.bc_weight, demonstrations, stream_seed("agent", seed))
    env.seed(stream_seed("training", seed))
    return train(agent, config, **options)


def dream_env(config: DemoConfig, bundle: Bundle) -> Any:
    """The environment that the agent learns in."""
    penalized = config.disagreement_penalty > 0
    env: Any = RLAWorldVecEnv(
        bundle,
        config.num_envs,
        **config.sampler(),
        uncertainty="disagreement" if penalized else None,
        disagreement_samples=2,
        success_bonus=config.success_bonus,
        **config.dream_options(),
    )
    return UncertaintyPenaltyVecEnv(env, config.disagreement_penalty) if penalized else env


def evaluate_real(
    agent: Predictor, config: DemoConfig, bundle: Bundle, seed: int, tick: Callable[[], None] = lambda: None
) -> Evaluation:
    """`config.episodes` of the task itself, the same for every policy of this seed."""
    env = RLARealVecEnv(bundle, min(config.real_envs, config.episodes), workers=config.workers, start="task")
    try:
        return run_episodes(agent, env, config.episodes, stream_seed("evaluation", seed), tick)
    finally:
        env.close()


def evaluate_dream(
    agent: Predictor, config: DemoConfig, bundle: Bundle, seed: int, tick: Callable[[], None] = lambda: None
) -> Evaluation:
    """One full-length dream from the first frame of each of `config.dream_references`."""
    references = bundle.references.select(config.dream_references)
    options = config.dream_options() | {
        "references": references,
        "time_limit": None,
        "terminate_on_success": True,
    }
    env = RLAWorldVecEnv(bundle, len(references), **config.sampler(), **options)
    env.set_options([{"reference": int(reference), "frame": 0} for reference in references])
    return run_episodes(agent, env, len(references), stream_seed("dream-evaluation", seed), tick)


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the wall-clock time of the block."""
    began = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began
