"""Options of the reward, as environments take them: bonus, discount, success alone, normalisation."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

import rla_gym
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.envs.world import RLAWorldEnv

gym.register_envs(rla_gym)

ACTIONS = np.random.default_rng(0).uniform(-1, 1, (20, 3, 8)).astype(np.float32)


def play(bundle: Bundle, **options: Any) -> tuple[np.ndarray, list[list[dict[str, Any]]]]:
    """Rewards (20, 3) and infos of three environments with the same seeds and actions."""
    env = RLAWorldVecEnv(bundle, 3, time_limit=6, **options)
    env.seed(5)
    env.reset()
    steps = [env.step(actions) for actions in ACTIONS]
    return np.array([step[1] for step in steps]), [step[3] for step in steps]


def test_a_bonus_is_paid_with_success(bundle: Bundle) -> None:
    distances = [info["goal_distance"] for infos in play(bundle)[1] for info in infos]
    options = {"success_threshold": float(np.median(distances)), "terminate_on_success": False}
    plain, infos = play(bundle, **options)
    paid, _ = play(bundle, **options, success_bonus=4.0)
    success = np.array([[info["success"] for info in step] for step in infos])
    assert 0.2 < success.mean() < 0.8
    np.testing.assert_allclose(paid - plain, 4.0 * success, atol=1e-5)
    alone, _ = play(bundle, **options, reward="success", reward_scale=2.0)
    assert np.array_equal(alone, 2.0 * success)


def test_discounted_progress_is_a_potential(bundle: Bundle) -> None:
    options = {"reward": "progress", "reward_scale": 2.0, "success_threshold": 0.0}
    paid, infos = play(bundle, **options, gamma=0.9)
    after = np.array([[info["goal_distance"] for info in step] for step in infos])
    starts = np.arange(20) % 6 == 0
    inside = ~starts[1:]  # steps whose distance before is that of the step before
    np.testing.assert_allclose(paid[1:][inside], (-1.8 * after[1:] + 2.0 * after[:-1])[inside], atol=1e-5)


@pytest.mark.parametrize("kind", ["returns", "rewards"])
def test_normalisation_scales_and_the_same_seed_gives_the_same(bundle: Bundle, kind: str) -> None:
    plain, _ = play(bundle)
    normalized, _ = play(bundle, normalize_reward=kind, reward_scale=1000.0)
    assert np.array_equal(np.sign(plain), np.sign(normalized))
    assert 0.2 < np.abs(normalized[10:]).mean() < 5 < 100 * np.abs(plain).mean()
    env = RLAWorldVecEnv(bundle, 3, time_limit=6, normalize_reward=kind, reward_scale=1000.0)
    for _ in range(2):
        env.seed(5)
        env.reset()
        assert np.array_equal([env.step(actions)[1] for actions in ACTIONS], normalized)
    env.reset()  # without a seed the statistics stay
    assert env.episodes.reward.normalization.count > 60


def test_both_checkers_find_nothing_with_all_of_it(checkpoint: Path) -> None:
    options = {"reward": "progress", "gamma": 0.95, "success_bonus": 1.0, "normalize_reward": "returns"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make("RLAWorld-v0", ckpt=str(checkpoint), **options).unwrapped
        gymnasium_check(env)
        sb3_check(env)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 1.5}, "gamma=1.5"),
        ({"reward": "goal", "gamma": 0.9}, "reward='progress'"),
        ({"success_bonus": -1.0}, "success_bonus=-1.0"),
        ({"normalize_reward": "all"}, "returns, rewards"),
        ({"reward": "success", "metric": "l1"}, "pass success_threshold"),
    ],
)
def test_wrong_options_are_refused(bundle: Bundle, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RLAWorldEnv(bundle, **options)
