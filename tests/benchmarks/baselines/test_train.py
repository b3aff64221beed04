"""The command: models by name, from nothing to a curve and back into memory."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmarks.baselines.interface import parameter_count, rollout
from benchmarks.baselines.models import STAGES, share_of
from benchmarks.baselines.recorded import Recorded
from benchmarks.baselines.train import Args, main, setting_of
from benchmarks.baselines.trained import load_model
from rla_gym.data import TokenStore
from rla_gym.models.encoder import Encoder
from rla_gym.models.presets import PRESETS, tiny
from rla_gym.utils.files import read_json
from tests.benchmarks.baselines.checks import some_rows

pytestmark = pytest.mark.usefixtures("brief_timing", "narrow_presets")


@pytest.fixture(scope="module")
def args(encoded: TokenStore, tmp_path_factory: pytest.TempPathFactory) -> Args:
    out = tmp_path_factory.mktemp("models")
    return Args(
        model="rla-wm", tokens=encoded.path, out=out / "rla-wm", preset="tiny", precision="no", samples=20,
        batch_size=4, starts=2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def rla_wm(args: Args) -> dict:
    return main(args)


def test_rla_wm_shares_its_budget_between_its_two_trainings(args: Args, rla_wm: dict, episodes: Recorded) -> None:
    assert rla_wm == read_json(args.out / "curve.json")
    assert rla_wm["finished"] and list(rla_wm["trainings"]) == ["autoencoder", "flow"]
    for (name, training), steps in zip(rla_wm["trainings"].items(), (2, 3), strict=True):
        assert training["steps"] == training["done"] == steps and training["seconds_a_step"] > 0, name
        assert [point["step"] for point in training["curve"]] == [*range(1, steps + 1)]
        assert [point["samples"] for point in training["curve"]] == [4 * step for step in range(1, steps + 1)]
    assert rla_wm["parameters"] == rla_wm["rla_wm_parameters"]
    assert rla_wm["trainings"]["autoencoder"]["parameters"]["autoencoder"] < rla_wm["parameters"]
    model = load_model("rla-wm", setting_of(args))
    assert parameter_count(model) == rla_wm["parameters"]
    rows = some_rows(episodes, 2)
    tokens = rollout(model, episodes.start(model, rows), episodes.chunks(rows, 4, 2), np.arange(2))
    assert tokens.shape == (2, 1, 2, *episodes.store.tokens.shape[1:]) and bool(torch.isfinite(tokens).all())


def test_z_regression_takes_the_same_autoencoder(args: Args, rla_wm: dict) -> None:
    autoencoder = args.out / "autoencoder"
    other = replace(args, model="z-regression", out=args.out.parent / "z-regression", autoencoder=autoencoder)
    result = main(other)
    assert list(result["trainings"]) == ["flow"] and result["trainings"]["flow"]["samples"] == 12
    assert result["parameters"] == rla_wm["parameters"] and not (other.out / "autoencoder").exists()
    one, same = (load_model(name, setting_of(a)) for name, a in (("rla-wm", args), ("z-regression", other)))
    mine, theirs = (model.networks()["autoencoder"].state_dict() for model in (one, same))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_regression_with_what_ties_patches(args: Args, episodes: Recorded) -> None:
    ours = replace(args, model="dino-wm-neighbours", preset="nano", out=args.out.parent / "neighbours", samples=8)
    result = main(ours)
    model = load_model(ours.model, setting_of(ours))
    assert model.name == ours.model and parameter_count(model) == result["parameters"]
    assert {"grids.0.convolution.weight", "copy.gate.weight"} <= set(model.networks()["network"].state_dict())
    rows = some_rows(episodes, 2)
    tokens = rollout(model, episodes.start(model, rows), episodes.chunks(rows, 4, 2), np.arange(2))
    assert bool(torch.isfinite(tokens).all())


def test_a_stopped_training_goes_on_to_the_same_end(args: Args) -> None:
    straight = replace(args, model="dino-wm", out=args.out.parent / "straight", samples=8)
    resumed = replace(straight, out=args.out.parent / "resumed")
    main(straight)
    stopped = main(replace(resumed, stop_after=0.0))
    assert not stopped["finished"] and stopped["trainings"]["network"]["done"] == 1 and "parameters" not in stopped
    assert main(resumed)["finished"]
    one, other = (
        load_file(place.out / "network" / "step_00000002" / "state.safetensors") for place in (straight, resumed)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_video_diffusion_needs_frames_and_the_stores_encoder(
    args: Args, small_encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("diffusers")
    monkeypatch.setitem(PRESETS, "tiny", tiny)  # no video network is as small as the narrow one
    small_encoder.save(tmp_path / "encoder.safetensors")
    video = replace(
        args, model="video-diffusion", out=tmp_path / "video", encoder=tmp_path / "encoder.safetensors", samples=2,
        batch_size=2,
    )  # fmt: skip
    with pytest.raises(ValueError, match="give the data set"):
        main(video)
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        main(replace(video, encoder=tmp_path / "none.safetensors"))
    shutil.rmtree(tmp_path / "video", ignore_errors=True)


def test_all_models_of_the_comparison_are_there() -> None:
    assert set(STAGES) == {
        "persistence", "rla-wm", "rla-wm-unanchored", "z-regression", "fm-wm", "dino-wm", "dino-wm-neighbours",
        "dino-wm-frames", "dino-wm-stable-worldmodel", "lewm", "video-diffusion",
    }  # fmt: skip
    assert all(sum(stage.share for stage in stages) == 1.0 for stages in STAGES.values() if stages)


def test_a_linear_autoencoder_needs_less_of_the_budget(args: Args) -> None:
    plain, linear = setting_of(args), setting_of(replace(args, preset="nano"))
    both = STAGES["rla-wm"]
    assert [share_of(stage, plain) for stage in both] == [0.4, 0.6]
    assert [share_of(stage, linear) for stage in both] == [0.1, 0.9]
    assert share_of(STAGES["fm-wm"][0], linear) == 1.0  # its only training is called "flow" too


def test_unknown_models_are_named(args: Args) -> None:
    with pytest.raises(KeyError, match="no model 'dino'; there are persistence, rla-wm"):
        main(replace(args, model="dino"))
    with pytest.raises(KeyError, match="no model 'dino'"):
        load_model("dino", setting_of(args))
