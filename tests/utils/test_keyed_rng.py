"""Keyed noise: a function of the key alone, and normal."""

from __future__ import annotations

import numpy as np
import pytest

from rla_gym.utils.keyed_rng import keyed_bits, keyed_normal, keyed_uniform, make_keys


def some_keys(count: int) -> np.ndarray:
    index = np.arange(count)
    return make_keys(index // 100, index // 10 % 10, index % 10)


def test_rows_do_not_depend_on_the_batch() -> None:
    keys = some_keys(50)
    noise = keyed_normal(keys, (4, 3))
    assert noise.shape == (50, 4, 3) and noise.dtype == np.float32
    shuffled = np.random.default_rng(0).permutation(50)
    assert np.array_equal(keyed_normal(keys[shuffled], (4, 3)), noise[shuffled])
    for row in (0, 17, 49):
        assert np.array_equal(keyed_normal(keys[row : row + 1], (4, 3))[0], noise[row])


def test_each_part_of_the_key_counts() -> None:
    zero = np.zeros(1, np.uint64)
    words = {
        int(keyed_bits(make_keys(zero + a, zero + b, zero + c), 1)[0, 0])
        for a in range(6)
        for b in range(6)
        for c in range(6)
    }
    assert len(words) == 216  # so no two parts can be exchanged either


def test_the_numbers_are_normal_and_unrelated() -> None:
    noise = keyed_normal(some_keys(2000), (65,)).astype(np.float64)  # an odd number of them, too
    count = noise.size
    assert abs(noise.mean()) < 5 / np.sqrt(count)
    assert abs(noise.std() - 1) < 5 / np.sqrt(count)
    assert abs((noise**4).mean() - 3) < 5 * np.sqrt(96 / count)
    # neighbours in a row (also the two halves that one pair of uniforms gives), and rows of neighbouring keys
    for first, second in ((noise[:, :-1], noise[:, 1:]), (noise[:, :32], noise[:, 33:]), (noise[:-1], noise[1:])):
        assert abs((first * second).mean()) < 5 / np.sqrt(first.size)


def test_uniform_numbers_fill_the_open_interval() -> None:
    uniform = keyed_uniform(some_keys(1000), 100)
    assert 0 < uniform.min() < 1e-3 and 1 - 1e-3 < uniform.max() < 1
    counts, _ = np.histogram(uniform, 20, (0, 1))
    assert np.abs(counts - 5000).max() < 5 * np.sqrt(5000)


def test_the_generator_stays_as_it_is() -> None:
    """A change would change every published episode: it has to come with new environment versions."""
    words = keyed_bits(make_keys(np.array([1]), np.array([2]), np.array([3])), 2)[0]
    assert [f"{word:016x}" for word in words] == ["70eda24ba14cb51c", "652497ed59e71bc9"]


def test_wrong_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="make_keys"):
        keyed_normal(np.zeros((3, 2), np.uint64), (1,))
    with pytest.raises(ValueError, match="make_keys"):
        keyed_normal(np.zeros((3, 3), np.int64), (1,))
