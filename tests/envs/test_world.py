"""RLAWorld-v0: both libraries' checkers, starts, seeds, ends and wrong input."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
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
from rla_gym.envs.world import RLAWorldEnv

gym.register_envs(rla_gym)


def make(checkpoint: Path, **options: Any) -> gym.Env[Any, Any]:
    return gym.make("RLAWorld-v0", ckpt=str(checkpoint), **options)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return bool(np.array_equal(first, second))


@pytest.mark.parametrize("obs_mode", ["features", "dict", "pixels"])
def test_both_checkers_find_nothing(checkpoint: Path, obs_mode: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = make(checkpoint, obs_mode=obs_mode, render_mode="rgb_array").unwrapped
        gymnasium_check(env)
        sb3_check(env)


def test_tokens_pass_gymnasium(checkpoint: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gymnasium_check(make(checkpoint, obs_mode="tokens").unwrapped)


def test_a_seed_gives_an_episode(checkpoint: Path) -> None:
    envs = [make(checkpoint), make(checkpoint)]
    firsts = [env.reset(seed=7) for env in envs]
    assert same(*firsts)
    actions = np.random.default_rng(0).uniform(-1, 1, (30, 8)).astype(np.float32)
    for action in actions:
        first, second = (env.step(action) for env in envs)
        assert same(first, second)
        if first[2] or first[3]:
            assert same(*(env.reset() for env in envs))
    assert not same(envs[0].reset(seed=7)[0], envs[0].reset(seed=8)[0])


def test_noise_changes_with_episodes_and_steps(checkpoint: Path) -> None:
    env = make(checkpoint, temperature=1.0, success_threshold=0.0)
    still = np.zeros(8, np.float32)
    env.reset(seed=1, options={"reference": 0, "frame": 0})
    first = env.step(still)[0]
    env.reset(options={"reference": 0, "frame": 0})
    assert not np.array_equal(first, env.step(still)[0])
    env.reset(seed=1, options={"reference": 0, "frame": 0})
    assert np.array_equal(first, env.step(still)[0])


def test_the_start_is_the_recorded_frame(checkpoint: Path, bundle: Bundle) -> None:
    env = make(checkpoint, obs_mode="tokens")
    observation, info = env.reset(options={"reference": 2, "frame": 5})
    row = int(bundle.references.starts[2]) + 5
    expected = bundle.standardize(bundle.references.tokens[row])
    assert np.array_equal(observation, expected.numpy())
    assert (info["reference"], info["frame"]) == (2, 5)


def test_starts_are_drawn_from_the_asked_references(checkpoint: Path, bundle: Bundle) -> None:
    env = make(checkpoint, references=[1, 4], p_initial_frame=0.5)
    infos = [env.reset(seed=seed)[1] for seed in range(40)]
    assert {info["reference"] for info in infos} == {1, 4}
    share = np.mean([info["frame"] == 0 for info in infos])
    assert 0.25 < share < 0.8
    assert all(info["frame"] <= int(bundle.references.lengths[info["reference"]]) - 1 - 4 for info in infos)


def test_episodes_truncate(checkpoint: Path) -> None:
    def longer() -> gym.Env[Any, Any]:
        return RLAWorldEnv(str(checkpoint), time_limit=20, success_threshold=0.0)

    shorter = make(checkpoint, time_limit=5, success_threshold=0.0)
    for env, expected in ((make(checkpoint, success_threshold=0.0), 12), (shorter, 5), (longer(), 20)):
        env.reset(seed=0)
        count, truncated = 0, False
        while not truncated:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            count += 1
            assert not terminated
        assert count == expected


def test_success_terminates_only_if_asked(checkpoint: Path) -> None:
    for terminate in (True, False):
        env = make(checkpoint, success_threshold=1e6, terminate_on_success=terminate)
        env.reset(seed=0)
        _, _, terminated, _, info = env.step(np.zeros(8, np.float32))
        assert info["success"] is True and terminated is terminate


def test_actions_are_clipped_and_checked(checkpoint: Path) -> None:
    env = make(checkpoint).unwrapped
    env.reset(seed=0)
    clipped = env.step(np.full(8, 3.0, np.float32))[0]
    env.reset(seed=0)
    assert np.array_equal(clipped, env.step(np.ones(8, np.float32))[0])
    with pytest.raises(ValueError, match="NaN"):
        env.step(np.full(8, np.nan, np.float32))
    with pytest.raises(ValueError, match=r"expected \(1, 8\)"):
        env.step(np.zeros(6, np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"obs_mode": "sound"}, "features, tokens"),
        ({"reward": "sparse"}, "corresponding, goal"),
        ({"metric": "l3"}, "l1, l2"),
        ({"patches": "some"}, "moving"),
        ({"reward_scale": 0.0}, "positive"),
        ({"chunk": 5}, "1 to 4"),
        ({"references": "holdout"}, "validation"),
        ({"references": [99]}, "numbers from 0"),
        ({"p_initial_frame": 1.5}, "from 0 to 1"),
        ({"temperature": -1.0}, "at least 0"),
        ({"steps": 0}, "at least 1"),
        ({"precision": "int8"}, "bf16"),
        ({"render_mode": "ansi"}, "rgb_array"),
    ],
)
def test_wrong_options_are_refused(checkpoint: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RLAWorldEnv(str(checkpoint), **options)


@pytest.mark.parametrize("options", [{"reference": 99}, {"reference": 0, "frame": 10_000}, {"frame": -1}, {"start": 3}])
def test_wrong_starts_are_refused(checkpoint: Path, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected|has frames"):
        make(checkpoint).reset(options=options)


def test_stepping_needs_a_reset(checkpoint: Path) -> None:
    with pytest.raises(gym.error.ResetNeeded):
        make(checkpoint).unwrapped.step(np.zeros(8, np.float32))


def test_shorter_chunks(checkpoint: Path) -> None:
    env = make(checkpoint, chunk=1)
    env.reset(seed=0, options={"reference": 0})
    assert env.action_space.shape == (2,)
    assert env.step(np.zeros(2, np.float32))[4]["frame"] == 1


def test_importing_is_cheap() -> None:
    code = "import sys, rla_gym; print([m for m in ('torch', 'mujoco', 'stable_baselines3') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_public_names_exist() -> None:
    for name in rla_gym.__all__:
        assert getattr(rla_gym, name) is not None
    with pytest.raises(AttributeError, match="RLAWorldEnv"):
        rla_gym.__getattr__("nothing")


def test_the_built_in_checkpoint_is_the_default(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(checkpoint, tmp_path / "push-cube")
    monkeypatch.setattr("rla_gym.checkpoint.resolve.BUILT_IN", tmp_path)
    world = gym.make("RLAWorld-v0").unwrapped
    assert world.episodes.bundle.path == (tmp_path / "push-cube").resolve()
    for environment in (rla_gym.RLARealEnv, rla_gym.RLAWorldVecEnv, rla_gym.RLARealVecEnv):
        assert inspect.signature(environment.__init__).parameters["ckpt"].default == "push-cube"
