"""Progress: lines where there is no terminal, from the first moment, with counts and times that are right."""

from __future__ import annotations

import sys

import pytest

from rla_gym.utils import progress
from rla_gym.utils.progress import Progress, duration, tracked


class Clock:
    """A clock that stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def test_lines_come_at_once_and_then_now_and_then(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(2_000, "encode", "frame", done=1_000, note=lambda: "all: 3 min left") as bar:
        assert capsys.readouterr().err == "encode: 1,000 of 2,000 frames; all: 3 min left\n"
        clock.now += progress.LINE_SECONDS / 3
        bar.update(100)
        assert capsys.readouterr().err == ""
        clock.now += progress.LINE_SECONDS
        bar.update(100, loss="0.5")
        assert bar.rate == pytest.approx(10)
        expected = "encode: 1,200 of 2,000 frames, 10 a second, 80 s left; loss 0.5; all: 3 min left\n"
        assert capsys.readouterr().err == expected
        bar.update(800)
    assert capsys.readouterr().err == "encode: 2,000 of 2,000 frames in 20 s\n"


def test_nothing_is_shown_where_nothing_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(tracked(range(3), 3, "count", show=False)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    assert list(tracked(range(3), 3, "count")) == [0, 1, 2]
    assert capsys.readouterr().err.endswith("count: 3 of 3 steps in 0 s\n")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress(10, "record", "episode") as bar:
        for _ in range(10):
            bar.update(solved="3")
    drawn = capsys.readouterr().err
    assert "record" in drawn and "100%" in drawn and "solved 3" in drawn and "\r" in drawn


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (89, "89 s"), (90, "2 min"), (360, "6 min"), (4_800, "80 min"), (7_500, "2 h 05 min")],
)
def test_durations_are_what_people_say(seconds: float, text: str) -> None:
    assert duration(seconds) == text
