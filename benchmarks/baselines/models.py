"""The trained models of the comparison by name: what each trains, in which order and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.baselines.chunk_training import ChunkOptions
from benchmarks.baselines.dino_wm import DinoWMConfig, DinoWMNetwork, DinoWMTraining
from benchmarks.baselines.dino_wm_frames import FramesConfig, FramesNetwork
from benchmarks.baselines.frames_training import FramesTraining
from benchmarks.baselines.latent_flow import OPTIONS, LatentTraining, TokenSpace, fm_wm_config, widened
from benchmarks.baselines.lewm import LeWMConfig, LeWMNetwork, LeWMTraining
from benchmarks.baselines.setting import Setting
from benchmarks.baselines.sizes import count, matched_width
from benchmarks.baselines.video_diffusion import VideoConfig, VideoNetwork
from benchmarks.baselines.video_training import VideoTraining
from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig
from rla_gym.models.encoder import Encoder
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.training.autoencoder import AutoencoderTraining
from rla_gym.training.loop import Trainable
from rla_gym.training.run import TrainedRun


@dataclass(frozen=True)
class Stage:
    """One training of a model.

    Attributes:
        folder: of its run in the model's folder.
        share: of the model's budget; see `share_of`.
        build: makes the training.
        loop: settings of `LoopConfig` at the tiny preset.
        linear_share: of the budget where the autoencoder starts from a linear path; None: `share`.
    """

    folder: str
    share: float
    build: Callable[[Setting], Trainable]
    loop: Mapping[str, Any]
    linear_share: float | None = None


def autoencoder_training(setting: Setting) -> Trainable:
    """RLA's autoencoder as `rla_gym.cli.stages.AutoencoderStage` trains it."""
    return AutoencoderTraining(
        setting.recorded.store, setting.configs.autoencoder, setting.batch_size, setting.seed,
        max_horizon=2 * setting.chunk, moving_weight=4.0, moving_share=0.4, feedback=0.25, chunk=setting.chunk,
        held_out_pairs=2 * setting.starts,
    )  # fmt: skip


def flow_training(name: str) -> Callable[[Setting], Trainable]:
    """RLA-WM's flow or one of its ablations, by `latent_flow.OPTIONS`."""

    def build(setting: Setting) -> Trainable:
        return LatentTraining(
            name, setting.recorded, autoencoder_of(name, setting), flow_config(name, setting), setting.batch_size,
            setting.seed, setting.chunk, setting.starts, **OPTIONS[name],
        )  # fmt: skip

    return build


def autoencoder_of(name: str, setting: Setting) -> RLAAutoencoder:
    """The trained autoencoder, or FM-WM's stand-in for none."""
    if name == "fm-wm":
        return TokenSpace(setting.configs.flow.channels, setting.configs.flow.patches)
    trained = TrainedRun.read(setting.autoencoder or setting.out / "autoencoder")
    autoencoder = RLAAutoencoder(trained.config(RLAConfig))
    trained.fill("autoencoder", autoencoder)
    return autoencoder


def flow_config(name: str, setting: Setting) -> FlowConfig:
    """RLA-WM's own; of the others, from pure noise, of a width that gives as many parameters with the autoencoder."""
    flow = setting.plain_flow
    if name == "rla-wm":
        return setting.configs.flow
    if name == "fm-wm":
        return setting.matched(lambda width: fm_wm_config(flow, width), FlowWorldModel, flow.heads)
    with torch.device("meta"):
        target = count(FlowWorldModel(setting.configs.flow))
    width = matched_width(lambda width: FlowWorldModel(widened(flow, width)), target, flow.heads)
    return widened(flow, width)


def dino_wm_config(setting: Setting, neighbours: bool = False) -> DinoWMConfig:
    """Matched by width; with `neighbours` what ties patches to others in RLA-WM, a ValueError where nothing does."""
    flow = setting.configs.flow
    fixed = {**setting.sizes, "blocks": setting.blocks, "heads": flow.heads}
    if neighbours:
        if not flow.grid_columns and not flow.copy_heads:
            raise ValueError("RLA-WM of this preset ties no patches to others: dino-wm-neighbours would be dino-wm")
        fixed |= {"grid_columns": flow.grid_columns, "copy_heads": flow.copy_heads}
    return setting.matched(lambda width: DinoWMConfig(width=width, **fixed), DinoWMNetwork)


def frames_config(predictor: str) -> Callable[[Setting], FramesConfig]:
    """Matched by width."""

    def build(setting: Setting) -> FramesConfig:
        fixed = {**setting.sizes, "blocks": setting.blocks, "heads": setting.configs.flow.heads}
        return setting.matched(lambda width: FramesConfig(width=width, predictor=predictor, **fixed), FramesNetwork)

    return build


def lewm_config(setting: Setting) -> LeWMConfig:
    """Matched by width; latents as large as RLA's."""
    rla, flow = setting.configs.autoencoder, setting.configs.flow
    fixed = {
        **setting.sizes, "latent_tokens": rla.latent_tokens, "latent_channels": rla.latent_channels,
        "encoder_blocks": rla.encoder_blocks or rla.decoder_blocks, "decoder_blocks": rla.decoder_blocks,
        "predictor_blocks": setting.blocks, "heads": flow.heads,
    }  # fmt: skip
    return setting.matched(lambda width: LeWMConfig(width=width, **fixed), LeWMNetwork, flow.heads)


def video_config(setting: Setting) -> VideoConfig:
    """Matched by width."""
    height, width = setting.recorded.store.info["spec"]["frame_size"]
    actions, proprio = setting.sizes["action_size"], setting.sizes["proprio_size"]
    return setting.matched(
        lambda channels: VideoConfig((int(height), int(width)), actions, proprio, channels), VideoNetwork
    )


def dino_wm_training(neighbours: bool) -> Callable[[Setting], Trainable]:
    """DINO-WM, one regression a chunk."""

    def build(setting: Setting) -> Trainable:
        config = dino_wm_config(setting, neighbours)
        return DinoWMTraining(
            setting.recorded, ChunkOptions(setting.chunk), config, setting.batch_size, setting.seed,
            starts=setting.starts,
        )  # fmt: skip

    return build


def frames_training(predictor: str) -> Callable[[Setting], Trainable]:
    """DINO-WM's original form."""

    def build(setting: Setting) -> Trainable:
        return FramesTraining(
            setting.recorded, frames_config(predictor)(setting), setting.batch_size, setting.seed, setting.chunk,
            starts=setting.starts,
        )  # fmt: skip

    return build


def lewm_training(setting: Setting) -> Trainable:
    """Latent prediction."""
    return LeWMTraining(
        setting.recorded, ChunkOptions(setting.chunk, feedback=0.0), lewm_config(setting), setting.batch_size,
        setting.seed, starts=setting.starts,
    )  # fmt: skip


def video_training(setting: Setting) -> Trainable:
    """Video diffusion; a ValueError without the encoder."""
    return VideoTraining(
        setting.recorded, ChunkOptions(setting.chunk), video_config(setting), encoder_of(setting), setting.batch_size,
        setting.seed, starts=max(1, setting.starts // 8),
    )  # fmt: skip


def encoder_of(setting: Setting) -> Encoder:
    """The one that made the tokens; a ValueError without."""
    if setting.encoder is None:
        raise ValueError("video diffusion's frames are judged as tokens: give the encoder that made the store's")
    return setting.encoder


# Of 2.5e-3, 5e-3 and 1e-2 the middle one was best for RLA-WM, DINO-WM and FM-WM (validation episodes of roll-ball, two
# minutes each). z-regression learned alike at the first two, but at 5e-3 one of three seeds on push-cube never heeded
# the actions. Autoencoders learn much faster with Muon than with AdamW.
MUON: dict[str, Any] = {"optimizer": "muon", "lr": 5e-3}
AUTOENCODER = Stage("autoencoder", 0.4, autoencoder_training, MUON, linear_share=0.1)


def latent_stages(name: str, lr: float = MUON["lr"]) -> tuple[Stage, ...]:
    """Autoencoder, then a flow on its latents."""
    return AUTOENCODER, Stage("flow", 0.6, flow_training(name), {**MUON, "lr": lr}, linear_share=0.9)


STAGES: dict[str, tuple[Stage, ...]] = {
    "persistence": (),
    "rla-wm": latent_stages("rla-wm"),
    "rla-wm-unanchored": latent_stages("rla-wm-unanchored"),
    "z-regression": latent_stages("z-regression", lr=2.5e-3),
    "fm-wm": (Stage("flow", 1.0, flow_training("fm-wm"), MUON),),
    "dino-wm": (Stage("network", 1.0, dino_wm_training(neighbours=False), MUON),),
    "dino-wm-neighbours": (Stage("network", 1.0, dino_wm_training(neighbours=True), MUON),),
    "dino-wm-frames": (Stage("network", 1.0, frames_training("ours"), MUON),),
    "dino-wm-stable-worldmodel": (Stage("network", 1.0, frames_training("stable-worldmodel"), MUON),),
    "lewm": (Stage("network", 1.0, lewm_training, MUON),),
    "video-diffusion": (Stage("network", 1.0, video_training, {"lr": 6e-4}),),
}
"""Trainings of each model, in order."""


def share_of(stage: Stage, setting: Setting) -> float:
    """Of the model's budget, by the autoencoder that there is."""
    if setting.configs.autoencoder.linear_path and stage.linear_share is not None:
        return stage.linear_share
    return stage.share


def loop_of(stage: Stage, setting: Setting, precision: str) -> dict[str, Any]:
    """Settings of `LoopConfig` that a step's cost depends on, and the stage's learning rate."""
    return {**stage.loop, "batch_size": setting.batch_size, "precision": precision}
