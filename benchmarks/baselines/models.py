"""The trained models of the comparison by name: what each trains in which order, and how it is read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.baselines.chunk_training import ChunkOptions
from benchmarks.baselines.dino_wm import DinoWM, DinoWMConfig, DinoWMNetwork, DinoWMTraining
from benchmarks.baselines.dino_wm_frames import DinoWMFrames, FramesConfig, FramesNetwork
from benchmarks.baselines.frame_tokens import FrameTokens
from benchmarks.baselines.frames_training import FramesTraining
from benchmarks.baselines.interface import WorldModel
from benchmarks.baselines.latent_flow import OPTIONS, LatentFlow, LatentTraining, TokenSpace, fm_wm_config, widened
from benchmarks.baselines.lewm import LeWM, LeWMConfig, LeWMNetwork, LeWMTraining
from benchmarks.baselines.persistence import Persistence
from benchmarks.baselines.recorded import Recorded
from benchmarks.baselines.sizes import count, matched_width, rla_wm_count
from benchmarks.baselines.video_diffusion import VideoConfig, VideoDiffusion, VideoNetwork
from benchmarks.baselines.video_training import VideoTraining
from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig
from rla_gym.models.encoder import Encoder
from rla_gym.models.flow_config import FlowConfig
from rla_gym.models.presets import ModelConfigs
from rla_gym.models.world_model import FlowWorldModel
from rla_gym.trained import TrainedRun
from rla_gym.training.autoencoder import AutoencoderTraining
from rla_gym.training.loop import Trainable


@dataclass(frozen=True)
class Setting:
    """What all trainings of one comparison share.

    Attributes:
        recorded: the episodes.
        configs: RLA-WM's networks, whose sizes the others match.
        out: folder of the model's run.
        chunk, batch_size, seed: K; samples a step; of first weights and batches.
        encoder: the one that made the tokens; needed for video diffusion alone.
        autoencoder: folder of a trained autoencoder's run, where it is not `out`'s own.
        starts: held-out starts of token models.
    """

    recorded: Recorded
    configs: ModelConfigs
    out: Path
    chunk: int = 4
    batch_size: int = 64
    seed: int = 0
    encoder: Encoder | None = None
    autoencoder: Path | None = None
    starts: int = 128

    @property
    def sizes(self) -> dict[str, int]:
        """Sizes of the data that configurations of token models name."""
        flow = self.configs.flow
        return {
            "channels": flow.channels,
            "patches": flow.patches,
            "action_size": flow.robots["0"],
            "proprio_size": flow.proprio_size,
        }

    @property
    def blocks(self) -> int:
        """Blocks over patches of a deep baseline: those that regress in an anchored RLA-WM, else those of both its
        stages."""
        flow = self.configs.flow
        return flow.conditioning_blocks if flow.anchor else flow.conditioning_blocks + flow.flow_blocks

    @property
    def plain_flow(self) -> FlowConfig:
        """The paper's flow, from pure noise, without an anchor: as many blocks for the noise as for its conditions."""
        flow, half = self.configs.flow, self.blocks // 2
        if not flow.anchor:
            return flow
        blocks = {"conditioning_blocks": self.blocks - half, "flow_blocks": half}
        return replace(flow, anchor=False, grid_columns=0, copy_heads=0, **blocks)

    def matched(self, build: Callable[[int], Any], network: Callable[[Any], Any], multiple: int = 8) -> Any:
        """The configuration `build(width)` whose `network` has as many parameters as RLA-WM; see `matched_width`."""
        return build(matched_width(lambda width: network(build(width)), rla_wm_count(self.configs), multiple))


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
        setting.recorded, ChunkOptions(setting.chunk), video_config(setting), _encoder(setting), setting.batch_size,
        setting.seed, starts=max(1, setting.starts // 8),
    )  # fmt: skip


def _encoder(setting: Setting) -> Encoder:
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
        return VideoDiffusion(network, FrameTokens(_encoder(setting), setting.recorded.store))
    if isinstance(network, DinoWMNetwork):
        return DinoWM(network, name)
    return LeWM(network) if name == "lewm" else DinoWMFrames(network)
