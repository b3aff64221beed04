"""Trained models of the comparison, read back from their folders."""

from __future__ import annotations

from typing import Any

from benchmarks.baselines.dino_wm import DinoWM, DinoWMConfig, DinoWMNetwork
from benchmarks.baselines.dino_wm_frames import DinoWMFrames, FramesConfig, FramesNetwork
from benchmarks.baselines.frame_tokens import FrameTokens
from benchmarks.baselines.interface import WorldModel
from benchmarks.baselines.latent_flow import LatentFlow
from benchmarks.baselines.lewm import LeWM, LeWMConfig, LeWMNetwork
from benchmarks.baselines.models import STAGES, autoencoder_of, encoder_of
from benchmarks.baselines.persistence import Persistence
from benchmarks.baselines.setting import Setting
from benchmarks.baselines.video_diffusion import VideoConfig, VideoDiffusion, VideoNetwork
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.training.run import TrainedRun


def load_model(name: str, setting: Setting) -> WorldModel:
    """A trained model, with averaged weights, from its folder `setting.out`.

    Raises:
        KeyError: no model of that name.
        FileNotFoundError: a training that has saved nothing yet.
    """
    if name not in STAGES:
        raise KeyError(f"no model {name!r}; there are {', '.join(STAGES)}")
    if name == "persistence":
        return Persistence()
    folder = STAGES[name][-1].folder
    trained = TrainedRun.read(setting.out / folder)
    if folder == "flow":
        flow = FlowWorldModel(trained.config(FlowConfig))
        trained.fill("flow", flow)
        return LatentFlow(name, autoencoder_of(name, setting).eval(), flow.eval())
    kinds: dict[str, tuple[Any, Any]] = {
        "dino-wm": (DinoWMConfig, DinoWMNetwork),
        "dino-wm-neighbours": (DinoWMConfig, DinoWMNetwork),
        "lewm": (LeWMConfig, LeWMNetwork),
        "video-diffusion": (VideoConfig, VideoNetwork),
    }
    config, network_of = kinds.get(name, (FramesConfig, FramesNetwork))
    network = network_of(trained.config(config))
    trained.fill("network", network)
    network.eval()
    if name == "video-diffusion":
        return VideoDiffusion(network, FrameTokens(encoder_of(setting), setting.recorded.store))
    if isinstance(network, DinoWMNetwork):
        return DinoWM(network, name)
    return LeWM(network) if name == "lewm" else DinoWMFrames(network)
