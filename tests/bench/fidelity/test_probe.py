"""The state probe: trained on true tokens and states, it reads positions better than guessing, and says how well."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rla_gym.bench.fidelity.probe import ProbeConfig, pairs_of, probe_floor, probe_targets, state_values, train_probe
from rla_gym.data import TokenStore
from rla_gym.tasks import make_task


def test_targets_are_the_positions_of_objects_and_robot(encoded: TokenStore) -> None:
    names, values = probe_targets(encoded)
    assert names == ("cube_x", "cube_y", "target_x", "target_y", "pusher_x", "pusher_y")
    np.testing.assert_array_equal(values[:, :2], encoded.objects[:, :2])
    np.testing.assert_array_equal(values[:, 4:], encoded.proprio[:, :2])
    assert pairs_of(names) == {"cube": [0, 1], "target": [2, 3], "pusher": [4, 5]}


def test_a_trained_probe_beats_the_mean_and_is_reproducible(encoded: TokenStore) -> None:
    config = ProbeConfig(steps=250, batch_size=32)
    one, two = train_probe(encoded, config), train_probe(encoded, config)
    tokens = encoded.normalized(np.arange(4))
    assert torch.equal(one(tokens), two(tokens))
    floor = probe_floor(one, encoded, "train")
    _, values = probe_targets(encoded)
    guess = 1000 * np.linalg.norm(values[:, :2] - values[:, :2].mean(0), axis=1).mean()
    assert floor["cube"] < 0.5 * guess, (floor, guess)


def test_reachers_fingertip_is_where_the_simulator_has_it() -> None:
    task = make_task("Reacher-v5")
    task.reset(3)
    for _ in range(5):
        task.step(np.array([0.7, -0.4], np.float32))
    found = state_values(task.spec.to_dict(), task.object_state(), task.proprioception())
    assert list(found) == ["fingertip_x", "fingertip_y", "target_x", "target_y"]
    true = task.env.get_body_com("fingertip")[:2]
    np.testing.assert_allclose([found["fingertip_x"], found["fingertip_y"]], true, atol=1e-4)
    task.close()


def test_nothing_to_read_is_told(encoded: TokenStore) -> None:
    spec = {**encoded.info["spec"], "object_names": ["height"] * 5, "proprio_names": []}
    names = replace(encoded, info={**encoded.info, "spec": spec}, objects=np.zeros((len(encoded), 5), np.float32))
    with pytest.raises(ValueError, match="push-cube names no positions"):
        train_probe(names)
