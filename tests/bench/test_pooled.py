"""Results of several seeds as one."""

from __future__ import annotations

import numpy as np
import pytest

from rla_gym.bench.pooled import pooled, pooled_table
from tests.bench.test_ranking import transfer


def test_seeds_that_differ_widen_the_interval() -> None:
    alike = pooled([transfer([0.5, 0.6], [0.4, 0.5]) for _ in range(3)])
    apart = pooled([transfer([0.5, 0.6], [0.4 + shift, 0.5 + shift]) for shift in (-0.3, 0.0, 0.3)])
    for found in (alike, apart):
        real = found["agents"]["p1"]["real"]
        assert real["rate"] == pytest.approx(0.5) and real["low"] < 0.5 < real["high"]
    assert apart["agents"]["p1"]["real"]["by_seed"] == pytest.approx([0.2, 0.5, 0.8])
    spans = [found["agents"]["p1"]["real"]["high"] - found["agents"]["p1"]["real"]["low"] for found in (alike, apart)]
    assert spans[1] > 1.3 * spans[0]
    change = alike["agents"]["p1"]["against_first"]
    assert change["difference"] == pytest.approx(0.1) and change["low"] <= 0.1 <= change["high"]
    assert "against_first" not in alike["agents"]["p0"]
    assert "| p1 | 60.0 % [" in pooled_table(alike)


def test_other_starts_cannot_be_pooled() -> None:
    with pytest.raises(ValueError, match="other starts or agents"):
        pooled([transfer([0.5] * 2, [0.5] * 2), transfer([0.5] * 2, [0.5] * 2, starts=20)])
    assert np.isfinite(pooled([transfer([0.5], [0.5])])["agents"]["p0"]["dream"]["low"])
