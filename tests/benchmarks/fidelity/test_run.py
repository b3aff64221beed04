"""The whole measurement at toy size: the truth is right, persistence is persistence, and files say all of it."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from benchmarks.baselines import train
from benchmarks.fidelity.actions import KINDS
from benchmarks.fidelity.agent import agent_chunks, load_agent
from benchmarks.fidelity.entries import load_entries
from benchmarks.fidelity.inputs import painter
from benchmarks.fidelity.options import Args
from benchmarks.fidelity.pictures import INDEX, SIMULATOR
from benchmarks.fidelity.results import read_raw
from benchmarks.fidelity.rollouts import states
from benchmarks.fidelity.run import main
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.data import EpisodeDataset, TokenStore
from rla_gym.envs.sb3 import RLAWorldVecEnv
from rla_gym.models.image_decoder import ImageDecoderConfig
from rla_gym.training.image_decoder import ImageDecoderTraining
from rla_gym.training.loop import LoopConfig, fit
from rla_gym.utils.files import read_json

pytestmark = pytest.mark.usefixtures("narrow_presets")

IMAGES = find_spec("torchmetrics") is not None


@pytest.fixture(scope="module")
def folder(
    brief_timing: None, narrow_presets: None, encoded: TokenStore, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """DINO-WM, hardly trained."""
    out = tmp_path_factory.mktemp("dino-wm")
    train.main(train.Args(model="dino-wm", tokens=encoded.path, out=out, samples=4, batch_size=4, starts=2, seed=3))
    return out


@pytest.fixture(scope="module")
def agent(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PPO that has learned nothing."""
    ppo = pytest.importorskip("stable_baselines3").PPO
    path = tmp_path_factory.mktemp("agent") / "agent.zip"
    ppo("MlpPolicy", RLAWorldVecEnv(bundle, 2), n_steps=2, batch_size=2, seed=0, device="cpu").save(path)
    return path


@pytest.fixture(scope="module")
def args(
    encoded: TokenStore, checkpoint: Path, folder: Path, agent: Path, tmp_path_factory: pytest.TempPathFactory
) -> Args:
    out = tmp_path_factory.mktemp("fidelity")
    return Args(
        tokens=encoded.path, models=(f"rla-wm={checkpoint}", str(folder)), agent=agent, images=2 * IMAGES, smoke=True,
        out=out / "push-cube.json", strips=out / "strips",
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(args: Args) -> dict[str, Any]:
    return main(args)


def test_what_is_measured_against_what(result: dict[str, Any], args: Args, encoded: TokenStore) -> None:
    assert set(result["means"]) == {*KINDS, "agent", "counterfactual"}
    assert list(result["models"]) == ["truth", "persistence", "rla-wm", "rla-wm reconstruction", "dino-wm"]
    assert result["runs"]["dino-wm"]["seed"] == 3 and result["runs"]["dino-wm"]["parameters"] > 1e5
    raw = read_raw(args.out.with_suffix(".raw.json.gz")) if args.out else {}
    measured = raw["measured"]["recorded"]
    assert np.nanmax(measured["truth"]["tokens_l1"]) == 0 and np.nanmin(measured["truth"]["tokens_motion"]) > 0
    # The simulator followed the recording, so persistence is what the store says it is.
    starts = {int(seed): int(row) for seed, row in zip(encoded.seeds, encoded.starts, strict=True)}
    pairs = zip(raw["starts"]["episodes"], raw["starts"]["frames"], strict=True)
    rows = np.array([starts[seed] + frame for seed, frame in pairs])
    for place, horizon in enumerate(result["horizons"]):
        valid = np.isfinite(measured["persistence"]["tokens_l1"][:, place])
        assert valid.any() and (place or valid.all())
        here = rows[valid]
        change = (encoded.normalized(here + 4 * horizon) - encoded.normalized(here)).abs().mean(dim=(1, 2))
        np.testing.assert_allclose(measured["persistence"]["tokens_l1"][valid, place], change, atol=0.02)
    still = raw["measured"]["still"]["persistence"]["tokens_l1"]
    assert np.nanmean(still) < np.nanmean(measured["persistence"]["tokens_l1"])
    ratio = result["means"]["recorded"]["tokens_l1"]["persistence"]["ratio"]
    assert [each[0] for each in ratio] == pytest.approx([1, 1])


def test_what_draws_nothing_is_its_own_sample(result: dict[str, Any], args: Args) -> None:
    assert args.out is not None
    kinds = read_raw(args.out.with_suffix(".raw.json.gz"))["measured"]
    sampled, certain = kinds["random"]["rla-wm"], kinds["random"]["dino-wm"]
    np.testing.assert_array_equal(certain["tokens_energy"][:2], certain["tokens_l2"][:2])
    assert np.isnan(certain["tokens_energy"][2:]).all() and np.isfinite(certain["tokens_l2"]).all()
    assert (sampled["tokens_energy"][:2] != sampled["tokens_l2"][:2]).all()
    assert "cube_deg" in certain and (certain["cube_deg"] <= 45).all()


def test_files_say_how_they_were_made(result: dict[str, Any], args: Args) -> None:
    assert args.out is not None and args.strips is not None
    written = read_json(args.out)
    assert written["versions"]["torch"] and written["seeds"]["handles"] == 0 and written["settings"]["count"] == 3
    if not IMAGES:
        return
    for measure in ("ssim", "psnr"):
        assert written["means"]["recorded"][measure]["truth"]["value"][0][0] is not None
        assert written["means"]["recorded"][measure]["truth"]["handles"][0] == 2
    strips = read_json(args.strips / INDEX)["strips"]
    assert {strip["run"] for strip in strips} == {SIMULATOR, *result["models"]}
    for strip in strips:
        assert iio.imread(args.strips / strip["file"]).shape == (112, 3 * 112, 3)


def test_an_agent_acts_on_what_it_dreams(bundle: Bundle, encoded: TokenStore, agent: Path) -> None:
    rows = encoded.starts[:3]
    found = agent_chunks(bundle, load_agent(agent, bundle), encoded, rows, 2)
    assert found.shape == (3, 2, 4, 2) and np.abs(found).max() <= 1 and (found[0] != found[1]).any()
    alone = agent_chunks(bundle, load_agent(agent, bundle), encoded, rows[1:2], 2)
    np.testing.assert_allclose(found[1:2], alone, atol=1e-4)


def test_an_image_decoder_that_is_in_no_checkpoint(
    args: Args, encoded: TokenStore, recorded: EpisodeDataset, tmp_path: Path
) -> None:
    config = ImageDecoderConfig(encoded.tokens.shape[2], (16, 8, 8, 8, 8), 0, (0, 0, 0, 0), False)
    training = ImageDecoderTraining(encoded, recorded, config, batch_size=2, seed=0, max_frames=16, held_out_frames=4)
    loop = LoopConfig(steps=1, batch_size=2)
    fit(training, loop, tmp_path / "image_decoder", tensorboard=False, progress=False, cpu=True)
    own = replace(args, image_decoder=tmp_path / "image_decoder")
    draw = painter(own, encoded, None)
    assert draw is not None and painter(args, encoded, None) is None
    frames = draw(encoded.normalized(np.arange(3)))
    assert frames.shape == (3, 112, 112, 3) and frames.dtype == np.uint8
    other = replace(encoded, info={**encoded.info, "dataset": "0" * 64})
    with pytest.raises(ValueError, match="the store .* is of 000000000000"):
        painter(own, other, None)


def test_bfloat16_changes_little(encoded: TokenStore, folder: Path) -> None:
    entry = load_entries((str(folder),), encoded, None, None, (1, 1.0), torch.device("cpu"))[0]
    rows = encoded.starts[:4]
    chunks, start = entry.recorded.chunks(rows, 4, 2), entry.start(rows, torch.device("cpu"))
    exact, rounded = (list(states(entry.model, start, chunks, np.arange(4), bf16=bf16)) for bf16 in (False, True))
    for one, other in zip(exact, rounded, strict=True):
        assert other.tokens.dtype == torch.float32
        change = (one.tokens - start.tokens).abs().mean()
        assert 0 < (one.tokens - other.tokens).abs().mean() < 0.1 * change


def test_models_that_do_not_fit_are_refused(encoded: TokenStore, checkpoint: Path, folder: Path, args: Args) -> None:
    def load(*specs: str) -> None:
        load_entries(specs, encoded, None, None, (1, 1.0), torch.device("cpu"))

    with pytest.raises(ValueError, match="a .* is given more than once"):
        load(f"a={checkpoint}", f"a={checkpoint}")
    with pytest.raises(ValueError, match="longest horizon is 99"):
        main(replace(args, smoke=False, horizons=(99,), handles=None))
