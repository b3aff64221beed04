"""A policy on the robot acts exactly as it does in the real environment on the same frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import A2C, PPO, SAC, TD3

import rla_gym
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.real import RLARealEnv
from rla_gym.learning.deploy import RobotPolicy, load_agent


@pytest.fixture(scope="module")
def real(bundle: Bundle) -> Iterator[RLARealEnv]:
    env = RLARealEnv(bundle, start="task", terminate_on_success=False)
    env.reset(seed=3)
    yield env
    env.close()


def camera(env: RLARealEnv) -> tuple[np.ndarray, np.ndarray]:
    """What a robot would have at hand: the frame and its proprioception in its own units."""
    observed = env.episodes._observed[0]
    return observed.frame, observed.proprio


@pytest.mark.parametrize("algorithm", [PPO, SAC, TD3, A2C])
def test_it_acts_as_in_the_real_environment(
    algorithm: Any, real: RLARealEnv, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {} if algorithm in (PPO, A2C) else {"buffer_size": 10}
    agent = algorithm("MlpPolicy", real, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}, **sizes)
    agent.save(tmp_path / "agent.zip")
    policy = RobotPolicy(bundle, tmp_path / "agent.zip")
    assert (policy.obs_mode, policy.chunk) == ("features", bundle.config.chunk)
    seen, _ = real.reset(seed=7)
    executed: list[np.ndarray] = []
    whole = real.episodes.simulators.step

    def noted(moving: dict[int, np.ndarray], **options: Any) -> Any:
        executed.append(moving[0])
        return whole(moving, **options)

    monkeypatch.setattr(real.episodes.simulators, "step", noted)
    for _ in range(2):
        frame, proprio = camera(real)
        np.testing.assert_array_equal(policy.observe(frame, proprio), seen)
        actions = policy.act(frame, proprio)
        seen, *_ = real.step(agent.predict(seen, deterministic=True)[0])
        assert actions.shape == (bundle.config.chunk, bundle.config.action_size) and actions.dtype == np.float32
        np.testing.assert_array_equal(actions, executed[-1])
    assert np.abs(executed[0] - executed[1]).max() > 0  # the frame tells


def test_a_function_takes_the_observation_and_its_actions_are_in_the_robots_units(
    real: RLARealEnv, bundle: Bundle
) -> None:
    given: list[Any] = []
    size = bundle.config.chunk * bundle.config.action_size

    def outward(observation: Any) -> np.ndarray:
        given.append(observation)
        return np.full(size, 2.0)

    policy = rla_gym.RobotPolicy(bundle, outward, obs_mode="dict")
    np.testing.assert_array_equal(policy.act(*camera(real)), np.tile(bundle.config.action_high, (4, 1)))
    assert set(given[0]) == {"features", "proprio"}


def test_what_is_no_frame_proprioception_or_action_is_refused(real: RLARealEnv, bundle: Bundle, tmp_path: Path) -> None:
    policy = RobotPolicy(bundle, lambda observation: np.zeros(3))
    frame, proprio = camera(real)
    for wrong in (frame[:50], frame / 255.0):
        with pytest.raises(ValueError, match=r"expected \(112, 112, 3\) uint8"):
            policy.act(wrong, proprio)
    for other in (None, proprio[:1], np.full_like(proprio, np.nan)):
        with pytest.raises(ValueError, match=rf"expected \({bundle.config.proprio_size},\) finite numbers"):
            policy.act(frame, other)
    with pytest.raises(ValueError, match="actions have shape"):
        policy.act(frame, proprio)
    with pytest.raises(ValueError, match="an agent with `predict`"):
        RobotPolicy(bundle, 3)
    with pytest.raises(FileNotFoundError, match="no agent at"):
        load_agent(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(ValueError, match="no file of a Stable-Baselines3 agent"):
        load_agent(tmp_path / "text.zip")
    goals = rla_gym.RLAWorldGoalVecEnv(bundle, 1, success_threshold=0.05)
    agent = SAC("MultiInputPolicy", goals, device="cpu", buffer_size=10, policy_kwargs={"net_arch": [8]})
    with pytest.raises(ValueError, match="it pursues goals"):
        RobotPolicy(bundle, agent)
