"""The interface: rollouts, samples, states, and the two models that learn nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.baselines.interface import State, WorldModel, parameter_count, rollout
from benchmarks.baselines.persistence import Persistence
from benchmarks.baselines.reconstruction import Reconstruction
from benchmarks.baselines.recorded import Recorded
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.utils.keyed_rng import keyed_normal, make_keys
from tests.benchmarks.baselines.checks import some_rows


class Drift(WorldModel):
    """Adds the chunk's sum and one keyed number to every token."""

    name, stochastic = "drift", True

    def step(self, state, chunks, keys):
        moved = chunks.sum(dim=(1, 2)) + torch.from_numpy(keyed_normal(keys, (1,)))[:, 0]
        return state.moved(state.tokens + moved[:, None, None], state.proprio)

    def networks(self):
        return {"one": torch.nn.Linear(3, 4), "other": torch.nn.Linear(2, 1, bias=False)}


def test_rollout_feeds_back_and_draws_by_seed_sample_and_step() -> None:
    chunks = torch.randn(2, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    tokens = rollout(Drift(), State(torch.zeros(2, 5, 6)), chunks, np.array([7, 9]), samples=3)
    assert tokens.shape == (2, 3, 3, 5, 6)
    for row, seed in enumerate((7, 9)):
        for sample in range(3):
            drawn = [keyed_normal(make_keys(*np.array([[seed], [sample], [n]])), (1,))[0, 0] for n in range(3)]
            wanted = chunks[row].sum(dim=(1, 2)).cumsum(0) + torch.tensor(np.cumsum(drawn))
            torch.testing.assert_close(tokens[row, sample, :, 0, 0], wanted.float())


def test_what_draws_nothing_is_computed_once_for_all_samples() -> None:
    class Counting(Persistence):
        rows = 0

        def step(self, state, chunks, keys):
            self.rows += len(chunks)
            return state

    model = Counting()
    tokens = rollout(model, State(torch.randn(2, 5, 6)), torch.zeros(2, 3, 4, 2), np.arange(2), samples=8)
    assert tokens.shape == (2, 8, 3, 5, 6) and model.rows == 6


def test_parameters_of_all_networks_are_counted() -> None:
    assert parameter_count(Drift()) == 16 + 2 and parameter_count(Persistence()) == 0


def test_state_repeats_all_that_it_carries() -> None:
    state = State(torch.arange(2.0).view(2, 1, 1), torch.arange(2.0).view(2, 1), {"past": torch.arange(2)}).repeat(2)
    assert state.tokens.flatten().tolist() == [0, 0, 1, 1] == state.memory["past"].tolist()
    assert state.proprio is not None and state.proprio.flatten().tolist() == [0, 0, 1, 1]


def test_shapes_that_do_not_fit_are_named() -> None:
    state = State(torch.zeros(2, 5, 6))
    with pytest.raises(ValueError, match=r"chunks has shape \(3, 4, 2\)"):
        Persistence().predict(state, torch.zeros(3, 4, 2), make_keys(np.arange(2), np.arange(2), np.arange(2)))
    with pytest.raises(ValueError, match=r"keys have shape \(3, 3\), expected \(2, 3\)"):
        Persistence().predict(state, torch.zeros(2, 4, 2), make_keys(np.arange(3), np.arange(3), np.arange(3)))


def test_reconstruction_goes_from_its_own_tokens_to_the_truth(bundle: Bundle, episodes: Recorded) -> None:
    rows = some_rows(episodes, 3)
    truth = torch.stack([episodes.store.normalized(rows + 4), episodes.store.normalized(rows + 8)], dim=1)
    model = Reconstruction(bundle.autoencoder, truth)
    start = episodes.start(model, rows)
    tokens = rollout(model, start, episodes.chunks(rows, 4, 2), np.arange(3))[:, 0]
    with torch.no_grad():
        first, _ = bundle.autoencoder(start.tokens, truth[:, 0])
        second, _ = bundle.autoencoder(first, truth[:, 1])
    torch.testing.assert_close(tokens, torch.stack([first, second], dim=1))
    assert parameter_count(model) == sum(p.numel() for p in bundle.autoencoder.parameters())
    with pytest.raises(ValueError, match="given for 2 chunks"):
        rollout(model, start, episodes.chunks(rows, 4, 3), np.arange(3))
