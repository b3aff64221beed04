"""An agent in the dream and in reality from the same starts, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

import numpy as np

from rla_gym.bench.agents import Agent
from rla_gym.bench.play import play
from rla_gym.bench.starts import Starts
from rla_gym.envs.episodes import Episodes
from rla_gym.utils.files import atomic_path
from rla_gym.utils.optional import require

HOLD = 4
"""Frames that the end of an episode stands."""
ENLARGED, MARGIN, TITLE = 3, 8, 28
"""Factor of the frames' size; pixels around them, and of the line of text above."""


class MissingDecoder(ValueError):
    """The checkpoint has no image decoder."""


def write_video(
    path: Path, agent: Agent, sides: Mapping[str, Episodes], starts: Starts, deterministic: bool = True
) -> None:
    """Write an MP4 of all starts, one after another: the sides ("dream", "real") beside each other, each closed loop.

    A frame is a chunk; a side that has ended keeps its last frame and says how it ended.

    Raises:
        MissingDecoder: the checkpoint has no image decoder.
        ImportError: no imageio or Pillow.
    """
    config = next(iter(sides.values())).bundle.config
    if config.image_decoder is None:
        raise MissingDecoder(f"checkpoint {config.name!r} has no image decoder, so its dreams have no frames")
    imageio = require("imageio.v2", extra="data")
    require("PIL", extra="plot")
    films = {}
    for side, episodes in sides.items():
        frames: list[np.ndarray] = []
        outcomes = play(agent, episodes, starts, deterministic, seen=frames.append)
        films[side] = frames, outcomes["success"], outcomes["steps"]
    fps = max(1.0, config.control_hz / agent.chunk)
    with atomic_path(path) as temporary, imageio.get_writer(str(temporary), fps=fps, macro_block_size=2) as writer:
        for row in range(len(starts)):
            title = f"recording {starts.episode[row]}, frame {starts.frame[row]}"
            parts = [
                _labelled(side, frames, bool(solved[row]), int(steps[row]), row, title)
                for side, (frames, solved, steps) in films.items()
            ]
            ends = [part[-1] for part in parts]
            pages = list(zip_longest(*parts))
            for page in [*pages, *[tuple(ends)] * HOLD]:
                shown = [end if part is None else part for part, end in zip(page, ends, strict=True)]
                writer.append_data(np.concatenate(shown, axis=1))


def _labelled(
    side: str, frames: list[np.ndarray], solved: bool, steps: int, row: int, title: str
) -> list[np.ndarray]:
    """Images of one episode, the start and each chunk, with text above."""
    ended = f"{side}: {'solved' if solved else 'not solved'} after {steps} chunks"
    texts = [f"{side}: {title}", *(f"{side}: chunk {step}" for step in range(1, steps)), ended]
    return [_titled(frames[step][row], text) for step, text in enumerate(texts[: steps + 1])]


def _titled(frame: np.ndarray, title: str) -> np.ndarray:
    """`frame` (H, W, 3) uint8 enlarged, with a margin around it and a line of text above."""
    image, draw = (require(f"PIL.{name}", extra="plot") for name in ("Image", "ImageDraw"))
    height, width = (ENLARGED * size for size in frame.shape[:2])
    page = image.new("RGB", (width + 2 * MARGIN, height + TITLE + MARGIN), "white")
    page.paste(image.fromarray(frame).resize((width, height), image.Resampling.NEAREST), (MARGIN, TITLE))
    draw.Draw(page).text((MARGIN, MARGIN // 2), title, fill="black", font_size=TITLE - MARGIN)
    return np.asarray(page)
