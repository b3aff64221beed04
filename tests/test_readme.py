"""README does what it says: its Python runs, its commands exist, its test command is the one that CI runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rla_gym.cli.commands import COMMANDS, parse
from rla_gym.data import EpisodeDataset, encode_dataset
from rla_gym.export.thresholds import calibrate
from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig
from rla_gym.models.encoder import load_encoder
from rla_gym.models.features import FeaturesConfig
from rla_gym.models.flow_config import FlowConfig
from rla_gym.training.autoencoder import AutoencoderTraining
from rla_gym.training.features import FeaturesTraining
from rla_gym.training.flow import FlowTraining
from rla_gym.training.loop import LoopConfig, fit, load_weights

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shell_lines() -> list[str]:
    inline = re.findall(r"`((?:rla-gym|make|python -m pytest)[^`]*)`", README)
    return [line for block in blocks("bash") for line in block.splitlines() if line.strip()] + inline


def commands(program: str) -> list[list[str]]:
    """Arguments of every command in README that calls `program`, those that merely name a command left out."""
    words = [shlex.split(line) for line in shell_lines()]
    return [line[1:] for line in words if line[0] == program and len(line) > 1]


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # beside other work, more threads than free cores take ten times as long
    try:
        run(number)
    finally:
        torch.set_num_threads(threads)


def run(number: int) -> None:
    exec(compile(blocks("python")[number], f"README.md, Python block {number}", "exec"), {"__name__": "__main__"})


def test_own_recordings_can_be_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """The block's data set through encoding and the first steps of each training, as a reader would go on."""
    monkeypatch.chdir(tmp_path)
    run(next(number for number, block in enumerate(blocks("python")) if "write_dataset" in block))
    dataset = EpisodeDataset("data/my-robot")
    encoder = load_encoder("vit_tiny_patch16_224", (112, 112), layer=1, weights="random:0")
    store = encode_dataset(dataset, encoder, tmp_path / "tokens", progress=False, pca=4)
    assert "note:" not in capfd.readouterr().err  # all of it changes
    sizes = {"channels": 4, "patches": 49, "latent_tokens": 2, "latent_channels": 4}
    autoencoder = RLAConfig(
        **sizes, encoder_width=16, encoder_blocks=1, encoder_heads=2, decoder_width=16, decoder_blocks=1,
        decoder_heads=2, position_embedding=True, residual_decoder=True,
    )  # fmt: skip
    flow = FlowConfig(
        **sizes, width=16, flow_width=16, conditioning_blocks=1, flow_blocks=1, heads=2, robots={"0": 2}, max_horizon=4,
        strict_chunks=True, latent_scale=1.0, per_dimension_scale=True, position_embedding=True, slot_embedding=True,
        input_projection=True, proprio_size=2,
    )  # fmt: skip
    loop = LoopConfig(steps=2, batch_size=4, lr=1e-3, warmup=1, save_every=2, eval_every=2, ema=0.9)
    quiet = {"tensorboard": False, "progress": False, "cpu": True}
    fit(AutoencoderTraining(store, autoencoder, batch_size=4, seed=0, max_horizon=8), loop, Path("a"), **quiet)
    model = RLAAutoencoder(autoencoder)
    model.load_state_dict(load_weights(Path("a"))["autoencoder"])
    features = FeaturesTraining(store, FeaturesConfig(4, store.grid, 2), batch_size=4, seed=0)
    fit(features, loop, Path("f"), **quiet)
    training = FlowTraining(store, model, flow, batch_size=4, seed=0, chunk=4)
    fit(training, loop, Path("w"), **quiet)
    assert all(np.isfinite(value) for value in training.evaluate(2).values())
    found = calibrate(store, dataset, features.model.eval())
    assert found.thresholds and found.card["episodes"] == len(store.split("train"))


def test_there_is_python() -> None:
    assert len(blocks("python")) >= 2


@pytest.mark.parametrize("arguments", [line for line in commands("rla-gym") if len(line) > 1], ids=" ".join)
def test_rla_gym_commands_parse(arguments: list[str]) -> None:
    assert isinstance(parse(arguments), COMMANDS[arguments[0]])


def test_every_command_is_in_the_table() -> None:
    table = re.findall(r"^\| `rla-gym (\S+)` \|", README, re.MULTILINE)
    assert table == list(COMMANDS)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {arguments[0] for arguments in commands("make")}
    assert named
    assert named <= targets


def test_ci_runs_the_test_command() -> None:
    command = "python -m pytest -q -n 2"
    assert command in blocks("bash")[-1].splitlines()
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
