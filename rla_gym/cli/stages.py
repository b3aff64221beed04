"""Settings of the trainings of a world model, and how each becomes a `Trainable`.

Defaults are those of the tiny preset on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rla_gym.cli.optimization import Decay, Optimization, Sizes
from rla_gym.utils.checks import Count, Fraction, NonNegative, Positive, Whole

if TYPE_CHECKING:
    from rla_gym.data.tokens import TokenStore
    from rla_gym.models.presets import ModelConfigs
    from rla_gym.training.loop import Trainable
    from rla_gym.training.run import TrainedRun


@dataclass(frozen=True, kw_only=True)
class AutoencoderStage(Optimization):
    """The autoencoder of residual latent actions."""

    max_horizon: Count = 8
    """Frames between the two of a pair, at most."""
    moving_weight: NonNegative = 4.0
    """Weight of patches that move."""
    moving_share: Fraction = 0.4
    """Share of first frames drawn from the half with the most motion."""
    feedback: Fraction = 0.25
    """Share of a batch that starts from reconstructed tokens, as dreams do."""

    def trainable(self, store: TokenStore, sizes: Sizes, configs: ModelConfigs) -> Trainable:
        """The training."""
        from rla_gym.training.autoencoder import AutoencoderTraining

        return AutoencoderTraining(
            store,
            configs.autoencoder,
            self.batch_size,
            self.seed,
            max_horizon=self.max_horizon,
            moving_weight=self.moving_weight,
            moving_share=self.moving_share,
            feedback=self.feedback,
            chunk=sizes.chunk,
            held_out_pairs=self.held_out,
            **self.beginning(store, sizes),
        )

    def beginning(self, store: TokenStore, sizes: Sizes) -> dict[str, Any]:
        """What the training goes on from, as options of `AutoencoderTraining`; nothing here."""
        return {}


@dataclass(frozen=True, kw_only=True)
class DecoderStage(AutoencoderStage):
    """The autoencoder's decoder once more, its encoder and with it the flow's latents kept: it learns to go on from its
    own tokens, as dreams do."""

    steps: Whole = 3000
    """Optimiser steps; 0: leave this training out."""
    lr: Positive | None = 6e-4
    warmup: Whole = 50
    seed: Whole = 1
    feedback: Fraction = 0.5
    """Share of a batch that starts from reconstructed tokens."""

    def beginning(self, store: TokenStore, sizes: Sizes) -> dict[str, Any]:
        """The trained autoencoder, read from the run's folder beside it, with its encoder frozen."""
        return {"start": trained_autoencoder(store, sizes).weights["autoencoder"], "freeze_encoder": True}


@dataclass(frozen=True, kw_only=True)
class FeaturesStage(Optimization):
    """The map from tokens to keypoints that agents see.

    Keypoints can get stuck where a thing is left without one. The held-out `explained` shows it, without labels: it is
    clearly lower than where all objects have keypoints. Try other seeds, keep the best.
    """

    steps: Whole = 6000
    batch_size: Count = 128
    lr: Positive | None = 2e-3
    warmup: Whole = 300
    held_out: Count = 512
    keypoints: Count = 4
    """Keypoints, about two for each object; the features are twice as many numbers."""
    foreground_weight: NonNegative = 2.0
    """Weight of patches in proportion to how unusual they are."""

    def trainable(self, store: TokenStore, sizes: Sizes, configs: ModelConfigs) -> Trainable:
        """The training."""
        from rla_gym.models.features import FeaturesConfig
        from rla_gym.training.features import FeaturesTraining

        config = FeaturesConfig(configs.autoencoder.channels, store.grid, self.keypoints)
        return FeaturesTraining(store, config, self.batch_size, self.seed, self.foreground_weight, self.held_out)


@dataclass(frozen=True, kw_only=True)
class FlowStage(Optimization):
    """The flow world model, on the latents of the trained autoencoder."""

    optimizer: Literal["adamw", "muon"] = "muon"
    held_out: Count = 128
    draws: Count = 1
    """Draws of noise and time for each sample; they share its conditioning."""
    full_share: Fraction = 0.75
    """Share of a batch with chunks of full length; the others are shorter."""
    end_share: Fraction = 0.2
    """Share of draws at t = 1 exactly."""
    zero_noise: Fraction = 0.5
    """Share of those with zero noise, where dreams of temperature 0 start; no use with an anchor."""
    proprio_weight: NonNegative = 1.0
    """Weight of predicted proprioception."""
    moving_share: Fraction = 0.5
    """Share of first frames drawn from the half with the most motion."""
    feedback: Fraction = 0.3
    """Share of a batch that starts from the model's own dream."""
    feedback_rounds: Whole = 2
    """Chunks of that dream."""
    feedback_temperature: NonNegative = 0.0
    """Factor of its noise."""
    decoded_weight: NonNegative = 2.0
    """Weight of the error of decoded central samples beside the velocity loss."""
    moving_weight: NonNegative = 4.0
    """Weight of moving patches in it."""
    start: Path | None = None
    """Folder of another run's flow to go on from; None: new weights."""

    def check(self, store: TokenStore, sizes: Sizes) -> None:
        """A ValueError of episodes without actions, or too short to be trained on."""
        if not store.actions.shape[1]:
            raise ValueError(f"the episodes of {store.path} were recorded without actions: no world model learns so")
        rounds = self.feedback_rounds if self.feedback else 0
        frames, longest = sizes.chunk * (1 + rounds) + 1, int(store.lengths[store.split("train")].max(initial=0))
        if longest < frames:
            raise ValueError(
                f"no training episode of {store.path} has the {frames} frames of {1 + rounds} chunks of {sizes.chunk} "
                f"actions (longest: {longest}): record longer episodes, or give a shorter --chunk"
            )

    def trainable(self, store: TokenStore, sizes: Sizes, configs: ModelConfigs) -> Trainable:
        """The training; the autoencoder is read from the run's folder beside it."""
        from rla_gym.models.autoencoder import RLAAutoencoder, RLAConfig
        from rla_gym.training.flow import FlowTraining
        from rla_gym.training.run import TrainedRun

        trained = trained_autoencoder(store, sizes)
        autoencoder = RLAAutoencoder(trained.config(RLAConfig))
        trained.fill("autoencoder", autoencoder)
        return FlowTraining(
            store,
            autoencoder,
            configs.flow,
            self.batch_size,
            self.seed,
            sizes.chunk,
            draws=self.draws,
            full_share=self.full_share,
            end_share=self.end_share,
            zero_noise=self.zero_noise,
            proprio_weight=self.proprio_weight,
            feedback=self.feedback,
            feedback_rounds=self.feedback_rounds,
            feedback_temperature=self.feedback_temperature,
            moving_share=self.moving_share,
            held_out_chunks=self.held_out,
            decoded_weight=self.decoded_weight,
            moving_weight=self.moving_weight,
            start=None if self.start is None else TrainedRun.read(self.start).weights["flow"],
        )


@dataclass(frozen=True, kw_only=True)
class ImageDecoderStage(Optimization):
    """The decoder of tokens to images, for people and for pixel observations."""

    steps: Whole = 6000
    batch_size: Count = 32
    held_out: Count = 128
    foreground_weight: NonNegative = 5.0
    """Weight of pixels that differ from the usual picture."""
    max_frames: Count = 8192
    """Training frames kept in memory."""

    def trainable(self, store: TokenStore, sizes: Sizes, configs: ModelConfigs) -> Trainable:
        """The training; a ValueError without the data set."""
        from rla_gym.data.episodes import EpisodeDataset
        from rla_gym.training.image_decoder import ImageDecoderTraining

        if sizes.data is None:
            raise ValueError("the image decoder learns from frames: give the data set with --data")
        with EpisodeDataset(sizes.data) as dataset:
            return ImageDecoderTraining(
                store,
                dataset,
                configs.image_decoder,
                self.batch_size,
                self.seed,
                foreground_weight=self.foreground_weight,
                max_frames=self.max_frames,
                held_out_frames=self.held_out,
            )


@dataclass(frozen=True, kw_only=True)
class StudentStage(Optimization):
    """A small frame encoder, distilled from the one that made the tokens."""

    steps: Whole = 2500
    lr: Positive | None = 2.5e-3
    warmup: Whole = 100
    weight_decay: NonNegative = 0.01
    ema: Decay = 0.995
    optimizer: Literal["adamw", "muon"] = "muon"
    precision: Literal["no", "bf16"] = "bf16"
    held_out: Count = 512
    blocks: Count = 4
    """Transformer blocks of the student, a ViT-tiny of width 192."""
    foreground_weight: NonNegative = 2.0
    """Weight of patches in proportion to how unusual they are."""
    max_frames: Count = 24_000
    """Training frames kept in memory."""

    def trainable(self, store: TokenStore, sizes: Sizes, configs: ModelConfigs) -> Trainable:
        """The training; a ValueError without the data set."""
        from rla_gym.data.episodes import EpisodeDataset
        from rla_gym.training.distill import DistillTraining

        if sizes.data is None:
            raise ValueError("a student learns from frames: give the data set with --data")
        with EpisodeDataset(sizes.data) as dataset:
            return DistillTraining(
                store,
                dataset,
                self.batch_size,
                self.seed,
                blocks=self.blocks,
                foreground_weight=self.foreground_weight,
                max_frames=self.max_frames,
                held_out_frames=self.held_out,
            )


def trained_autoencoder(store: TokenStore, sizes: Sizes) -> TrainedRun:
    """The run's autoencoder, for what is trained on it.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it learned from other tokens, or is not finished and `sizes.unfinished` is not set.
    """
    from rla_gym.training.run import TrainedRun

    trained = TrainedRun.read(sizes.out / FOLDERS["autoencoder"])
    trained.check_data(store)
    return trained if sizes.unfinished else trained.complete()


Stage = AutoencoderStage | DecoderStage | FeaturesStage | FlowStage | ImageDecoderStage | StudentStage

FOLDERS = {
    "autoencoder": "autoencoder",
    "features": "features",
    "flow": "flow",
    "decoder": "decoder",
    "image-decoder": "image_decoder",
    "student": "student",
}
"""Folders of the models in a run's folder, in the order of training; a student is no part of a world model."""
