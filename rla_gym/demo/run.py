"""The demonstration, step by step: record, clone, dream, judge, report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rla_gym.bundle import Bundle
from rla_gym.checkpoint import load_checkpoint
from rla_gym.demo.clone import CloneResult, clone, make_agent
from rla_gym.demo.config import DemoConfig
from rla_gym.demo.demonstrations import Demonstrations, record_demonstrations
from rla_gym.demo.evaluate import Evaluation, Predictor, run_episodes
from rla_gym.demo.figures import draw_learning_curve
from rla_gym.demo.report import as_dict, table
from rla_gym.demo.seeds import stream_seed
from rla_gym.demo.speed import dream_speed
from rla_gym.demo.train import SuccessBonus, TrainResult, train
from rla_gym.demo.video import write_video
from rla_gym.envs.real_vector import RLARealVecEnv
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.envs.sb3_wrappers import UncertaintyPenaltyVecEnv
from rla_gym.files import write_json
from rla_gym.tasks import make_task


@dataclass
class SeedResult:
    """All that one seed's run gave."""

    seed: int
    demonstrations: Demonstrations
    cloned: CloneResult
    trained: TrainResult
    before: Evaluation
    after: Evaluation
    dream_before: Evaluation
    dream_after: Evaluation
    simulator: tuple[TrainResult, Evaluation] | None = None
    """The same PPO trained in the true simulator, if asked for."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall-clock time of each part."""


def run(config: DemoConfig) -> dict[str, Any]:
    """Do all of it; see `rla_gym.demo.main`."""
    began = time.perf_counter()
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        bundle = load_checkpoint(config.ckpt)
        out = Path(config.out)
        out.mkdir(parents=True, exist_ok=True)
        results = []
        for seed in config.seeds:
            result, agent = run_seed(config, bundle, seed)
            agent.save(out / ("agent.zip" if seed == config.seeds[0] else f"agent-{seed}.zip"))
            results.append(result)
            if seed == config.seeds[0] and config.videos:
                with timed(result.seconds, "video"):
                    write_video(out / "dream_vs_reality.mp4", agent, bundle, config, seed)
        draw_learning_curve(out / "learning_curve.png", results)
        speed = dream_speed(config, bundle)
        summary = as_dict(config, bundle, results, speed, time.perf_counter() - began)
        write_json(out / "result.json", summary)
        print(table(summary), flush=True)
        print(f"wrote {', '.join(sorted(path.name for path in out.iterdir()))} in {out}", flush=True)
        return summary
    finally:
        torch.set_num_threads(threads)


def run_seed(config: DemoConfig, bundle: Bundle, seed: int) -> tuple[SeedResult, Any]:
    """One seed from its demonstrations to its evaluation, and the trained agent (SB3's PPO)."""
    seconds: dict[str, float] = {}
    with timed(seconds, "demonstrations"):
        task = make_task(bundle.config.task, **bundle.config.task_options)
        demonstrations = record_demonstrations(bundle, task, config.demonstrations, config.demonstration_noise, seed)
        task.close()
    env = dream_env(config, bundle)
    with timed(seconds, "cloning"):
        agent = make_agent(config, env, demonstrations, seed)
        cloned = clone(agent.policy, demonstrations, config, seed)
        start = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    with timed(seconds, "evaluation before"):
        before, dream_before = judge(agent, config, bundle, seed)
    with timed(seconds, "dream training"):
        trained = anchored_training(agent, env, config, demonstrations, seed, f"seed {seed}: PPO in the dream")
    with timed(seconds, "evaluation after"):
        after, dream_after = judge(agent, config, bundle, seed)
    result = SeedResult(
        seed, demonstrations, cloned, trained, before, after, dream_before, dream_after, seconds=seconds
    )
    if config.simulator_minutes > 0:
        with timed(seconds, "simulator training"):
            result.simulator = in_simulator(config, bundle, demonstrations, start, seed)
    return result, agent


def anchored_training(
    agent: Any, env: Any, config: DemoConfig, demonstrations: Demonstrations, seed: int, title: str, **options: Any
) -> TrainResult:
    """Anchor the agent where it stands and let it learn in `env`."""
    agent.policy.set_anchor(config.kl_weight, config.bc_weight, demonstrations, stream_seed("agent", seed))
    env.seed(stream_seed("training", seed))
    return train(agent, config, title, **options)


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


def judge(agent: Predictor, config: DemoConfig, bundle: Bundle, seed: int) -> tuple[Evaluation, Evaluation]:
    """Evaluate in the real simulator, from the task's own starts, and in the dream, from `config.dream_references`."""
    return evaluate_real(agent, config, bundle, seed), evaluate_dream(agent, config, bundle, seed)


def evaluate_real(agent: Predictor, config: DemoConfig, bundle: Bundle, seed: int) -> Evaluation:
    """`config.episodes` of the task itself, the same for every policy of this seed."""
    env = RLARealVecEnv(bundle, min(config.real_envs, config.episodes), workers=config.workers, start="task")
    try:
        return run_episodes(agent, env, config.episodes, stream_seed("evaluation", seed))
    finally:
        env.close()


def evaluate_dream(agent: Predictor, config: DemoConfig, bundle: Bundle, seed: int) -> Evaluation:
    """One full-length dream from the first frame of each of `config.dream_references`."""
    references = bundle.references.select(config.dream_references)
    options = config.dream_options() | {
        "references": references,
        "time_limit": None,
        "terminate_on_success": True,
    }
    env = RLAWorldVecEnv(bundle, len(references), **config.sampler(), **options)
    env.set_options([{"reference": int(reference), "frame": 0} for reference in references])
    return run_episodes(agent, env, len(references), stream_seed("dream-evaluation", seed))


def in_simulator(
    config: DemoConfig, bundle: Bundle, demonstrations: Demonstrations, start: dict[str, Any], seed: int
) -> tuple[TrainResult, Evaluation]:
    """The same PPO from the same clone with the same rewards, in the true simulator."""
    env: Any = RLARealVecEnv(
        bundle, config.num_envs, workers=config.workers, start="reference", **config.dream_options()
    )
    if config.success_bonus:
        env = SuccessBonus(env, config.success_bonus)
    try:
        agent = make_agent(config, env, demonstrations, seed)
        agent.policy.load_state_dict(start)
        trained = anchored_training(
            agent,
            env,
            config,
            demonstrations,
            seed,
            f"seed {seed}: PPO in the simulator",
            minutes=config.simulator_minutes,
        )
    finally:
        env.close()
    return trained, evaluate_real(agent, config, bundle, seed)


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Note the wall-clock time of the block."""
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began
