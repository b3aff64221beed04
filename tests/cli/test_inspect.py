"""`rla-gym inspect` tells what lies at a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from rla_gym.cli import main
from rla_gym.cli.inspect import card_of
from tests.cli.conftest import EPISODES, Made


def test_checkpoint(made: Made) -> None:
    card = card_of(made.checkpoint)
    assert card.startswith("# small")
    assert "all hashes fit" in card


def test_dataset(made: Made) -> None:
    card = card_of(made.data, verify=True)
    assert f"{EPISODES} episodes" in card
    assert "every frame decoded; the hash fits" in card
    assert f"{EPISODES} episodes" in card_of(str(Path(made.data) / "episodes.hdf5"))


def test_token_store(made: Made) -> None:
    card = card_of(made.tokens)
    assert "PCA to 12 channels" in card
    assert "vit_tiny_patch16_224@1" in card


def test_training_runs(made: Made) -> None:
    assert card_of(made.run).count("Step 2 of 2") == 5
    assert "flow" in card_of(str(Path(made.run) / "flow"))


def test_encoder(made: Made) -> None:
    card = card_of(made.encoder)
    assert "random weights" in card
    assert "7x7 tokens of 192 channels" in card


def test_folder_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no checkpoint"):
        card_of(str(tmp_path))


def test_damaged_dataset(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (Path(made.data) / "episodes.hdf5").read_bytes()
    (tmp_path / "episodes.hdf5").write_bytes(whole[: len(whole) // 2])
    assert main(["inspect", str(tmp_path)]) == 2
    assert "cut off" in capsys.readouterr().err
