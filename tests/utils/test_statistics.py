"""Intervals, tests and measures of agreement against published and hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest

from rla_gym.utils.statistics import (
    Clusters,
    cluster_interval,
    cohens_kappa,
    difference,
    difference_text,
    mcnemar,
    mean_interval,
    mmrv,
    paired_difference,
    pearson,
    permutation_test,
    rate_text,
    ratio_of_means,
    sign_flip,
    spearman,
    wilson,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3 (Wilson's score without continuity correction).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson(successes: int, count: int, low: float, high: float) -> None:
    assert wilson(successes, count) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("successes", "count"), [(1, 0), (-1, 4), (5, 4)])
def test_wilson_refuses(successes: int, count: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        wilson(successes, count)


def test_what_people_read() -> None:
    assert rate_text(0.405, (0.339, 0.4741)) == "40.5 % [33.9, 47.4]"
    assert difference_text(0.09, -0.02, 0.16) == "+9.0 [-2.0, +16.0]"


def test_mcnemar_is_the_binomial_test() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(8, 1) == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar(8, 1) == mcnemar(1, 8)


def test_paired_difference_is_narrower_where_starts_agree() -> None:
    before = [True] * 60 + [False] * 140
    gained = [True] * 60 + [True] * 30 + [False] * 110
    found = paired_difference(before, gained)
    assert (found.difference, found.gained, found.lost) == (0.15, 30, 0)
    deviation = np.sqrt(0.15 * 0.85 / 200)
    assert (found.low, found.high) == pytest.approx((0.15 - 1.96 * deviation, 0.15 + 1.96 * deviation), abs=0.01)
    shuffled = [False] * 110 + [True] * 90
    other = paired_difference(before, shuffled)
    assert other.difference == 0.15
    assert other.high - other.low > 1.5 * (found.high - found.low)
    assert found == paired_difference(before, gained)


def test_paired_difference_of_equal_policies() -> None:
    found = paired_difference([True, False, True], [True, False, True])
    assert (found.difference, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_paired_difference_refuses_other_starts() -> None:
    with pytest.raises(ValueError, match="2 episodes before, 1 after"):
        paired_difference([True, False], [True])


def test_rank_correlation() -> None:
    values = np.array([3.0, 1.0, 2.0, 10.0])
    assert spearman(values, np.exp(values)) == pytest.approx(1.0)
    assert spearman(values, -values) == pytest.approx(-1.0)
    assert spearman(values, np.ones(4)) == 0.0
    # By hand: ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4.
    assert spearman(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 3])) == pytest.approx(3 / np.sqrt(10))


def test_intervals_resample_episodes_and_not_steps() -> None:
    rng = np.random.default_rng(0)
    starts = rng.normal(size=(40, 1))
    steps = np.repeat(starts, 6, axis=1)

    def mean(values: np.ndarray) -> float:
        return float(values.mean())

    found, low, high = cluster_interval(mean, [steps], np.arange(40))
    assert low < found < high and high - low == pytest.approx(4 * starts.std() / np.sqrt(40), rel=0.2)
    twice = cluster_interval(mean, [np.concatenate([steps, steps])], np.tile(np.arange(40), 2))
    assert twice == pytest.approx([found, low, high])  # another kind of actions from the same starts adds no episode


def test_handles_of_one_episode_add_nothing() -> None:
    values = RNG.normal(5, 1, (1, 60))
    once = ratio_of_means(values, None, Clusters(np.arange(60)))
    thrice = ratio_of_means(np.repeat(values, 3, axis=1), None, Clusters(np.repeat(np.arange(60), 3)))
    apart = ratio_of_means(np.repeat(values, 3, axis=1), None, Clusters(np.arange(180)))
    assert once is not None and thrice is not None and apart is not None
    assert thrice == pytest.approx(once)
    assert once[2] - once[1] == pytest.approx(3.92 * values.std() / np.sqrt(60), rel=0.15)
    assert apart[2] - apart[1] < 0.7 * (once[2] - once[1])


def test_seeds_that_differ_widen_the_interval() -> None:
    values = RNG.normal(5, 0.1, (1, 60))
    same = ratio_of_means(np.repeat(values, 3, axis=0), None, Clusters(np.arange(60)))
    apart = ratio_of_means(values + np.array([[-1.0], [0.0], [1.0]]), None, Clusters(np.arange(60)))
    assert same is not None and apart is not None and apart[0] == pytest.approx(same[0])
    assert apart[2] - apart[1] > 10 * (same[2] - same[1])


def test_ratios_count_what_both_have() -> None:
    values, over = np.array([[1.0, 3.0, np.nan, 5.0]]), np.array([[2.0, 6.0, 100.0, np.nan]])
    found = ratio_of_means(values, over, Clusters(np.arange(4)))
    assert found is not None and found[0] == pytest.approx(0.5) and np.isnan(found[1])
    assert ratio_of_means(np.full((1, 4), np.nan), over, Clusters(np.arange(4))) is None


def test_paired_differences_see_what_unpaired_ones_cannot() -> None:
    level = RNG.normal(10, 5, 80)
    first, second = level[None], (level + 0.3 + RNG.normal(0, 0.3, 80))[None]
    found = difference(first, second, Clusters(np.arange(80)))
    assert found is not None and found["handles"] == 80
    assert found["low"] < found["difference"] < found["high"] < 0 and found["p"] < 0.001
    none = difference(first, first[:, ::-1], Clusters(np.arange(80)))
    assert none is not None and none["difference"] == pytest.approx(0) and none["p"] > 0.9
    assert difference(first, np.full_like(first, np.nan), Clusters(np.arange(80))) is None


def test_sign_flips_are_uniform_without_an_effect() -> None:
    p = [sign_flip(np.random.default_rng(seed).normal(size=20), seed, flips=400) for seed in range(200)]
    assert np.mean(np.array(p) < 0.2) == pytest.approx(0.2, abs=0.08)
    assert sign_flip(np.ones(20)) == pytest.approx(1 / 10_001, abs=2e-4)


def test_students_interval() -> None:
    # Gosset's sleep data (1908), the differences of ten patients; R: t.test(...) gives 0.7001 to 2.4599.
    hours = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    assert mean_interval(hours) == pytest.approx((1.58, 0.7001142, 2.4598858))
    alone = mean_interval([2.0])
    assert alone[0] == 2.0 and np.isnan(alone[1:]).all()
    with pytest.raises(ValueError, match="at least one number"):
        mean_interval([])


def test_permutations_of_pairs() -> None:
    # Of the 2^5 ways to sign five equal differences two are as extreme.
    assert permutation_test(np.ones(5), np.zeros(5)) == pytest.approx(2 / 32)
    assert permutation_test(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1.0
    with pytest.raises(ValueError, match="same pairs"):
        permutation_test(np.ones(5), np.zeros(4))


def test_linear_correlation() -> None:
    values = np.array([1.0, 2.0, 4.0])
    assert pearson(values, 3 - 2 * values) == pytest.approx(-1.0)
    assert pearson(values, np.array([1.0, 1.0, 2.0])) == pytest.approx(5 / np.sqrt(28))
    assert pearson(values, np.ones(3)) == 0.0


def test_rank_violations_by_hand() -> None:
    assert mmrv([0.1, 0.5, 0.9], [0.2, 0.3, 0.4]) == 0.0
    # The two best change places: each of them violates a rank by .4, the worst by none.
    assert mmrv([0.1, 0.5, 0.9], [0.2, 0.4, 0.3]) == pytest.approx(0.8 / 3)
    # Reality and simulation are no equals: a tie in one of them is a violation of what the other tells apart.
    assert mmrv(real=[0.1, 0.5], simulated=[0.3, 0.3]) == pytest.approx(0.4 / 2)
    assert mmrv(real=[0.3, 0.3], simulated=[0.1, 0.5]) == 0.0
    with pytest.raises(ValueError, match="at least 2 policies"):
        mmrv([0.1], [0.2])


def test_agreement_beyond_chance() -> None:
    # Cohen (1960) as it is usually taught: 20 both yes, 15 both no, 5 and 10 apart: .7 observed, .5 by chance.
    first = [True] * 20 + [True] * 5 + [False] * 10 + [False] * 15
    second = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
    assert cohens_kappa(first, second) == pytest.approx(0.4)
    assert cohens_kappa(first, first) == 1.0
    assert cohens_kappa([True, False], [False, True]) == -1.0
    assert cohens_kappa([True, True], [True, True]) is None
    with pytest.raises(ValueError, match="same episodes"):
        cohens_kappa([True], [True, False])
