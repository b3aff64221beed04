"""Simulators here and in worker processes: what goes wrong there is told here, and what cannot travel does not."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rla_gym.tasks.offscreen import RenderingError
from rla_gym.tasks.simulators import LocalSimulators, WorkerSimulators
from rla_gym.tasks.workers import REIMPORTED, died, spawned


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


def test_a_pickle_has_no_simulators_and_its_copy_starts_its_own() -> None:
    simulators = LocalSimulators("push-cube")
    first = simulators.start({0: 5})[0]
    copy = pickle.loads(pickle.dumps(simulators))
    with pytest.raises(RuntimeError, match=r"simulators \[0\] have not been started: reset"):
        copy.step({0: np.zeros((1, 2))})
    assert np.array_equal(copy.start({0: 5})[0].frame, first.frame)
    copy.close()
    assert np.array_equal(simulators.step({0: np.zeros((1, 2))})[0].objects, first.objects)
    simulators.close()
    simulators.close()


def test_simulators_of_workers_do_not_travel() -> None:
    simulators = WorkerSimulators("push-cube", 1)
    with pytest.raises(TypeError, match="workers=0"):
        pickle.dumps(simulators)
    simulators.close()
    with pytest.raises(RuntimeError, match="closed: reset"):
        simulators.step({0: np.zeros((1, 2))})


def test_options_and_modules_reach_simulators_wherever_they_are() -> None:
    """A success rule given in Python counts in this process and in workers, which import its module."""
    module = "tests.tasks.user_tasks"
    for simulators in (
        LocalSimulators(f"{module}:UserPusher-v0", {"success": f"{module}:anywhere", "frame_size": [28, 42]}),
        WorkerSimulators(f"{module}:UserPusher-v0", 1, {"success": f"{module}:anywhere", "frame_size": [28, 42]}),
        LocalSimulators(f"{module}:user-pusher", {"frame_size": [28, 42]}),
    ):
        seen = simulators.start({0: 3})[0]
        assert seen.success and seen.frame.shape == (28, 42, 3)
        simulators.close()
    plain = LocalSimulators(f"{module}:UserPusher-v0")
    assert not plain.start({0: 3})[0].success
    plain.close()


def test_success_ends_a_chunk_unless_it_is_to_be_whole() -> None:
    solved = LocalSimulators("push-cube")
    solved.start({0: 5})
    task = solved._tasks[0]
    policy = task.demonstrator("expert", 0.0, 5)
    for _ in range(60):
        if task.success():
            break
        task.step(policy())
    state, still = task.get_state(), {0: np.zeros((4, 2), np.float32)}
    assert (solved.start({0: state})[0].success, solved.step(still)[0].steps) == (True, 1)
    solved.start({0: state})
    whole = solved.step(still, whole=True)[0]
    assert (whole.success, whole.steps) == (True, 4)
    solved.close()
    elsewhere = WorkerSimulators("push-cube", 1)
    elsewhere.start({0: state})
    assert elsewhere.step(still, whole=True)[0].steps == 4
    elsewhere.close()


def test_another_thread_is_one_line() -> None:
    simulators, errors = LocalSimulators("push-cube"), []
    simulators.start({0: 0})

    def step() -> None:
        try:
            simulators.step({0: np.zeros((1, 2))})
        except RenderingError as error:
            errors.append(str(error))

    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert len(errors) == 1 and "in another thread" in errors[0] and "\n" not in errors[0]
    assert simulators.step({0: np.zeros((1, 2))})[0].steps == 1  # here it goes on
    simulators.close()


def test_a_worker_that_imports_a_script_without_a_guard_starts_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `multiprocessing` sets while a spawned process imports its parent's script."""
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(SystemExit) as stopped, spawned(print, (), 1):
        pass
    assert stopped.value.code == REIMPORTED


@pytest.mark.parametrize(("status", "told"), [(REIMPORTED, "__main__.*workers=0"), (9, "without a word .exit code 9")])
def test_why_a_worker_died_is_one_line(status: int, told: str) -> None:
    process = multiprocessing.get_context("fork").Process(target=os._exit, args=(status,))
    process.start()
    process.join()
    text = died("a simulator process", process)
    assert re.search(told, text) and "\n" not in text


@pytest.mark.slow
def test_a_flat_script_is_told_of_the_guard(tmp_path: Path) -> None:
    script = tmp_path / "flat.py"
    script.write_text("import rla_gym\nrla_gym.RLARealVecEnv(num_envs=2, start='task', workers=2).reset()\n")
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    last = run.stderr.splitlines()[-1]
    assert run.returncode == 1 and "__main__" in last and "workers=0" in last
