"""Agents are recognised, loaded with their statistics, and refused where their spaces are others."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3

from rla_gym.bench.agents import load_agent, load_agents
from rla_gym.bench.sb3_files import normalizer_of, recognise
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.spaces import action_space, observation_space

SMALL = {"net_arch": [4]}


def forward_policy(bundle: Bundle) -> Any:
    """An entry point."""

    class Forward:
        chunk = 1
        obs_mode = "pixels"

        def predict(self, observation: np.ndarray, deterministic: bool = False) -> tuple[np.ndarray, None]:
            return np.ones((len(observation), bundle.config.action_size), np.float32), None

    return Forward()


def nothing(bundle: Bundle) -> None:
    """Not a policy."""


@pytest.mark.parametrize("kind", [PPO, A2C, SAC, TD3, DDPG, DQN])
def test_the_algorithm_is_read_without_unpickling(kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = gym.make("CartPole-v1" if kind is DQN else "Pendulum-v1")
    settings = {} if kind in (PPO, A2C) else {"buffer_size": 10}
    kind("MlpPolicy", env, policy_kwargs=dict(SMALL), **settings).save(tmp_path / "agent.zip")
    with monkeypatch.context() as patched:
        patched.setattr("cloudpickle.loads", lambda *_: pytest.fail("unpickled"))
        patched.setattr("pickle.loads", lambda *_: pytest.fail("unpickled"))
        found, _ = recognise(tmp_path / "agent.zip")
    assert found == ("TD3" if kind is DDPG else kind.__name__)


def test_what_is_no_agent(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("data", '{"policy_class": {"__module__": "mine"}}')
    for name, text in (("text.zip", "is no agent"), ("other.zip", "its algorithm is not recognised")):
        with pytest.raises(ValueError, match=text):
            load_agent(str(tmp_path / name), bundle)
    with pytest.raises(FileNotFoundError, match="no agent at"):
        load_agent(str(tmp_path / "none.zip"), bundle)


def test_an_agent_acts_as_its_own_model_does(agents: dict[str, Path], bundle: Bundle) -> None:
    agent = load_agent(str(agents["ppo"]), bundle)
    space = observation_space(bundle, "features")
    space.seed(0)
    observation = np.stack([space.sample() for _ in range(3)])
    actions, _ = agent.act(observation, None, np.ones(3, bool), True)
    np.testing.assert_array_equal(actions, PPO.load(agents["ppo"]).predict(observation, deterministic=True)[0])
    assert (agent.name, agent.algorithm, agent.obs_mode, agent.chunk) == ("ppo", "PPO", "features", bundle.config.chunk)
    assert agent.normalizer is None and list(agent.facts["hashes"]) == ["ppo.zip"]


def test_observations_pass_the_agents_own_statistics(agents: dict[str, Path], bundle: Bundle) -> None:
    agent = load_agent(str(agents["normalized"]), bundle)
    assert sorted(agent.facts["hashes"]) == ["normalized.zip", "normalized_vecnormalize.pkl"]
    space = observation_space(bundle, "features")
    space.seed(0)
    observation = np.stack([space.sample() for _ in range(3)])
    rms = agent.normalizer.obs_rms
    scaled = np.clip((observation - rms.mean) / np.sqrt(rms.var + agent.normalizer.epsilon), -10, 10)
    wanted = PPO.load(agents["normalized"]).predict(scaled.astype(np.float32), deterministic=True)[0]
    actions, _ = agent.act(observation, None, np.ones(3, bool), True)
    np.testing.assert_allclose(actions, wanted, atol=1e-6)
    assert np.abs(actions - PPO.load(agents["normalized"]).predict(observation, deterministic=True)[0]).max() > 1e-3


def test_the_environment_follows_from_the_spaces(agents: dict[str, Path], bundle: Bundle) -> None:
    agent = load_agent(f"mine={agents['sac']}", bundle)
    assert (agent.name, agent.algorithm, agent.obs_mode, agent.chunk) == ("mine", "SAC", "dict", 2)
    assert agent.policy.replay_buffer.buffer_size == 1


def test_statistics_that_lie_beside(tmp_path: Path) -> None:
    for name in ("a.zip", "ppo_1000_steps.zip", "vecnormalize.pkl", "ppo_vecnormalize_1000_steps.pkl"):
        (tmp_path / name).touch()
    assert normalizer_of(tmp_path / "a.zip") is None  # whose it is cannot be told from two agents
    assert normalizer_of(tmp_path / "ppo_1000_steps.zip") == tmp_path / "ppo_vecnormalize_1000_steps.pkl"
    (tmp_path / "ppo_1000_steps.zip").unlink()
    assert normalizer_of(tmp_path / "a.zip") == tmp_path / "vecnormalize.pkl"
    (tmp_path / "a.pkl").touch()
    assert normalizer_of(tmp_path / "a.zip") == tmp_path / "a.pkl"


def test_other_statistics_are_refused(agents: dict[str, Path], bundle: Bundle, tmp_path: Path) -> None:
    shutil.copy(agents["ppo"], tmp_path / "a.zip")
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04N.")  # a pickled None
    with pytest.raises(ValueError, match="holds NoneType: expected a VecNormalize"):
        load_agent(str(tmp_path / "a.zip"), bundle)


def test_agents_of_other_spaces_say_what_differs(tmp_path: Path, bundle: Bundle) -> None:
    PPO("MlpPolicy", "Pendulum-v1", policy_kwargs=dict(SMALL)).save(tmp_path / "seen.zip")
    with pytest.raises(ValueError, match=r"observations Box\(3,\) float32, .* gives obs_mode='features'"):
        load_agent(str(tmp_path / "seen.zip"), bundle)

    class Wide(gym.Env[Any, Any]):
        observation_space = observation_space(bundle, "features")
        action_space = gym.spaces.Box(-1, 1, (7,), np.float32)

    PPO("MlpPolicy", Wide(), policy_kwargs=dict(SMALL)).save(tmp_path / "acted.zip")
    size = action_space(bundle, bundle.config.chunk).shape[0]
    with pytest.raises(ValueError, match=rf"actions Box\(7,\) float32, checkpoint 'small' takes Box\({size},\)"):
        load_agent(str(tmp_path / "acted.zip"), bundle)


def test_entry_points(bundle: Bundle) -> None:
    here = f"{forward_policy.__module__}:forward_policy"
    agent = load_agent(here, bundle)
    assert (agent.name, agent.algorithm, agent.obs_mode, agent.chunk) == ("forward_policy", "entry point", "pixels", 1)
    actions, _ = agent.act(np.zeros((2, 112, 112, 3), np.uint8), None, np.ones(2, bool), True)
    assert actions.shape == (2, bundle.config.action_size)
    with pytest.raises(ValueError, match=r"returned NoneType: expected an object with .* predict"):
        load_agent(f"{nothing.__module__}:nothing", bundle)
    with pytest.raises(ValueError, match="No module named 'nowhere'"):
        load_agent("nowhere:policy", bundle)


def test_random_actions_are_the_same_on_both_sides(bundle: Bundle) -> None:
    agent = load_agent("rla_gym.bench.agents:random_policy", bundle)
    observation = np.zeros((3, 1), np.float32)
    first, state = agent.act(observation, None, np.ones(3, bool), True)
    second, _ = agent.act(observation, state, np.zeros(3, bool), True)
    again, _ = agent.act(observation[:2], None, np.ones(2, bool), True)
    np.testing.assert_array_equal(first[:2], again)
    assert np.abs(first - second).max() > 0.1 and np.abs(first[0] - first[1]).max() > 0.1


def test_names_are_one_of_a_kind(agents: dict[str, Path], bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="name them apart"):
        load_agents([str(agents["ppo"])] * 2, bundle)
    with pytest.raises(ValueError, match="no agents"):
        load_agents([], bundle)
    assert [each.name for each in load_agents([f"a={agents['ppo']}", f"b={agents['ppo']}"], bundle)] == ["a", "b"]
