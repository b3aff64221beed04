"""Load run folders of the official RLA-WM release (`config.yaml` and `ckpts/<key>_step<N>.{safetensors,pt}`).

Our networks carry the released tensor names, so loading is a strict comparison of names and shapes. The
official training ran its blocks in float16; here weights are float32, which moves results by about 1e-3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.image_decoder import ImageDecoder, ImageDecoderConfig
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.utils.files import check_readable
from rla_gym.utils.optional import require


def load_released_autoencoder(run_dir: str | Path) -> RLAAutoencoder:
    """The autoencoder of a released `rla/...` run folder, in evaluation mode on the CPU.

    Raises:
        FileNotFoundError: no config, or no step that both `encoder` and `decoder` were saved at.
        KeyError: the config lacks one of the models or a size.
        ValueError: the config turns on an option that is not supported, or the weights do not fit it.
    """
    run = Path(run_dir)
    config = _read_config(run)
    encoder, decoder = _arguments(config, "encoder", run), _arguments(config, "decoder", run)
    sizes = RLAConfig(
        channels=encoder["in_channels"],
        latent_tokens=encoder["num_tokens"],
        latent_channels=encoder["out_channels"],
        encoder_width=encoder["model_channels"],
        encoder_blocks=encoder["num_blocks"],
        encoder_heads=encoder["num_heads"],
        decoder_width=decoder["model_channels"],
        decoder_blocks=decoder["num_blocks"],
        decoder_heads=decoder["num_heads"],
        mlp_ratio=encoder.get("mlp_ratio", 4.0),
    )
    files = _latest_files(run, ("encoder", "decoder"))
    model = RLAAutoencoder(sizes)
    assert model.encoder is not None
    _load(model.encoder, files["encoder"])
    _load(model.decoder, files["decoder"])
    return model.eval()


def load_released_world_model(run_dir: str | Path) -> FlowWorldModel:
    """The flow world model of a released `rla-wm/...` run folder, in evaluation mode on the CPU.

    Its autoencoder lies in the `rla/...` run named in the config. Raises as `load_released_autoencoder`.
    """
    run = Path(run_dir)
    config = _read_config(run)
    arguments = _arguments(config, "flow_model", run)
    trainer = (config.get("trainer") or {}).get("args") or {}
    if arguments.get("use_task_horizon_embedding"):
        raise ValueError(f"{run}: use_task_horizon_embedding is on, which no released run uses and is not supported")
    if trainer.get("use_centroid_per_dim_normalization"):
        raise ValueError(f"{run}: per-dimension latent normalisation is on, but released runs hold no statistics")
    encoder = _arguments(config, "encoder", run)
    sizes = FlowConfig(
        channels=arguments["dino_channels"],
        latent_tokens=encoder["num_tokens"],
        latent_channels=arguments["token_dim"],
        width=arguments["model_channels"],
        flow_width=arguments.get("flow_model_channels") or arguments["model_channels"],
        conditioning_blocks=arguments["num_cond_blocks"],
        flow_blocks=arguments["num_flow_blocks"],
        heads=arguments["num_heads"],
        mlp_ratio=arguments.get("mlp_ratio", 4.0),
        robots={str(robot): int(size) for robot, size in arguments["robot_qpos_dims"].items()},
        frame_channels=arguments.get("qpos_frame_channels", 64),
        max_horizon=arguments.get("max_horizon", 15),
        sigma_min=float(trainer.get("sigma_min", 1e-5)),
        latent_scale=float(trainer.get("latent_scalar_normalization", 10.0)),
    )
    model = FlowWorldModel(sizes)
    # The release divides latents by a constant of its config, so its weights hold no latent statistics.
    _load(model, _latest_files(run, ("flow_model",))["flow_model"], ours={"latent_scale", "latent_mean"})
    return model.eval()


def load_released_image_decoder(run_dir: str | Path) -> ImageDecoder:
    """The image decoder of a released `dino-to-image_unet/...` run folder, in evaluation mode on the CPU.

    Raises as `load_released_autoencoder`.
    """
    run = Path(run_dir)
    config = _read_config(run)
    keys = [key for key in config["models"] if config["models"][key].get("name") == "DinoToImageDecoderV1"]
    if not keys:
        raise KeyError(f"{run / 'config.yaml'} names no DinoToImageDecoderV1, only {', '.join(config['models'])}")
    arguments = _arguments(config, keys[0], run)
    first = arguments["model_channels"]
    channels = tuple(first // 2**i for i in range(5))
    model = ImageDecoder(ImageDecoderConfig(in_channels=arguments["in_channels"], channels=channels))
    _load(model, _latest_files(run, (keys[0],))[keys[0]])
    return model.eval()


def _read_config(run: Path) -> dict[str, Any]:
    path = run / "config.yaml"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: expected a run folder of the release, with config.yaml and ckpts/"
        )
    yaml = require("yaml", extra="released")
    config = yaml.safe_load(path.read_text())
    if not isinstance(config, dict) or not isinstance(config.get("models"), dict):
        raise KeyError(f"{path} has no section 'models': expected the config of a released run")
    return config


def _arguments(config: dict[str, Any], key: str, run: Path) -> dict[str, Any]:
    if key not in config["models"]:
        raise KeyError(f"{run / 'config.yaml'} has no model {key!r}, only {', '.join(config['models'])}")
    return config["models"][key]["args"]


def _latest_files(run: Path, keys: tuple[str, ...]) -> dict[str, Path]:
    """Weight file of each key at the largest step (as a number) that all of them were saved at.

    Names must match as a whole, which leaves out `misc_step*.pt` and `<key>_ema<rate>_step*.pt`.
    """
    found: dict[str, dict[int, Path]] = {}
    for key in keys:
        pattern = re.compile(rf"{re.escape(key)}_step(\d+)\.(pt|safetensors)")
        # Sorted, so that .safetensors replaces .pt of the same step.
        matches = [(pattern.fullmatch(path.name), path) for path in sorted((run / "ckpts").glob("*"))]
        found[key] = {int(match[1]): path for match, path in matches if match}
    steps = set.intersection(*(set(files) for files in found.values()))
    if not steps:
        described = "; ".join(f"{key}: steps {sorted(files) or 'none'}" for key, files in found.items())
        raise FileNotFoundError(
            f"{run / 'ckpts'} holds no <key>_step<N>.safetensors or .pt of one step for {', '.join(keys)} ({described})"
        )
    return {key: files[max(steps)] for key, files in found.items()}


def _read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    check_readable(path)
    if path.suffix == ".safetensors":
        return load_file(path)
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    return loaded.get("model_state_dict", loaded)


def _load(module: nn.Module, path: Path, ours: frozenset[str] | set[str] = frozenset()) -> None:
    """Copy the tensors of `path` into `module`; every name and shape must agree, except names in `ours`."""
    weights = _read_weights(path)
    expected = {name: tensor for name, tensor in module.state_dict().items() if name not in ours}
    problems = [f"missing: {name} {tuple(expected[name].shape)}" for name in expected if name not in weights]
    problems += [f"unexpected: {name} {tuple(weights[name].shape)}" for name in weights if name not in expected]
    problems += [
        f"shape of {name}: {tuple(weights[name].shape)} in the file, {tuple(tensor.shape)} by the config"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if problems:
        raise ValueError(f"{path} does not fit its config.yaml:\n  " + "\n  ".join(problems))
    module.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, strict=False)
