"""PPO in the dream: time-boxed, with a value function that warms up first, and a learning curve."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rla_gym.demo.config import DemoConfig
from rla_gym.extras import require

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
    """Share of the episodes ended in it that the environment called solved; None: none ended."""
    goal_distance: float | None
    """Mean at the end of those episodes."""
    kl_to_clone: float
    """Mean KL(policy || cloned policy), nats a chunk, at the iteration's last observations."""


@dataclass(frozen=True)
class TrainResult:
    """A training run; the agent is its last iterate."""

    curve: tuple[CurvePoint, ...]
    seconds: float
    timesteps: int
    stopped_by: str
    """"time" or "timesteps"."""

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


class Progress(BaseCallback):
    """Draws the bar, keeps the curve, stops in time, and trains the value function alone at first."""

    def __init__(self, minutes: float, timesteps: int, warmup_iterations: int, title: str, quiet: bool = False) -> None:
        super().__init__()
        self.limit, self.total, self.warmup, self.title = 60 * minutes, timesteps, warmup_iterations, title
        self.quiet = quiet
        self.curve: list[CurvePoint] = []
        self.out_of_time = False

    def _on_training_start(self) -> None:
        tqdm = require("tqdm", extra="data").tqdm
        self.bar = tqdm(total=100, desc=self.title, unit="%", disable=self.quiet, bar_format="{l_bar}{bar}| {postfix}")
        self.began = time.perf_counter()
        self._clear()

    def _on_rollout_start(self) -> None:
        _train_policy(self.model.policy, len(self.curve) >= self.warmup)

    def _on_step(self) -> bool:
        self.rewards.append(float(np.mean(self.locals["rewards"])))
        for index in np.flatnonzero(self.locals["dones"]):
            info = self.locals["infos"][index]
            self.solved.append(bool(info["success"]))
            self.distances.append(float(info["goal_distance"]))
        self.out_of_time = self.seconds() >= self.limit
        return not self.out_of_time

    def _on_rollout_end(self) -> None:
        import torch

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
        solved = "-" if point.success is None else f"{point.success:.2f}"
        rate = self.num_timesteps / max(point.seconds, 1e-9)
        self.bar.set_postfix_str(
            f"{point.seconds:.0f} s, {self.num_timesteps} chunks ({rate:.0f}/s), reward {point.reward:+.3f}, "
            f"solved {solved}, KL {divergence:.2f}",
            refresh=False,
        )
        part = max(point.seconds / self.limit if self.limit else 1.0, self.num_timesteps / self.total)
        self.bar.update(int(min(part, 1.0) * 100) - self.bar.n)
        self._clear()

    def _on_training_end(self) -> None:
        _train_policy(self.model.policy, True)
        self.bar.close()

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


def train(agent: Any, config: DemoConfig, title: str, minutes: float | None = None, quiet: bool = False) -> TrainResult:
    """Let `agent` (of `make_agent`, anchored) learn in its environment for `minutes` or `config.timesteps`."""
    watch = Progress(
        config.minutes if minutes is None else minutes, config.timesteps, config.warmup_iterations, title, quiet
    )
    agent.learn(config.timesteps, callback=watch)
    return TrainResult(
        tuple(watch.curve), watch.seconds(), agent.num_timesteps, "time" if watch.out_of_time else "timesteps"
    )
