"""Penalties, truncations and single actions: the same arithmetic on every face, and wrong use is refused."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import rla_gym
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.envs.sb3_wrappers import UncertaintyPenaltyVecEnv
from rla_gym.envs.vector import RLAWorldVectorEnv
from rla_gym.envs.world import RLAWorldEnv
from rla_gym.envs.wrappers import SingleActions, UncertaintyPenalty, UncertaintyTruncation, VectorUncertaintyPenalty

gym.register_envs(rla_gym)

OPTIONS = {"uncertainty": "both", "time_limit": 3, "success_threshold": 1e-6, "disagreement_samples": 2}


def random_actions(steps: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (steps, *shape)).astype(np.float32)


def make(checkpoint: Path, **options: Any) -> gym.Env[Any, Any]:
    return gym.make("RLAWorld-v0", ckpt=str(checkpoint), **{**OPTIONS, **options})


@pytest.mark.parametrize("of", ["disagreement", "disagreement_total", "data_distance"])
def test_the_penalty_is_taken_off(checkpoint: Path, of: str) -> None:
    bare, penalised = make(checkpoint), UncertaintyPenalty(make(checkpoint), 0.5, of)
    for env in (bare, penalised):
        env.reset(seed=3)
    for action in random_actions(3, 8):
        _, reward, *_, info = bare.step(action)
        _, less, *_, told = penalised.step(action)
        assert info[of] > 0 and less == pytest.approx(reward - 0.5 * info[of])
        assert told["reward_dreamt"] == reward


def test_uncertain_episodes_end(checkpoint: Path) -> None:
    actions = random_actions(3, 8)
    env = make(checkpoint)
    env.reset(seed=3)
    totals = [env.step(action)[4]["disagreement_total"] for action in actions]
    assert totals == sorted(totals)
    limit = (totals[0] + totals[1]) / 2
    wrapped, optioned = UncertaintyTruncation(make(checkpoint), limit), make(checkpoint, disagreement_limit=limit)
    for env in (wrapped, optioned):
        env.reset(seed=3)
        assert [env.step(action)[3] for action in actions[:2]] == [False, True]
    wrapped.reset(seed=3)
    assert [wrapped.step(action)[4]["uncertain"] for action in actions[:2]] == [False, True]


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_vector_penalties(checkpoint: Path, mode: AutoresetMode, native: bool) -> None:
    def batch() -> gym.vector.VectorEnv[Any, Any, Any]:
        if native:
            return RLAWorldVectorEnv(checkpoint, 2, autoreset_mode=mode, **{**OPTIONS, "time_limit": 2})
        # One environment ends two steps before the other, so that resets and steps come together.
        makers = [lambda steps=steps: make(checkpoint, time_limit=steps) for steps in (1, 3)]
        return gym.vector.SyncVectorEnv(makers, autoreset_mode=mode)

    bare, penalised = batch(), VectorUncertaintyPenalty(batch(), 2.0)
    for env in (bare, penalised):
        env.reset(seed=3)
    for action in random_actions(4, 2, 8):
        _, rewards, terminations, truncations, infos = bare.step(action)
        _, less, *_, told = penalised.step(action)
        for row in range(2):
            final = infos.get("_final_info", np.zeros(2, bool))[row]
            place = infos["final_info"] if final else infos
            known = "disagreement" in place and place["_disagreement"][row]
            penalty = 2.0 * place["disagreement"][row] if known else 0.0
            assert (penalty > 0) == (mode != AutoresetMode.NEXT_STEP or rewards[row] != 0)
            assert less[row] == pytest.approx(rewards[row] - penalty)
        assert np.array_equal(told["reward_dreamt"], rewards)
        if mode == AutoresetMode.DISABLED and (terminations | truncations).any():
            for env in (bare, penalised):
                env.reset(options={"reset_mask": terminations | truncations})


def test_sb3_penalties(checkpoint: Path) -> None:
    bare = RLAWorldVecEnv(checkpoint, 2, **OPTIONS)
    penalised = UncertaintyPenaltyVecEnv(RLAWorldVecEnv(checkpoint, 2, **OPTIONS), 2.0, "data_distance")
    for env in (bare, penalised):
        env.seed(3)
        env.reset()
    for action in random_actions(4, 2, 8):
        _, rewards, _, infos = bare.step(action)
        _, less, _, told = penalised.step(action)
        expected = [reward - 2 * info["data_distance"] for reward, info in zip(rewards, infos, strict=True)]
        np.testing.assert_allclose(less, expected, rtol=1e-6)
        assert less.dtype == np.float32 and [info["reward_dreamt"] for info in told] == rewards.tolist()


def test_an_uncertainty_that_is_not_told_is_missed(checkpoint: Path) -> None:
    silent = {"uncertainty": None}
    for wrapped in (
        UncertaintyPenalty(make(checkpoint, **silent), 1.0),
        UncertaintyTruncation(make(checkpoint, **silent), 1.0),
    ):
        wrapped.reset(seed=0)
        with pytest.raises(ValueError, match="uncertainty='disagreement'"):
            wrapped.step(np.zeros(8, np.float32))
    many = VectorUncertaintyPenalty(gym.vector.SyncVectorEnv([lambda: make(checkpoint, **silent)]), 1.0)
    many.reset(seed=0)
    with pytest.raises(ValueError, match="uncertainty='disagreement'"):
        many.step(np.zeros((1, 8), np.float32))
    batched = UncertaintyPenaltyVecEnv(RLAWorldVecEnv(checkpoint, 1), 1.0, "data_distance")
    batched.reset()
    with pytest.raises(ValueError, match="uncertainty='data_distance'"):
        batched.step(np.zeros((1, 8), np.float32))
    with pytest.raises(ValueError, match="at least 0"):
        UncertaintyPenalty(make(checkpoint), -1.0)
    with pytest.raises(ValueError, match="positive"):
        UncertaintyTruncation(make(checkpoint), 0.0)


def test_single_actions_are_in_the_units_of_the_task(bundle: Bundle) -> None:
    config = replace(bundle.config, action_low=(-2.0, 0.0), action_high=(2.0, 4.0))
    wide = replace(bundle, config=config, _copies={})
    bare, single = RLAWorldEnv(wide, chunk=1), SingleActions(RLAWorldEnv(wide, chunk=1))
    assert single.action_space == gym.spaces.Box(np.float32([-2, 0]), np.float32([2, 4]))
    firsts = [env.reset(seed=1)[0] for env in (bare, single)]
    assert np.array_equal(*firsts)
    for scaled, given in (([0.5, -0.5], [1.0, 1.0]), ([-1.0, 1.0], [-9.0, 4.0])):
        (one, *_, info), (other, *_, told) = bare.step(np.float32(scaled)), single.step(np.float32(given))
        assert np.array_equal(one, other) and told["frame"] == info["frame"]


def test_single_actions_need_chunks_of_one(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="chunk=4"):
        SingleActions(make(checkpoint))
    with pytest.raises(ValueError, match="chunk=1"):
        SingleActions(gym.make("CartPole-v1"))


def test_wrapped_environments_pass_the_checker_and_are_made_from_their_spec(checkpoint: Path) -> None:
    inner = make(checkpoint, chunk=1)
    wrapped = UncertaintyTruncation(UncertaintyPenalty(SingleActions(inner), 0.1), 100.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*is different from the unwrapped version.*")
        check_env(wrapped, skip_render_check=True)
    again = gym.make(wrapped.spec)
    assert isinstance(again, UncertaintyTruncation) and again.limit == 100.0
    assert isinstance(again.env, UncertaintyPenalty) and again.env.scale == 0.1
