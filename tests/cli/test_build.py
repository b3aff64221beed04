"""A recipe is the same commands with the same settings: where they were carried out already, it only exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rla_gym.checkpoint import load_checkpoint
from rla_gym.cli.build import build
from rla_gym.cli.recipes import RECIPES, SOMEWHERE, Recipe
from tests.cli.conftest import EPISODES, SEED, STAGES, Made


def small(recipe: Recipe) -> Recipe:
    """The recipe with the settings of `Made`, which are defaults but for small sizes, whatever the recipe says."""
    stages: dict[str, Any] = {}
    for name in STAGES:
        stage = name.replace("-", "_")
        stages[stage] = type(getattr(recipe.train, stage))(steps=2, batch_size=2, held_out=4)
    stages["image_decoder"] = replace(stages["image_decoder"], max_frames=8)
    return Recipe(
        collect=replace(recipe.collect, episodes=EPISODES, play=0.25, goal_blind=0.0, noise=0.1, seed=SEED),
        encoder=replace(recipe.encoder, backbone="vit_tiny_patch16_224", layer=1, weights="random:0"),
        encode=replace(recipe.encode, pca=12),
        train=replace(recipe.train, tensorboard=False, **stages),
        export=replace(recipe.export, references=2),
    )


def test_build(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(small(RECIPES["push-cube"]).at(made.folder, tmp_path / "checkpoint"))
    assert "built in" in capsys.readouterr().out
    built, exported = load_checkpoint(tmp_path / "checkpoint"), load_checkpoint(made.checkpoint)
    assert built.config.name == "push-cube"
    for key, tensor in exported.flow.state_dict().items():
        assert tensor.equal(built.flow.state_dict()[key])


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_fill_in_every_path(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name].at(tmp_path, tmp_path / "out").limited(threads=2, workers=3)
    for command in (recipe.collect, recipe.encoder, recipe.encode, recipe.train, recipe.export):
        assert SOMEWHERE not in vars(command).values()
    assert (recipe.collect.workers, recipe.encode.threads, recipe.train.threads) == (3, 2, 2)
    assert recipe.export.name == name
