"""The worth of observations: both clones see the same moments and starts, and shares are those one can count."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import rla_gym
from benchmarks.observation import Args, Pairs, TrueState, clone, main, record, share_reached, state_inputs, summarize
from rla_gym.checkpoint.bundle import Bundle

SMALL = {
    "demonstrations": 3,
    "episodes": 4,
    "epochs": 3,
    "hidden": (16,),
    "real_envs": 2,
    "workers": 0,
    "held_out": 0.4,
}


def test_true_states_have_no_angles_that_jump(bundle: Bundle) -> None:
    names = bundle.config.object_names
    almost = np.array([[0.1, 0.2, np.pi - 1e-4, 0.3, 0.4], [0.1, 0.2, -np.pi + 1e-4, 0.3, 0.4]])
    first, second = state_inputs(names, almost)
    assert first.shape == (6,) and np.abs(first - second).max() < 1e-3
    assert first[[0, 1, 4, 5]].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_demonstrations_are_seen_in_both_ways(bundle: Bundle) -> None:
    pairs = record(bundle, Args(**SMALL), seed=0)
    features, state = pairs.inputs["features"], pairs.inputs["state"]
    assert len(features) == len(state) == len(pairs.chunks) == len(pairs.episode) and set(pairs.episode) == {0, 1, 2}
    proprio = bundle.config.proprio_size
    assert features.shape[1] == bundle.config.features.size + proprio and state.shape[1] == 6 + proprio
    assert np.array_equal(features[:, -proprio:], state[:, -proprio:])
    targets = state[:, 4:6]
    assert all(np.ptp(targets[pairs.episode == number], axis=0).max() < 1e-6 for number in range(3))  # they stay
    assert np.ptp(state[:, 0]) > 0.01  # and the cube is pushed


def test_the_simulator_is_seen_in_the_same_way(bundle: Bundle) -> None:
    """Also in the step in which an episode ends and another begins."""
    env = rla_gym.RLARealVecEnv(bundle, 2, workers=0, start="task", time_limit=2)
    wrapped = TrueState(env)
    wrapped.seed(5)
    seen, ended = wrapped.reset(), 0
    for _ in range(3):
        tasks = env.episodes.simulators._tasks
        for row in range(2):
            objects = state_inputs(bundle.config.object_names, tasks[row].object_state()[None])[0]
            felt = bundle.standardize_proprio(torch.from_numpy(tasks[row].proprioception())).clamp(-5, 5).numpy()
            assert np.array_equal(seen[row], np.concatenate([objects, felt]))
        seen, _, dones, _ = wrapped.step(np.ones((2, 8), np.float32))
        ended += int(dones.sum())
    assert ended == 2
    env.close()


def test_a_law_is_cloned() -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(600, 5)).astype(np.float32)
    chunks = np.tanh(inputs @ generator.normal(size=(5, 8)) / 3).astype(np.float32)
    pairs = Pairs({"state": inputs}, chunks, np.repeat(np.arange(20), 30))
    model, how = clone(inputs, pairs, Args(epochs=60, hidden=(32,)), seed=0)
    assert how["held_out_error"] < 0.1 * chunks.var()
    assert np.abs(model.predict(inputs)[0] - chunks).mean() < 0.1
    again, _ = clone(inputs, pairs, Args(epochs=2, hidden=(32,)), seed=0)
    other, _ = clone(inputs, pairs, Args(epochs=2, hidden=(32,)), seed=0)
    assert np.array_equal(again.predict(inputs)[0], other.predict(inputs)[0])


def test_shares_one_can_count() -> None:
    state = [True] * 50 + [False] * 50
    found = share_reached([True] * 45 + [False] * 55, state)
    assert found is not None and found["share"] == pytest.approx(0.9) and 0.75 < found["low"] < 0.9 < found["high"] <= 1
    assert share_reached([True, False], [False, False]) is None
    both = [{"observation": name, "successes": list(solved)} for solved in ([1, 0, 1, 1], [0, 0, 1, 1]) for name in
            ("features", "state")]  # fmt: skip
    summary = summarize(both)
    assert summary["features"]["rate"] == summary["state"]["rate"] == 0.625 and summary["reached"]["share"] == 1.0
    assert [each["share"] for each in summary["reached_by_seed"]] == [1.0, 1.0]


def test_the_whole_measurement(checkpoint: Path, tmp_path: Path) -> None:
    main(Args(str(checkpoint), tmp_path / "observation.json", seeds=(3,), **SMALL))
    found = json.loads((tmp_path / "observation.json").read_text())
    assert [row["observation"] for row in found["rows"]] == ["features", "state"] and found["seeds"] == [3]
    for row in found["rows"]:
        assert len(row["successes"]) == len(row["lengths"]) == 4 and all(1 <= each <= 12 for each in row["lengths"])
    assert {"commit", "machine", "versions", "summary", "settings"} <= set(found)
