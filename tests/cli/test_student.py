"""`rla-gym train student` writes an encoder file that the other commands take."""

from __future__ import annotations

from pathlib import Path

import pytest

from rla_gym.cli import main
from rla_gym.cli.inspect import card_of
from tests.cli.conftest import Made


def arguments(made: Made, out: Path, steps: int = 2) -> list[str]:
    sizes = ["--steps", str(steps), "--batch-size", "2", "--held-out", "4", "--max-frames", "8", "--blocks", "1"]
    places = ["--tokens", made.tokens, "--data", made.data, "--out", str(out)]
    return ["train", "student", *places, *sizes, "--no-tensorboard"]


def test_the_student_encodes_in_its_teachers_place(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "student" / "encoder.safetensors"
    assert main(arguments(made, tmp_path)) == 0
    assert f"{file}: vit_tiny_patch16@1" in capsys.readouterr().out
    assert "7x7 tokens of 12 channels" in card_of(str(file))
    assert main(arguments(made, tmp_path)) == 0
    tokens = str(tmp_path / "tokens")
    assert main(["encode", "--data", made.data, "--encoder", str(file), "--pca", "None", "--out", tokens]) == 0
    assert "vit_tiny_patch16@1 distilled from vit_tiny_patch16_224@1" in card_of(tokens)


def test_a_stopped_training_writes_no_encoder(made: Made, tmp_path: Path) -> None:
    assert main([*arguments(made, tmp_path, steps=100_000), "--minutes", "0.0001"]) == 75
    assert (tmp_path / "student" / "latest.json").is_file()
    assert not (tmp_path / "student" / "encoder.safetensors").exists()


def test_frames_are_needed(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    without = [one for one in arguments(made, tmp_path) if one not in ("--data", made.data)]
    assert main(without) == 2
    assert "give the data set with --data" in capsys.readouterr().err
