"""Parity with the official modules: random weights and reference numbers, see `tests/models/released/README.md`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from rla_gym.checkpoint.release import (
    load_released_autoencoder,
    load_released_image_decoder,
    load_released_world_model,
)
from rla_gym.models.flow import euler_sample
from rla_gym.models.transformer import sinusoid
from tests.models.released_runs import unpack

pytest.importorskip("yaml", reason='released configs are YAML: pip install "rla_gym[released]"')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs in this repository, or those in the folder that RLA_GYM_FIXTURES names."""
    elsewhere = os.environ.get("RLA_GYM_FIXTURES")
    return Path(elsewhere) / "released" if elsewhere else unpack(tmp_path_factory.mktemp("released"))


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def run_dir(folder: Path, key: str) -> Path:
    return folder / manifest(folder)[key]


def numbers(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "io" / f"{name}.safetensors")


def close(result: torch.Tensor, expected: torch.Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(result, expected, atol=atol, rtol=0)


@pytest.fixture(scope="module")
def autoencoder(folder):
    return load_released_autoencoder(run_dir(folder, "rla_dir"))


@pytest.fixture(scope="module")
def world_model(folder):
    return load_released_world_model(run_dir(folder, "wm_dir"))


@pytest.fixture(scope="module")
def image_decoder(folder):
    return load_released_image_decoder(run_dir(folder, "image_dir"))


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def padded(sequences: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True), lengths


def conditioning(world_model, io):
    chunk, lengths = padded([io["in.qpos.0"], io["in.qpos.1"]])
    return world_model.condition(io["in.s_t"], chunk, lengths, robots=io["in.robot_ids"])


def test_autoencoder_matches(folder, autoencoder):
    io = numbers(folder, "rla")
    z = autoencoder.encode(io["in.residual"])
    close(z, io["out.z"])
    close(autoencoder.encode(torch.zeros_like(io["in.residual"])), io["out.z_zero_residual"])
    close(autoencoder.decode(z, io["in.s_t"]), io["out.decoded_tokens"])


def test_conditioning_matches(folder, world_model):
    io = numbers(folder, "flow")
    c = conditioning(world_model, io)
    close(c.action, io["out.action_vector"])
    close(c.tokens, io["out.cond"])


def test_time_embedding_matches(folder, world_model):
    io = numbers(folder, "flow")
    t = torch.tensor([0.3])
    close(sinusoid(t), io["out.debug.timestep_embedding_t0.3"])
    close(world_model.flow_time_embedder(t), io["out.debug.flow_time_embedder_t0.3"])


@pytest.mark.parametrize("name,times", [("t0.3", [0.3]), ("t0.9", [0.9]), ("tmixed", [0.3, 0.9])])
def test_velocity_matches(folder, world_model, name, times):
    io = numbers(folder, "flow")
    velocity = world_model.velocity(io["in.noise"], torch.tensor(times), conditioning(world_model, io))
    close(velocity, io[f"out.v_{name}"])


@pytest.mark.parametrize("steps", [4, 30])
def test_sampling_and_decoding_match(folder, autoencoder, world_model, steps):
    io = numbers(folder, "flow")
    x = world_model.sample(conditioning(world_model, io), io["in.noise"], steps)
    close(x, io[f"out.euler{steps}"])
    assert world_model.latent_scale.item() == 10.0
    close(autoencoder.decode(world_model.from_flow(x), io["in.s_t"]), io[f"out.euler{steps}_decoded_tokens"])


def test_action_vectors_of_unusual_input_match(folder, world_model):
    io = numbers(folder, "flow")
    encode = world_model.qpos_encoders.encode
    chunk, lengths = padded([io["in.edge.qpos_long"], torch.zeros(0, 9)])
    close(encode(chunk, lengths, torch.tensor([0, -1])), io["out.edge.action_vector"])
    narrow, one = io["in.edge.qpos_narrow"], io["in.edge.qpos_one"]
    vectors = torch.cat([encode(narrow[None]), encode(one[None])])
    close(vectors, io["out.edge.action_vector_narrow"])
    wide = torch.cat([io["in.qpos.0"], torch.ones(8, 2)], dim=1)
    close(encode(wide[None]), io["out.action_vector"][:1])


def test_images_match(folder, autoencoder, world_model, image_decoder):
    io, flow = numbers(folder, "image_decoder"), numbers(folder, "flow")
    tokens, grid = io["in.image_tokens"][0], tuple(manifest(folder)["patch_hw"])
    close(image_decoder(tokens, grid), io["out.image"][0], atol=5e-5)
    close(image_decoder(tokens, tuple(manifest(folder)["alt_patch_hw"])), io["out.image_alt_hw"][0], atol=5e-5)

    x = euler_sample(lambda x, t: world_model.velocity(x, t, conditioning(world_model, flow)), flow["in.noise"], 30)
    rolled = autoencoder.decode(world_model.from_flow(x), flow["in.s_t"])[:1, : grid[0] * grid[1]]
    close(image_decoder.image(rolled, grid), io["out.rollout_frame_clamped"], atol=5e-5)


def copy_run(folder: Path, key: str, target: Path, leave_out: str = "*.pt") -> Path:
    """A writable copy of a fixture run."""
    shutil.copytree(run_dir(folder, key), target, ignore=shutil.ignore_patterns(leave_out))
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


def test_pickled_weights_equal_safetensors(folder, tmp_path, autoencoder):
    loaded = load_released_autoencoder(copy_run(folder, "rla_dir", tmp_path / "run", "*.safetensors")).state_dict()
    for name, tensor in autoencoder.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


def test_latest_step_is_numeric_and_other_files_are_ignored(folder, tmp_path):
    run = copy_run(folder, "rla_dir", tmp_path / "run")
    weights = {key: load_file(run / "ckpts" / f"{key}_step0000100.safetensors") for key in ("encoder", "decoder")}
    for key, tensors in weights.items():
        later = {name: tensor + 1 for name, tensor in tensors.items()}
        save_file(later, run / "ckpts" / f"{key}_step99999999.safetensors")
        save_file(tensors, run / "ckpts" / f"{key}_ema0.999_step999999999.safetensors")
    # A step that only one of the pair has is not a step of the autoencoder.
    save_file(weights["encoder"], run / "ckpts" / "encoder_step999999999.safetensors")
    (run / "ckpts" / "misc_step9999999999.pt").write_bytes(b"not weights")
    loaded = load_released_autoencoder(run)
    assert torch.equal(loaded.encoder.tokens, weights["encoder"]["tokens"] + 1)
    assert torch.equal(loaded.decoder.tokens, weights["decoder"]["tokens"] + 1)


def test_misfit_lists_every_problem(folder, tmp_path):
    run = copy_run(folder, "wm_dir", tmp_path / "run")
    path = run / "ckpts" / "flow_model_step0000100.safetensors"
    weights = load_file(path)
    del weights["flow_norm_out.bias"]
    weights["flow_out_proj.bias"] = torch.zeros(5)
    weights["horizon_embedding"] = torch.zeros(2, 3)
    save_file(weights, path)
    with pytest.raises(ValueError) as error:
        load_released_world_model(run)
    text = str(error.value)
    assert "missing: flow_norm_out.bias (48,)" in text
    assert "unexpected: horizon_embedding (2, 3)" in text
    assert "shape of flow_out_proj.bias: (5,) in the file, (8,) by the config" in text


def test_run_without_weights_says_what_is_missing(folder, tmp_path):
    run = copy_run(folder, "rla_dir", tmp_path / "run")
    (run / "ckpts" / "decoder_step0000100.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"encoder: steps \[100\]; decoder: steps none"):
        load_released_autoencoder(run)
    with pytest.raises(FileNotFoundError, match=r"config\.yaml does not exist"):
        load_released_autoencoder(tmp_path / "nothing")
    with pytest.raises(KeyError, match="flow_model"):
        load_released_world_model(run)


def test_unsupported_option_is_refused(folder, tmp_path):
    run = copy_run(folder, "wm_dir", tmp_path / "run")
    config = run / "config.yaml"
    option = "use_task_horizon_embedding"
    config.write_text(config.read_text().replace(f"{option}: false", f"{option}: true"))
    with pytest.raises(ValueError, match="use_task_horizon_embedding"):
        load_released_world_model(run)
