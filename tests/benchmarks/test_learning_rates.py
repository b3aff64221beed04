"""Rates are tried on the same data with the same samples, and what each came to is written down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.learning_rates import Args, main
from rla_gym.data import TokenStore
from rla_gym.utils.files import read_json

pytestmark = pytest.mark.usefixtures("brief_timing", "narrow_presets")


def test_every_model_is_trained_at_every_rate(encoded: TokenStore, tmp_path: Path) -> None:
    out = tmp_path / "rates.json"
    args = Args(
        tokens=encoded.path, runs=tmp_path / "runs", out=out, models=("z-regression",), rates=(1e-4, 1e-2),
        samples=8, batch_size=4, precision="no", starts=2,
    )  # fmt: skip
    found = main(args)
    assert [(row["model"], row["rate"]) for row in found["rows"]] == [("z-regression", 1e-4), ("z-regression", 1e-2)]
    slow, fast = (row["train_c1_moving"] for row in found["rows"])
    assert slow != fast, "the rate matters"
    curve = read_json(tmp_path / "runs" / "push-cube" / "z-regression-0.01-0" / "curve.json")
    rates = {stage: training["loop"]["lr"] for stage, training in curve["trainings"].items()}
    assert rates == {"autoencoder": 5e-3, "flow": 1e-2}, "the autoencoder's stays as it is"
    assert read_json(out)["rows"] == found["rows"]
    with pytest.raises(KeyError, match="no trained model 'persistence'"):
        main(replace(args, models=("persistence",)))
