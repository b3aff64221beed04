from pathlib import Path

import numpy as np
import pytest

from rla_gym.data.sampling import chunk_actions, sample_chunks, sample_pairs
from rla_gym.data.store import TokenStore, first_rows

LENGTHS = np.array([12, 3, 30, 5, 9])


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    """Tokens that hold the episode; actions (row, -row), bounds +-100; only episode 2 moves, and late."""
    total, starts = int(LENGTHS.sum()), first_rows(LENGTHS)
    episodes = np.repeat(np.arange(5), LENGTHS)
    tokens = np.zeros((total, 2, 3), np.float16)
    tokens[..., 0] = episodes[:, None]
    times = np.arange(total) - starts[episodes]
    tokens[..., 1] = np.where(episodes == 2, np.maximum(times - 15, 0), 0)[:, None]
    actions = np.stack([np.arange(total), -np.arange(total)], axis=1).astype(np.float32)
    actions[starts + LENGTHS - 1] = 0
    return TokenStore(
        path=tmp_path,
        tokens=tokens,
        starts=starts,
        lengths=LENGTHS,
        mean=np.zeros(3, np.float32),
        std=np.ones(3, np.float32),
        actions=actions,
        proprio=np.zeros((total, 0), np.float32),
        objects=np.zeros((total, 0), np.float32),
        states=np.zeros((total, 0)),
        sources=("drawn",) * 5,
        successes=np.zeros(5, bool),
        seeds=np.arange(5),
        info={"spec": {"action_low": [-100.0, -100.0], "action_high": [100.0, 100.0]}, "pca": None},
    )


def generator(seed=0):
    return np.random.Generator(np.random.Philox(key=seed))


def test_pairs_stay_in_their_episode_and_reach_every_feasible_row(store):
    episodes = np.array([4, 0, 2])
    rows, later, horizons = sample_pairs(store, episodes, 20000, generator(), max_horizon=6, min_horizon=2)
    assert (later - rows == horizons).all() and horizons.min() == 2 and horizons.max() == 6
    assert (store.episode_of(rows) == store.episode_of(later)).all()
    feasible = [store.starts[e] + t for e in episodes for t in range(LENGTHS[e] - 2)]
    found, counts = np.unique(rows, return_counts=True)
    assert found.tolist() == sorted(feasible)
    assert counts.min() > 0.7 * 20000 / len(feasible)
    assert set(later) >= set(store.starts[episodes] + LENGTHS[episodes] - 1), "last frames are reached"
    early = rows < store.starts[0] + 6
    share = np.bincount(horizons[early])[2:] / early.sum()
    np.testing.assert_allclose(share, 0.2, atol=0.04)


def test_chunks_fit_and_reach_the_last_frame(store):
    rows = sample_chunks(store, np.arange(5), 5000, generator(), length=4, count=2)
    episode = store.episode_of(rows)
    ends = store.starts[episode] + LENGTHS[episode] - 1
    assert (rows + 8 <= ends).all()
    assert set(episode) == {0, 2, 4}
    assert set(rows[episode == 4]) == {store.starts[4]}, "9 frames hold one sequence of 8 actions"


def test_same_generator_same_rows(store):
    draws = [
        sample_pairs(store, np.arange(5), 64, generator(seed), 5, moving_share=0.5)[1].tolist() for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_moving_share_draws_from_the_upper_half(store):
    def moving(share):
        rows = sample_chunks(store, np.array([2]), 4000, generator(), length=4, moving_share=share)
        return np.mean(store.motion[rows] >= np.median(store.motion[store.starts[2] : store.starts[2] + 26]))

    assert moving(0.0) == pytest.approx(0.5, abs=0.05)
    assert moving(0.6) == pytest.approx(0.6 + 0.4 * moving(0.0), abs=0.05)
    assert moving(1.0) == 1.0


def test_chunk_actions_are_the_following_ones_scaled(store):
    rows = np.array([0, 15, 40])
    chunk = chunk_actions(store, rows, 3)
    assert chunk.shape == (3, 3, 2) and chunk.dtype == np.float32
    expected = (rows[:, None] + np.arange(3)) / 100
    np.testing.assert_allclose(chunk, np.stack([expected, -expected], axis=-1), atol=1e-6)


def test_shorter_chunks_are_padded_with_zero(store):
    last = len(store) - 1
    chunk = chunk_actions(store, np.array([10, last - 1, 20]), 4, lengths=np.array([1, 1, 4]))
    np.testing.assert_allclose(chunk[0, :, 0], [0.10, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(chunk[1, :, 0], [(last - 1) / 100, 0, 0, 0], atol=1e-6)
    assert (chunk[2] != 0).all()


def test_bounds_that_are_not_symmetric(store):
    store.info["spec"].update(action_low=[0.0, -50.0], action_high=[40.0, -50.0])
    chunk = chunk_actions(store, np.array([20]), 1)
    np.testing.assert_allclose(chunk[0, 0], [0.0, 0.0], atol=1e-6)


def test_chunks_over_an_episodes_end_are_refused(store):
    assert chunk_actions(store, np.array([8]), 3).shape == (1, 3, 2)
    with pytest.raises(ValueError, match="3 actions from row 9 run over the end of episode 0"):
        chunk_actions(store, np.array([8, 9]), 3)
    with pytest.raises(ValueError, match="lengths run from 0 to 4, expected 1 to 3"):
        chunk_actions(store, np.array([0, 1]), 3, lengths=np.array([0, 4]))


def test_what_cannot_be_drawn_is_an_error(store):
    with pytest.raises(ValueError, match=r"none of the 2 episodes has more than 8 frames \(longest: 5\)"):
        sample_chunks(store, np.array([1, 3]), 4, generator(), length=4, count=2)
    with pytest.raises(ValueError, match="none of the 0 episodes"):
        sample_pairs(store, np.array([], int), 4, generator(), 3)
    with pytest.raises(ValueError, match="horizons 4 to 3"):
        sample_pairs(store, np.arange(5), 4, generator(), 3, min_horizon=4)
    with pytest.raises(ValueError, match="must be at least 1"):
        sample_chunks(store, np.arange(5), 4, generator(), length=0)
