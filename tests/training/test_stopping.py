"""Signals: a run is saved at the next step boundary, and goes on from there to the same result."""

import os
import signal

import pytest

from tests.training.test_loop import CONFIG, Regression, Terminated, assert_equal, run, tensors


def test_sigterm_between_saves_is_exact_and_handler_restored(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    run(tmp_path / "straight")
    assert run(tmp_path / "resumed", trainable=Terminated(at=7))["checkpoint"].name == "step_00000007"
    assert signal.getsignal(signal.SIGTERM) == before
    run(tmp_path / "resumed")
    assert_equal(tensors(tmp_path / "straight"), tensors(tmp_path / "resumed"))


class _InterruptedAtTheEnd(Regression):
    """Ctrl-C while the last held-out measurement is taken."""

    def evaluate(self, step):
        if step == CONFIG.steps:
            os.kill(os.getpid(), signal.SIGINT)
        return super().evaluate(step)


def test_an_interrupt_at_the_very_end_is_not_lost(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, trainable=_InterruptedAtTheEnd())
    assert run(tmp_path)["finished"], "all was saved: what comes after goes on from here"


def test_an_interrupted_run_is_saved_before_it_stops(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, trainable=Terminated(at=7, number=signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) == before
    assert (tmp_path / "step_00000007").is_dir()


def test_an_ignored_interrupt_stays_ignored(tmp_path):
    """As in a shell's background job: Ctrl-C is meant for others."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run(tmp_path, trainable=Terminated(at=7, number=signal.SIGINT))["finished"]
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
