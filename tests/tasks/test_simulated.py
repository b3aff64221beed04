"""Which tasks have a simulator here."""

from __future__ import annotations

import pytest

from rla_gym.tasks.simulated import is_simulated


@pytest.mark.parametrize(
    ("name", "simulated"),
    [
        ("push-cube", True),
        ("push-cube@unseen", True),
        ("Reacher-v5", True),
        ("my-robot", False),
        ("no_such_module:Arm-v0", False),
    ],
)
def test_a_robots_recordings_have_no_simulator(name: str, simulated: bool) -> None:
    assert is_simulated(name) is simulated
