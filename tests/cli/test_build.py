"""A recipe is the same commands with the same settings: where they were carried out already, it only exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.cli.build import build, collect
from rla_gym.cli.recipes import RECIPES, SOMEWHERE, Recipe
from rla_gym.data import EpisodeDataset
from tests.cli.conftest import EPISODES, SEED, STAGES, Made
from tests.recording import workers_in_threads


def small(recipe: Recipe) -> Recipe:
    """The recipe with the settings of `Made`, which are defaults but for small sizes, whatever the recipe says."""
    stages: dict[str, Any] = {}
    for name in STAGES:
        stage = name.replace("-", "_")
        stages[stage] = type(getattr(recipe.train, stage))(steps=2, batch_size=2, held_out=4)
    stages["image_decoder"] = replace(stages["image_decoder"], max_frames=8)
    return Recipe(
        collects=(
            replace(
                recipe.collects[0],
                episodes=EPISODES,
                play=0.25,
                goal_blind=0.0,
                noise=0.1,
                seed=SEED,
                max_steps=47,
            ),
        ),
        encoder=replace(recipe.encoder, backbone="vit_tiny_patch16_224", layer=1, weights="random:0"),
        encode=replace(recipe.encode, pca=12, precision="no"),
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


def test_what_several_collections_record_is_merged(tmp_path: Path) -> None:
    recipe = RECIPES["push-cube"]
    few = replace(recipe, collects=tuple(replace(collect, episodes=2, workers=1) for collect in recipe.collects))
    with workers_in_threads():
        for _ in range(2):  # the second time all is there
            collect(few.at(tmp_path, tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "data-1", "data-2"]
    whole = EpisodeDataset(few.at(tmp_path, tmp_path / "out").encode.data)
    assert len(whole) == 4
    assert whole.sources[2:] == ("interrupted", "interrupted") != whole.sources[:2]


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_fill_in_every_path(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name].at(tmp_path, tmp_path / "out").limited(threads=2, workers=3)
    for command in (*recipe.collects, recipe.encoder, recipe.encode, recipe.train, recipe.export):
        assert SOMEWHERE not in vars(command).values()
    assert {collect.workers for collect in recipe.collects} == {3}
    assert (recipe.encode.threads, recipe.train.threads) == (2, 2)
    assert recipe.export.name == name
