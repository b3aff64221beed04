"""What Gymnasium asks of its own environments, asked of ours; its single wrappers, SB3's agents and RLlib's on them."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.utils.env_checker import data_equivalence
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_checker import check_env as sb3_check

import rla_gym
from tests.envs.videos import assert_shows

gym.register_envs(rla_gym)

WORLD, GOAL, REAL = "RLAWorld-v0", "RLAWorldGoal-v0", "RLAReal-v0"
IDS = (WORLD, GOAL, REAL)
DREAMS = (WORLD, GOAL)
NEEDED: dict[str, dict[str, Any]] = {GOAL: {"success_threshold": 0.03}}
"""Options without which the small checkpoint has no environment of that id."""
MODES = rla_gym.RLAWorldEnv.metadata["render_modes"]


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Windows open on a virtual display, and no warning passes."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def make(name: str, checkpoint: Path, **options: Any) -> gym.Env[Any, Any]:
    return gym.make(name, ckpt=str(checkpoint), **{**NEEDED.get(name, {}), **options})


def equal(first: Any, second: Any) -> bool:
    return bool(data_equivalence(first, second, exact=True))


@pytest.mark.parametrize("name", IDS)
def test_checkers(checkpoint: Path, name: str) -> None:
    """All render modes are re-made from the spec inside Gymnasium's checker."""
    env = make(name, checkpoint, render_mode="rgb_array")
    gymnasium_check(env.unwrapped)
    sb3_check(env.unwrapped, skip_render_check=False)


@pytest.mark.parametrize("name", IDS)
def test_two_copies_step_equal(checkpoint: Path, name: str) -> None:
    options = {} if name == REAL else {"temperature": 1.0}
    first, second = (make(name, checkpoint, **options) for _ in range(2))
    first.action_space.seed(0)
    assert equal(first.reset(seed=3), second.reset(seed=3))
    ended = 0
    for _ in range(50):
        action = first.action_space.sample()
        one, other = first.step(action), second.step(action)
        assert equal(one, other)
        assert first.observation_space.contains(one[0])
        if one[2] or one[3]:
            ended += 1
            assert equal(first.reset(), second.reset())
    assert ended >= 3
    first.close()
    second.close()


@pytest.mark.parametrize("name", IDS)
def test_specs_travel(checkpoint: Path, name: str) -> None:
    spec = make(name, checkpoint, render_mode="rgb_array", chunk=2).spec
    assert spec is not None
    assert pickle.loads(pickle.dumps(spec)) == spec
    again = EnvSpec.from_json(spec.to_json())
    assert again == spec
    env = gym.make(again)
    assert env.action_space.shape == (4,) and env.render_mode == "rgb_array"
    env.close()


@pytest.mark.parametrize("name", IDS)
def test_environments_travel(checkpoint: Path, name: str) -> None:
    env = make(name, checkpoint)
    copy = pickle.loads(pickle.dumps(env))
    assert equal(env.reset(seed=5), copy.reset(seed=5))
    action = env.action_space.sample()
    assert equal(env.step(action), copy.step(action))
    later = pickle.loads(pickle.dumps(env))
    if name in DREAMS:  # its state is its own; a simulator's stays behind, and the copy goes on with the next episode
        assert equal(env.step(action), later.step(action))
    else:
        with pytest.raises(gym.error.ResetNeeded):
            later.unwrapped.step(action)
    assert equal(env.reset(), later.reset())
    for each in (env, copy, later):
        each.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", IDS)
def test_render_modes_are_made_again_from_the_spec(checkpoint: Path, name: str, mode: str) -> None:
    if mode == "human":
        pytest.importorskip("pygame")
    spec = make(name, checkpoint).spec
    assert spec is not None
    env = spec.make(render_mode=mode)
    assert env.render_mode == mode
    env.reset(seed=0)
    picture = env.render()
    expected = {"human": type(None), "rgb_array": np.ndarray, "rgb_array_list": list}
    assert type(picture) is expected[mode]
    if mode != "human":
        picture = picture if mode == "rgb_array" else picture[0]
        assert picture.shape == (112, 112, 3) and picture.dtype == np.uint8
    env.close()
    env.close()


@pytest.mark.parametrize("name", IDS)
def test_closing_twice_and_opening_again(checkpoint: Path, name: str) -> None:
    env = make(name, checkpoint)
    first = env.reset(seed=1)
    env.close()
    env.close()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(env.action_space.sample())
    assert equal(first, env.reset(seed=1))
    env.close()


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("obs_mode", ["features", "tokens", "pixels"])
def test_spaces_are_finite_and_hold_what_is_seen(checkpoint: Path, name: str, obs_mode: str) -> None:
    env = make(name, checkpoint, obs_mode=obs_mode)
    space = env.observation_space
    for box in space.spaces.values() if isinstance(space, gym.spaces.Dict) else (space, env.action_space):
        assert np.isfinite(box.low).all() and np.isfinite(box.high).all()
        assert box.dtype != np.uint8 or min(box.shape[:2]) >= 36  # pixels, as many as SB3's networks need
    seen, _ = env.reset(seed=0)
    assert space.contains(seen) and space.contains(env.step(env.action_space.sample())[0])
    env.close()


def test_only_goal_environments_say_compute_reward() -> None:
    """Stable-Baselines3 takes whatever has a method of that name for a goal environment."""
    found = {name for name in rla_gym.__all__ if hasattr(getattr(rla_gym, name), "compute_reward")}
    assert found == {"RLAWorldGoalEnv", "RLAWorldGoalVectorEnv", "RLAWorldGoalVecEnv"}


def test_wrappers_in_a_vector_of_single_environments(checkpoint: Path) -> None:
    """Some of Gymnasium's wrappers are of single environments alone: `make_vec` puts them on each."""
    inside = [partial(wrappers.TimeLimit, max_episode_steps=3), partial(wrappers.FrameStackObservation, stack_size=2)]
    env = gym.make_vec(WORLD, num_envs=2, vectorization_mode="sync", wrappers=inside, ckpt=str(checkpoint))
    plain = gym.make_vec(WORLD, num_envs=2, ckpt=str(checkpoint))
    (stacked, _), (seen, _) = env.reset(seed=4), plain.reset(seed=4)
    assert np.array_equal(stacked, np.stack([seen, seen], axis=1))
    for step in range(3):
        action = env.action_space.sample()
        (stacked, reward, *_, truncated, _), (after, expected, *_) = env.step(action), plain.step(action)
        assert np.array_equal(stacked, np.stack([seen, after], axis=1)) and np.array_equal(reward, expected)
        assert truncated.all() == (step == 2)
        seen = after
    env.close()


def test_wrappers_of_observations_and_rewards(checkpoint: Path) -> None:
    plain = make(WORLD, checkpoint)
    space = plain.observation_space
    env: gym.Env[Any, Any] = wrappers.TimeLimit(make(WORLD, checkpoint), 3)
    env = wrappers.RecordEpisodeStatistics(env)
    env = wrappers.TransformObservation(env, lambda seen: -seen, space)
    env = wrappers.FrameStackObservation(env, 2)
    env = wrappers.NormalizeReward(env)
    first, _ = plain.reset(seed=2)
    stacked, _ = env.reset(seed=2)
    assert np.array_equal(stacked, [-first, -first])
    rewards = []
    for step in range(3):
        action = plain.action_space.sample()
        second, reward, _, _, _ = plain.step(action)
        stacked, normalized, _, truncated, info = env.step(action)
        assert np.array_equal(stacked, [-first, -second])
        assert np.isfinite(normalized)
        rewards.append(reward)
        first = second
        assert truncated is (step == 2)
    assert info["episode"]["l"] == 3 and info["episode"]["r"] == pytest.approx(sum(rewards))


@pytest.mark.parametrize("name", IDS)
def test_videos(checkpoint: Path, name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # moviepy's own
        plain: gym.Env[Any, Any] = make(name, checkpoint, render_mode="rgb_array", max_episode_steps=3)
        env = wrappers.RecordVideo(plain, str(tmp_path / "videos"), episode_trigger=lambda _: True)
        env.reset(seed=0)
        shown, ended = [plain.render()], False
        while not ended:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            shown.append(plain.render())
            ended = terminated or truncated
        env.close()
    (path,) = (tmp_path / "videos").glob("*.mp4")
    assert_shows(path, np.array(shown), fps=plain.metadata["render_fps"])


def test_sb3_learns_in_it_unmodified(checkpoint: Path) -> None:
    options = {"seed": 0, "device": "cpu", "policy_kwargs": {"net_arch": [8]}}
    env = make(WORLD, checkpoint, max_episode_steps=4)
    ppo = PPO("MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, **options).learn(16)
    sac = SAC("MlpPolicy", env, learning_starts=4, batch_size=4, buffer_size=32, **options).learn(8)
    for agent in (ppo, sac):
        action, _ = agent.predict(env.reset(seed=0)[0])
        assert action in env.action_space
    assert (ppo.num_timesteps, sac.num_timesteps) == (16, 8)


@pytest.mark.slow
def test_rllib_learns_in_it_unmodified(checkpoint: Path) -> None:
    """Where `pip install "ray[rllib]"` was done, in an environment of its own: it brings an older Gymnasium."""
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.rllib")
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.tune.registry import register_env

    register_env("dream", lambda options: gym.make("rla_gym:RLAWorld-v0", **options))
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # Ray's own
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
        config = (
            PPOConfig()
            .environment("dream", env_config={"ckpt": str(checkpoint), "max_episode_steps": 4})
            .env_runners(num_env_runners=0)
            .training(train_batch_size_per_learner=64, minibatch_size=32, num_epochs=1)
        )
        algorithm = config.build_algo()
        try:
            assert algorithm.train()["env_runners"]["num_env_steps_sampled_lifetime"] >= 64
        finally:
            algorithm.stop()
            ray.shutdown()


NATIVE = [name for name in rla_gym.__all__ if name.endswith("Env") and not name.endswith("VecEnv")]


@pytest.mark.parametrize("name", NATIVE)
def test_a_direct_base_is_gymnasiums(name: str) -> None:
    """skrl's `wrap_env` looks no further to know whose environment it is given."""
    assert any(base.__module__.startswith("gymnasium.") for base in getattr(rla_gym, name).__bases__)
