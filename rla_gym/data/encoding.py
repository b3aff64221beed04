"""Frames of a data set through an encoder, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np

from rla_gym.data.episodes import EpisodeDataset
from rla_gym.data.store import FrameEncoder, first_rows
from rla_gym.models.batch_invariance import WholeBlocks


def encoded_rows(
    dataset: EpisodeDataset, encoder: FrameEncoder, rows: np.ndarray, batch: int, bf16: bool = False
) -> Iterator[np.ndarray]:
    """Tokens (B, L, C) float32 of the given rising rows (n,), in batches; row 0 is the first episode's first frame.

    On the CPU in float32 a frame's tokens do not depend on the batch that it is in (`rla_gym.models.batch_invariance`).

    Args:
        bf16: encode under autocast to bfloat16.
    """
    import torch

    network = encoder if isinstance(encoder, torch.nn.Module) else torch.nn.Identity()
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    alike = device.type == "cpu" and not bf16
    starts = first_rows(dataset.lengths)
    for begin in range(0, len(rows), batch):
        wanted = rows[begin : begin + batch]
        episodes = np.searchsorted(starts, wanted, side="right") - 1
        frames = []
        for episode in np.unique(episodes):
            steps = wanted[episodes == episode] - starts[episode]
            frames.append(dataset.frames(int(episode), int(steps[0]), int(steps[-1]) + 1)[steps - steps[0]])
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=bf16),
            WholeBlocks() if alike else nullcontext(),
        ):
            tokens = encoder.encode(torch.from_numpy(np.concatenate(frames))).float().cpu().numpy()
        yield tokens  # outside: a generator's contexts are those of who asks it, too
