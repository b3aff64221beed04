"""The PPO of agents/ppo_torch.py: its advantages are those of the definition, it learns, and it runs on dreams."""

from __future__ import annotations

import csv
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from safetensors.torch import load_file

from tests.agents.test_agents import load, run

ppo = load("ppo_torch")
LENGTH = 5


class Imitate(gym.Env[np.ndarray, np.ndarray]):
    """Each step pays 1 less the squared distance of the action to half the observation; cut off after 5 steps."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.seen = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        self.steps = 0
        return self.seen, {}

    def step(self, action: np.ndarray) -> Any:
        reward = 1.0 - float(np.square(action - self.seen / 2).sum())
        self.seen = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        self.steps += 1
        return self.seen, reward, False, self.steps == LENGTH, {}


def imitations() -> SyncVectorEnv:
    return SyncVectorEnv([Imitate] * 8, autoreset_mode=AutoresetMode.SAME_STEP)


def test_advantages_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, 7, 3, generator=generator)
    dones = (torch.rand(7, 3, generator=generator) < 0.3).float()
    last, gamma, decay = torch.randn(3, generator=generator), 0.9, 0.8
    found = ppo.advantages_of(rewards, values, dones, last, gamma, decay)
    after = torch.cat([values[1:], last[None]])
    for env in range(3):
        for begin in range(7):
            expected, weight = 0.0, 1.0
            for t in range(begin, 7):
                alive = 1.0 - float(dones[t, env])
                expected += weight * float(rewards[t, env] + gamma * alive * after[t, env] - values[t, env])
                weight *= gamma * decay * alive
            assert float(found[begin, env]) == pytest.approx(expected, abs=1e-5)


def test_it_learns_what_pays_and_what_to_expect() -> None:
    args = ppo.Args(
        total_timesteps=8_000, n_steps=20, batch_size=80, learning_rate=1e-2, gamma=0.8, hidden=(16,), target_kl=None
    )
    rows: list[dict[str, float]] = []
    agent = ppo.train(imitations(), args, rows.append)
    seen = np.linspace(-1, 1, 21, dtype=np.float32)[:, None]
    assert np.abs(agent.act(seen) - seen / 2).mean() < 0.08  # 0.25 at first
    assert rows[-1]["return"] > rows[0]["return"] + 0.2
    # About 1 a step, for ever: 1 / (1 - 0.8) = 5. Taken for ends, the cuts after 5 steps would make it 2.3 on average.
    with torch.no_grad():
        assert 4.0 < float(agent.value(torch.from_numpy(seen)).mean()) < 5.5
    again: list[dict[str, float]] = []
    ppo.train(imitations(), dataclasses.replace(args, total_timesteps=320), again.append)
    assert [row["return"] for row in again] == [row["return"] for row in rows[:2]]


def test_the_script_dreams_learns_and_is_judged(checkpoint: Path, tmp_path: Path) -> None:
    settings = {"num_envs": 4, "total_timesteps": 64, "n_steps": 8, "n_epochs": 1, "real_envs": 2, "hidden": (16,)}
    result = run("ppo_torch", checkpoint, tmp_path, time_limit=4, **settings)
    assert len(result["before"]) == len(result["after"])
    with (tmp_path / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["timesteps"]) for row in rows] == [32, 64]
    assert all(float(row["episodes"]) >= 4 and float(row["kl"]) >= 0 for row in rows)
    weights = load_file(tmp_path / "agent.safetensors")
    size = weights["actor.0.weight"].shape[1]
    fresh = ppo.Agent(size, 8, ppo.Args(hidden=(16,)), torch.Generator())
    fresh.load_state_dict(weights)
    assert fresh.act(np.zeros((3, size), np.float32)).shape == (3, 8)


def test_every_argument_is_explained() -> None:
    source = inspect.getsource(ppo.Args).splitlines()
    for field in dataclasses.fields(ppo.Args):
        line = next(i for i, text in enumerate(source) if text.startswith(f"    {field.name}: "))
        assert source[line + 1].strip().startswith('"""'), f"{field.name} has no docstring"
