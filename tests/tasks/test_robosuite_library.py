"""Robosuite's log lines and its compiling, without robosuite."""

import logging
import threading
import time

from rla_gym.tasks import robosuite_library
from rla_gym.tasks.robosuite_library import compiling, quiet


def test_log_lines_below_errors_are_held_back_for_a_while(caplog):
    logger = logging.getLogger("robosuite_logs")
    with caplog.at_level(logging.INFO, logger="robosuite_logs"):
        with quiet():
            logger.warning("no private macro file")
            logger.error("broken")
        logger.info("a user's own")
    assert [record.getMessage() for record in caplog.records] == ["broken", "a user's own"]


def test_compiling_is_announced_once_and_only_if_it_takes_long(capfd, monkeypatch):
    monkeypatch.setattr(robosuite_library, "_announced", threading.Event())
    with compiling(seconds=30.0):
        pass
    assert capfd.readouterr().err == ""
    for _ in range(2):
        with compiling(seconds=0.01):
            time.sleep(0.2)
    assert capfd.readouterr().err.count("numba compiles") == 1
