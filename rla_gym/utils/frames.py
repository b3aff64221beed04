"""Frames for people: enlarged, with a line of text above or below."""

from __future__ import annotations

import numpy as np

from rla_gym.utils.optional import require

HOLD = 8
"""Frames of a video that the last image of an episode stands still."""
ENLARGED, MARGIN, TITLE = 3, 8, 28
"""Factor of the frames' size; pixels around them, and of the line of text above."""


def titled(frame: np.ndarray, title: str) -> np.ndarray:
    """`frame` (H, W, 3) uint8 enlarged, with a margin around it and a line of text above."""
    image, draw = (require(f"PIL.{name}", extra="plot") for name in ("Image", "ImageDraw"))
    height, width = (ENLARGED * size for size in frame.shape[:2])
    page = image.new("RGB", (width + 2 * MARGIN, height + TITLE + MARGIN), "white")
    page.paste(image.fromarray(frame).resize((width, height), image.Resampling.NEAREST), (MARGIN, TITLE))
    draw.Draw(page).text((MARGIN, MARGIN // 2), title, fill="black", font_size=TITLE - MARGIN)
    return np.asarray(page)


def captioned(picture: np.ndarray, caption: str, colour: str) -> np.ndarray:
    """`picture` (H, W, 3) uint8 with a line of text below, as large as fits its width."""
    image, draw, fonts = (require(f"PIL.{name}", extra="plot") for name in ("Image", "ImageDraw", "ImageFont"))
    height, width = picture.shape[:2]
    page = image.new("RGB", (width, height + TITLE), "white")
    page.paste(image.fromarray(picture), (0, 0))
    size = float(TITLE - MARGIN)
    size = min(size, size * (width - 2 * MARGIN) / fonts.load_default(size).getlength(caption))
    draw.Draw(page).text((MARGIN, height), caption, fill=colour, font_size=size)
    return np.asarray(page)
