"""`rla-gym play`: a person drives the dream, or the simulator, with the keyboard."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rla_gym.tasks.offscreen import RenderingError
from rla_gym.utils.checks import Count, Positive, Whole
from rla_gym.utils.optional import require

if TYPE_CHECKING:
    from rla_gym.envs.single import EpisodeEnv


@dataclass(frozen=True)
class Play:
    """Drive a checkpoint's dream with the keyboard, in a window."""

    ckpt: str = "push-cube"
    """Checkpoint: folder, built-in name or hub id."""
    real: bool = False
    """Drive the simulator that the checkpoint was recorded in instead."""
    reference: bool = True
    """Show the recorded episode of the same start beside it."""
    chunk: Count | None = None
    """Control steps that a key press lasts; without it 2, where the checkpoint takes as many."""
    time_limit: Count | None = None
    """Steps of an episode; without it the checkpoint's."""
    seed: Whole = 0
    """Of the first episode and all later ones."""
    episodes: Count | None = None
    """Stop after as many; without it when Escape is pressed or the window is closed."""
    wait: bool = False
    """Let time stand still while no key is pressed."""
    speed: Positive = 1.0
    """1: at the task's own pace, if the machine is fast enough."""
    zoom: Positive = 4.0
    """Pixels of the window for each of the picture."""
    threads: Count = 1
    """Threads of torch."""

    def run(self) -> None:
        """Play until the window is closed.

        Raises:
            ValueError: an option out of its range.
            ImportError: pygame is not installed.
            RenderingError: there is no display.
        """
        from rla_gym.utils.threads import use_threads

        use_threads(self.threads)
        need_display()
        env = self.environment()
        env.reset(seed=self.seed)
        drive(env, self.speed, self.zoom, self.wait, self.episodes)
        env.close()

    def environment(self) -> EpisodeEnv:
        """The environment that is driven, with pictures."""
        from rla_gym.checkpoint.store import load_checkpoint
        from rla_gym.envs.real import RLARealEnv
        from rla_gym.envs.world import RLAWorldEnv

        config = load_checkpoint(self.ckpt).config
        chunk = min(2, config.chunk) if self.chunk is None else self.chunk
        kind = RLARealEnv if self.real else RLAWorldEnv
        return kind(
            self.ckpt,
            render_mode="rgb_array",
            render_reference=self.reference,
            chunk=chunk,
            time_limit=self.time_limit,
            p_initial_frame=1.0,
        )


def need_display() -> None:
    """Raise a RenderingError where a person would see nothing."""
    pygame = require("pygame", extra="play")
    try:
        pygame.display.init()
        driver = pygame.display.get_driver()
    except pygame.error as error:
        raise RenderingError(f"no window can be opened ({error}): run where there is a display") from error
    if driver == "offscreen" and not os.environ.get("SDL_VIDEODRIVER"):
        raise RenderingError(
            "no window can be opened, as there is no display: run where there is one, over ssh with `ssh -X`"
        )


def drive(env: EpisodeEnv, speed: float, zoom: float, wait: bool, episodes: int | None) -> None:
    """Let a person play `env`, which has begun its first episode, with Gymnasium's `play`.

    Args:
        speed: 1 for the task's own pace.
        zoom: factor of the picture's size.
        wait: step only while a key is pressed.
        episodes: stop after as many; None: when the window is closed.
    """
    pygame = require("pygame", extra="play")
    play = require("gymnasium.utils.play", extra="play").play
    arrows = {"a": pygame.K_LEFT, "d": pygame.K_RIGHT, "s": pygame.K_DOWN, "w": pygame.K_UP}
    letters = env.get_keys_to_action()
    keys: dict[Any, np.ndarray] = dict(letters)
    keys |= {tuple(arrows.get(key, key) for key in pressed): action for pressed, action in letters.items()}
    pace = env.episodes.bundle.config.control_hz / env.episodes.chunk
    print(f"arrows, or {' '.join(dict.fromkeys(key for pressed in letters for key in pressed))}: act; Escape: stop")
    play(
        env,
        fps=max(1, round(speed * pace)),
        zoom=zoom,
        callback=Scores(episodes),
        keys_to_action=keys,
        noop=np.zeros(env.action_space.shape or (), np.float32),
        wait_on_player=wait,
    )


class Scores:
    """Tells how each episode went, and ends the game after `episodes` of them."""

    def __init__(self, episodes: int | None = None) -> None:
        self.episodes, self.played = episodes, 0
        self.steps, self.sum = 0, 0.0

    def __call__(
        self,
        before: Any,
        after: Any,
        action: Any,
        reward: float,
        terminated: bool,
        truncated: bool,
        info: dict[str, Any],
    ) -> None:
        """Take in a step, as `gymnasium.utils.play` gives it."""
        pygame = require("pygame", extra="play")
        self.steps, self.sum = self.steps + 1, self.sum + reward
        pygame.display.set_caption(f"distance to the goal {info.get('goal_distance', math.nan):.3f}")
        if not (terminated or truncated):
            return
        self.played += 1
        outcome = "solved" if info["success"] else "not solved"
        print(f"episode {self.played}: {outcome} after {self.steps} steps, return {self.sum:.3f}")
        self.steps, self.sum = 0, 0.0
        if self.played == self.episodes:
            pygame.event.post(pygame.event.Event(pygame.QUIT))
