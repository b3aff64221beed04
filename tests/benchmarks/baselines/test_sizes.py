"""Baselines are as large as RLA-WM, at the sizes of the built-in checkpoint."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks.baselines.dino_wm import DinoWMNetwork
from benchmarks.baselines.dino_wm_frames import FramesNetwork
from benchmarks.baselines.interface import parameter_count
from benchmarks.baselines.latent_flow import LatentFlow, TokenSpace
from benchmarks.baselines.lewm import LeWMNetwork
from benchmarks.baselines.models import dino_wm_config, flow_config, frames_config, lewm_config, video_config
from benchmarks.baselines.setting import Setting
from benchmarks.baselines.sizes import count, matched_width, rla_wm_count
from benchmarks.baselines.video_diffusion import VideoNetwork
from rla_gym.models.autoencoder import RLAAutoencoder
from rla_gym.models.presets import build_configs
from rla_gym.models.world_model import FlowWorldModel


def setting_of(preset: str) -> Setting:
    """64 channels on an 8 x 8 grid, as for push-cube."""
    store = SimpleNamespace(info={"spec": {"frame_size": (112, 112)}})
    return Setting(SimpleNamespace(store=store), build_configs(preset, 64, (8, 8), 2, 4, 4), Path("unused"))


@pytest.fixture(scope="module")
def setting() -> Setting:
    """The tiny preset."""
    return setting_of("tiny")


def test_rla_wm_is_its_autoencoder_and_its_flow(setting: Setting) -> None:
    autoencoder, flow = RLAAutoencoder(setting.configs.autoencoder), FlowWorldModel(setting.configs.flow)
    assert rla_wm_count(setting.configs) == parameter_count(LatentFlow("rla-wm", autoencoder, flow)) == 3_349_480


@pytest.mark.parametrize("preset", ["nano", "tiny"])
@pytest.mark.parametrize(
    "name", ["fm-wm", "dino-wm", "dino-wm-neighbours", "dino-wm-frames", "lewm", "video-diffusion"]
)
def test_parameters_are_within_ten_percent(preset: str, name: str) -> None:
    setting = setting_of(preset)
    makers = {
        "fm-wm": lambda: FlowWorldModel(flow_config("fm-wm", setting)),
        "dino-wm": lambda: DinoWMNetwork(dino_wm_config(setting)),
        "dino-wm-neighbours": lambda: DinoWMNetwork(dino_wm_config(setting, neighbours=True)),
        "dino-wm-frames": lambda: FramesNetwork(frames_config("ours")(setting)),
        "lewm": lambda: LeWMNetwork(lewm_config(setting)),
        "video-diffusion": lambda: VideoNetwork(video_config(setting)),
    }
    if name == "dino-wm-neighbours" and preset == "tiny":
        with pytest.raises(ValueError, match="dino-wm-neighbours would be dino-wm"):
            makers[name]()
        return
    if name == "video-diffusion":
        pytest.importorskip("diffusers")
    with torch.device("meta"):
        found = count(makers[name]())
    assert abs(found / rla_wm_count(setting.configs) - 1) < 0.1


def test_fm_wms_stand_in_for_an_autoencoder_is_no_network(setting: Setting) -> None:
    with torch.device("meta"):
        flow = FlowWorldModel(flow_config("fm-wm", setting))
        model = LatentFlow("fm-wm", TokenSpace(64, 64), flow)
    assert parameter_count(model) == count(flow)


def test_widths_grow_to_the_target() -> None:
    assert matched_width(lambda width: nn.Linear(width, width, bias=False), 104**2 + 5) == 104
    with pytest.raises(ValueError, match="at a width of 8 there are 64 parameters, not within 10% of 100"):
        matched_width(lambda width: nn.Linear(width, width, bias=False), 100)
