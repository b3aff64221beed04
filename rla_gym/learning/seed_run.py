"""One seed of the demo, stage by stage: what is finished is kept, and read back by a run that resumes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.real_vector import RLARealVecEnv
from rla_gym.learning.bc import CloneResult, clone, make_agent
from rla_gym.learning.config import DemoConfig
from rla_gym.learning.demonstrations import Demonstrations, record_demonstrations, reference_demonstrations
from rla_gym.learning.evaluate import Evaluation, Predictor
from rla_gym.learning.kept import Kept
from rla_gym.learning.parts import anchored_training, dream_env, evaluate_dream, evaluate_real, timed
from rla_gym.learning.plan import Plan
from rla_gym.learning.ppo import SuccessBonus, TrainResult
from rla_gym.tasks import make_task
from rla_gym.utils.files import atomic_path
from rla_gym.utils.typed import build


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


class SeedRun:
    """One seed from its demonstrations to its evaluation, stage by stage; finished stages are read back.

    Args:
        plan: shows each stage.
        kept: keeps what each gave.
    """

    def __init__(self, config: DemoConfig, bundle: Bundle, seed: int, plan: Plan, kept: Kept) -> None:
        self.config, self.bundle, self.seed, self.plan, self.kept = config, bundle, seed, plan, kept
        self.seconds: dict[str, float] = {}

    def run(self) -> tuple[SeedResult, Any]:
        """All results of the seed, and the trained agent (SB3's PPO)."""
        demonstrations = self.demonstrations()
        env = dream_env(self.config, self.bundle)
        agent = make_agent(self.config, env, demonstrations, self.seed)
        # Whether the stages up to training are run or read back, exploration draws the same numbers.
        generators = random_state()
        cloned = self.cloned(agent, demonstrations)
        start = {name: value.clone() for name, value in agent.policy.state_dict().items()}
        before, dream_before = self.evaluated(agent, "before")
        set_random_state(generators)
        trained = self.trained(agent, env, demonstrations)
        after, dream_after = self.evaluated(agent, "after")
        result = SeedResult(
            self.seed, demonstrations, cloned, trained, before, after, dream_before, dream_after, seconds=self.seconds
        )
        if self.config.simulator_timesteps:
            result.simulator = self.in_simulator(demonstrations, start)
        return result, agent

    def demonstrations(self) -> Demonstrations:
        """Recorded anew, or read back."""
        name, config = f"demonstrations-{self.seed}", self.config
        if found := self._read(name, "demonstrations"):
            values, tensors = found
            arrays = {key: tensor.numpy() for key, tensor in tensors.items()}
            seeds = tuple(values["seeds"])
            return Demonstrations(
                **arrays, seeds=seeds, tried=values["tried"], noise=values["noise"], source=values["source"]
            )
        task = make_task(self.bundle.config.task, **self.bundle.config.task_options)
        try:
            with timed(self.seconds, "demonstrations"), self.plan.run(name) as progress:
                if "expert" in task.demonstrators:
                    made = record_demonstrations(
                        self.bundle, task, config.demonstrations, config.demonstration_noise, self.seed, progress.update
                    )
                else:
                    made = reference_demonstrations(self.bundle, config.demonstrations)
                    progress.write(f"{len(made)} demonstrations: {made.source}")
        finally:
            task.close()
        arrays = {key: getattr(made, key) for key in ("observations", "chunks", "episode")}
        self._keep(
            name,
            "demonstrations",
            {"seeds": list(made.seeds), "tried": made.tried, "noise": made.noise, "source": made.source},
            {key: torch.from_numpy(array) for key, array in arrays.items()},
        )
        return made

    def cloned(self, agent: Any, demonstrations: Demonstrations) -> CloneResult:
        """Fit the agent's policy to the demonstrations, or read it back."""
        name = f"cloning-{self.seed}"
        if found := self._read(name, "cloning"):
            agent.policy.load_state_dict(found[1])
            return cast(CloneResult, build(CloneResult, found[0]["result"], name))
        with timed(self.seconds, "cloning"), self.plan.run(name) as progress:
            result = clone(agent.policy, demonstrations, self.config, self.seed, progress.update)
        self._keep(name, "cloning", {"result": asdict(result)}, agent.policy.state_dict())
        return result

    def evaluated(self, agent: Predictor, when: str) -> tuple[Evaluation, Evaluation]:
        """In the simulator, from the task's own starts, and in dreams, from `config.dream_references`."""
        found = []
        for place, evaluate in (("simulator", evaluate_real), ("dream", evaluate_dream)):
            name = f"{place}-{when}-{self.seed}"
            found.append(self._evaluation(name, f"evaluation {when}", evaluate, agent))
        return found[0], found[1]

    def trained(self, agent: Any, env: Any, demonstrations: Demonstrations) -> TrainResult:
        """Let the agent learn in dreams and write its file, or read both back."""
        name, config = f"ppo-{self.seed}", self.config
        path = Path(config.out) / agent_name(config, self.seed)
        found = self._read(name, "dream training")
        if found and path.is_file():
            agent.policy.load_state_dict(found[1])
            return cast(TrainResult, build(TrainResult, found[0]["result"], name))
        with timed(self.seconds, "dream training"), self.plan.run(name) as progress:

            def check() -> float:
                return evaluate_dream(agent, config, self.bundle, self.seed).rate

            result = anchored_training(agent, env, config, demonstrations, self.seed, progress=progress, check=check)
        with atomic_path(path) as temporary:
            agent.save(temporary)
        self._keep(name, "dream training", {"result": asdict(result)}, agent.policy.state_dict())
        return result

    def in_simulator(self, demonstrations: Demonstrations, start: dict[str, Any]) -> tuple[TrainResult, Evaluation]:
        """The same PPO from the same BC policy with the same rewards, in the true simulator."""
        config, name = self.config, f"simulator-ppo-{self.seed}"
        env: Any = RLARealVecEnv(
            self.bundle, config.num_envs, workers=config.workers, start="reference", **config.dream_options()
        )
        if config.success_bonus:
            env = SuccessBonus(env, config.success_bonus)
        try:
            agent = make_agent(config, env, demonstrations, self.seed)
            if found := self._read(name, "simulator training"):
                agent.policy.load_state_dict(found[1])
                trained = cast(TrainResult, build(TrainResult, found[0]["result"], name))
            else:
                agent.policy.load_state_dict(start)
                with timed(self.seconds, "simulator training"), self.plan.run(name) as progress:
                    trained = anchored_training(
                        agent,
                        env,
                        config,
                        demonstrations,
                        self.seed,
                        timesteps=config.simulator_timesteps,
                        progress=progress,
                    )
                self._keep(name, "simulator training", {"result": asdict(trained)}, agent.policy.state_dict())
        finally:
            env.close()
        evaluation = self._evaluation(f"simulator-ppo-after-{self.seed}", "simulator training", evaluate_real, agent)
        return trained, evaluation

    def _evaluation(self, name: str, part: str, evaluate: Callable[..., Evaluation], agent: Predictor) -> Evaluation:
        if found := self._read(name, part):
            return cast(Evaluation, build(Evaluation, found[0]["result"], name))
        with timed(self.seconds, part), self.plan.run(name) as progress:
            result = evaluate(agent, self.config, self.bundle, self.seed, progress.update)
        self._keep(name, part, {"result": asdict(result)})
        return result

    def _read(self, name: str, part: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]] | None:
        found = self.kept.load(name)
        if found is not None:
            self.plan.skip(name)
            self.seconds[part] = self.seconds.get(part, 0.0) + found[0]["seconds"]
        return found

    def _keep(
        self, name: str, part: str, values: dict[str, Any], tensors: dict[str, torch.Tensor] | None = None
    ) -> None:
        spent = self.plan.spent(name)
        self.kept.save(name, {**values, "seconds": spent}, tensors)


def agent_name(config: DemoConfig, seed: int) -> str:
    """Name of the file of a seed's agent."""
    return "agent.zip" if seed == config.seeds[0] else f"agent-{seed}.zip"


def random_state() -> tuple[Any, ...]:
    """States of the global generators, which Stable-Baselines3 draws from."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def set_random_state(state: tuple[Any, ...]) -> None:
    """Set the global generators to what `random_state` gave."""
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])
