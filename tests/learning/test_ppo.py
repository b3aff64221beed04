"""Training in the dream: what is paid there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.real_vector import RLARealVecEnv
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.envs.sb3_wrappers import UncertaintyPenaltyVecEnv
from rla_gym.learning.config import DemoConfig
from rla_gym.learning.parts import dream_env
from rla_gym.learning.ppo import SuccessBonus

ACTIONS = np.random.default_rng(0).uniform(-1, 1, (20, 6, 8)).astype(np.float32)


def play(env: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rewards (20, 6) and successes of six environments with the same seeds and actions."""
    env.seed(3)
    env.reset()
    steps = [env.step(actions) for actions in ACTIONS]
    return np.array([step[1] for step in steps]), np.array([[info["success"] for info in step[3]] for step in steps])


@pytest.mark.parametrize(("penalty", "terminate"), [(0.0, True), (0.7, True), (0.7, False)])
def test_the_option_of_the_environment_pays_what_the_wrapper_would(
    bundle: Bundle, penalty: float, terminate: bool
) -> None:
    config = DemoConfig(
        num_envs=6,
        success_bonus=0.37,
        disagreement_penalty=penalty,
        terminate_on_success=terminate,
        success_threshold=0.04,
        metric="features",
        temperature=1.0,
        precision="float32",
    )
    rewards, solved = play(dream_env(config, bundle))
    told = "disagreement" if penalty else None
    env: Any = RLAWorldVecEnv(
        bundle, 6, temperature=1.0, uncertainty=told, disagreement_samples=2, **config.dream_options()
    )
    env = SuccessBonus(env, config.success_bonus)
    wrapped, also = play(UncertaintyPenaltyVecEnv(env, penalty) if penalty else env)
    assert rewards.dtype == wrapped.dtype and np.array_equal(rewards, wrapped) and np.array_equal(solved, also)
    assert 0.03 < solved.mean() < 0.9


def test_in_the_simulator_the_bonus_is_for_the_tasks_own_rule(bundle: Bundle) -> None:
    """There the option pays by the distance, so that the demonstration wraps the environment instead."""
    options: dict[str, Any] = {"workers": 0, "success_threshold": 1e6, "time_limit": 3}
    plain, solved = play(RLARealVecEnv(bundle, 6, **options))
    optioned, _ = play(RLARealVecEnv(bundle, 6, success_bonus=2.0, **options))
    wrapped, _ = play(SuccessBonus(RLARealVecEnv(bundle, 6, **options), 2.0))
    np.testing.assert_allclose(optioned - plain, 2.0, atol=1e-5)
    np.testing.assert_allclose(wrapped - plain, 2.0 * solved, atol=1e-5)
    assert not solved.all()
