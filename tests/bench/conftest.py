"""Untrained agents of Stable-Baselines3 for the small checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import VecNormalize

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.sb3 import RLAWorldVecEnv


@pytest.fixture(scope="session")
def agents(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """ "ppo", "normalized" (PPO with a VecNormalize beside it) and "sac", on other observations and shorter chunks."""
    folder = tmp_path_factory.mktemp("agents")
    env = RLAWorldVecEnv(bundle, 2)
    small = {"net_arch": [8]}
    PPO("MlpPolicy", env, n_steps=1, batch_size=2, policy_kwargs=dict(small), seed=0).save(folder / "ppo.zip")
    normalized = VecNormalize(env, norm_reward=False)
    agent = PPO("MlpPolicy", normalized, n_steps=1, batch_size=2, n_epochs=1, policy_kwargs=dict(small), seed=1)
    agent.learn(2)
    agent.save(folder / "normalized.zip")
    normalized.save(str(folder / "normalized_vecnormalize.pkl"))
    other = RLAWorldVecEnv(bundle, 1, obs_mode="dict", chunk=2)
    SAC("MultiInputPolicy", other, buffer_size=10, policy_kwargs=dict(small), seed=2).save(folder / "sac.zip")
    return {name: folder / f"{name}.zip" for name in ("ppo", "normalized", "sac")}
