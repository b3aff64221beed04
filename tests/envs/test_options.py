"""One check of the options, in one sentence, whatever the id and the face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import rla_gym
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.options import EpisodeOptions

FACES: dict[str, Callable[..., Any]] = {
    "world": rla_gym.RLAWorldEnv,
    "world vector": rla_gym.RLAWorldVectorEnv,
    "world sb3": rla_gym.RLAWorldVecEnv,
    "goal": rla_gym.RLAWorldGoalEnv,
    "goal vector": rla_gym.RLAWorldGoalVectorEnv,
    "goal sb3": rla_gym.RLAWorldGoalVecEnv,
    "real": rla_gym.RLARealEnv,
    "real vector": rla_gym.RLARealVectorEnv,
    "real sb3": rla_gym.RLARealVecEnv,
}
WRONG: list[dict[str, Any]] = [
    {"reward_scale": "2"},
    {"reward_scale": True},
    {"gamma": "x"},
    {"gamma": 1.5},
    {"references": 0},
    {"references": [1.5]},
    {"device": None},
    {"device": "gpu"},
    {"disagreement_samples": 2.5},
    {"disagreement_samples": True},
    {"terminate_on_success": "yes"},
    {"time_limit": 0},
    {"time_limit": 2.0},
    {"chunk": "2"},
    {"p_initial_frame": float("nan")},
    {"obs_mode": 3},
    {"metric": 1},
    {"dataset": 4},
    {"success_threshold": float("inf")},
    {"batch_invariant": 1},
    {"ckpt": 5},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
@pytest.mark.parametrize("face", ["world", "world sb3", "goal vector", "real sb3"])
def test_wrong_types_are_one_sentence(bundle: Bundle, face: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=") as caught:
        FACES[face](**{"ckpt": bundle, **wrong})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"num_envs": 0}, {"num_envs": 2.0}, {"num_envs": True}], ids=str)
@pytest.mark.parametrize("face", [face for face in FACES if " " in face])
def test_numbers_of_environments_are_checked(bundle: Bundle, face: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="num_envs=.*a whole number of at least 1"):
        FACES[face](bundle, **wrong)


@pytest.mark.parametrize("wrong", [{"steps": 1.5}, {"steps": "4"}, {"temperature": "0"}, {"precision": 16}], ids=str)
def test_settings_of_the_dream_are_checked(bundle: Bundle, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        rla_gym.RLAWorldVecEnv(bundle, 2, **wrong)


@pytest.mark.parametrize("face", FACES)
def test_an_unknown_option_lists_those_that_there_are(bundle: Bundle, face: str) -> None:
    words = r"__init__\(\) got an unexpected keyword argument 'reward_scal' .*'reward_scale'"
    with pytest.raises(TypeError, match=words) as caught:
        FACES[face](bundle, reward_scal=1.0)
    for name in ("ckpt", "device", "gamma", "time_limit"):
        assert f" {name}" in str(caught.value)
    assert ("workers" in str(caught.value)) == (face in ("real vector", "real sb3"))


def test_gymnasiums_own_limit_is_not_the_environments(bundle: Bundle) -> None:
    with pytest.raises(TypeError, match="'time_limit'; 'max_episode_steps' is of gymnasium.make"):
        rla_gym.RLAWorldEnv(bundle, max_episode_steps=3)


def test_numpy_scalars_are_numbers(bundle: Bundle) -> None:
    options = EpisodeOptions(reward_scale=np.float32(2), time_limit=np.int64(3), terminate_on_success=np.False_)
    assert (options.reward_scale, options.time_limit, options.terminate_on_success) == (2.0, 3, False)
    assert rla_gym.RLAWorldVecEnv(bundle, np.int64(2), steps=np.int32(1), temperature=np.float64(0)).num_envs == 2


@pytest.mark.parametrize("face", ["world", "world vector"])
@pytest.mark.parametrize("wrong", [{"obs_mode": "pixels"}, {"render_mode": "rgb_array"}, {"render_reference": True}])
def test_pictures_need_an_image_decoder_when_it_is_made(bundle: Bundle, face: str, wrong: dict[str, Any]) -> None:
    blind = replace(bundle, image_decoder=None, config=replace(bundle.config, image_decoder=None), path=None)
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.*no image decoder"):
        FACES[face](blind, **wrong)
    assert rla_gym.RLAWorldVecEnv(blind).render_mode is None
    assert rla_gym.RLARealEnv(blind, start="task", obs_mode="pixels").observation_space.dtype == np.uint8


def test_paths_may_begin_at_home(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    assert rla_gym.RLAWorldEnv(f"~/{checkpoint.name}").episodes.bundle.config.name == "small"


def test_the_specification_says_the_limit(checkpoint: Path) -> None:
    env = gym.make("RLAWorld-v0", ckpt=str(checkpoint), chunk=2)
    assert env.spec.max_episode_steps == env.unwrapped.episodes.limit == 24
    timed = gym.wrappers.TimeAwareObservation(env)
    assert timed.reset(seed=0)[0] in timed.observation_space
    again = gym.make(env.spec)
    assert again.spec == env.spec and again.unwrapped.episodes.limit == 24
    shorter = gym.make("RLAWorld-v0", ckpt=str(checkpoint), max_episode_steps=5)
    assert shorter.spec.max_episode_steps == 5
    for asked, limit in ((None, 12), (5, 5), (50, 12)):
        vector = gym.make_vec("RLAWorld-v0", num_envs=2, ckpt=str(checkpoint), max_episode_steps=asked)
        assert vector.spec.max_episode_steps == limit
        remade = gym.make_vec(vector.spec)
        assert remade.spec == vector.spec and remade.unwrapped.episodes.limit == limit


@pytest.mark.parametrize("asked", [5, 50])
def test_gymnasiums_limit_shortens_alike_in_make_and_make_vec(checkpoint: Path, asked: int) -> None:
    options: dict[str, Any] = {"ckpt": str(checkpoint), "success_threshold": -1.0, "max_episode_steps": asked}
    single, vector = gym.make("RLAWorld-v0", **options), gym.make_vec("RLAWorld-v0", num_envs=1, **options)
    lengths = []
    for env in (single, vector):
        env.reset(seed=0)
        length, ended = 0, False
        while not ended:
            ended = bool(env.step(np.zeros(env.action_space.shape, np.float32))[3])
            length += 1
        lengths.append(length)
    assert lengths == [min(asked, 12)] * 2


@pytest.mark.parametrize("face", ["world", "world vector", "world sb3"])
def test_after_close_a_step_needs_a_reset(bundle: Bundle, face: str) -> None:
    env = FACES[face](bundle)
    action = np.zeros((8,) if face == "world" else (1, 8), np.float32)
    env.reset()
    env.step(action)
    env.close()
    env.close()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(action)
    env.reset()
    env.step(action)
    env.close()


@pytest.mark.parametrize("face", ["world", "world vector", "world sb3", "real sb3"])
@pytest.mark.parametrize("dtype", [complex, str, object])
def test_actions_that_are_no_real_numbers_are_refused(bundle: Bundle, face: str, dtype: type) -> None:
    env = FACES[face](bundle)
    env.reset()
    with pytest.raises(ValueError, match="expected real numbers"):
        env.step(np.zeros((8,) if face == "world" else (1, 8)).astype(dtype))
    env.close()
