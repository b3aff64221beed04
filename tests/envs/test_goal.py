"""RLAWorldGoal-v0: rewards follow from the goals to the last bit, any recorded frame is a goal, HER trains."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.env_checker import check_env as sb3_check

import rla_gym
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.goal import RLAWorldGoalEnv
from rla_gym.envs.goal_vector import RLAWorldGoalVecEnv
from rla_gym.envs.world import RLAWorldEnv

gym.register_envs(rla_gym)

NEAR = 0.03


def features(bundle: Bundle, reference: int, frame: int) -> np.ndarray:
    row = int(bundle.references.starts[reference]) + frame
    tokens = bundle.standardize(bundle.references.tokens[row : row + 1])
    return bundle.feature_map(tokens).clamp(-1, 1).numpy()[0]


def typical_distance(bundle: Bundle) -> float:
    """Median distance of achieved and desired goals in random dreams, so that as a threshold both sides occur."""
    env, generator, found = RLAWorldGoalVecEnv(bundle, 8, reward="goal"), np.random.default_rng(1), []
    env.seed(0)
    env.reset()
    for _ in range(4):
        _, rewards, _, _ = env.step(generator.uniform(-1, 1, (8, 8)).astype(np.float32))
        found.append(-rewards)
    return float(np.median(found))


@pytest.mark.parametrize(("reward", "metric"), [("sparse", "features"), ("goal", "objects")])
@pytest.mark.parametrize("obs_mode", ["features", "pixels"])
def test_both_checkers_find_nothing(checkpoint: Path, obs_mode: str, reward: str, metric: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options = {
            "obs_mode": obs_mode,
            "reward": reward,
            "metric": metric,
            "success_threshold": NEAR,
            "render_mode": "rgb_array",
        }
        env = gym.make("RLAWorldGoal-v0", ckpt=str(checkpoint), **options)
        gymnasium_check(env.unwrapped)
        sb3_check(env.unwrapped, skip_render_check=False)


@pytest.mark.parametrize("reward", ["sparse", "goal"])
def test_relabelled_rewards_are_those_of_the_step(bundle: Bundle, reward: str) -> None:
    options = {"reward": reward, "reward_scale": 0.3, "success_threshold": typical_distance(bundle)}
    single, batched = RLAWorldGoalEnv(bundle, **options), RLAWorldGoalVecEnv(bundle, 5, **options)
    batched.seed(11)
    batched.reset()
    single.reset(seed=11)
    generator, achieved, desired, paid = np.random.default_rng(0), [], [], []
    for _ in range(8):
        actions = generator.uniform(-1, 1, (5, 8)).astype(np.float32)
        seen, rewards, dones, _ = batched.step(actions)
        one, alone, *_ = single.step(actions[0])
        assert np.float32(alone) == rewards[0] and not dones.any()
        assert single.compute_reward(one["achieved_goal"], one["desired_goal"], {}) == alone
        assert all(np.array_equal(seen[key][0], one[key]) for key in one)
        achieved.append(seen["achieved_goal"])
        desired.append(seen["desired_goal"])
        paid.append(rewards)
    pairs = np.concatenate(achieved), np.concatenate(desired)
    assert np.array_equal(single.compute_reward(*pairs, [{}] * 40), np.concatenate(paid))
    (again,) = batched.env_method("compute_reward", *pairs, [{}] * 40, indices=[0])
    assert np.array_equal(again, np.concatenate(paid)) and again.dtype == np.float32
    fortran = [np.asfortranarray(part) for part in pairs]
    assert np.array_equal(single.compute_reward(*fortran, None), np.concatenate(paid))
    if reward == "sparse":
        assert set(np.unique(paid)) == {np.float32(-0.3), np.float32(0.0)}


def test_any_recorded_frame_is_a_goal(bundle: Bundle) -> None:
    env = RLAWorldGoalEnv(bundle, success_threshold=NEAR)
    seen, info = env.reset(seed=0, options={"reference": 2, "frame": 5})
    last = int(bundle.references.lengths[2]) - 1
    assert np.array_equal(seen["desired_goal"], features(bundle, 2, last))
    assert np.array_equal(seen["achieved_goal"], features(bundle, 2, 5))
    assert (info["goal_reference"], info["goal_frame"]) == (2, last)
    for reference in range(len(bundle.references)):
        seen, info = env.reset(options={"reference": 2, "goal": (reference, 7)})
        assert np.array_equal(seen["desired_goal"], features(bundle, reference, 7))
        assert (info["reference"], info["goal_reference"], info["goal_frame"]) == (2, reference, 7)
        distance = np.linalg.norm(features(bundle, 2, 0) - features(bundle, reference, 7))
        assert info["goal_distance"] == pytest.approx(distance, rel=1e-5)
        after, *_ = env.step(np.zeros(8, np.float32))
        assert np.array_equal(after["desired_goal"], seen["desired_goal"])
    seen, _ = env.reset(options={"reference": 2, "goal": 4})
    assert np.array_equal(seen["desired_goal"], features(bundle, 2, 4))
    assert env.reset(options={"reference": 1})[1]["goal_reference"] == 1  # a goal is asked for once


def test_a_pickled_copy_goes_on_alike(checkpoint: Path) -> None:
    env = RLAWorldGoalEnv(checkpoint, success_threshold=NEAR)
    env.reset(seed=1, options={"goal": (3, 2)})
    copy = pickle.loads(pickle.dumps(env))
    for action in np.random.default_rng(0).uniform(-1, 1, (3, 8)).astype(np.float32):
        np.testing.assert_equal(env.step(action), copy.step(action))


def test_goals_of_objects_are_weighted_keypoints(bundle: Bundle) -> None:
    env = RLAWorldGoalEnv(bundle, metric="objects", reward="goal")
    seen, info = env.reset(options={"reference": 2, "frame": 5, "goal": (1, 4)})
    assert bundle.object_weights is not None
    weights = bundle.object_weights.numpy()
    assert np.array_equal(seen["achieved_goal"], features(bundle, 2, 5) * weights)
    assert np.array_equal(seen["desired_goal"], features(bundle, 1, 4) * weights)
    assert env.observation_space["desired_goal"].high.max() == weights.max()
    world = RLAWorldEnv(bundle, metric="objects", reward="goal")
    told = world.reset(options={"reference": 2, "frame": 5, "goal": (1, 4)})[1]
    assert info["goal_distance"] == pytest.approx(told["goal_distance"], rel=1e-5)


def test_the_metric_is_the_checkpoints_where_it_can_be(bundle: Bundle) -> None:
    for usual, expected in (("objects", "objects"), ("l2", "features")):
        config = replace(bundle.config, reward=replace(bundle.config.reward, metric=usual))
        env = RLAWorldGoalEnv(replace(bundle, config=config, _copies={}), reward="goal")
        assert env.episodes.reward.metric == expected


def test_each_row_of_a_batch_has_its_goal(bundle: Bundle) -> None:
    env = RLAWorldGoalVecEnv(bundle, 3, success_threshold=NEAR, time_limit=2)
    env.seed(0)
    env.set_options([{"reference": 0, "goal": (5, 2)}, {"reference": 1}, {"reference": 4, "goal": 3}])
    goals = env.reset()["desired_goal"].copy()
    assert np.array_equal(goals[0], features(bundle, 5, 2))
    assert np.array_equal(goals[1], features(bundle, 1, int(bundle.references.lengths[1]) - 1))
    assert np.array_equal(goals[2], features(bundle, 4, 3))
    env.step(np.zeros((3, 8), np.float32))
    seen, _, dones, infos = env.step(np.zeros((3, 8), np.float32))
    assert dones.all()
    for row, info in enumerate(infos):
        assert np.array_equal(info["terminal_observation"]["desired_goal"], goals[row])
        new = env.reset_infos[row]
        assert np.array_equal(seen["desired_goal"][row], features(bundle, new["goal_reference"], new["goal_frame"]))


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_the_vector_environment_is_many_single_ones(checkpoint: Path, bundle: Bundle, mode: str) -> None:
    options = {"ckpt": str(checkpoint), "max_episode_steps": 3, "success_threshold": typical_distance(bundle)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batched = gym.make_vec("RLAWorldGoal-v0", num_envs=3, autoreset_mode=mode, **options)
        singles = [lambda: gym.make("RLAWorldGoal-v0", **options)] * 3
        several = gym.vector.SyncVectorEnv(singles, autoreset_mode=mode)
        assert batched.observation_space == several.observation_space
        one, _ = batched.reset(seed=4)
        np.testing.assert_equal(one, several.reset(seed=4)[0])
        for _ in range(8):
            actions = batched.action_space.sample()
            *one, info = batched.step(actions)
            *other, expected = several.step(actions)
            np.testing.assert_equal(one, other)
            np.testing.assert_equal(list(info.get("final_obs", [])), list(expected.get("final_obs", [])))
            assert mode == "NextStep" or ("final_obs" in info) == bool(one[3].any())


def test_success_is_told_and_ends_only_if_asked(bundle: Bundle) -> None:
    for terminate in (False, True):
        env = RLAWorldGoalEnv(bundle, success_threshold=1e6, terminate_on_success=terminate)
        env.reset(seed=0)
        _, reward, terminated, _, info = env.step(np.zeros(8, np.float32))
        assert reward == 0.0 and info["is_success"] is True and info["success"] is True and terminated is terminate


def test_dreams_are_those_of_the_world(bundle: Bundle) -> None:
    goal, world = RLAWorldGoalEnv(bundle, success_threshold=NEAR), RLAWorldEnv(bundle, success_threshold=0.0)
    assert np.array_equal(goal.reset(seed=3)[0]["observation"], world.reset(seed=3)[0])
    for action in np.random.default_rng(0).uniform(-1, 1, (4, 8)).astype(np.float32):
        assert np.array_equal(goal.step(action)[0]["observation"], world.step(action)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "pass success_threshold"),
        ({"reward": "progress"}, "sparse, goal"),
        ({"metric": "l2"}, "features, objects"),
        ({"patches": "moving"}, "features, objects"),
        ({"obs_mode": "dict"}, "features, tokens, pixels"),
        ({"gamma": 0.9}, "gamma"),
        ({"success_bonus": 1.0}, "success_bonus"),
        ({"normalize_reward": "returns"}, "normalize_reward"),
        ({"reward": "goal", "reward_scale": 0.0}, "positive"),
    ],
)
def test_wrong_options_are_refused(bundle: Bundle, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RLAWorldGoalEnv(bundle, **options)


@pytest.mark.parametrize("goal", [10_000, (99, 0), (0, -1), (-1, 0), (1, 2, 3), ()])
def test_wrong_goals_are_refused(bundle: Bundle, goal: Any) -> None:
    env = RLAWorldGoalEnv(bundle, reward="goal")
    with pytest.raises(ValueError, match="expected|has frames"):
        env.reset(options={"goal": goal})


def test_only_the_goal_environment_has_compute_reward(bundle: Bundle) -> None:
    assert not hasattr(RLAWorldEnv, "compute_reward")
    assert not hasattr(rla_gym.RLAWorldVecEnv, "compute_reward")
    with pytest.raises(AttributeError, match="reset_model"):
        RLAWorldGoalVecEnv(bundle, 1, reward="goal").env_method("reset_model")


def test_her_learns_in_dreams(checkpoint: Path) -> None:
    env = RLAWorldGoalVecEnv(checkpoint, 4, success_threshold=NEAR, time_limit=4)
    agent = SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 4, "goal_selection_strategy": "future"},
        learning_starts=24,
        batch_size=32,
        gradient_steps=2,
        policy_kwargs={"net_arch": [16]},
        seed=0,
        device="cpu",
    )
    before = torch.cat([part.flatten().clone() for part in agent.actor.parameters()])
    agent.learn(64)
    moved = torch.cat([part.flatten() for part in agent.actor.parameters()]) - before
    assert torch.isfinite(moved).all() and moved.abs().max() > 0
    sample = agent.replay_buffer.sample(200)
    relabelled = sample.next_observations["achieved_goal"], sample.next_observations["desired_goal"]
    expected = env.compute_reward(*(part.numpy() for part in relabelled), None)
    assert np.array_equal(sample.rewards.numpy()[:, 0], expected)
    # Hindsight makes successes: among goals drawn from the future the achieved one itself is always found.
    assert 0.05 < (expected == 0.0).mean() < 1.0
    action, _ = agent.predict(env.reset(), deterministic=True)
    assert action.shape == (4, 8)


def test_her_takes_the_single_environment(checkpoint: Path) -> None:
    env = gym.make("RLAWorldGoal-v0", ckpt=str(checkpoint), success_threshold=NEAR, max_episode_steps=3)
    agent = SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        learning_starts=6,
        batch_size=8,
        policy_kwargs={"net_arch": [16]},
        seed=0,
        device="cpu",
    )
    agent.learn(10)
    assert agent.replay_buffer.size() == 10
