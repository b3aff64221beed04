"""Dreams: each row is its own, whatever the batch; tokens are fed back; wrong input is refused."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.store import load_checkpoint, save_checkpoint
from rla_gym.data import TokenStore
from rla_gym.dream.dream import Dream
from rla_gym.models.encoder import Encoder
from tests.conftest import make_bundle


def run(bundle: Bundle, seeds: list[int], chunks: np.ndarray, **options: Any) -> list[torch.Tensor]:
    """Tokens (B, L, C) after each of `chunks` (T, B, K, A); row i starts at reference seeds[i] % 3."""
    dream = Dream(bundle, len(seeds), **options)
    dream.seed(seeds)
    everyone = np.ones(len(seeds), bool)
    dream.reset(everyone, np.array(seeds) % 3, np.zeros(len(seeds), int))
    return [dream.step(chunk).tokens for chunk in chunks]


def random_chunks(steps: int, batch: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (steps, batch, 4, 2)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 5, 8, 13, 32, 70])
def test_a_row_does_not_depend_on_the_batch(bundle: Bundle, batch: int) -> None:
    seeds, chunks = list(range(batch)), random_chunks(3, batch)
    together = run(bundle, seeds, chunks)
    for row in {0, batch // 2, batch - 1}:
        alone = run(bundle, [row], chunks[:, row : row + 1])
        for whole, single in zip(together, alone, strict=True):
            assert torch.equal(whole[row], single[0])


def test_a_finished_row_does_not_disturb_the_others(bundle: Bundle) -> None:
    chunks = random_chunks(4, 6)
    undisturbed = run(bundle, list(range(6)), chunks)
    dream = Dream(bundle, 6)
    dream.seed(range(6))
    dream.reset(np.ones(6, bool), np.arange(6) % 3, np.zeros(6, int))
    for step, chunk in enumerate(chunks):
        state = dream.step(chunk)
        assert torch.equal(state.tokens[[0, 1, 2, 4, 5]], undisturbed[step][[0, 1, 2, 4, 5]])
        dream.reset(np.arange(6) == 3, np.zeros(6, int), np.zeros(6, int))
    assert state.chunks.tolist() == [4, 4, 4, 1, 4, 4]


def test_tokens_are_fed_back_and_time_goes_on(bundle: Bundle) -> None:
    dream = Dream(bundle, 2, temperature=0.0)
    start = dream.reset(np.ones(2, bool), np.array([0, 1]), np.array([0, 3]))
    chunk = random_chunks(1, 2)[0]
    first = dream.step(chunk[:, :3])
    second = dream.step(chunk)
    assert second.frame.tolist() == [7, 10] and second.chunks.tolist() == [2, 2]
    conditioning = bundle.flow.condition(first.tokens, torch.from_numpy(chunk), proprio=first.proprio)
    latent = bundle.flow.sample(conditioning, torch.zeros(2, 4, 8), 2)
    expected = bundle.autoencoder.decode(bundle.flow.from_flow(latent), first.tokens)
    assert torch.allclose(second.tokens, expected, atol=1e-5)
    assert torch.allclose(second.proprio, first.proprio + bundle.flow.proprio_delta(conditioning), atol=1e-5)
    assert not torch.equal(first.tokens, start.tokens)  # and the first state was not written over
    row = int(bundle.references.starts[1]) + 3
    assert torch.equal(start.tokens[1], bundle.standardize(bundle.references.tokens[row]))


@pytest.mark.parametrize(("steps", "midpoint"), [(2, True), (3, False)])
def test_noise_is_integrated_by_the_midpoint_rule_where_it_can_be(
    bundle: Bundle, steps: int, midpoint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    dream, found = Dream(bundle, 2, steps=steps, temperature=1.0), []
    sample = bundle.flow.sample

    def seen(conditioning: Any, noise: torch.Tensor, *how: Any) -> torch.Tensor:
        latent: torch.Tensor = sample(conditioning, noise, *how)
        found.append((latent, sample(conditioning, noise, steps, midpoint)))
        return latent

    monkeypatch.setattr(bundle.flow, "sample", seen)
    dream.reset(np.ones(2, bool), np.array([0, 1]), np.array([0, 3]))
    dream.step(random_chunks(1, 2)[0])
    assert len(found) == 1 and torch.equal(*found[0])


def test_temperature_scales_the_noise(bundle: Bundle) -> None:
    chunks = random_chunks(1, 2)
    assert torch.equal(*(run(bundle, seeds, chunks, temperature=0.0)[0] for seeds in ([0, 1], [3, 4])))
    central = run(bundle, [0, 1], chunks, temperature=0.0)[0]
    distances = [(run(bundle, [0, 1], chunks, temperature=value)[0] - central).abs().mean() for value in (0.1, 1.0)]
    assert 0 < distances[0] < distances[1]


def test_the_next_episode_has_other_noise(bundle: Bundle) -> None:
    dream, chunk, everyone = Dream(bundle, 1), random_chunks(1, 1)[0], np.ones(1, bool)
    found = []
    for _ in range(2):
        dream.reset(everyone, np.zeros(1, int), np.zeros(1, int))
        found.append(dream.step(chunk).tokens)
    assert not torch.equal(*found)
    dream.seed([0])
    dream.reset(everyone, np.zeros(1, int), np.zeros(1, int))
    assert torch.equal(dream.step(chunk).tokens, found[0])


def test_bf16_is_near(bundle: Bundle) -> None:
    chunks = random_chunks(2, 3)
    exact, short = (run(bundle, [0, 1, 2], chunks, precision=precision)[-1] for precision in (None, "bf16"))
    assert short.dtype == torch.float32 and not torch.equal(exact, short)
    assert (exact - short).abs().mean() < 0.05


def test_pictures(bundle: Bundle) -> None:
    dream = Dream(bundle, 3)
    dream.reset(np.ones(3, bool), np.arange(3), np.zeros(3, int))
    images = dream.images()
    assert images.shape == (3, 112, 112, 3) and images.dtype == np.uint8 and images.std() > 0
    assert np.array_equal(dream.images([2])[0], images[2])
    with pytest.raises(ValueError, match="no image decoder"):
        Dream(replace(bundle, image_decoder=None, _copies={}), 1).images()


@pytest.mark.parametrize("shape", [(2, 5, 2), (2, 0, 2), (3, 4, 2), (2, 4, 3), (2, 8)])
def test_wrong_chunks_are_refused(bundle: Bundle, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(2, 1 to 4, 2\)"):
        Dream(bundle, 2).step(np.zeros(shape, np.float32))


def test_wrong_numbers_are_refused(bundle: Bundle) -> None:
    everyone = np.ones(1, bool)
    with pytest.raises(ValueError, match="NaN"):
        Dream(bundle, 1).step(np.full((1, 4, 2), np.nan, np.float32))
    with pytest.raises(ValueError, match="from 0 to 9"):
        Dream(bundle, 1).reset(everyone, np.array([10]), np.zeros(1, int))
    with pytest.raises(ValueError, match="counted from 0"):
        Dream(bundle, 1).reset(everyone, np.zeros(1, int), np.array([500]))


@pytest.fixture(scope="module")
def anchored(encoded: TokenStore, small_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A checkpoint with an anchored flow, as it comes back from its file."""
    out = tmp_path_factory.mktemp("anchored") / "small"
    return load_checkpoint(save_checkpoint(out, make_bundle(encoded, small_encoder, anchor=True)))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_rows_of_anchored_dreams_are_their_own_too(anchored: Bundle, temperature: float) -> None:
    seeds, chunks = list(range(5)), random_chunks(2, 5)
    together = run(anchored, seeds, chunks, temperature=temperature)
    for row in (0, 3):
        alone = run(anchored, [row], chunks[:, row : row + 1], temperature=temperature)
        for whole, single in zip(together, alone, strict=True):
            assert torch.equal(whole[row], single[0])


def test_anchored_dreams_are_the_regression_and_samples_about_it(anchored: Bundle) -> None:
    dream, chunk = Dream(anchored, 2, temperature=0.0), random_chunks(1, 2)[0]
    start = dream.reset(np.ones(2, bool), np.array([0, 1]), np.array([0, 3]))
    found = dream.step(chunk).tokens
    conditioning = anchored.flow.condition(start.tokens, torch.from_numpy(chunk), proprio=start.proprio)
    assert torch.allclose(found, start.tokens + conditioning.change, atol=1e-5)
    sampled = [run(anchored, [seed], random_chunks(1, 1), temperature=1.0)[0] for seed in (0, 3)]
    central = run(anchored, [0], random_chunks(1, 1), temperature=0.0)[0]
    assert not torch.equal(*sampled) and not torch.equal(sampled[0], central)


def overconfident(bundle: Bundle, factor: float) -> Bundle:
    """`bundle` with a decoder whose residuals are `factor` times too large: fed back, they run away."""
    wild = copy.deepcopy(bundle)
    with torch.no_grad():
        for parameter in list(wild.autoencoder.parameters())[-2:]:
            parameter *= factor
        for parameter in list(wild.flow.parameters())[-2:]:
            parameter *= factor
    return wild


def test_a_dream_stays_in_the_range_of_its_data(bundle: Bundle) -> None:
    wild = overconfident(bundle, 300.0)
    dream = Dream(wild, 5)
    state = dream.reset(np.ones(5, bool), np.arange(5) % 3, np.zeros(5, int))
    assert state.clamped.tolist() == [0.0] * 5
    low, high = wild.standardize(wild.token_low), wild.standardize(wild.token_high)
    least, most = wild.standardize_proprio(wild.proprio_low), wild.standardize_proprio(wild.proprio_high)
    for chunk in random_chunks(6, 5):
        state = dream.step(chunk)
        assert bool(((state.tokens >= low) & (state.tokens <= high)).all())
        assert bool(((state.proprio >= least) & (state.proprio <= most)).all())
    at_edge = (state.tokens == low) | (state.tokens == high)
    edge = (state.proprio == least) | (state.proprio == most)
    counted = (at_edge.flatten(1).sum(1) + edge.sum(1)) / (at_edge[0].numel() + edge.shape[1])
    assert float(state.clamped.min()) > 0.1 and torch.equal(state.clamped, counted)
    assert dream.reset(np.arange(5) == 1, np.zeros(5, int), np.zeros(5, int)).clamped[1] == 0


def test_keeping_it_there_does_not_depend_on_the_batch(bundle: Bundle) -> None:
    wild, chunks = overconfident(bundle, 300.0), random_chunks(3, 9)
    together, alone = run(wild, list(range(9)), chunks), run(wild, [4], chunks[:, 4:5])
    assert all(torch.equal(whole[4], single[0]) for whole, single in zip(together, alone, strict=True))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_prediction_that_is_not_finite_names_the_checkpoint(bundle: Bundle, bad: float) -> None:
    broken = copy.deepcopy(bundle)
    dream = Dream(broken, 3)
    before = dream.reset(np.ones(3, bool), np.arange(3), np.zeros(3, int))
    with torch.no_grad():
        list(broken.autoencoder.parameters())[-1].fill_(bad)
    with pytest.raises(FloatingPointError, match=r"checkpoint 'small' .*dreams \[0, 1, 2\].*rla-gym eval"):
        dream.step(random_chunks(1, 3)[0])
    after = dream.state()
    assert torch.equal(before.tokens, after.tokens) and torch.equal(before.chunks, after.chunks)
