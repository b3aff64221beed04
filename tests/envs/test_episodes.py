"""Episodes: given starts and goals, ends, chunk lengths, other references, and uncertainties that change nothing."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.reference_data import encode_references, load_references
from rla_gym.checkpoint.references import References
from rla_gym.data import EpisodeDataset, TokenStore, encode_dataset
from rla_gym.envs.real import RLARealEnv
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.envs.world import RLAWorldEnv
from rla_gym.models.encoder import Encoder, load_encoder

ENDLESS = {"success_threshold": 1e-6, "terminate_on_success": False}
STILL = np.zeros(8, np.float32)


def same(first: References, second: References) -> bool:
    """Whether all is equal, tokens up to two roundings of float16: matrix libraries promise no more."""
    others = set(first.__dataclass_fields__) - {"tokens"}
    alike = all(torch.equal(getattr(first, name), getattr(second, name)) for name in others)
    return alike and torch.allclose(first.tokens.float(), second.tokens.float(), rtol=2**-9, atol=2**-9)


# Goals


@pytest.mark.parametrize(("goal", "place"), [((1, 5), (1, 5)), (7, (2, 7)), (np.array([0, 3]), (0, 3))])
def test_a_goal_is_what_distances_and_rewards_are_measured_to(
    bundle: Bundle, goal: Any, place: tuple[int, int]
) -> None:
    env = RLAWorldEnv(bundle, reward="progress", metric="l2", patches="all", reward_scale=2.0, **ENDLESS)
    _, info = env.reset(seed=0, options={"reference": 2, "frame": 1, "goal": goal})
    references = bundle.references
    target = bundle.standardize(references.tokens[int(references.starts[place[0]]) + place[1]])
    start = bundle.standardize(references.tokens[int(references.starts[2]) + 1])
    before = float((start - target).square().mean().sqrt())
    assert info["goal_distance"] == pytest.approx(before, rel=1e-5)
    _, reward, _, _, info = env.step(STILL)
    after = float((env.episodes.dream.tokens[0] - target).square().mean().sqrt())
    assert info["goal_distance"] == pytest.approx(after, rel=1e-5)
    assert reward == pytest.approx(2.0 * (before - after), rel=1e-3)
    _, info = env.reset(options={"reference": 2, "frame": 1})
    assert info["goal_distance"] != pytest.approx(before, rel=1e-3)  # the next episode has its own again


def test_the_real_environment_has_the_same_goals(bundle: Bundle) -> None:
    world, real = RLAWorldEnv(bundle), RLARealEnv(bundle)
    given = {"reference": 0, "frame": 2, "goal": (1, 4)}
    expected, found = (env.reset(seed=0, options=given)[1]["goal_distance"] for env in (world, real))
    assert found == pytest.approx(expected, abs=5e-3)
    at_goal = real.reset(options={"reference": 0, "frame": 2, "goal": 2})[1]["goal_distance"]
    assert at_goal == pytest.approx(0, abs=5e-3)
    real.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"goal": (0, 1, 2)}, "pair"),
        ({"goal": (99, 0)}, r"reference=99: expected 0 to 9"),
        ({"reference": 1, "goal": 10_000}, r"reference 1 has frames 0 to"),
        ({"goal": 1.5}, "whole numbers"),
        ({"goal": "end"}, "pair|whole numbers"),
        ({"reference": "first"}, "whole numbers"),
        ({"frame": 0.5}, "whole numbers"),
        ({"target": 3}, "reference, frame, goal"),
    ],
)
def test_wrong_options_are_refused_and_begin_nothing(bundle: Bundle, options: dict[str, Any], message: str) -> None:
    env, undisturbed = RLAWorldEnv(bundle, **ENDLESS), RLAWorldEnv(bundle, **ENDLESS)
    for each in (env, undisturbed):
        each.reset(seed=5)
        each.step(STILL)
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
    assert np.array_equal(env.step(STILL)[0], undisturbed.step(STILL)[0])
    assert np.array_equal(env.reset()[0], undisturbed.reset()[0])


def test_without_references_there_is_nothing_to_start_from(bundle: Bundle) -> None:
    env = RLARealEnv(bundle, start="task", obs_mode="pixels")
    with pytest.raises(ValueError, match="expected none"):
        env.reset(options={"reference": 0})
    env.close()
    with pytest.raises(ValueError, match="no reference"):
        RLARealEnv(bundle, start="task", end_with_reference=True)
    with pytest.raises(ValueError, match="only dreams"):
        RLARealEnv(bundle, uncertainty="both")


# Ends and chunks


@pytest.mark.parametrize("chunk", [1, 3, 4])
def test_episodes_end_with_their_reference(bundle: Bundle, chunk: int) -> None:
    env = RLAWorldEnv(bundle, end_with_reference=True, chunk=chunk, **ENDLESS)
    still = np.zeros(2 * chunk, np.float32)
    for episode in (0, 1):
        last = int(bundle.references.lengths[episode]) - 1
        first = last - 2 * chunk
        env.reset(seed=0, options={"reference": episode, "frame": first})
        flags = [env.step(still)[3] for _ in range(2)]
        assert flags == [False, True]
    env.reset(options={"reference": 0})
    steps = 0
    while not env.step(still)[3]:
        steps += 1
    assert steps + 1 == -(-(int(bundle.references.lengths[0]) - 1) // chunk)
    shorter = RLAWorldEnv(bundle, end_with_reference=True, time_limit=1, chunk=chunk, **ENDLESS)
    shorter.reset(seed=0, options={"reference": 0})
    assert shorter.step(still)[3]


@pytest.mark.parametrize("chunk", [1, 2, 3, 4])
def test_chunks_of_any_length_have_the_same_time(bundle: Bundle, chunk: int) -> None:
    env = RLAWorldEnv(bundle, chunk=chunk, p_initial_frame=1.0, **ENDLESS)
    env.reset(seed=0)
    assert env.action_space.shape == (2 * chunk,)
    steps, truncated = 0, False
    while not truncated:
        truncated = env.step(np.zeros(2 * chunk, np.float32))[3]
        steps += 1
    assert steps * chunk == 48  # 12 steps of the checkpoint's own 4


# References other than the checkpoint's


def test_given_references_are_started_from_and_rewarded_against(bundle: Bundle, foreign: References) -> None:
    env, own = RLAWorldEnv(bundle, dataset=foreign, **ENDLESS), RLAWorldEnv(bundle, **ENDLESS)
    (one, told), (other, known) = (
        each.reset(seed=0, options={"reference": number, "frame": 3}) for each, number in ((env, 1), (own, 2))
    )
    assert np.array_equal(one, other) and told["reference"] == 1
    assert told["goal_distance"] == known["goal_distance"]
    assert np.array_equal(env.step(STILL)[0], own.step(STILL)[0])
    with pytest.raises(ValueError, match="expected 0 to 2"):
        env.reset(options={"reference": 3})
    assert own.episodes.bundle.references is bundle.references  # and other environments keep theirs
    batch = RLAWorldVecEnv(bundle, 2, dataset=foreign)
    batch.reset()
    assert {info["reference"] for info in batch.reset_infos} <= {0, 1, 2}


def test_all_successful_ones_are_drawn_unless_said(bundle: Bundle, foreign: References) -> None:
    env = RLAWorldEnv(bundle, dataset=foreign, successful_references=False)
    assert env.episodes.chosen.tolist() == [0, 1, 2]
    assert RLAWorldEnv(bundle, dataset=foreign, references=[1]).episodes.chosen.tolist() == [1]
    split = replace(foreign, parts=torch.tensor([0, 1, 2]))
    some = RLAWorldEnv(bundle, dataset=split, references="validation", successful_references=False)
    assert some.episodes.chosen.tolist() == [1]


def test_a_store_its_data_set_and_its_frames_give_the_same(
    bundle: Bundle, recorded: EpisodeDataset, encoded: TokenStore, tmp_path: Path
) -> None:
    stored = load_references(encoded.path, bundle)
    assert same(stored, References.from_store(encoded, range(len(encoded.lengths))))
    folder = tmp_path / "push-cube"
    shutil.copytree(recorded.path.parent, folder)
    assert same(load_references(folder, bundle), stored)  # encoded here
    shutil.copytree(encoded.path, folder / "tokens")
    assert same(load_references(folder, bundle), stored)
    env = RLAWorldEnv(bundle, dataset=str(encoded.path))
    assert len(env.episodes.lengths) == len(encoded.lengths)
    env.reset(seed=0)
    env.step(STILL)


def test_a_data_set_that_does_not_fit_is_refused(
    bundle: Bundle, recorded: EpisodeDataset, encoded: TokenStore, foreign: References, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="rla-gym encode"):
        RLAWorldEnv(bundle, dataset=tmp_path)
    config = bundle.config
    for change, message in (
        ({"task": "push-t"}, "'push-cube', expected 'push-t'"),
        ({"action_high": (1.0, 2.0)}, "action_high"),
        ({"frame_size": (96, 96)}, "frame_size"),
        ({"control_hz": 20.0}, "control_hz"),
    ):
        other = replace(bundle, config=replace(config, **change), _copies={})
        with pytest.raises(ValueError, match=message):
            load_references(encoded.path, other)
        with pytest.raises(ValueError, match=message):
            encode_references(recorded, other)
    with pytest.raises(ValueError, match="made by .* takes those of"):
        load_references(encoded.path, replace(bundle, config=replace(config, encoder_hash="0" * 64), _copies={}))
    turned = replace(bundle, pca_components=bundle.pca_components.flip(0), _copies={})
    with pytest.raises(ValueError, match="channel map"):
        load_references(encoded.path, turned)
    with pytest.raises(ValueError, match=r"takes \(49, 12\)"):
        load_references(replace(foreign, tokens=foreign.tokens[..., :6]), bundle)
    with pytest.raises(ValueError, match="proprio has 1"):
        load_references(replace(foreign, proprio=foreign.proprio[:, :1]), bundle)
    with pytest.raises(ValueError, match="actions has 1"):
        load_references(replace(foreign, actions=foreign.actions[:, :1]), bundle)
    videos = replace(foreign, actions=foreign.actions[:, :0])
    assert load_references(videos, bundle) is videos


def test_another_encoders_tokens_are_not_taken(
    bundle: Bundle, recorded: EpisodeDataset, tmp_path: Path, small_encoder: Encoder
) -> None:
    other = load_encoder("vit_tiny_patch16_224", (112, 112), layer=1, weights="random:1")
    store = encode_dataset(recorded, other, tmp_path / "tokens", progress=False, pca=12)
    assert other.hash != small_encoder.hash
    with pytest.raises(ValueError, match=r"\.hdf5"):
        RLAWorldEnv(bundle, dataset=store.path)
