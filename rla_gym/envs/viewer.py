"""Pictures for people: a window, a picture beside another, and the keys that drive an environment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.tasks.offscreen import RenderingError
from rla_gym.utils.checks import checked
from rla_gym.utils.optional import require

if TYPE_CHECKING:
    from rla_gym.envs.episodes import Episodes

GAP = 4
"""Columns of black between two pictures."""
WINDOW_HEIGHT = 448
"""Pictures lower than this are enlarged by a whole factor."""
KEYS = (("a", "d"), ("s", "w"), ("q", "e"), ("f", "r"), ("g", "t"), ("h", "y"), ("j", "u"), ("k", "i"), ("l", "o"))
"""Keys of an action's numbers, for -1 and for 1; in pictures of the tabletop tasks left and right, down and up."""


class Window:
    """A window that shows pictures at `fps` a second; it opens with the first one.

    pygame has one window a process: environments that are shown at the same time take turns in it. Nothing of pygame is
    kept here, so that environments with a window can be pickled.

    Raises:
        ImportError: pygame is not installed.
    """

    def __init__(self, title: str, fps: float) -> None:
        require("pygame", extra="play")
        self.title, self.fps = title, fps
        self._due = 0.0
        self._open = False

    def show(self, picture: np.ndarray) -> None:
        """Show a picture (H, W, 3) uint8, after waiting until the one before was seen for 1 / fps seconds.

        Raises:
            RenderingError: there is no display to open a window on.
        """
        pygame = require("pygame", extra="play")
        zoom = max(1, WINDOW_HEIGHT // picture.shape[0])
        size = (picture.shape[1] * zoom, picture.shape[0] * zoom)
        screen = pygame.display.get_surface()
        if screen is None or screen.get_size() != size:
            try:
                pygame.display.init()
                screen = pygame.display.set_mode(size)
            except pygame.error as error:
                raise RenderingError(
                    f"no window can be opened ({error}): run on a machine with a display, or make the environment with "
                    "render_mode='rgb_array'"
                ) from error
            pygame.display.set_caption(self.title)
        self._open = True
        surface = pygame.surfarray.make_surface(picture.swapaxes(0, 1))
        screen.blit(pygame.transform.scale(surface, size), (0, 0))
        now = time.monotonic()
        time.sleep(min(max(self._due - now, 0.0), 1.0 / self.fps))
        self._due = max(now, self._due) + 1.0 / self.fps
        pygame.event.pump()  # without it the system takes the program for dead
        pygame.display.flip()

    def close(self) -> None:
        """Close the window; safe to call twice."""
        if self._open:
            require("pygame", extra="play").display.quit()
            self._open = False


def check_rendering(
    episodes: Episodes, render_mode: str | None, modes: Sequence[str], render_reference: bool, hint: str = ""
) -> bool:
    """`render_reference` as a bool, if the episodes can be shown as asked.

    Raises:
        ValueError: a mode that is none of `modes` or None, or something to show without an image decoder.
    """
    if render_mode not in (None, *modes):
        raise ValueError(f"render_mode={render_mode!r}: expected None or one of {', '.join(modes)}{hint}")
    config = episodes.bundle.config
    if render_mode is not None and not episodes.has_images:
        raise ValueError(
            f"render_mode={render_mode!r}: checkpoint {config.name!r} has no image decoder, so its dreams have no "
            "frames; take render_mode=None, or train and export one with `rla-gym train image-decoder`"
        )
    beside_it: bool = checked("render_reference", render_reference, bool)
    if beside_it and config.image_decoder is None:
        raise ValueError(
            f"render_reference=True: checkpoint {config.name!r} has no image decoder to show its references with"
        )
    return beside_it


def beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two pictures (H, W, 3) uint8 in one (H, 2 W + GAP, 3)."""
    return np.concatenate([left, np.zeros((left.shape[0], GAP, 3), np.uint8), right], axis=1)


def reference_picture(bundle: Bundle, reference: int, frame: int) -> np.ndarray:
    """Picture (H, W, 3) uint8 of a reference episode's frame, its last where there are fewer.

    References are kept as tokens: this is what the image decoder makes of them, so that it differs from a dream's
    picture by what was dreamed alone.

    Raises:
        ValueError: the checkpoint has no image decoder.
    """
    references = bundle.references
    row = int(references.starts[reference]) + min(frame, int(references.lengths[reference]) - 1)
    picture: np.ndarray = bundle.decode_images(bundle.standardize(references.tokens[row : row + 1]))[0]
    return picture


def keys_to_action(action_size: int, chunk: int) -> dict[tuple[str, ...], np.ndarray]:
    """Actions (chunk * A,) float32 of pressed keys, as `gymnasium.utils.play` takes them.

    A pressed key holds one number of the action at -1 or 1 throughout the chunk; at most two numbers are moved at
    once. Numbers after the ninth have no keys and stay 0.
    """
    held = range(min(action_size, len(KEYS)))
    keys: dict[tuple[str, ...], np.ndarray] = {}
    for numbers in [(number,) for number in held] + list(combinations(held, 2)):
        for ends in product((0, 1), repeat=len(numbers)):
            action = np.zeros(action_size, np.float32)
            action[list(numbers)] = [2 * end - 1 for end in ends]
            pressed = tuple(KEYS[number][end] for number, end in zip(numbers, ends, strict=True))
            keys[pressed] = np.tile(action, chunk)
    return keys
