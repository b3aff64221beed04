"""What goes wrong in long runs and large programs: bad actions, wrong order, forks, workers, memory, shared models."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import textwrap
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
from rla_gym.bundle import Bundle

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
    env = kind(bundle, max_episode_steps=2, terminate_on_success=False)
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


FORK = """
    import os, signal, sys
    import numpy as np, torch
    import rla_gym

    path, made = sys.argv[1:]
    still = np.zeros(8, np.float32)
    torch.set_num_threads(2)
    shared = torch.ones(512, 512)
    (shared @ shared).relu().sum()  # shared out to the threads of torch, so that they exist when the process forks
    env = rla_gym.{kind}(path)
    env.reset(seed=0)
    expected = env.step(still)[0].tobytes()
    child = os.fork()
    if child == 0:
        signal.alarm(100)  # a child that waits for ever is ended, and the test fails
        try:
            if made == "after":
                env = rla_gym.{kind}(path)
            env.reset(seed=0)
            same = env.step(still)[0].tobytes() == expected
            (shared @ shared).relu().sum()
            print("same" if same else "different")
        except RuntimeError as error:
            print(error)
        env.close()
        sys.stdout.flush()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), env.step(still)[4]["frame"])
"""


@pytest.mark.parametrize("made", ["before", "after"])
@pytest.mark.parametrize(("kind", "told"), [("RLAWorldEnv", "same"), ("RLARealEnv", "'spawn'")])
def test_forks(checkpoint: Path, kind: str, told: str, made: str) -> None:
    """A forked dream goes on as its parent; a simulator, which cannot, says what to do; both parents go on."""
    script = textwrap.dedent(FORK).format(kind=kind)
    done = subprocess.run(
        [sys.executable, "-c", script, str(checkpoint), made], capture_output=True, text=True, check=True, timeout=400
    )
    child, parent = done.stdout.splitlines()
    assert told in child
    assert parent.startswith("0 ")


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


def grown(checkpoint: Path, warm_up: int, steps: int) -> tuple[float, int]:
    """Growth of memory, as a share, and of the number of Python's objects, over `steps` batched steps with resets."""
    env = rla_gym.RLAWorldVecEnv(checkpoint, 4, temperature=1.0, max_episode_steps=5)
    env.seed(0)
    env.reset()
    generator = np.random.default_rng(0)

    def run(count: int) -> tuple[int, int]:
        for _ in range(count):
            env.step(generator.uniform(-1, 1, (4, 8)).astype(np.float32))
        gc.collect()
        return resident(), len(gc.get_objects())

    (bytes_before, objects_before), (bytes_after, objects_after) = run(warm_up), run(steps)
    return bytes_after / bytes_before - 1, objects_after - objects_before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's account of memory")
@pytest.mark.parametrize(
    ("warm_up", "steps"), [(60, 240), pytest.param(2_000, 100_000, marks=pytest.mark.slow, id="100,000")]
)
def test_memory_does_not_grow(checkpoint: Path, warm_up: int, steps: int) -> None:
    share, objects = grown(checkpoint, warm_up, steps)
    assert share < 0.01
    assert objects < 50


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
