"""What every task has to do, checked on a real one."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from rla_gym.tasks.task import Task


def check_task(task: Task, replay_steps: int = 10) -> None:
    """Check ``task`` against the protocol: spec, seeds, exact restoring, actions, pictures, demonstrators."""
    assert isinstance(task, Task)
    _check_spec(task)
    _check_seeds(task)
    _check_restoring(task, replay_steps)
    _check_actions(task)
    _check_demonstrators(task)


def _check_spec(task: Task) -> None:
    spec = task.spec
    assert spec.action_low.dtype == spec.action_high.dtype == np.float32
    assert spec.action_low.shape == spec.action_high.shape and spec.action_low.ndim == 1
    assert np.all(spec.action_low < spec.action_high) and np.all(np.isfinite(spec.action_high - spec.action_low))
    assert spec.max_steps > 0 and spec.control_hz > 0
    json.dumps(spec.to_dict(), allow_nan=False)


def _check_seeds(task: Task) -> None:
    generators = np.random.get_state()[1].copy(), random.getstate()
    task.reset(1)
    first = _observe(task)
    task.step(task.spec.action_high)
    task.reset(1)
    _assert_equal(_observe(task), first)
    task.reset(2)
    assert not np.array_equal(task.get_state(), first["state"]), "two seeds gave the same state"
    assert np.array_equal(np.random.get_state()[1], generators[0]), "the task draws from NumPy's global generator"
    assert random.getstate() == generators[1], "the task draws from Python's global generator"


def _check_restoring(task: Task, steps: int) -> None:
    for warm_up in (0, 5):
        for between in (0, 1):
            _check_replay(task, steps, warm_up, between)
    with pytest.raises(ValueError, match="state"):
        task.set_state(task.get_state()[:-1])


def _check_replay(task: Task, steps: int, warm_up: int, between: int) -> None:
    task.reset(3)
    policy = task.demonstrator("play", 0.0, 0)
    for _ in range(warm_up):
        task.step(policy())
    start = _observe(task)
    actions, reached = [policy() for _ in range(steps)], []
    for action in actions:
        task.step(action)
        reached.append(_observe(task))
    assert not np.array_equal(reached[-1]["state"], start["state"])
    # Another episode lies between, so that nothing of this one is left over by chance.
    task.reset(4)
    for _ in range(between):
        task.step(task.spec.action_low)
    task.set_state(start["state"])
    _assert_equal(_observe(task), start)
    for action, expected in zip(actions, reached, strict=True):
        task.step(action)
        _assert_equal(_observe(task), expected)


def _check_actions(task: Task) -> None:
    task.reset(5)
    low, high = task.spec.action_low, task.spec.action_high
    before = task.get_state()
    for bad in (np.zeros(len(low) + 1), np.zeros((1, len(low)))):
        with pytest.raises(ValueError, match="shape"):
            task.step(bad)
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="NaN"):
            task.step(np.full(len(low), value))
    assert np.array_equal(task.get_state(), before), "a refused action changed the state"
    task.step(high)
    expected = task.get_state()
    task.reset(5)
    task.step(high + 10.0)
    assert np.array_equal(task.get_state(), expected), "an action beyond the bounds was not clipped to them"


def _check_demonstrators(task: Task) -> None:
    assert "play" in task.demonstrators
    for kind in task.demonstrators:
        runs = []
        for _ in range(2):
            task.reset(6)
            policy = task.demonstrator(kind, 0.2, 7)
            actions = []
            for _ in range(3):
                actions.append(policy())
                task.step(actions[-1])
            runs.append(np.array(actions))
        assert runs[0].dtype == np.float32 and runs[0].shape[1:] == task.spec.action_low.shape
        assert np.all(runs[0] >= task.spec.action_low) and np.all(runs[0] <= task.spec.action_high)
        assert np.array_equal(*runs), f"{kind}: the same seed gave different actions"
    with pytest.raises(ValueError, match="play"):
        task.demonstrator("no-such-kind", 0.0, 0)


def _observe(task: Task) -> dict[str, np.ndarray]:
    """Everything that a task shows of its present state, checked for shape and dtype."""
    seen = {
        "state": task.get_state(),
        "frame": task.render(),
        "proprioception": task.proprioception(),
        "objects": task.object_state(),
        "success": np.array(task.success()),
    }
    assert type(task.success()) is bool
    assert seen["state"].dtype == np.float64 and seen["state"].ndim == 1
    assert seen["frame"].shape == (*task.spec.frame_size, 3) and seen["frame"].dtype == np.uint8
    assert seen["proprioception"].shape == (task.spec.proprio_size,)
    assert seen["objects"].shape == (len(task.spec.object_names),)
    assert seen["proprioception"].dtype == seen["objects"].dtype == np.float32
    assert all(np.all(np.isfinite(value)) for value in seen.values())
    return {name: np.copy(value) for name, value in seen.items()}


def _assert_equal(seen: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, value in expected.items():
        difference = np.abs(seen[name].astype(np.float64) - value.astype(np.float64)).max(initial=0.0)
        assert np.array_equal(seen[name], value), f"{name} differs by up to {difference:g}"
