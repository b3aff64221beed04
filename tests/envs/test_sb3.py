"""The batched SB3 environment: each row is a single environment, resets and infos as SB3 wants them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize, VecVideoRecorder

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.envs.world import RLAWorldEnv
from tests.envs.videos import assert_shows

OPTIONS = {"time_limit": 3, "temperature": 1.0, "success_threshold": 0.02}


@pytest.mark.parametrize("num_envs", [3, 11])
def test_rows_equal_single_environments(checkpoint: Path, num_envs: int) -> None:
    batched = RLAWorldVecEnv(checkpoint, num_envs, **OPTIONS)
    singles = [RLAWorldEnv(checkpoint, **OPTIONS) for _ in range(num_envs)]
    batched.seed(40)
    observations = batched.reset()
    for index, env in enumerate(singles):
        assert np.array_equal(observations[index], env.reset(seed=40 + index)[0])
    generator, resets = np.random.default_rng(0), 0
    for _ in range(8):
        actions = generator.uniform(-1, 1, (num_envs, 8)).astype(np.float32)
        observations, rewards, dones, infos = batched.step(actions)
        for index, env in enumerate(singles):
            observation, reward, terminated, truncated, info = env.step(actions[index])
            assert rewards[index] == np.float32(reward)
            assert dones[index] == (terminated or truncated)
            assert infos[index]["TimeLimit.truncated"] is (truncated and not terminated)
            assert all(infos[index][key] == value for key, value in info.items())
            if dones[index]:
                resets += 1
                assert np.array_equal(infos[index]["terminal_observation"], observation)
                observation, _ = env.reset()
            assert np.array_equal(observations[index], observation)
    assert resets >= num_envs


def test_dict_and_pixel_observations_reset(checkpoint: Path) -> None:
    for obs_mode in ("dict", "pixels"):
        env = RLAWorldVecEnv(checkpoint, 2, obs_mode=obs_mode, time_limit=1)
        env.seed(0)
        env.reset()
        observation, _, dones, infos = env.step(np.zeros((2, 8), np.float32))
        assert dones.all()
        assert env.observation_space.contains(infos[0]["terminal_observation"])
        row = {key: value[0] for key, value in observation.items()} if obs_mode == "dict" else observation[0]
        assert env.observation_space.contains(row)


def test_seeds_and_options_are_used_at_the_next_reset(checkpoint: Path) -> None:
    env = RLAWorldVecEnv(checkpoint, 2)
    env.seed(3)
    first = env.reset()
    assert not np.array_equal(first, env.reset())
    env.seed(3)
    assert np.array_equal(first, env.reset())
    env.set_options([{"reference": 1, "frame": 2}, {"reference": 0}])
    env.reset()
    assert [(info["reference"], info["frame"]) for info in env.reset_infos] == [(1, 2), (0, 0)]


def test_pictures(checkpoint: Path) -> None:
    env = RLAWorldVecEnv(checkpoint, 3)
    env.reset()
    images = env.get_images()
    assert len(images) == 3 and images[0].shape == (112, 112, 3) and images[0].dtype == np.uint8
    assert env.render().shape[2] == 3


def test_stable_baselines_wrappers_go_on_top(bundle: Bundle) -> None:
    options = {"time_limit": 3, "temperature": 1.0, "success_threshold": 0.0}
    plain = RLAWorldVecEnv(bundle, 3, **options)
    wrapped = VecNormalize(VecMonitor(RLAWorldVecEnv(bundle, 3, **options)), gamma=0.9)
    plain.seed(1)
    wrapped.seed(1)
    wrapped.reset()
    assert np.array_equal(plain.reset(), wrapped.get_original_obs())
    returns = np.zeros(3)
    for number in range(6):
        observations, rewards, _, infos = plain.step(np.full((3, 8), 0.1, np.float32))
        _, _, dones, told = wrapped.step(np.full((3, 8), 0.1, np.float32))
        returns += rewards
        assert np.array_equal(wrapped.get_original_obs(), observations)
        assert np.array_equal(wrapped.get_original_reward(), rewards)
        assert dones.all() == (number % 3 == 2)
        if dones.all():
            assert [info["episode"]["l"] for info in told] == [3, 3, 3]
            np.testing.assert_allclose([info["episode"]["r"] for info in told], returns, atol=1e-5)
            last = wrapped.normalize_obs(np.stack([info["terminal_observation"] for info in infos]))
            assert np.array_equal([info["terminal_observation"] for info in told], last)
            returns[:] = 0


def test_videos(checkpoint: Path, tmp_path: Path) -> None:
    env = RLAWorldVecEnv(checkpoint, 2)
    assert env.metadata["render_fps"] == 2  # 10 control steps a second in chunks of 4
    recorder = VecVideoRecorder(env, str(tmp_path), lambda step: step == 0, video_length=3)
    recorder.reset()
    shown = [env.render()]
    for _ in range(4):
        recorder.step(np.ones((2, 8), np.float32))
        shown.append(env.render())
    recorder.close()
    (path,) = tmp_path.glob("*.mp4")
    assert_shows(path, np.array(shown[:4]), fps=2)


def test_ppo_learns_a_step(checkpoint: Path) -> None:
    env = VecMonitor(RLAWorldVecEnv(checkpoint, 4, time_limit=4))
    agent = PPO("MlpPolicy", env, n_steps=8, batch_size=16, n_epochs=1, seed=0, device="cpu").learn(32)
    assert env.num_envs == 4
    assert len(agent.ep_success_buffer) >= 4, "what Stable-Baselines3 makes its success rate of"


def test_nothing_is_stepped_or_drawn_before_a_reset(bundle: Bundle) -> None:
    env = RLAWorldVecEnv(bundle, 2)
    with pytest.raises(ResetNeeded, match="before stepping"):
        env.step(np.zeros((2, 8), np.float32))
    with pytest.raises(ResetNeeded, match="before rendering"):
        env.get_images()
    env.reset()
    env.step(np.zeros((2, 8), np.float32))


def test_wrong_actions_are_refused(checkpoint: Path, bundle: Bundle) -> None:
    env = RLAWorldVecEnv(bundle, 2)
    env.reset()
    with pytest.raises(ValueError, match="environments \\[1\\]"):
        env.step(np.array([np.zeros(8), np.full(8, np.nan)], np.float32))
    with pytest.raises(ValueError, match=r"expected \(2, 8\)"):
        env.step(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="at least 1"):
        RLAWorldVecEnv(bundle, 0)
