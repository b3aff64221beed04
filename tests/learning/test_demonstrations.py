"""Demonstrations pair each frame with the chunk that follows it, as environments would show and take it."""

from __future__ import annotations

import numpy as np
import pytest

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import EpisodeDataset
from rla_gym.envs.real import RLARealEnv
from rla_gym.learning.demonstrations import (
    chunk_windows,
    demonstration_seeds,
    episode_pairs,
    record_demonstrations,
    reference_demonstrations,
)
from rla_gym.tasks import make_task


def test_windows_are_in_order() -> None:
    actions = (np.arange(10, dtype=np.float32).reshape(5, 2) - 5) / 10
    windows = chunk_windows(actions, 3)
    assert windows.shape == (3, 6)
    for first in range(3):
        np.testing.assert_array_equal(windows[first], actions[first : first + 3].ravel())


def test_pairs_are_what_the_real_environment_shows(bundle: Bundle, recorded: EpisodeDataset) -> None:
    """Playing a pair's chunk from its frame leads to the observation that the pairs have K frames later."""
    number = int(np.flatnonzero(bundle.references.successes.numpy())[0])
    episode = recorded.episode(number)
    assert episode.seed == int(bundle.references.seeds[number])
    observations, chunks = episode_pairs(bundle, episode)
    size = bundle.config.chunk
    assert len(observations) == len(chunks) == len(episode) - size
    env = RLARealEnv(bundle, terminate_on_success=False)
    for frame in (0, 3):
        seen, _ = env.reset(options={"reference": number, "frame": frame})
        np.testing.assert_allclose(observations[frame], seen, atol=5e-3)
        after, *_, info = env.step(chunks[frame])
        if not info["success"]:  # the simulator stops at success, the recording goes on
            np.testing.assert_allclose(observations[frame + size], after, atol=5e-3)
    assert np.abs(observations[0] - observations[-1]).max() > 0.05  # the tolerance above can tell frames apart
    env.close()


def test_recording_is_a_function_of_the_seed(bundle: Bundle) -> None:
    task = make_task(bundle.config.task)
    one, again, other = (record_demonstrations(bundle, task, 2, 0.3, seed) for seed in (0, 0, 1))
    task.close()
    assert one.seeds == again.seeds and set(one.seeds).isdisjoint(other.seeds)
    np.testing.assert_array_equal(one.chunks, again.chunks)
    assert len(one) == 2 <= one.tried and set(one.episode) == {0, 1}
    drawn = [demonstration_seeds(0, index)[0] for index in range(one.tried)]
    assert set(one.seeds) <= set(drawn)
    assert np.abs(one.chunks).max() <= 1


def test_without_an_expert_references_are_cloned(bundle: Bundle, recorded: EpisodeDataset) -> None:
    """Their pairs are those of the recorded episodes, whose frames gave the references' tokens."""
    made = reference_demonstrations(bundle, 2)
    numbers = bundle.references.select("train")[:2]
    assert made.seeds == tuple(int(seed) for seed in bundle.references.seeds[numbers]) and len(made) == 2
    observations, chunks = episode_pairs(bundle, recorded.episode(int(numbers[1])))
    np.testing.assert_allclose(made.observations[made.episode == 1], observations, atol=5e-3)
    np.testing.assert_array_equal(made.chunks[made.episode == 1], chunks)
    assert "no scripted expert" in made.source
    with pytest.raises(ValueError, match="has no scripted expert, and checkpoint 'small' has 1 training references"):
        reference_demonstrations(bundle, 1)


def test_a_hopeless_expert_is_an_error(bundle: Bundle) -> None:
    task = make_task(bundle.config.task, max_steps=8)
    with pytest.raises(ValueError, match="lower the noise"):
        record_demonstrations(bundle, task, 1, 30.0, 0)
    task.close()
