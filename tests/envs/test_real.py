"""RLAReal-v0: a replay of what was recorded arrives where it was recorded, behind the dream's spaces."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

import rla_gym
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.real import RLARealEnv
from rla_gym.envs.real_vector import RLARealVecEnv
from rla_gym.envs.world import RLAWorldEnv
from rla_gym.rewards import RunningNormalization
from rla_gym.tasks import make_task

gym.register_envs(rla_gym)


def successful(bundle: Bundle) -> list[int]:
    return np.flatnonzero(bundle.references.successes.numpy()).tolist()


def recorded_chunks(bundle: Bundle, episode: int, chunk: int) -> np.ndarray:
    """Recorded actions as flattened chunks (n, chunk * A) in [-1, 1]; the rest of the last chunk is left out."""
    references = bundle.references
    start, count = int(references.starts[episode]), int(references.lengths[episode]) - 1
    actions = bundle.scale_actions(references.actions[start : start + count].numpy())
    return actions[: count // chunk * chunk].reshape(count // chunk, -1)


@pytest.mark.parametrize("options", [{}, {"start": "task"}, {"obs_mode": "pixels"}])
def test_both_checkers_find_nothing(checkpoint: Path, options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make("RLAReal-v0", ckpt=str(checkpoint), render_mode="rgb_array", **options).unwrapped
        gymnasium_check(env)
        sb3_check(env)


def test_a_replay_has_the_recorded_tokens_and_success(bundle: Bundle) -> None:
    for episode in successful(bundle)[:3]:
        reward_options = {"reward": "corresponding", "metric": "l1", "patches": "all"}
        env = RLARealEnv(bundle, terminate_on_success=False, chunk=1, **reward_options)
        _, info = env.reset(options={"reference": episode})
        solved = False
        for action in recorded_chunks(bundle, episode, 1):
            _, reward, _, _, info = env.step(action)
            # Tokens have a standard deviation of 1; float16 keeps three digits, a frame too early or late does not.
            assert info["distance"] < 5e-3
            assert reward == pytest.approx(-10.0 * info["distance"])
            solved = solved or info["success"]
        assert solved
        assert info["goal_distance"] < 5e-3
        row = int(bundle.references.starts[episode] + bundle.references.lengths[episode]) - 1
        assert np.array_equal(info["objects"], bundle.references.objects[row].numpy())
        env.close()


def test_success_within_a_chunk_ends_the_episode(bundle: Bundle) -> None:
    episode = successful(bundle)[0]
    env = RLARealEnv(bundle, reward="success")
    env.reset(options={"reference": episode})
    rewards, terminated = [], False
    for action in recorded_chunks(bundle, episode, 4):
        _, reward, terminated, _, info = env.step(action)
        rewards.append(reward)
        if terminated:
            break
    assert terminated and info["success"] is True
    assert rewards == [0.0] * (len(rewards) - 1) + [1.0]


def replayed_rewards(bundle: Bundle, episode: int, **options: Any) -> tuple[list[float], list[bool]]:
    """Rewards of a recording's own actions, and in which steps the task was solved."""
    env = RLARealEnv(bundle, terminate_on_success=False, **options)
    env.reset(seed=0, options={"reference": episode})
    steps = [env.step(action) for action in recorded_chunks(bundle, episode, 4)]
    env.close()
    return [step[1] for step in steps], [step[4]["success"] for step in steps]


def test_success_pays_scale_and_bonus_and_may_be_normalised(bundle: Bundle) -> None:
    """By the task's own rule; the threshold of a distance has no part in it."""
    episode = successful(bundle)[0]
    plain, solved = replayed_rewards(bundle, episode, reward="success")
    assert plain == [float(success) for success in solved] and 0 < sum(solved) < len(solved)
    paid, _ = replayed_rewards(bundle, episode, reward="success", reward_scale=2.0, success_bonus=0.5)
    assert paid == [2.5 * success for success in solved]
    for kind, gamma in (("rewards", None), ("returns", 0.9)):
        options: dict[str, Any] = {"normalize_reward": kind, "gamma": gamma}
        found, _ = replayed_rewards(bundle, episode, reward="success", success_bonus=99.0, **options)
        expected = RunningNormalization(1, kind, gamma or 1.0)
        assert found == [float(expected(torch.tensor([100.0 * success]))) for success in solved]
        assert max(found) < 11


@pytest.mark.parametrize("kind", [None, "returns"])
def test_episodes_of_the_task_take_the_same_rewards(checkpoint: Path, kind: str | None) -> None:
    """No reference is there, and bonus and normalisation work all the same; the scripted expert solves the task."""
    gamma = None if kind is None else 0.9
    options: dict[str, Any] = {"success_bonus": 3.0, "normalize_reward": kind, "gamma": gamma, "chunk": 1}
    env = RLARealEnv(checkpoint, start="task", obs_mode="pixels", terminate_on_success=False, **options)
    expected = RunningNormalization(1, "returns", 0.9)
    solved: list[bool] = []
    for _ in range(2):  # the same seed gives the same rewards: statistics begin anew with it
        env.reset(seed=0)
        expected.restart()
        policy, solved = env.episodes.simulators._tasks[0].demonstrator("expert", 0.0, 0), []
        for _ in range(48):
            _, reward, _, _, info = env.step(env.episodes.bundle.scale_actions(policy()))
            paid = torch.tensor([4.0 * info["success"]])
            assert reward == float(paid if kind is None else expected(paid))
            solved.append(info["success"])
    assert 0 < sum(solved) < 48
    env.close()


def test_the_dream_and_the_simulator_start_alike(bundle: Bundle) -> None:
    dream, real = RLAWorldEnv(bundle), RLARealEnv(bundle)
    assert dream.observation_space == real.observation_space and dream.action_space == real.action_space
    for seed in range(4):
        (dreamt, one), (seen, other) = dream.reset(seed=seed), real.reset(seed=seed)
        np.testing.assert_allclose(dreamt, seen, atol=5e-3)
        assert (one["reference"], one["frame"]) == (other["reference"], other["frame"])
        assert one["goal_distance"] == pytest.approx(other["goal_distance"], abs=5e-3)


@pytest.mark.parametrize(("start", "workers"), [("task", 2), ("reference", 0)])
def test_rows_equal_single_environments(checkpoint: Path, start: str, workers: int) -> None:
    batched = RLARealVecEnv(checkpoint, 3, workers=workers, start=start, time_limit=2)
    try:
        singles = [RLARealEnv(checkpoint, start=start, time_limit=2) for _ in range(3)]
        batched.seed(5)
        observations = batched.reset()
        for index, env in enumerate(singles):
            np.testing.assert_allclose(observations[index], env.reset(seed=5 + index)[0], atol=1e-3)
        generator = np.random.default_rng(0)
        for _ in range(3):
            actions = generator.uniform(-1, 1, (3, 8)).astype(np.float32)
            observations, rewards, dones, infos = batched.step(actions)
            for index, env in enumerate(singles):
                observation, reward, terminated, truncated, info = env.step(actions[index])
                assert rewards[index] == pytest.approx(reward, abs=1e-2)
                assert dones[index] == (terminated or truncated)
                assert np.array_equal(infos[index]["objects"], info["objects"])
                if dones[index]:
                    observation, _ = env.reset()
                np.testing.assert_allclose(observations[index], observation, atol=1e-3)
        assert batched.get_images()[2].shape == (112, 112, 3)
    finally:
        batched.close()
        batched.close()


def test_task_starts_differ(checkpoint: Path) -> None:
    env = RLARealEnv(checkpoint, start="task", obs_mode="pixels")
    first = env.reset(seed=1)[1]["objects"]
    assert not np.array_equal(first, env.reset()[1]["objects"])
    assert np.array_equal(first, env.reset(seed=1)[1]["objects"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "somewhere"}, "reference, task"),
        ({"start": "task", "reward": "progress"}, "start='reference'"),
        ({"reward": "sparse"}, "corresponding"),
        ({"start": "task", "metric": "l1"}, "metric='l1': start='task' has no reference"),
        ({"start": "task", "patches": "all"}, "patches='all'"),
        ({"start": "task", "success_threshold": 0.1}, "success_threshold=0.1"),
        ({"start": "task", "references": [1]}, "references="),
        ({"start": "task", "successful_references": False}, "successful_references=False"),
        ({"start": "task", "dataset": "data/push-cube"}, "dataset='data/push-cube'"),
        ({"start": "task", "p_initial_frame": 1.0}, "p_initial_frame=1.0"),
        ({"start": "task", "reward_scale": 0.0}, "positive"),
        ({"start": "task", "success_bonus": -1.0}, "success_bonus=-1.0"),
        ({"start": "task", "normalize_reward": "all"}, "returns, rewards"),
        ({"start": "task", "gamma": 0.9}, "normalize_reward='returns'"),
        ({"reward": "success", "gamma": 0.9}, "normalize_reward='returns'"),
    ],
)
def test_wrong_options_are_refused(bundle: Bundle, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RLARealEnv(bundle, **options)
    with pytest.raises(ValueError, match=message):
        RLARealVecEnv(bundle, 2, workers=0, **options)


def test_the_task_is_made_with_the_options_that_it_was_recorded_with(bundle: Bundle) -> None:
    view = {"lookat": [0.0, 0.0, 0.0], "distance": 0.7, "azimuth": 0.0, "elevation": -60.0}
    other = replace(bundle, config=replace(bundle.config, task_options={"camera": view}))
    env = gym.make("RLAReal-v0", ckpt=other, render_mode="rgb_array", start="task")
    env.reset(seed=0)
    frame = env.render()
    task = make_task(bundle.config.task, camera=view)
    task.set_state(env.unwrapped.episodes.simulators._tasks[0].get_state())
    assert np.array_equal(frame, task.render())
    task.close()
    env.close()


def test_frames_of_another_size_are_refused(bundle: Bundle) -> None:
    other = replace(bundle, config=replace(bundle.config, task_options={"frame_size": [56, 56]}))
    env = gym.make("RLAReal-v0", ckpt=other, start="task")
    with pytest.raises(ValueError, match=r"renders frames of \(56, 56\), .* was trained on \(112, 112\)"):
        env.reset(seed=0)
    env.close()


def test_nan_is_refused(bundle: Bundle) -> None:
    env = RLARealEnv(bundle)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="NaN"):
        env.step(np.full(8, np.nan, np.float32))
