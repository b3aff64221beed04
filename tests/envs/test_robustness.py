"""What goes wrong in long runs and large programs: bad actions, wrong order, workers, memory, shared models."""

from __future__ import annotations

import copy
import gc
import os
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

import rla_gym
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.store import load_checkpoint

gym.register_envs(rla_gym)

WORLD, REAL = rla_gym.RLAWorldEnv, rla_gym.RLARealEnv
BOTH = pytest.mark.parametrize("kind", [WORLD, REAL])
STILL = np.zeros(8, np.float32)


def equal(first: Any, second: Any) -> bool:
    return bool(data_equivalence(first, second, exact=True))


@BOTH
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_actions_that_are_no_numbers_are_refused_and_change_nothing(bundle: Bundle, kind: Any, bad: float) -> None:
    env, other = kind(bundle), kind(bundle)
    for each in (env, other):
        each.reset(seed=0)
    action = STILL.copy()
    action[3] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        env.step(action)
    assert equal(env.step(STILL), other.step(STILL))
    env.close()
    other.close()


@BOTH
def test_actions_out_of_bounds_are_clipped(bundle: Bundle, kind: Any) -> None:
    env = kind(bundle)
    steps = []
    for size in (1.0, 1.001, 1e30):
        env.reset(seed=0)
        steps.append(env.step(np.array([size, -size] * 4, np.float32)))
    assert equal(steps[0], steps[1]) and equal(steps[0], steps[2])
    env.close()


@pytest.mark.parametrize("action", [np.zeros(7), np.zeros((1, 8)), np.zeros((4, 2)), 0.0, [], [[0.0] * 8] * 2])
def test_actions_of_another_shape_are_refused(bundle: Bundle, action: Any) -> None:
    env = WORLD(bundle)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"expected \(1, 8\)"):
        env.step(action)


def test_lists_and_other_number_types_are_actions_too(bundle: Bundle) -> None:
    env = WORLD(bundle)
    steps = []
    for action in (STILL, STILL.tolist(), STILL.astype(np.float64), np.zeros(8, int)):
        env.reset(seed=0)
        steps.append(env.step(action))
    assert all(equal(steps[0], step) for step in steps)


@BOTH
def test_a_step_needs_an_episode_that_runs(bundle: Bundle, kind: Any) -> None:
    env = kind(bundle, time_limit=2, terminate_on_success=False)
    with pytest.raises(gym.error.ResetNeeded, match="before a reset"):
        env.step(STILL)
    env.reset(seed=0)
    assert [env.step(STILL)[3] for _ in range(2)] == [False, True]
    for _ in range(2):
        with pytest.raises(gym.error.ResetNeeded, match=r"truncated: call reset\(\)"):
            env.step(STILL)
    env.reset()
    env.step(STILL)
    env.close()
    env.close()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(STILL)


def test_a_step_after_success_is_refused(bundle: Bundle) -> None:
    env = WORLD(bundle, success_threshold=1e6)
    env.reset(seed=0)
    assert env.step(STILL)[2] is True
    with pytest.raises(gym.error.ResetNeeded, match="terminated"):
        env.step(STILL)


def test_environments_share_one_loaded_model(checkpoint: Path, bundle: Bundle) -> None:
    weights = {name: value.clone() for name, value in bundle.flow.state_dict().items()}
    envs: list[Any] = [
        gym.make("RLAWorld-v0", ckpt=str(checkpoint)).unwrapped,
        gym.make("RLAReal-v0", ckpt=str(checkpoint), start="task").unwrapped,
        gym.make("RLAWorld-v0", ckpt=bundle).unwrapped,
        rla_gym.RLAWorldVecEnv(str(checkpoint), 3),
    ]
    assert all(env.episodes.bundle is bundle for env in envs)
    assert rla_gym.load_checkpoint(checkpoint) is rla_gym.load_checkpoint(str(checkpoint)) is bundle
    # Taking turns they do what each does alone: nothing of an episode is kept in the model.
    first, second, alone = (WORLD(checkpoint, temperature=1.0) for _ in range(3))
    assert equal(first.reset(seed=1), alone.reset(seed=1))
    second.reset(seed=2)
    for _ in range(3):
        second.step(-np.ones(8, np.float32))
        assert equal(first.step(STILL), alone.step(STILL))
    assert all(torch.equal(value, weights[name]) for name, value in bundle.flow.state_dict().items())


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grown(checkpoint: Path, num_envs: int, warm_up: int, steps: int) -> tuple[float, int]:
    """Growth of memory, as a share, and of the number of Python's objects, over `steps` steps with resets.

    A step of a batch counts as `num_envs` steps, one of each environment.
    """
    env = rla_gym.RLAWorldVecEnv(checkpoint, num_envs, temperature=1.0, time_limit=5)
    env.seed(0)
    env.reset()
    generator = np.random.default_rng(0)

    def run(count: int) -> tuple[int, int]:
        for _ in range(-(-count // num_envs)):
            env.step(generator.uniform(-1, 1, (num_envs, 8)).astype(np.float32))
        gc.collect()
        return resident(), len(gc.get_objects())

    (bytes_before, objects_before), (bytes_after, objects_after) = run(warm_up), run(steps)
    return bytes_after / bytes_before - 1, objects_after - objects_before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's account of memory")
@pytest.mark.parametrize(
    ("num_envs", "warm_up", "steps"),
    [(4, 240, 960), pytest.param(64, 6_400, 100_000, marks=pytest.mark.slow, id="100,000")],
)
def test_memory_does_not_grow(checkpoint: Path, num_envs: int, warm_up: int, steps: int) -> None:
    share, objects = grown(checkpoint, num_envs, warm_up, steps)
    print(f"{steps} steps of {num_envs} environments: {100 * share:+.3f} % of memory, {objects:+d} objects")
    assert share < 0.01
    assert objects < 50


KINDS = {
    "RLAWorldEnv": {"uncertainty": "both"},
    "RLAWorldVectorEnv": {"num_envs": 2, "metric": "objects"},
    "RLAWorldVecEnv": {"num_envs": 2, "metric": "l2", "patches": "moving", "success_threshold": 0.1},
    "RLAWorldGoalEnv": {"metric": "objects"},
    "RLARealEnv": {},
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_pickles_leave_the_model_to_its_folder(kind: str) -> None:
    """51 MB of weights and references stay where they are; what is pickled is an episode."""
    bundle = load_checkpoint("push-cube")
    env = getattr(rla_gym, kind)(bundle, **KINDS[kind])
    env.reset()
    data = pickle.dumps(env)
    assert len(data) < 150_000
    again = pickle.loads(data)
    for found in (again, copy.deepcopy(env)):
        assert found.episodes.bundle is bundle and found.episodes is not env.episodes
    env.close()


def test_pickles_of_changed_models_hold_the_change(bundle: Bundle) -> None:
    changed = replace(bundle, flow=copy.deepcopy(bundle.flow))
    with torch.no_grad():
        changed.flow.flow_out_proj.weight.add_(0.3)
    env, own = WORLD(changed), WORLD(bundle)
    for each in (env, own):
        each.reset(seed=3)
    again = pickle.loads(pickle.dumps(env))
    assert again.episodes.bundle.flow is again.episodes.dream.bundle.flow is not bundle.flow
    for _ in range(2):
        told = env.step(STILL)
        assert equal(told, again.step(STILL)) and not equal(told, own.step(STILL))


def test_pickles_hold_the_references_that_were_given(bundle: Bundle) -> None:
    given = replace(bundle.references, tokens=bundle.references.tokens.flip(0))
    env = WORLD(bundle, dataset=given, uncertainty="both", successful_references=False)
    env.reset(seed=3)
    again = pickle.loads(pickle.dumps(env))
    episodes = again.episodes
    assert episodes.trained is bundle and episodes.bundle.flow is bundle.flow
    assert episodes.bundle.references is episodes.reward.references is not given
    assert torch.equal(episodes.bundle.references.tokens, given.tokens)
    assert equal(env.step(STILL), again.step(STILL)) and equal(env.reset(), again.reset())


@BOTH
def test_copies_by_pickle_know_their_seed(bundle: Bundle, kind: Any) -> None:
    env = kind(bundle)
    env.reset(seed=4)
    copy = pickle.loads(pickle.dumps(env))
    for _ in range(2):
        assert equal(env.reset(), copy.reset())
    assert equal(env.step(STILL), copy.step(STILL))
    env.close()
    copy.close()


def test_spawned_workers_take_bundles(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A maker that holds a bundle is small, and its workers read the checkpoint themselves."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    makers = [partial(WORLD, bundle, temperature=1.0)] * 2
    assert len(pickle.dumps(makers)) < 2_000
    here, spawned = SyncVectorEnv(makers), AsyncVectorEnv(makers, context="spawn")
    try:
        assert equal(here.reset(seed=2), spawned.reset(seed=2))
        actions = np.stack([STILL, STILL + 0.5])
        assert equal(here.step(actions), spawned.step(actions))
    finally:
        spawned.close()
        here.close()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rla_gym:RLAWorld-v0", {"temperature": 1.0}),
        pytest.param("rla_gym:RLAReal-v0", {}, marks=pytest.mark.slow),
    ],
)
def test_spawned_workers_do_as_one_process(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # workers inherit it; more would only wait for each other
    makers = [partial(gym.make, name, ckpt=str(checkpoint), max_episode_steps=3, **options)] * 2
    here, spawned = SyncVectorEnv(makers), AsyncVectorEnv(makers, context="spawn")
    try:
        assert equal(here.reset(seed=11), spawned.reset(seed=11))
        here.action_space.seed(0)
        for _ in range(5):  # past a time limit and the resets after it
            actions = here.action_space.sample()
            assert equal(here.step(actions), spawned.step(actions))
    finally:
        spawned.close()
        here.close()
