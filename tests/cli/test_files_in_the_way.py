"""A command that names one file writes over nothing but the same content."""

from __future__ import annotations

from pathlib import Path

import pytest

from rla_gym.cli import main

ENCODER = ["encoder", "--backbone", "vit_tiny_patch16_224", "--layer", "1", "--weights"]


def test_an_encoder_is_written_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "encoder.safetensors"
    assert main([*ENCODER, "random:0", "--out", str(out)]) == 0
    first = out.read_bytes()
    assert main([*ENCODER, "random:0", "--out", str(out)]) == 0
    assert main([*ENCODER, "random:1", "--out", str(out)]) == 2
    assert "encoder.safetensors exists, and is not replaced: move it, or choose another name" in capfd.readouterr().err
    assert out.read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_results_are_not_written_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text("mine")
    out = ["--out", str(tmp_path / "result.json")]
    assert main(["eval", "--ckpt", "push-cube", "--tokens", str(tmp_path), *out]) == 2
    assert "result.json exists, and is not replaced" in capfd.readouterr().err
    assert (tmp_path / "result.json").read_text() == "mine"
