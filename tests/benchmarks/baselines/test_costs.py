"""Costs are measured once and then decide how many steps minutes buy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.baselines import costs
from benchmarks.baselines.train import Args, main
from rla_gym.data import TokenStore
from rla_gym.utils.files import read_json, write_json

pytestmark = pytest.mark.usefixtures("brief_timing", "narrow_presets")


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
        model="dino-wm", tokens=encoded.path, out=tmp_path / "dino-wm", minutes=0.1, costs=measured, precision="no",
        batch_size=4, starts=2,
    )  # fmt: skip
    result = main(args)["trainings"]["network"]
    assert (result["steps"], result["seconds_a_step"]) == (3, 2.0)
    with pytest.raises(ValueError, match="batch_size: 4 -> 8"):
        main(replace(args, out=tmp_path / "other", batch_size=8))
    # What was planned keeps to its plan, wherever the costs are now.
    assert main(replace(args, costs=tmp_path / "gone.json"))["trainings"]["network"]["steps"] == 3
    with pytest.raises(KeyError, match="no cost of lewm, network"):
        main(replace(args, out=tmp_path / "other", model="lewm"))


def test_costs_of_other_models_are_kept_and_the_lowest_counts(
    encoded: TokenStore, measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_json(measured)["seconds_a_step"]
    taken = iter([3.0, 2.0, 4.0])
    monkeypatch.setattr(costs, "_measured", lambda *_: next(taken))
    again = costs.Args(tokens=encoded.path, out=measured, models=("dino-wm",), batch_size=4, precision="no", rounds=3)
    found = costs.main(again)["seconds_a_step"]
    assert found["dino-wm"] == {"network": 2.0} and found["rla-wm"] == before["rla-wm"]
    assert read_json(measured)["seconds_a_step"] == found


def test_what_cannot_be_measured_is_refused(encoded: TokenStore, tmp_path: Path) -> None:
    args = costs.Args(tokens=encoded.path, out=tmp_path / "costs.json")
    with pytest.raises(ValueError, match="give --data"):
        costs.main(args)
    with pytest.raises(KeyError, match="no trained model 'persistence'"):
        costs.main(replace(args, models=("persistence",)))
    assert not args.out.exists()
