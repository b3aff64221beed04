"""Uncertainties of the dream: off unless asked for, the same in a batch, and they change nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.references import References
from rla_gym.envs.episodes import EpisodeOptions
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.envs.world import RLAWorldEnv

ENDLESS = {"success_threshold": 1e-6, "terminate_on_success": False}
STILL = np.zeros(8, np.float32)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_uncertainties_are_off_and_change_nothing(bundle: Bundle, temperature: float) -> None:
    off = RLAWorldEnv(bundle, temperature=temperature, **ENDLESS)
    on = RLAWorldEnv(bundle, temperature=temperature, uncertainty="both", **ENDLESS)
    assert off.episodes.dream.disagreement is None and off.episodes.data_distance is None
    (one, known), (other, told) = off.reset(seed=2), on.reset(seed=2)
    assert np.array_equal(one, other) and known == told
    for action in np.random.default_rng(0).uniform(-1, 1, (4, 8)).astype(np.float32):
        first, second = off.step(action), on.step(action)
        assert np.array_equal(first[0], second[0]) and first[1:4] == second[1:4]
        extra = {name: value for name, value in second[4].items() if name not in first[4]}
        assert first[4] == {name: second[4][name] for name in first[4]}
        assert extra.keys() == {"disagreement", "disagreement_total", "data_distance"}
        assert all(isinstance(value, float) and value > 0 for value in extra.values())


@pytest.mark.parametrize("space", ["tokens", "latent"])
def test_a_batch_tells_what_single_environments_tell(bundle: Bundle, space: str) -> None:
    options = {"uncertainty": "both", "disagreement_space": space, "time_limit": 2, **ENDLESS}
    batch, singles = RLAWorldVecEnv(bundle, 3, **options), [RLAWorldEnv(bundle, **options) for _ in range(3)]
    batch.seed(8)
    batch.reset()
    for index, env in enumerate(singles):
        env.reset(seed=8 + index)
    for actions in np.random.default_rng(0).uniform(-1, 1, (3, 3, 8)).astype(np.float32):
        _, _, dones, infos = batch.step(actions)
        for index, env in enumerate(singles):
            info = env.step(actions[index])[4]
            for name in ("disagreement", "disagreement_total", "data_distance"):
                assert infos[index][name] == info[name]
            if dones[index]:
                env.reset()


def test_the_total_is_of_one_episode(bundle: Bundle) -> None:
    env = RLAWorldEnv(bundle, uncertainty="disagreement", **ENDLESS)
    for _ in range(2):
        env.reset(seed=1)
        infos = [env.step(STILL)[4] for _ in range(3)]
        expected = np.sqrt(np.cumsum(np.square([info["disagreement"] for info in infos])))
        assert [info["disagreement_total"] for info in infos] == pytest.approx(expected.tolist(), rel=1e-5)
        assert "data_distance" not in infos[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"uncertainty": "entropy"}, "disagreement, data_distance, both"),
        ({"uncertainty": "disagreement", "disagreement_samples": 1}, "at least 2"),
        ({"uncertainty": "both", "disagreement_space": "pixels"}, "tokens, latent"),
        ({"disagreement_limit": 1.0}, "'disagreement' or 'both'"),
        ({"uncertainty": "data_distance", "disagreement_limit": 1.0}, "'disagreement' or 'both'"),
        ({"uncertainty": "both", "disagreement_limit": -1.0}, "positive"),
    ],
)
def test_wrong_uncertainties_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EpisodeOptions(**options)


def test_distance_is_to_the_data_that_the_model_was_trained_on(bundle: Bundle, foreign: References) -> None:
    """Not to the references that were given: those may be anything."""
    given = replace(foreign, parts=torch.full_like(foreign.parts, 2))
    options = {"uncertainty": "data_distance", **ENDLESS}
    other, own = (
        RLAWorldEnv(bundle, dataset=given, successful_references=False, **options),
        RLAWorldEnv(bundle, **options),
    )
    found = []
    for env, number in ((other, 1), (own, 2)):
        env.reset(seed=0, options={"reference": number})
        found.append(env.step(STILL)[4]["data_distance"])
    assert found[0] == found[1]
