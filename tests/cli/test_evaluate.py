"""`rla-gym eval`: refuses tokens of another making, and its table says what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from rla_gym.cli import main
from rla_gym.cli.evaluate import fidelity_table
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
