"""What the ways look like: real frames, and decoded tokens at the same shares of the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.properties.progression import WAYS, Latents, between
from benchmarks.properties.reconstruction import Pairs
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.utils.files import atomic_path
from rla_gym.utils.optional import require

TIMES = 7
NAMES = {"noise": "noise to latent", "mean": "mean to latent", "tokens": "interpolated tokens"}
REAL = "real frames"


def write_ways(folder: Path, latents: Latents, pairs: Pairs, bundle: Bundle, count: int) -> list[dict[str, object]]:
    """One PNG a pair and way, frames side by side; real frames are decoded from their tokens, as all others are.

    Pairs are those that move most of all.
    """
    imageio = require("imageio.v3", extra="data")
    _, first, last = (np.concatenate(list(part)) for part in zip(*pairs.blocks(), strict=True))
    order = np.argsort(-np.abs(last - first).mean(axis=(1, 2)))[:count]
    taus = np.linspace(0, 1, TIMES)
    written: list[dict[str, object]] = []
    for number, place in enumerate(order):
        row = pairs.rows[place]
        tokens, later = (pairs.store.normalized(np.array([each])) for each in (row, row + pairs.horizon))
        steps = np.round(taus * pairs.horizon).astype(int)
        made = {REAL: pairs.store.normalized(row + steps)}
        for way in WAYS:
            made[NAMES[way]] = between(latents, way, tokens, later, taus, np.array([place]), 0)[0]
        for name, found in made.items():
            file = f"progression-{pairs.horizon}-{number}-{name.replace(' ', '-')}.png"
            with atomic_path(folder / file) as temporary:
                frames = list(bundle.decode_images(found))
                imageio.imwrite(temporary, np.concatenate(frames, axis=1), extension=".png")
            written.append(
                {"kind": f"{pairs.horizon} control steps", "handle": number, "run": name, "file": file, "frames": TIMES}
            )
    return written
