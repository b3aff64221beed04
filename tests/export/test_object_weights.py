"""Weights of keypoints that follow objects: on made-up curves whose answer is known, and on recorded episodes."""

from __future__ import annotations

import numpy as np
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import TokenStore
from rla_gym.export.object_weights import explained_share, jitter_share, object_weights


def test_what_proprioception_explains_is_the_robot() -> None:
    rng = np.random.default_rng(0)
    robot, other = rng.normal(size=(500, 2)), rng.normal(size=(500, 1))
    values = np.concatenate([robot[:, :1] * robot[:, 1:] - 2 * robot[:, :1], other, robot[:, 1:] + other], axis=1)
    share = explained_share(robot, values)
    assert share[0] > 0.999 and share[1] < 0.05 and 0.4 < share[2] < 0.6
    assert explained_share(np.zeros((500, 0)), values).tolist() == [0, 0, 0]


def test_jumps_are_jitter_and_steady_motion_is_not() -> None:
    rng = np.random.default_rng(0)
    noise, motion = rng.normal(size=(20, 200)), np.linspace(0, 1, 200)
    share = jitter_share([np.stack([each, motion], axis=1) for each in noise])
    assert 0.9 < share[0] < 1.1 and abs(share[1] - 6 / 200**2) < 1e-5


def test_weights_are_scaled_so_that_an_episode_goes_a_distance_of_one(bundle: Bundle, encoded: TokenStore) -> None:
    found = object_weights(encoded, bundle.features)
    assert found.weights.dtype == torch.float32 and len(found.weights) == bundle.features.config.size
    assert (found.weights >= 0).all() and found.card["episodes"] == len(encoded.split("train"))
    distances = []
    for episode in encoded.split("train"):
        first = int(encoded.starts[episode])
        ends = bundle.features(encoded.normalized(np.array([first, first + int(encoded.lengths[episode]) - 1])))
        distances.append(float(((ends[1] - ends[0]) * found.weights).norm()))
    assert abs(np.mean(distances) - 1) < 1e-3
    assert torch.equal(object_weights(encoded, bundle.features).weights, found.weights)
