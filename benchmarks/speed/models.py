"""The world models that are timed, by the names of the comparison's registry; speed needs no trained weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.baselines.dino_wm import DinoWM, DinoWMNetwork
from benchmarks.baselines.dino_wm_frames import DinoWMFrames, FramesNetwork
from benchmarks.baselines.frame_tokens import FrameTokens
from benchmarks.baselines.interface import WorldModel
from benchmarks.baselines.latent_flow import LatentFlow, TokenSpace
from benchmarks.baselines.lewm import LeWM, LeWMNetwork
from benchmarks.baselines.models import STAGES, dino_wm_config, flow_config, frames_config, lewm_config, video_config
from benchmarks.baselines.setting import Setting
from benchmarks.baselines.video_diffusion import VideoDiffusion, VideoNetwork
from benchmarks.speed.recorded import References
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.models.image_decoder import ImageDecoderConfig
from rla_gym.models.presets import ModelConfigs
from rla_gym.models.world_model import FlowWorldModel


@dataclass(frozen=True)
class Evaluations:
    """Evaluations of a network for one prediction, where a model has several."""

    euler: int = 10
    """Euler steps of the flows, besides the checkpoint's own number."""
    video: int = 16
    """Of the U-Net, for one frame."""


def setting_of(bundle: Bundle, folder: Path) -> Setting:
    """The comparison's setting with the checkpoint's own sizes; `folder` is for files that are needed meanwhile."""
    config = bundle.config
    decoder = config.image_decoder or ImageDecoderConfig(in_channels=config.flow.channels)
    configs = ModelConfigs(config.autoencoder, config.flow, decoder)
    return Setting(References(bundle, folder), configs, folder, config.chunk)


def weights(seed: int = 0) -> torch.Generator:
    """What fresh weights are drawn from."""
    return torch.Generator().manual_seed(seed)


def fm_wm(bundle: Bundle, setting: Setting) -> WorldModel:
    """FM-WM with the checkpoint's sampler."""
    config = flow_config("fm-wm", setting)
    space, flow = TokenSpace(config.channels, config.patches), FlowWorldModel(config, weights())
    return LatentFlow("fm-wm", space, flow, bundle.config.steps, bundle.config.temperature)


def frames_model(predictor: str) -> Callable[[Bundle, Setting], WorldModel]:
    """DINO-WM's original form, frame by frame."""
    return lambda bundle, setting: DinoWMFrames(FramesNetwork(frames_config(predictor)(setting), weights()))


def video_diffusion(bundle: Bundle, setting: Setting) -> WorldModel:
    """Video diffusion; its frames are encoded by the checkpoint's encoder."""
    network = VideoNetwork(video_config(setting), weights())
    return VideoDiffusion(network, FrameTokens(bundle.encoder, setting.recorded.store))


BUILDERS: dict[str, Callable[[Bundle, Setting], WorldModel]] = {
    "rla-wm": lambda bundle, setting: LatentFlow.from_bundle(bundle),
    "fm-wm": fm_wm,
    "dino-wm": lambda bundle, setting: DinoWM(DinoWMNetwork(dino_wm_config(setting), weights())),
    "dino-wm-frames": frames_model("ours"),
    "dino-wm-stable-worldmodel": frames_model("stable-worldmodel"),
    "lewm": lambda bundle, setting: LeWM(LeWMNetwork(lewm_config(setting), weights())),
    "video-diffusion": video_diffusion,
}
"""Makers by name in the registry. Z-regression is missing: it is an unanchored RLA-WM in one Euler step."""


def built(
    bundle: Bundle, setting: Setting, names: Sequence[str], evaluations: Evaluations
) -> tuple[dict[str, WorldModel], dict[str, str]]:
    """Models by name in results, and why others were left out.

    RLA-WM has the checkpoint's weights, the others fresh ones. Flows are there twice, with the checkpoint's sampler and
    as "..., 10 steps" from noise.

    Raises:
        KeyError: a name that the registry or this file does not know.
    """
    models: dict[str, WorldModel] = {}
    skipped: dict[str, str] = {}
    for name in names:
        if name not in STAGES or name not in BUILDERS:
            raise KeyError(f"no model {name!r} to time; there are {', '.join(sorted(STAGES.keys() & BUILDERS.keys()))}")
        try:
            model = BUILDERS[name](bundle, setting)
        except (ImportError, FileNotFoundError, ValueError) as error:
            # A package or the encoder is missing, or no width gives as many parameters as RLA-WM has.
            skipped[name] = str(error)
            continue
        for network in model.networks().values():
            network.eval().requires_grad_(False)
        if isinstance(model, VideoDiffusion):
            model.steps = evaluations.video
        models[name] = model
        if isinstance(model, LatentFlow) and evaluations.euler != model.steps:
            models[f"{name}, {evaluations.euler} steps"] = model.sampling(evaluations.euler, 1.0)
    return models, skipped
