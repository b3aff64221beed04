"""What a video file shows."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def assert_shows(path: Path, pictures: np.ndarray, fps: float) -> None:
    """The video at `path` shows `pictures` (n, H, W, 3) uint8, as far as compression leaves them, at `fps`."""
    with av.open(str(path)) as video:
        assert float(video.streams.video[0].average_rate) == fps
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert np.shape(frames) == pictures.shape
    error = np.abs(np.array(frames, np.float64) - pictures).mean(axis=(1, 2, 3))
    assert error.max() < 12, error
    # What is alike after compression might be any of them: each frame is nearest to its own picture or to an equal one.
    apart = np.abs(np.array(frames, np.float64)[:, None] - pictures[None]).mean(axis=(2, 3, 4))
    assert (np.diagonal(apart) <= apart.min(axis=1) + 0.5).all(), apart
