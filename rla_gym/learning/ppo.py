"""PPO in the dream: a budget in chunks, a value function that warms up first, and a learning curve."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from rla_gym.learning.config import DemoConfig
from rla_gym.utils.optional import require
from rla_gym.utils.progress import Progress

BaseCallback: Any = require("stable_baselines3.common.callbacks", extra="rl").BaseCallback
VecEnvWrapper: Any = require("stable_baselines3.common.vec_env", extra="rl").VecEnvWrapper


@dataclass(frozen=True)
class CurvePoint:
    """One PPO iteration."""

    timesteps: int
    seconds: float
    reward: float
    """Mean over the iteration's steps."""
    success: float | None
    """Fraction of the training dreams ended in it that were solved; None: none ended."""
    goal_distance: float | None
    """Mean at the end of those episodes."""
    kl_to_clone: float
    """Mean KL(policy || cloned policy), nats a chunk, at the iteration's last observations."""


@dataclass(frozen=True)
class DreamCheck:
    """An evaluation in dreams along the way, from the starts that the agent is evaluated on before and after."""

    timesteps: int
    """Chunks that the policy had learned from."""
    rate: float
    """Fraction solved."""


@dataclass(frozen=True)
class TrainResult:
    """A training run; the agent is its last iterate."""

    curve: tuple[CurvePoint, ...]
    seconds: float
    timesteps: int
    checks: tuple[DreamCheck, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


class SuccessBonus(VecEnvWrapper):
    """Adds `bonus` to the reward of steps whose info says success.

    In a dream that is the environment's own option `success_bonus`, to the last bit. In the simulator it is not: its
    info tells the task's own rule, while its option, which is of the reward against a reference, goes by the distance.
    """

    def __init__(self, venv: Any, bonus: float) -> None:
        super().__init__(venv)
        self.bonus = bonus

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        observation, reward, done, infos = self.venv.step_wait()
        solved = np.array([info["success"] for info in infos], np.float32)
        return observation, reward + self.bonus * solved, done, infos


class Watch(BaseCallback):
    """Keeps the curve, shows how far training is, evaluates along the way and trains the value function alone at first.

    Args:
        warmup_iterations: in which the value function alone is trained.
        progress: counts chunks; None: nothing is shown.
        check: fraction of dreams that the agent solves; called before each iteration of `checked`.
        checked: numbers of iterations.
    """

    def __init__(
        self,
        warmup_iterations: int,
        progress: Progress | None = None,
        check: Callable[[], float] | None = None,
        checked: Collection[int] = (),
    ) -> None:
        super().__init__()
        self.warmup, self.progress, self.check, self.checked = warmup_iterations, progress, check, frozenset(checked)
        self.curve: list[CurvePoint] = []
        self.checks: list[DreamCheck] = []

    def _on_training_start(self) -> None:
        self.began = time.perf_counter()
        self._clear()

    def _on_rollout_start(self) -> None:
        _train_policy(self.model.policy, len(self.curve) >= self.warmup)
        if self.check is not None and len(self.curve) in self.checked:
            with torch.random.fork_rng(devices=[]):  # exploration draws from the global generator
                self.checks.append(DreamCheck(self.num_timesteps, self.check()))

    def _on_step(self) -> bool:
        self.rewards.append(float(np.mean(self.locals["rewards"])))
        for index in np.flatnonzero(self.locals["dones"]):
            info = self.locals["infos"][index]
            self.solved.append(bool(info["success"]))
            self.distances.append(float(info["goal_distance"]))
        if self.progress is not None:
            self.progress.update(len(self.locals["dones"]))
        return True

    def _on_rollout_end(self) -> None:
        with torch.no_grad():
            observation = torch.as_tensor(self.locals["new_obs"], dtype=torch.float32)
            divergence = float(self.model.policy.kl_to_anchor(observation).mean())
        point = CurvePoint(
            self.num_timesteps,
            self.seconds(),
            float(np.mean(self.rewards)),
            float(np.mean(self.solved)) if self.solved else None,
            float(np.mean(self.distances)) if self.distances else None,
            divergence,
        )
        self.curve.append(point)
        if self.progress is not None:
            self.progress.update(0, reward=f"{point.reward:+.3f}", KL=f"{divergence:.2f}")
        self._clear()

    def _on_training_end(self) -> None:
        _train_policy(self.model.policy, True)

    def seconds(self) -> float:
        """Since training began."""
        return time.perf_counter() - self.began

    def _clear(self) -> None:
        self.rewards: list[float] = []
        self.solved: list[bool] = []
        self.distances: list[float] = []


def _train_policy(policy: Any, yes: bool) -> None:
    """Whether the next updates change the policy, or its value function alone; `log_std` stays as it was set."""
    for module in (policy.mlp_extractor.policy_net, policy.action_net):
        module.requires_grad_(yes)


def train(
    agent: Any,
    config: DemoConfig,
    timesteps: int | None = None,
    progress: Progress | None = None,
    check: Callable[[], float] | None = None,
) -> TrainResult:
    """Let `agent` (of `make_agent`, anchored) learn in its environment from `timesteps` chunks, `config`'s by default.

    `check` is called `config.dream_checks` times, evenly spread, and gives the fraction of dreams that it solves.
    """
    timesteps = config.timesteps if timesteps is None else timesteps
    iterations = -(-timesteps // (agent.n_envs * agent.n_steps))
    checked = {round(i * iterations / (config.dream_checks + 1)) for i in range(1, config.dream_checks + 1)} - {0}
    watch = Watch(config.warmup_iterations, progress, check, checked)
    agent.learn(timesteps, callback=watch)
    return TrainResult(tuple(watch.curve), watch.seconds(), agent.num_timesteps, tuple(watch.checks))
