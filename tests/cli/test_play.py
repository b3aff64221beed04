"""`rla-gym play`: keys drive the dream in a window, here on a virtual display."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.cli import main
from rla_gym.cli.play import Play, Scores, drive
from rla_gym.envs.real import RLARealEnv
from rla_gym.envs.single import EpisodeEnv
from rla_gym.envs.world import RLAWorldEnv

pygame = pytest.importorskip("pygame")

FAST = ["--speed", "1000"]


@pytest.fixture(autouse=True)
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A virtual display, closed before and afterwards."""
    pygame.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield
    pygame.display.quit()


class Pressed(RLAWorldEnv):
    """A dream with a person before it: before step i the events `presses[i]` happen."""

    def __init__(self, bundle: Bundle, presses: dict[int, list[Any]], **options: Any) -> None:
        super().__init__(bundle, render_mode="rgb_array", chunk=2, time_limit=50, **options)
        self.presses, self.actions = presses, []

    def step(self, action: np.ndarray) -> Any:
        self.actions.append(action.tolist())
        for event in self.presses.get(len(self.actions), []):
            pygame.event.post(event)
        if len(self.actions) > 30:
            raise AssertionError("the game did not stop")
        return super().step(action)


def key(code: int, down: bool = True) -> Any:
    return pygame.event.Event(pygame.KEYDOWN if down else pygame.KEYUP, key=code)


def test_held_keys_are_actions_until_escape(bundle: Bundle) -> None:
    presses = {
        1: [key(pygame.K_RIGHT)],
        2: [key(pygame.K_w)],
        3: [key(pygame.K_w, down=False), key(pygame.K_RIGHT, down=False), key(pygame.K_a)],
        4: [key(pygame.K_a, down=False), key(pygame.K_x)],
        5: [key(pygame.K_ESCAPE)],
    }
    env = Pressed(bundle, presses, success_threshold=0.0)
    env.reset(seed=0)
    drive(env, speed=1000, zoom=2, wait=False, episodes=None)
    # An arrow and a letter together are no known pair, and so no action.
    assert env.actions == [[0.0] * 4, [1.0, 0.0] * 2, [0.0] * 4, [-1.0, 0.0] * 2, [0.0] * 4]


def test_the_window_shows_the_dream_enlarged(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    env = Pressed(bundle, {2: [key(pygame.K_ESCAPE)]}, render_reference=True, success_threshold=0.0)
    env.reset(seed=0)
    seen: list[np.ndarray] = []
    quit_display = pygame.quit
    monkeypatch.setattr(
        pygame, "quit", lambda: (seen.append(pygame.surfarray.array3d(pygame.display.get_surface())), quit_display())
    )
    drive(env, speed=1000, zoom=2, wait=False, episodes=None)
    assert np.array_equal(seen[0].swapaxes(0, 1)[::2, ::2], env.render())


def test_time_stands_still_while_no_key_is_pressed(bundle: Bundle) -> None:
    env = Pressed(bundle, {1: [key(pygame.K_s, down=False), key(pygame.K_ESCAPE)]}, success_threshold=0.0)
    env.reset(seed=0)
    pygame.display.init()
    pygame.event.post(key(pygame.K_s))
    drive(env, speed=1000, zoom=1, wait=True, episodes=None)
    assert env.actions == [[0.0, -1.0] * 2]


@pytest.mark.parametrize("more", [[], ["--real", "--no-reference"]])
def test_the_command(checkpoint: Path, capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    arguments = ["play", "--ckpt", str(checkpoint), "--episodes", "2", "--time-limit", "2", *FAST, *more]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("arrows, or a d s w")
    assert [line.split(":")[0] for line in lines[1:]] == ["episode 1", "episode 2"]
    assert pygame.display.get_surface() is None


def test_defaults(checkpoint: Path) -> None:
    dream = Play(ckpt=str(checkpoint)).environment()
    assert isinstance(dream, RLAWorldEnv) and dream.render_reference
    # Two control steps a key press, and episodes as long as the checkpoint's 12 chunks of 4.
    assert (dream.episodes.chunk, dream.episodes.limit, dream.metadata["render_fps"]) == (2, 24, 5)
    real: EpisodeEnv = Play(ckpt=str(checkpoint), real=True, chunk=4, time_limit=7).environment()
    assert isinstance(real, RLARealEnv)
    assert (real.episodes.chunk, real.episodes.limit) == (4, 7)


def test_scores(capsys: pytest.CaptureFixture[str]) -> None:
    pygame.display.init()
    scores = Scores(episodes=2)
    for reward, terminated, truncated in ((1.0, False, False), (0.5, True, False), (0.25, False, True)):
        assert not any(event.type == pygame.QUIT for event in pygame.event.get())
        scores(None, None, None, reward, terminated, truncated, {"success": terminated, "goal_distance": 0.1})
    assert any(event.type == pygame.QUIT for event in pygame.event.get())
    assert capsys.readouterr().out.splitlines() == [
        "episode 1: solved after 2 steps, return 1.500",
        "episode 2: not solved after 1 steps, return 0.250",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--speed", "0"], "--speed 0.0: expected"), (["--episodes", "0"], "at least 1"), (["--chunk", "9"], "1 to 4")],
)
def test_wrong_arguments(checkpoint: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    assert main(["play", "--ckpt", str(checkpoint), *arguments]) == 2
    assert told in capsys.readouterr().err


def test_no_display_is_told(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    assert main(["play", "--ckpt", str(checkpoint)]) == 2
    assert capsys.readouterr().err.startswith("error: no window can be opened")


def test_no_pygame_is_told(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    assert main(["play", "--ckpt", str(checkpoint)]) == 2
    assert 'pip install "rla_gym[play]"' in capsys.readouterr().err


def test_parsing_it_imports_no_pygame() -> None:
    code = "import sys; from rla_gym.cli.commands import parse; parse(['play']); sys.exit('pygame' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
