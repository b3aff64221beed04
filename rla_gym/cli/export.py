"""`rla-gym export`: make a checkpoint of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rla_gym.utils.checks import Count, NonNegative, Positive, Whole
from rla_gym.utils.threads import use_threads


@dataclass(frozen=True, kw_only=True)
class Export:
    """Assemble a checkpoint folder: averaged weights, statistics, encoder, reference episodes and cards."""

    run_folder: Annotated[Path, tyro.conf.arg(name="run")]
    """Folder that `rla-gym train` wrote."""
    tokens: Path
    """Token store that it was trained on."""
    data: Path
    """Data set of the tokens."""
    out: Path
    """Folder of the checkpoint; the files of one that was exported there are replaced, all others stay."""
    name: str | None = None
    """Name of the checkpoint; None: that of the folder."""
    encoder_file: Path | None = None
    """The encoder's file; None: encoder.safetensors in the token store."""
    references: Count = 96
    """Reference episodes, which dreams start from and are rewarded against, of the training part."""
    held_out_references: Whole = 12
    """The same of the validation part, and of the test part, as far as there are any."""
    sources: tuple[str, ...] | None = None
    """Demonstrators that they are of; None: all but play, goal-blind and interrupted, or those where there are no
    others, as of tasks without a scripted demonstrator."""
    unsuccessful: bool = False
    """Take episodes without success too, as of tasks that have no rule for it; not needed for play alone."""
    reward: Literal["progress", "goal", "corresponding"] = "progress"
    """Default reward."""
    metric: Literal["l1", "l2", "cosine", "features", "objects"] = "objects"
    """Its distance between tokens."""
    patches: Literal["all", "moving"] = "all"
    """Patches that count."""
    reward_scale: Positive = 1.0
    """Factor of the reward."""
    steps: Count = 1
    """Default evaluations of the flow for a prediction: see `rla_gym.dream.dream.Dream`."""
    temperature: NonNegative = 0.0
    """Default factor of the noise."""
    seed: Whole = 0
    """Of the choice of references."""
    unfinished: bool = False
    """Take trainings that were stopped before their last step as they are."""
    threads: Count = 1
    """Threads of torch."""

    def run(self) -> None:
        """Export and print what the folder holds."""
        from rla_gym.checkpoint.bundle import RewardDefaults
        from rla_gym.checkpoint.resolve import FILES
        from rla_gym.checkpoint.store import load_checkpoint
        from rla_gym.checkpoint.verdicts import checkpoint_warnings
        from rla_gym.data.episodes import UNSKILLED
        from rla_gym.export.export import export

        use_threads(self.threads)
        folder = export(
            self.run_folder,
            self.tokens,
            self.data,
            self.out,
            name=self.name,
            encoder_file=self.encoder_file,
            references=self.references,
            held_out_references=self.held_out_references,
            sources=self.sources,
            unsuccessful=self.unsuccessful,
            reward=RewardDefaults(self.reward, self.metric, self.patches, self.reward_scale),
            steps=self.steps,
            temperature=self.temperature,
            seed=self.seed,
            unfinished=self.unfinished,
        )
        sizes = {name: (folder / name).stat().st_size for name in FILES if (folder / name).is_file()}
        parts = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in sizes.items())
        print(f"{folder}: {sum(sizes.values()) / 1e6:.1f} MB ({parts})")
        config = load_checkpoint(folder).config
        chosen = config.training_card["references"]
        if not set(chosen["sources"]) - set(UNSKILLED):
            print(
                f"note: references are of {', '.join(chosen['sources'])}, as the data set has no skilled demonstrations"
            )
        for warning in checkpoint_warnings(config):
            print(f"warning: {warning}")
