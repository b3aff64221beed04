"""Costs are measured once and then decide how many steps minutes buy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.baselines import budget, costs
from benchmarks.baselines.train import Args, main
from rla_gym.data import TokenStore
from rla_gym.files import read_json, write_json


@pytest.fixture(autouse=True)
def brief_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "WARM", 0)
    monkeypatch.setattr(budget, "MEASURED", 1)


@pytest.fixture
def measured(encoded: TokenStore, tmp_path: Path) -> Path:
    path = tmp_path / "costs.json"
    models = ("rla-wm", "z-regression", "dino-wm")
    costs.main(costs.Args(tokens=encoded.path, out=path, models=models, batch_size=4, precision="no", rounds=2))
    return path


def test_minutes_become_steps_by_the_measured_costs(encoded: TokenStore, measured: Path, tmp_path: Path) -> None:
    found = read_json(measured)
    assert {name: set(each) for name, each in found["seconds_a_step"].items()} == {
        "rla-wm": {"autoencoder", "flow"}, "z-regression": {"autoencoder", "flow"}, "dino-wm": {"network"},
    }  # fmt: skip
    assert all(seconds > 0 for each in found["seconds_a_step"].values() for seconds in each.values())
    found["seconds_a_step"]["dino-wm"]["network"] = 2.0
    write_json(measured, found)
    args = Args(
        model="dino-wm", tokens=encoded.path, out=tmp_path / "dino-wm", minutes=0.1, costs=measured, preset="nano",
        batch_size=4, starts=2,
    )  # fmt: skip
    result = main(args)["trainings"]["network"]
    assert (result["steps"], result["seconds_a_step"]) == (3, 2.0)
    with pytest.raises(ValueError, match="'batch_size': 8"):
        main(replace(args, out=tmp_path / "other", batch_size=8))
    with pytest.raises(KeyError, match="no cost of lewm, network"):
        main(replace(args, out=tmp_path / "other", model="lewm"))
