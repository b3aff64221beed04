"""Disagreement and distance to the data: what they measure, that a row is its own, and that they change no dream."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.dream.dream import Dream
from rla_gym.dream.uncertainty import OTHER_STREAM, DataDistance, DisagreementConfig, wanted
from rla_gym.utils.keyed_rng import keyed_normal, make_keys

BOTH = [DisagreementConfig(3, "tokens"), DisagreementConfig(3, "latent")]


def begun(bundle: Bundle, seeds: list[int], **options: Any) -> Dream:
    """A dream whose row i has seed seeds[i] and starts at reference seeds[i] % 3."""
    dream = Dream(bundle, len(seeds), **options)
    dream.seed(seeds)
    dream.reset(np.ones(len(seeds), bool), np.array(seeds) % 3, np.zeros(len(seeds), int))
    return dream


def random_chunks(steps: int, batch: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (steps, batch, 4, 2)).astype(np.float32)


@pytest.mark.parametrize("config", BOTH)
def test_a_row_does_not_depend_on_the_batch(bundle: Bundle, config: DisagreementConfig) -> None:
    chunks = random_chunks(2, 13)
    whole = begun(bundle, list(range(13)), disagreement=config)
    together = [whole.step(chunk).disagreement for chunk in chunks]
    for size in (1, 2, 5):
        part = begun(bundle, list(range(size)), disagreement=config)
        for chunk, expected in zip(chunks, together, strict=True):
            found = part.step(chunk[:size]).disagreement
            assert found is not None and expected is not None
            assert torch.equal(found, expected[:size])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_measuring_changes_no_dream(bundle: Bundle, temperature: float) -> None:
    bare = begun(bundle, [0, 1, 2], temperature=temperature)
    measured = begun(bundle, [0, 1, 2], temperature=temperature, disagreement=BOTH[0])
    for chunk in random_chunks(3, 3):
        one, other = bare.step(chunk), measured.step(chunk)
        assert torch.equal(one.tokens, other.tokens) and torch.equal(one.proprio, other.proprio)
        assert one.disagreement is None
        assert other.disagreement is not None and bool((other.disagreement > 0).all())


def test_it_is_the_spread_of_samples_with_noise_of_their_own(bundle: Bundle) -> None:
    dream = begun(bundle, [3, 4], disagreement=BOTH[0])
    tokens, proprio, chunk = dream.tokens, dream.proprio, random_chunks(1, 2)[0]
    found = dream.step(chunk).disagreement
    keys = make_keys(np.array([3, 4]), np.array([1, 1]), np.zeros(2, np.uint64) + OTHER_STREAM)
    noise = torch.from_numpy(keyed_normal(keys, (3, 4, 8)))
    conditioning = bundle.flow.condition(tokens, torch.from_numpy(chunk), proprio=proprio)
    samples = []
    for index in range(3):
        latent = bundle.flow.from_flow(bundle.flow.sample(conditioning, noise[:, index], 2))
        samples.append(bundle.autoencoder.decode(latent, tokens))
    expected = torch.stack(samples).var(dim=0).mean(dim=(1, 2)).sqrt()
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    own = keyed_normal(make_keys(np.array([3, 4]), np.array([1, 1]), np.zeros(2)), (3, 4, 8))
    assert abs(np.corrcoef(own.ravel(), noise.numpy().ravel())[0, 1]) < 0.3


def test_latents_that_the_decoder_ignores_disagree_in_latent_space_only(bundle: Bundle) -> None:
    deaf = copy.deepcopy(bundle.autoencoder)
    deaf.decoder.token_proj.weight.zero_()
    ignoring = replace(bundle, autoencoder=deaf, _copies={})
    chunk, spreads = random_chunks(1, 2)[0], []
    for config in BOTH:
        spreads.append(begun(ignoring, [0, 1], disagreement=config).step(chunk).disagreement)
    assert float(spreads[0].max()) < 1e-5 < 0.01 < float(spreads[1].min())


def test_it_is_zero_before_a_step_and_another_in_each_episode(bundle: Bundle) -> None:
    dream, chunk = begun(bundle, [0, 1], disagreement=BOTH[0]), random_chunks(1, 2)[0]
    assert dream.state().disagreement.tolist() == [0, 0]
    first = dream.step(chunk).disagreement
    after = dream.reset(np.array([True, False]), np.array([0, 0]), np.zeros(2, int))
    assert float(after.disagreement[0]) == 0 and torch.equal(after.disagreement[1], first[1])
    dream.reset(np.ones(2, bool), np.array([0, 1]), np.zeros(2, int))
    assert not torch.equal(dream.step(chunk).disagreement, first)
    dream.seed([0, 1])
    dream.reset(np.ones(2, bool), np.array([0, 1]), np.zeros(2, int))
    assert torch.equal(dream.step(chunk).disagreement, first)


@pytest.mark.parametrize("wrong", [{"samples": 1}, {"steps": 1}, {"space": "pixels"}])
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 2|tokens, latent"):
        DisagreementConfig(**wrong)


def recorded(bundle: Bundle, episode: int, frames: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Tokens, proprioception and following chunks of the first frames of a reference."""
    references = bundle.references
    rows = int(references.starts[episode]) + np.arange(frames)
    actions = bundle.scale_actions(references.actions.numpy())
    tokens, proprio = bundle.standardize(references.tokens[rows]), bundle.standardize_proprio(references.proprio[rows])
    return tokens, proprio, np.stack([actions[rows + shift] for shift in range(4)], axis=1)


def test_recorded_data_is_about_one_away_and_other_data_further(bundle: Bundle) -> None:
    distance = DataDistance(bundle, 4)
    near = np.concatenate([distance(*recorded(bundle, episode, 8)) for episode in range(6)])
    assert 0.6 < np.sqrt((near**2).mean()) < 1.4
    tokens, proprio, chunks = recorded(bundle, 0, 8)
    for factor in (2.0, 4.0):
        assert (distance(tokens, proprio, chunks * factor + factor) > distance(tokens, proprio, chunks)).all()
        assert (distance(tokens, proprio + 2 * factor, chunks) > distance(tokens, proprio, chunks)).all()
    noisy = tokens + torch.randn(tokens.shape, generator=torch.Generator().manual_seed(0))
    assert distance(noisy, proprio, chunks).mean() > distance(tokens, proprio, chunks).mean()


def test_a_distance_does_not_depend_on_the_batch(bundle: Bundle) -> None:
    distance = DataDistance(bundle, 4)
    tokens, proprio, chunks = recorded(bundle, 1, 10)
    together = distance(tokens, proprio, chunks)
    for size in (1, 3):
        assert np.array_equal(distance(tokens[:size], proprio[:size], chunks[:size]), together[:size])


def test_it_is_mahalanobis(bundle: Bundle) -> None:
    distance = DataDistance(bundle, 4)
    tokens, proprio, chunks = recorded(bundle, 2, 3)
    values = np.concatenate([bundle.feature_map(tokens).numpy(), proprio.numpy(), chunks.reshape(3, -1)], axis=1)
    size = values.shape[1]
    inverse = distance.whitening.T @ distance.whitening * size
    offset = values - distance.mean
    expected = np.sqrt(np.einsum("bi,ij,bj->b", offset, inverse, offset) / size)
    np.testing.assert_allclose(distance(tokens, proprio, chunks), expected, rtol=1e-4)


def test_shorter_chunks_and_references_without_actions(bundle: Bundle) -> None:
    tokens, proprio, chunks = recorded(bundle, 0, 3)
    assert DataDistance(bundle, 1)(tokens, proprio, chunks[:, :1]).shape == (3,)
    silent = replace(bundle.references, actions=bundle.references.actions[:, :0])
    with pytest.raises(ValueError, match="no actions"):
        DataDistance(bundle, 4, silent)
    unseen = replace(bundle.references, parts=torch.full_like(bundle.references.parts, 2))
    with pytest.raises(ValueError, match="training part"):
        DataDistance(bundle, 4, unseen)


def test_kinds() -> None:
    assert wanted(None) == () and wanted("data_distance") == ("data_distance",)
    assert wanted("both") == ("disagreement", "data_distance")
    with pytest.raises(ValueError, match="disagreement, data_distance, both"):
        wanted("entropy")
