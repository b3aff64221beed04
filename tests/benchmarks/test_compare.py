"""All models by one command: what is finished is left alone, what is not goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.baselines import costs
from benchmarks.compare import Args, main, options
from rla_gym.data import TokenStore
from rla_gym.utils.files import read_json, write_json

pytestmark = pytest.mark.usefixtures("brief_timing", "narrow_presets")


@pytest.fixture
def args(encoded: TokenStore, tmp_path: Path) -> Args:
    return Args(
        tokens=encoded.path, out=tmp_path / "compare", models=("z-regression", "dino-wm", "rla-wm"), seeds=(3,),
        samples=16, batch_size=4, precision="no", starts=2,
    )  # fmt: skip


def test_models_and_seeds_are_trained_and_left_alone_when_finished(
    args: Args, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(replace(args, stop_after=0.0)) == {"dino-wm-3": False, "rla-wm-3": False, "z-regression-3": False}
    assert main(args) == {"dino-wm-3": True, "rla-wm-3": True, "z-regression-3": True}
    assert f"rla-wm={args.out}/rla-wm-3" in capsys.readouterr().out.splitlines()[-1]
    curves = [args.out / name / "curve.json" for name in ("dino-wm-3", "rla-wm-3", "z-regression-3")]
    assert [read_json(path)["settings"]["seed"] for path in curves] == [3, 3, 3]
    assert list(read_json(curves[2])["trainings"]) == ["flow"]
    assert not (args.out / "z-regression-3" / "autoencoder").exists()
    before = [path.stat().st_mtime_ns for path in curves]
    main(args)
    assert [path.stat().st_mtime_ns for path in curves] == before


def test_who_is_stopped_begins_nothing_else(args: Args) -> None:
    found = main(replace(args, models=("rla-wm", "z-regression", "dino-wm"), stop_after=1e-6))
    assert not any(found.values()) and not (args.out / "z-regression-3").exists()
    assert len(list(args.out.glob("*"))) <= 1
    assert all(main(args).values())


def test_finished_models_of_another_budget_are_refused(args: Args) -> None:
    few = replace(args, models=("dino-wm",))
    main(few)
    with pytest.raises(ValueError, match="samples=16, this asks for 32"):
        main(replace(few, samples=32))


def test_finished_models_of_other_networks_or_rates_are_refused(args: Args) -> None:
    args = replace(args, models=("dino-wm",))
    main(args)
    path = args.out / "dino-wm-3" / "curve.json"
    made = read_json(path)
    write_json(path, {**made, "rla_wm_parameters": made["rla_wm_parameters"] - 1})
    with pytest.raises(ValueError, match="an earlier version: its RLA-WM"):
        main(args)
    made["trainings"]["network"]["loop"]["lr"] *= 2
    write_json(path, made)
    with pytest.raises(ValueError, match=r"other learning rates \(network\)"):
        main(args)


def test_all_costs_are_looked_up_before_anything_is_trained(args: Args, tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    costs.main(costs.Args(tokens=args.tokens, out=path, models=("dino-wm",), batch_size=4, precision="no", rounds=1))
    asked = replace(args, models=("dino-wm", "fm-wm"), minutes=0.01, samples=None, preset="nano", costs=path)
    with pytest.raises(KeyError, match="no cost of fm-wm, flow"):
        main(asked)
    assert not args.out.exists()


def test_what_cannot_be_trained_is_refused_at_once(args: Args) -> None:
    with pytest.raises(ValueError, match="one of the two as the budget"):
        main(replace(args, minutes=1.0))
    with pytest.raises(ValueError, match="give --data"):
        main(replace(args, models=("video-diffusion",)))
    with pytest.raises(ValueError, match="autoencoder of rla-wm"):
        main(replace(args, models=("z-regression",)))
    with pytest.raises(KeyError, match="no trained model 'dreamer'"):
        main(replace(args, models=("dreamer",)))
    assert not args.out.exists()


def test_every_option_arrives(args: Args) -> None:
    made = options(replace(args, minutes=2.0, samples=None), "z-regression", 5, 1.5)
    assert (made.model, made.seed, made.minutes, made.stop_after) == ("z-regression", 5, 2.0, 1.5)
    assert made.autoencoder == args.out / "rla-wm-5" / "autoencoder" and made.out == args.out / "z-regression-5"
