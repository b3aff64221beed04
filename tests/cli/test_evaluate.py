"""`rla-gym eval`: refuses tokens of another making, and its table says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rla_gym.cli import main
from rla_gym.cli.evaluate import fidelity_table
from rla_gym.data import TokenStore
from tests.cli.conftest import Made


def test_tokens_of_another_channel_map(made: Made, checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Both encoders are the same; the channels were fitted on other episodes.
    assert main(["eval", "--ckpt", str(checkpoint), "--tokens", made.tokens]) == 2
    told = capsys.readouterr().err
    assert "another channel map" in told and "`rla-gym encode --like`" in told


def test_too_few_episodes_are_an_error_that_says_so(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["eval", "--ckpt", made.checkpoint, "--tokens", made.tokens, "--probe-steps", "1", "--count", "2"]
    assert main(arguments) == 2
    assert "record more episodes" in capsys.readouterr().err


def test_a_recorded_robot_is_measured_in_tokens_and_has_a_video(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its task has no simulator: nothing is asked of one, and the video is under the first name that is free."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TokenStore, "split", lambda store, part: np.arange(1))

    def unknown(name: str) -> str:
        raise ValueError(f"no task is called {name!r}")

    monkeypatch.setattr("rla_gym.tasks.simulated.canonical_name", unknown)
    (tmp_path / "dream_vs_recording.mp4").write_text("mine")
    arguments = ["eval", "--ckpt", made.checkpoint, "--tokens", made.tokens, "--count", "4", "--videos", "1"]
    assert main([*arguments, "--data", made.data, "--out", "eval.json"]) == 0
    told = capsys.readouterr().out
    assert "| chunks | token error / nothing moves |" in told and "push-cube has no simulator" in told
    assert (tmp_path / "dream_vs_recording-2.mp4").is_file()
    assert len(json.loads((tmp_path / "eval.json").read_text())["recorded"]["ratio"]) >= 1
    assert main([*arguments, "--video", "dream_vs_recording.mp4"]) == 2
    assert "is not replaced" in capsys.readouterr().err


def test_table() -> None:
    row = {"contact_handles": 7, "contact_error": [0.0, 5.04, 12.0], "contact_persistence": [0.0, 20.0, 80.0]}
    found = {
        "probe_floor_mm": {"cube": 1.234},
        "kinds": {
            "recorded": {"cube": row},
            "still": {
                "cube": {"contact_handles": 0, "contact_error": None, "contact_persistence": None},
                "drift": {"handles": 9, "goalward_mm_per_chunk": 0.5, "motion_mm_per_chunk": 0.7},
            },
        },
    }
    table = fidelity_table(found)
    assert "mm: cube 1.2" in table
    assert "| recorded | cube | 7 | 5.0 / 20.0 mm | 12.0 / 80.0 mm |" in table
    assert "| still |" not in table
    assert "still +0.50 (n=9)" in table
