"""Strips of frames and small videos, as data inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.fidelity.pictures import INDEX
from benchmarks.report.html import folded
from rla_gym.utils.files import read_json
from rla_gym.utils.optional import require

FPS = 3
TITLE, COLUMNS, HOLD = 20, 4, 3
"""Pixels of a title above a frame; frames side by side in a video; frames that its end stands still."""


def groups_of(folder: Path | None) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Strips by kind and handle; none where the folder has no index."""
    if folder is None or not (folder / INDEX).is_file():
        return {}
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for strip in read_json(folder / INDEX)["strips"]:
        groups.setdefault((strip["kind"], strip["handle"]), []).append(strip)
    return groups


def media(folder: Path | None, videos: bool = True) -> str:
    """Every group of strips; a video besides for the first of each kind."""
    parts, seen = [], set()
    for (kind, handle), strips in groups_of(folder).items():
        assert folder is not None
        named = [(escape(strip["run"]), as_data(folder / strip["file"])) for strip in strips]
        rows = "".join(f'<div>{name}</div><img alt="{name}" src="{data}">' for name, data in named)
        grid = f'<div class="wide"><div class="strip">{rows}</div></div>'
        if videos and kind not in seen:
            grid += video(folder, strips)
        seen.add(kind)
        parts.append(folded(f"{kind}, {handle}", grid))
    return "\n".join(parts)


def as_data(path: Path) -> str:
    """A PNG as a data URL, as WebP, which is a fraction of the size."""
    images = require("PIL.Image", extra="plot")
    buffer = io.BytesIO()
    with images.open(path) as picture:
        picture.save(buffer, format="WEBP", quality=88, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def video(folder: Path, strips: Sequence[dict[str, Any]]) -> str:
    """All runs of a group as tiles of one video, VP9, which every browser plays."""
    imageio = require("imageio.v3", extra="data")
    tiles = [titled_frames(imageio.imread(folder / strip["file"]), strip["frames"], strip["run"]) for strip in strips]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[i : i + COLUMNS], axis=2) for i in range(0, len(tiles), COLUMNS)]
    frames = np.concatenate(rows, axis=1)
    frames = np.concatenate([frames, np.repeat(frames[-1:], HOLD, axis=0)])
    even = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    with TemporaryDirectory() as place:
        path = Path(place) / "video.webm"
        settings: dict[str, Any] = {"codec": "libvpx-vp9", "macro_block_size": 2, "quality": None}
        rate = ["-crf", "36", "-b:v", "0", "-deadline", "realtime", "-cpu-used", "8"]
        imageio.imwrite(path, even, plugin="FFMPEG", fps=FPS, output_params=rate, **settings)
        data = base64.b64encode(path.read_bytes()).decode()
    height, width = even.shape[1:3]
    return (
        f'<figure><video controls loop muted playsinline width="{width}" height="{height}" '
        f'src="data:video/webm;base64,{data}"></video></figure>'
    )


def titled_frames(strip: np.ndarray, count: int, title: str) -> np.ndarray:
    """Frames (T, H + title, W, 3) uint8 of a strip (H, T * W, 3), each with its run's name above."""
    images, draw = (require(f"PIL.{name}", extra="plot") for name in ("Image", "ImageDraw"))
    frames = np.stack(np.split(strip, count, axis=1))
    label = images.new("RGB", (frames.shape[2], TITLE), "white")
    draw.Draw(label).text((3, 3), title, fill="black", font_size=11)
    above = np.broadcast_to(np.asarray(label), (count, TITLE, *frames.shape[2:]))
    return np.concatenate([above, frames], axis=1)
