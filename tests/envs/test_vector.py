"""The vector environment: in every autoreset mode it tells what Gymnasium's own tells over single environments."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import vector as wrappers

import rla_gym
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.real import RLARealEnv
from rla_gym.envs.real_batch import RLARealVectorEnv
from rla_gym.envs.vector import RLAWorldVectorEnv
from rla_gym.envs.world import RLAWorldEnv
from tests.envs.streams import same
from tests.envs.videos import assert_shows

gym.register_envs(rla_gym)

MODES = ("NextStep", "SameStep", "Disabled")
# Under this threshold some episodes succeed at once, and others go on to the end of their reference.
OPTIONS: dict[str, Any] = {
    "temperature": 1.0,
    "metric": "features",
    "success_threshold": 0.04,
    "end_with_reference": True,
}


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def random_actions(steps: int, num_envs: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (steps, num_envs, 8)).astype(np.float32)


def play(env: VectorEnv[Any, Any, Any], steps: int, options: dict[str, Any] | None = None) -> list[Any]:
    """All that two seeded resets and `steps` steps return, with resets by mask where there are no others."""
    told = [env.reset(seed=5)]
    for chosen in random_actions(steps, env.num_envs):
        told.append(env.step(chosen))
        over = told[-1][2] | told[-1][3]
        if env.metadata["autoreset_mode"] is AutoresetMode.DISABLED and over.any():
            told.append(env.reset(options={"reset_mask": over}))
    told.append(env.reset(seed=[9, 8, 7], options=options))
    told.append(env.step(random_actions(1, 3)[0]))
    return told


def assert_tells_what_gymnasium_tells(
    env: VectorEnv[Any, Any, Any], single: Callable[[], gym.Env[Any, Any]], steps: int, **options: int
) -> list[Any]:
    """`env` does to the last bit what `SyncVectorEnv` does over three of `single`; returns all that these tell."""
    expected = play(SyncVectorEnv([single] * 3, autoreset_mode=env.metadata["autoreset_mode"]), steps, options)
    for number, (told, other) in enumerate(zip(play(env, steps, options), expected, strict=True)):
        assert same(told, other), f"call {number}"
    # Or else too little would have been compared: some must have begun anew while others went on.
    ends = [each[2] | each[3] for each in expected if len(each) == 5]
    assert any(0 < np.count_nonzero(each) < 3 for each in ends)
    return expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("obs_mode", ["features", "dict"])
def test_dreams_tell_what_gymnasium_tells(mode: str, obs_mode: str, bundle: Bundle) -> None:
    options = {**OPTIONS, "obs_mode": obs_mode}
    env = RLAWorldVectorEnv(bundle, 3, autoreset_mode=mode, **options)
    told = assert_tells_what_gymnasium_tells(env, lambda: RLAWorldEnv(bundle, **options), 30, reference=2)
    steps = [each for each in told if len(each) == 5]
    assert any(each[2].any() for each in steps) and any(each[3].any() for each in steps)


@pytest.mark.parametrize("mode", MODES)
def test_real_simulators_tell_what_gymnasium_tells(mode: str, bundle: Bundle) -> None:
    options: dict[str, Any] = {"end_with_reference": True, "references": "all"}
    env = RLARealVectorEnv(bundle, 3, workers=0, autoreset_mode=mode, **options)
    assert_tells_what_gymnasium_tells(env, lambda: RLARealEnv(bundle, **options), 20, reference=2, frame=3)


def test_what_make_vec_makes(checkpoint: Path) -> None:
    single = gym.make("RLAWorld-v0", ckpt=str(checkpoint))
    env = gym.make_vec("RLAWorld-v0", num_envs=3, ckpt=str(checkpoint), time_limit=30, autoreset_mode="SameStep")
    assert type(env) is RLAWorldVectorEnv and env.num_envs == 3 and env.spec.id == "RLAWorld-v0"
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert RLAWorldVectorEnv.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert gym.make_vec("RLAWorld-v0", ckpt=str(checkpoint)).metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert env.single_observation_space == single.observation_space and env.single_action_space == single.action_space
    assert env.observation_space == gym.vector.utils.batch_space(single.observation_space, 3)
    assert env.action_space.shape == (3, 8)
    assert env.metadata["render_fps"] == single.metadata["render_fps"]
    assert env.unwrapped.episodes.limit == 30  # longer than the checkpoint's 12
    observation, _ = env.reset(seed=1)
    assert observation in env.observation_space
    assert env.step(env.action_space.sample())[0] in env.observation_space
    env.close()
    env.close()


@pytest.mark.parametrize("how", ["sync", "async"])
def test_gymnasiums_own_vectors_still_work(how: str, checkpoint: Path) -> None:
    options = {"ckpt": str(checkpoint), "num_envs": 2, "success_threshold": 0.0}
    env = gym.make_vec("RLAWorld-v0", vectorization_mode=how, **options)
    assert type(env) is {"sync": SyncVectorEnv, "async": AsyncVectorEnv}[how]
    ours = gym.make_vec("RLAWorld-v0", **options)
    try:
        assert same(env.reset(seed=3), ours.reset(seed=3))
        for chosen in random_actions(3, 2):
            assert same(env.step(chosen), ours.step(chosen))
    finally:
        env.close()


def test_the_simulator_has_a_vector_environment_too(checkpoint: Path) -> None:
    env = gym.make_vec("RLAReal-v0", num_envs=2, ckpt=str(checkpoint), workers=0, render_mode="rgb_array")
    assert type(env) is RLARealVectorEnv
    env.reset(seed=0)
    assert [picture.shape for picture in env.render()] == [(112, 112, 3)] * 2
    env.close()


def test_seeds(bundle: Bundle) -> None:
    env = RLAWorldVectorEnv(bundle, 3)
    first, _ = env.reset(seed=[4, None, 2])
    again, _ = env.reset(seed=[4, None, 3])
    assert np.array_equal(first[0], again[0])
    # Without a seed a reference is drawn from few, so two draws may agree; eight never do.
    drawn = [env.reset(seed=[4, None, 3])[0][1] for _ in range(8)]
    assert not all(np.array_equal(first[1], each) for each in drawn)
    assert np.array_equal(first[2], env.reset(seed=np.int64(0))[0][2])
    assert np.array_equal(first[0], env.reset(seed=np.array([4, 5, 6]))[0][0])
    unseeded = RLAWorldVectorEnv(bundle, 3)
    others = [RLAWorldVectorEnv(bundle, 3).reset()[0] for _ in range(4)]
    assert not all(np.array_equal(unseeded.reset()[0], other) for other in others)
    unseeded.step(np.zeros((3, 8), np.float32))
    with pytest.raises(ValueError, match="2 seeds for 3"):
        env.reset(seed=[1, 2])


def test_a_reset_by_mask_leaves_the_others_alone(bundle: Bundle) -> None:
    env = RLAWorldVectorEnv(bundle, 3)
    env.reset(seed=0)
    before, *_ = env.step(random_actions(1, 3)[0])
    options = {"reset_mask": np.array([False, True, False]), "reference": 1}
    after, infos = env.reset(options=options)
    assert "reset_mask" in options  # wrappers read it afterwards
    assert np.array_equal(before[[0, 2]], after[[0, 2]]) and not np.array_equal(before[1], after[1])
    assert infos["_reference"].tolist() == [False, True, False] and infos["reference"][1] == 1
    before[:] = 0
    assert env.reset(options=options)[0][0].any()  # what was handed out is the caller's


@pytest.mark.parametrize("mask", [[True, False], np.array([True, False, True]), np.array([1, 0]), np.zeros(2, bool)])
def test_wrong_masks_are_refused(mask: Any, bundle: Bundle) -> None:
    env = RLAWorldVectorEnv(bundle, 2)
    env.reset(seed=0)
    with pytest.raises((TypeError, ValueError), match="2 bools"):
        env.reset(options={"reset_mask": mask})


def test_calls_out_of_turn_are_refused(bundle: Bundle) -> None:
    env = RLAWorldVectorEnv(bundle, 2, render_mode="rgb_array", autoreset_mode="Disabled", time_limit=1)
    for call in (
        lambda: env.step(np.zeros((2, 8), np.float32)),
        env.render,
        lambda: env.reset(options={"reset_mask": np.array([True, False])}),
    ):
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            call()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="environments \\[1\\]"):
        env.step(np.array([np.zeros(8), np.full(8, np.nan)], np.float32))
    with pytest.raises(ValueError, match=r"expected \(2, 8\)"):
        env.step(np.zeros((2, 4), np.float32))
    assert env.step(np.zeros((2, 8), np.float32))[3].all()
    with pytest.raises(gym.error.ResetNeeded, match=r"\[0, 1\] have ended.*truncated}\)$"):
        env.step(np.zeros((2, 8), np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"autoreset_mode": "Never"}, "NextStep, SameStep, Disabled"),
        ({"render_mode": "human"}, "HumanRendering"),
        ({"num_envs": 0}, "at least 1"),
        ({"obs_mode": "sound"}, "features, tokens"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str, bundle: Bundle) -> None:
    with pytest.raises(ValueError, match=message):
        RLAWorldVectorEnv(bundle, **options)
    with pytest.raises(ValueError, match=message):
        RLARealVectorEnv(bundle, **{"workers": 0, **options})


def test_a_refused_environment_leaves_no_process(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="HumanRendering"):
        RLARealVectorEnv(bundle, 2, workers=1, render_mode="human")
    assert not multiprocessing.active_children()


def test_pictures(bundle: Bundle) -> None:
    env = RLAWorldVectorEnv(bundle, 2, render_mode="rgb_array", render_reference=True)
    single = RLAWorldEnv(bundle, render_mode="rgb_array", render_reference=True)
    env.reset(seed=3)
    single.reset(seed=4)
    pictures = env.render()
    assert isinstance(pictures, tuple) and len(pictures) == 2
    assert np.array_equal(pictures[1], single.render())


@pytest.mark.parametrize("mode", MODES)
def test_episode_statistics(mode: str, bundle: Bundle) -> None:
    """Every episode is counted once, with the steps and rewards that are its own."""
    if mode == "SameStep" and tuple(map(int, gym.__version__.split(".")[:2])) < (1, 4):
        pytest.skip("before 1.4 Gymnasium's wrapper counted the first step after such a reset wrongly")
    env = wrappers.RecordEpisodeStatistics(RLAWorldVectorEnv(bundle, 3, autoreset_mode=mode, **OPTIONS))
    env.reset(seed=5)
    returns, lengths, waiting, episodes = np.zeros(3), np.zeros(3, int), np.zeros(3, bool), 0
    for chosen in random_actions(30, 3):
        _, rewards, terminated, truncated, infos = env.step(chosen)
        returns[~waiting] += rewards[~waiting]
        lengths[~waiting] += 1
        over = terminated | truncated
        if over.any():
            assert np.array_equal(infos["episode"]["r"][over], returns[over])
            assert np.array_equal(infos["episode"]["l"][over], lengths[over])
            returns[over], lengths[over], episodes = 0, 0, episodes + np.count_nonzero(over)
            if mode == "Disabled":
                env.reset(options={"reset_mask": over})
        waiting = over & (mode == "NextStep")
    assert env.episode_count == episodes > 6


def test_gymnasiums_wrappers_go_on_top(bundle: Bundle) -> None:
    env: VectorEnv[Any, Any, Any] = RLAWorldVectorEnv(bundle, 3, **OPTIONS)
    env = wrappers.NormalizeObservation(wrappers.NormalizeReward(wrappers.RecordEpisodeStatistics(env)))
    env = wrappers.DictInfoToList(wrappers.ClipReward(env, -1, 1))
    env.reset(seed=0)
    counted = 0
    for chosen in random_actions(12, 3):
        observation, rewards, _, _, infos = env.step(chosen)
        assert np.isfinite(observation).all() and np.abs(rewards).max() <= 1
        counted += sum("episode" in info for info in infos)
    assert counted > 2


def test_videos(bundle: Bundle, tmp_path: Path) -> None:
    """Of the first environment's first episode, with the others beside it."""
    options = {**OPTIONS, "success_threshold": 0.0, "end_with_reference": False, "time_limit": 4}
    env = RLAWorldVectorEnv(bundle, 3, render_mode="rgb_array", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # moviepy's own
        recorded = wrappers.RecordVideo(env, str(tmp_path / "videos"), episode_trigger=lambda episode: episode == 0)
        recorded.reset(seed=0)
        shown = [np.concatenate(env.render(), axis=1)]
        for chosen in random_actions(6, 3):
            recorded.step(chosen)
            shown.append(np.concatenate(env.render(), axis=1))
        recorded.close()
    (path,) = (tmp_path / "videos").glob("*.mp4")
    assert_shows(path, np.array(shown[:5]), fps=2)
