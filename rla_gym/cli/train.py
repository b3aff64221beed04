"""`rla-gym train`: one network, or all of them in order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import tyro

from rla_gym.cli.budget import Planned, what_is_missing, within_budget
from rla_gym.cli.optimization import LEARNING_RATES, Sizes
from rla_gym.cli.stages import (
    FOLDERS,
    AutoencoderStage,
    DecoderStage,
    FeaturesStage,
    FlowStage,
    ImageDecoderStage,
    Stage,
    StudentStage,
)
from rla_gym.cli.unfinished import UnfinishedError
from rla_gym.utils.checks import Count, Positive
from rla_gym.utils.threads import use_threads


@dataclass(frozen=True, kw_only=True)
class RunOptions(Sizes):
    """What is trained from and to, and for how long."""

    minutes: Positive | None = None
    """Save and stop after so long, with what is missing and exit status 75; the same command resumes."""
    extend: bool = False
    """Go on with a run that was planned for another number of steps."""
    cpu: bool = False
    """Stay on the CPU where there is a GPU."""
    tensorboard: bool = True
    """Also write TensorBoard logs."""
    threads: Count = 1
    """Threads of torch; more than the free cores is much slower."""


@dataclass(frozen=True, kw_only=True)
class TrainAutoencoder(AutoencoderStage, RunOptions):
    """Train the autoencoder of residual latent actions."""

    def run(self) -> None:
        """Train."""
        train({"autoencoder": self}, self)


@dataclass(frozen=True, kw_only=True)
class TrainDecoder(DecoderStage, RunOptions):
    """Train the autoencoder's decoder on, its encoder kept, so that the flow still fits."""

    def run(self) -> None:
        """Train."""
        train({"decoder": self}, self)


@dataclass(frozen=True, kw_only=True)
class TrainFeatures(FeaturesStage, RunOptions):
    """Train the map from tokens to keypoints that agents see."""

    def run(self) -> None:
        """Train."""
        train({"features": self}, self)


@dataclass(frozen=True, kw_only=True)
class TrainFlow(FlowStage, RunOptions):
    """Train the flow world model; the autoencoder comes first."""

    def run(self) -> None:
        """Train."""
        train({"flow": self}, self)


@dataclass(frozen=True, kw_only=True)
class TrainImageDecoder(ImageDecoderStage, RunOptions):
    """Train the decoder of tokens to images."""

    def run(self) -> None:
        """Train."""
        train({"image-decoder": self}, self)


@dataclass(frozen=True, kw_only=True)
class TrainStudent(StudentStage, RunOptions):
    """Distil the encoder that made the tokens into a small one; `encode --encoder` takes the file it writes.

    The file is OUT/student/encoder.safetensors.
    """

    def run(self) -> None:
        """Train, and write the encoder when all steps are done."""
        from rla_gym.training.distill import trained_student
        from rla_gym.training.records import RunRecords
        from rla_gym.training.run import TrainedRun

        train({"student": self}, self)
        folder = self.out / FOLDERS["student"]
        encoder = trained_student(TrainedRun.read(folder))
        with RunRecords(folder).writing() as out:
            out.claim(["encoder.safetensors"])
            encoder.save(folder / "encoder.safetensors")
        print(f"{folder / 'encoder.safetensors'}: {encoder.config.description}")


@dataclass(frozen=True, kw_only=True)
class TrainAll(RunOptions):
    """Train all in order; those that are finished stay as they are."""

    autoencoder: AutoencoderStage = field(default_factory=AutoencoderStage)
    features: FeaturesStage = field(default_factory=FeaturesStage)
    flow: FlowStage = field(default_factory=FlowStage)
    decoder: DecoderStage = field(default_factory=DecoderStage)
    image_decoder: ImageDecoderStage = field(default_factory=ImageDecoderStage)

    def run(self) -> None:
        """Train all that is not finished."""
        if self.data is None and self.image_decoder.steps:
            raise ValueError("the image decoder learns from frames: give the data set with --data")
        stages: dict[str, Stage] = {
            "autoencoder": self.autoencoder,
            "features": self.features,
            "flow": self.flow,
            "decoder": self.decoder,
            "image-decoder": self.image_decoder,
        }
        train({name: stage for name, stage in stages.items() if stage.steps}, self)


QUICK: dict[str, Any] = {"batch_size": 32, "optimizer": "muon", "lr": 5e-3, "precision": "bf16"}
"""As models are compared, see benchmarks/baselines/models.py."""


@dataclass(frozen=True, kw_only=True)
class TrainQuick(TrainAll):
    """Train all of a small world model in about half an hour of one core that has bf16: preset nano, settings to match.

    Its latents are principal components, found in seconds, and most of it regresses tokens, which learns fast.
    """

    budget: Literal["small", "medium", "large"] = "medium"
    """Steps of autoencoder, features, flow and image decoder: small 200, 750, 2,000 and 100 (about 7 minutes), medium
    800, 3,000, 8,000 and 400 (half an hour), large 2,400, 9,000, 24,000 and 1,200. Steps that are given, such as
    --flow.steps, come before it."""
    preset: Literal["nano"] = "nano"
    """Sizes of the networks: the settings are for this one."""
    autoencoder: AutoencoderStage = field(
        default_factory=lambda: AutoencoderStage(steps=Planned(800), warmup=80, **QUICK)
    )
    features: FeaturesStage = field(default_factory=lambda: FeaturesStage(steps=Planned(3000), batch_size=64))
    flow: FlowStage = field(default_factory=lambda: FlowStage(steps=Planned(8000), **QUICK))
    decoder: DecoderStage = field(default_factory=lambda: DecoderStage(steps=0))
    image_decoder: ImageDecoderStage = field(
        default_factory=lambda: ImageDecoderStage(steps=Planned(400), lr=2e-3, warmup=40, ema=0.98, precision="bf16")
    )

    def run(self) -> None:
        """Train within the budget all that is not finished."""
        names = ("autoencoder", "features", "flow", "decoder", "image_decoder")
        planned = {name: within_budget(getattr(self, name), self.budget) for name in names}
        TrainAll.run(replace(self, **planned))


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a world model's networks on a token store; killed runs go on exactly where they stopped."""

    model: (
        Annotated[TrainAll, tyro.conf.subcommand("all", prefix_name=False)]
        | Annotated[TrainQuick, tyro.conf.subcommand("quick", prefix_name=False)]
        | Annotated[TrainAutoencoder, tyro.conf.subcommand("autoencoder", prefix_name=False)]
        | Annotated[TrainDecoder, tyro.conf.subcommand("decoder", prefix_name=False)]
        | Annotated[TrainFeatures, tyro.conf.subcommand("features", prefix_name=False)]
        | Annotated[TrainFlow, tyro.conf.subcommand("flow", prefix_name=False)]
        | Annotated[TrainImageDecoder, tyro.conf.subcommand("image-decoder", prefix_name=False)]
        | Annotated[TrainStudent, tyro.conf.subcommand("student", prefix_name=False)]
    )

    def run(self) -> None:
        """Train."""
        self.model.run()


def train(stages: Mapping[str, Stage], options: RunOptions) -> None:
    """Run trainings one after another within `options.minutes`.

    Raises:
        ValueError: settings that differ from those a run was started with, or a data set that is not the tokens'.
        FloatingPointError: a loss that is not finite.
        UnfinishedError: `options.minutes` are over, or SIGTERM came, before all were finished.
    """
    from rla_gym.data.episodes import EpisodeDataset
    from rla_gym.data.tokens import TokenStore
    from rla_gym.models.presets import build_configs
    from rla_gym.training.loop import LoopConfig, fit
    from rla_gym.training.records import RunRecords

    use_threads(options.threads)
    if options.data is None:
        store = TokenStore.open(options.tokens)
    else:
        with EpisodeDataset(options.data) as dataset:
            store = TokenStore.open(options.tokens, dataset)
    action_size, proprio_size = store.actions.shape[1], store.proprio.shape[1]
    configs = build_configs(options.preset, store.tokens.shape[2], store.grid, action_size, proprio_size, options.chunk)
    for stage in stages.values():
        if isinstance(stage, FlowStage):
            stage.check(store, options)  # before the stages ahead of it take their hours
    plan = {name: stage.steps for name, stage in stages.items()}
    began = time.monotonic()
    for name, stage in stages.items():
        left = None if options.minutes is None else 60 * options.minutes - (time.monotonic() - began)
        out = options.out / FOLDERS[name]
        if left is not None and left <= 0:
            raise UnfinishedError(f"{options.minutes} minutes are over; {what_is_missing(options.out, plan)}")
        loop = LoopConfig(
            steps=stage.steps,
            batch_size=stage.batch_size,
            lr=LEARNING_RATES[options.preset] if stage.lr is None else stage.lr,
            warmup=stage.warmup,
            weight_decay=stage.weight_decay,
            ema=stage.ema,
            optimizer=stage.optimizer,
            precision=stage.precision,
            seed=stage.seed,
            log_every=stage.log_every,
            eval_every=stage.eval_every,
            save_every=stage.save_every,
            max_seconds=left,
        )
        print(f"{name}: {stage.steps} steps, in {out}", flush=True)
        before = RunRecords(out).step()
        result = fit(
            stage.trainable(store, options, configs),
            loop,
            out,
            extend=options.extend,
            tensorboard=options.tensorboard,
            cpu=options.cpu,
        )
        print(f"{name}: step {result['step']} of {stage.steps}, {result['seconds']:.0f} s in this call, in {out}")
        if not result["finished"]:
            stopped = result["stopped"] if result["stopped"] != "max_seconds" else f"{options.minutes} minutes are over"
            speeds = {name: (result["step"] - before) / max(result["seconds"], 1e-9)}
            raise UnfinishedError(f"{stopped}; {what_is_missing(options.out, plan, speeds)}")
