"""Seeds of the parts of a run: streams that do not meet."""

from __future__ import annotations

STREAMS = ("demonstrations", "agent", "training", "evaluation", "dream-evaluation", "simulator-training")
ENVIRONMENTS = 1_000
"""Environment i of a vector has the seed s + i, so streams lie this far apart."""


def stream_seed(stream: str, seed: int) -> int:
    """First seed of `stream` in the run `seed`; environments count on from it.

    No two (stream, seed) share any of the `ENVIRONMENTS` seeds from there.

    Raises:
        ValueError: an unknown stream, or a negative seed.
    """
    if stream not in STREAMS or seed < 0:
        raise ValueError(f"stream={stream!r}, seed={seed}: expected one of {', '.join(STREAMS)} and at least 0")
    return (seed * len(STREAMS) + STREAMS.index(stream)) * ENVIRONMENTS
