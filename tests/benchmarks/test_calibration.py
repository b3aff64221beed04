"""Calibration: rank correlations that are known, intervals that cover, and true tokens that are the recorded ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.calibration import MEASURES, bins, draw, dream_handles, grouped, true_tokens
from rla_gym.bench.fidelity.starts import make_handles
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import TokenStore
from rla_gym.tasks import make_task


def test_bins_follow_the_error() -> None:
    error = np.arange(60.0).reshape(10, 6)
    points = bins(error * 2, error, np.arange(10), 0)
    assert [point["measure"] for point in points] == [2 * point["error"] for point in points]
    assert all(point["low"] <= point["error"] <= point["high"] for point in points)


def test_a_dream_is_compared_with_what_the_simulator_shows(bundle: Bundle, encoded: TokenStore, tmp_path: Path) -> None:
    handles = make_handles(encoded, make_task("push-cube"), "recorded", 3, 4, 2, part="train")
    truth = true_tokens(bundle, make_task("push-cube"), encoded, handles)
    for index in range(2):
        later = encoded.normalized(handles.rows + 4 * (index + 1))
        assert float((truth[:, index] - later).abs().mean()) < 0.02
    found = dream_handles(bundle, encoded, handles, truth, samples=2, seed=0)
    assert {name: values.shape for name, values in found.items()} == dict.fromkeys(
        [*MEASURES, "error", "still"], (3, 2)
    ) | {"episode": (3,)}
    assert (found["disagreement"] > 0).all() and (found["disagreement_total"][:, 1] > found["disagreement"][:, 1]).all()
    expected = (encoded.normalized(handles.rows) - truth[:, 0]).square().mean(dim=(1, 2)).sqrt()
    np.testing.assert_allclose(found["still"][:, 0], expected, rtol=1e-5)
    draw(tmp_path / "docs" / "calibration.png", grouped({"recorded": found, "random": found}), 0)
    assert (tmp_path / "docs" / "calibration.png").stat().st_size > 5000
