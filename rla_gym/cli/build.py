"""`rla-gym build`: make a built-in checkpoint again, from nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from rla_gym.cli.recipes import RECIPES, Recipe
from rla_gym.utils.checks import Count


@dataclass(frozen=True)
class Build:
    """Collect, make the encoder, encode, train and export by a recipe; takes hours, and a killed run goes on."""

    name: tyro.conf.Positional[str]
    """Of the recipe: push-cube."""
    folder: Path | None = None
    """Where data, tokens and runs go; None: runs/<name>."""
    out: Path | None = None
    """The checkpoint; None: <folder>/checkpoint."""
    threads: Count = 1
    """Threads of torch; more than the free cores is much slower."""
    workers: Count = 2
    """Processes that collect."""

    def run(self) -> None:
        """Build it."""
        if self.name not in RECIPES:
            raise ValueError(f"no recipe is called {self.name!r}; there are {', '.join(RECIPES)}")
        folder = Path("runs") / self.name if self.folder is None else self.folder
        out = folder / "checkpoint" if self.out is None else self.out
        build(RECIPES[self.name].limited(self.threads, self.workers).at(folder, out))


def collect(recipe: Recipe) -> None:
    """Record the data sets of a recipe whose paths are filled in, and merge them where there are several."""
    for command in recipe.collects:
        command.run()
    if recipe.merge is not None:
        recipe.merge.run()


def build(recipe: Recipe) -> None:
    """Carry out a recipe whose paths are filled in; each of its commands goes on where it was stopped."""
    began = time.monotonic()
    collect(recipe)
    if not recipe.encoder.out.is_file():
        recipe.encoder.run()
    recipe.encode.run()
    recipe.train.run()
    recipe.export.run()
    print(f"built in {(time.monotonic() - began) / 60:.1f} minutes of this call")
