"""Intervals against published and hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest

from rla_gym.demo.intervals import difference_text, mcnemar, paired_difference, rate_text, wilson


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
