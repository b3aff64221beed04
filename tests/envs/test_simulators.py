"""Simulators in worker processes: what goes wrong there is told here."""

from __future__ import annotations

import numpy as np
import pytest

from rla_gym.envs.simulators import WorkerSimulators
from rla_gym.tasks.offscreen import RenderingError


def test_a_worker_without_a_context_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setenv("MUJOCO_EGL_DEVICE_ID", "99")  # workers inherit it
    simulators = WorkerSimulators("push-cube", 1)
    try:
        with pytest.raises(RenderingError, match=r"MUJOCO_GL is egl; .*99.*apt-get install libegl1") as told:
            simulators.start({0: 0})
    finally:
        simulators.close()
    assert "Traceback" not in str(told.value)


def test_another_failure_comes_with_its_traceback() -> None:
    simulators = WorkerSimulators("push-cube", 1)
    try:
        with pytest.raises(
            RuntimeError, match=r"a simulator process failed(.|\n)*Traceback(.|\n)*push-cube states are"
        ):
            simulators.start({0: np.zeros(3)})
    finally:
        simulators.close()
