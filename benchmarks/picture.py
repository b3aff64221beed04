"""README's picture: held-out episodes, the dream above and the simulator below, under the same recorded actions.

python -m benchmarks.picture --episodes 2 1 --out docs/dream.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
import tyro

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.dream.dream import Dream
from rla_gym.tasks import Task, make_task


@dataclass(frozen=True)
class Args:
    """What is drawn."""

    ckpt: str = "push-cube"
    episodes: tuple[int, ...] = (2, 1)
    """Places in the list of the checkpoint's held-out test references."""
    chunks: int = 6
    out: Path = Path("docs/dream.png")


def strip(bundle: Bundle, task: Task, episode: int, chunks: int) -> np.ndarray:
    """Frames after each chunk, dream above reality, white after the end: ``(2 H, (chunks + 1) W, 3)`` uint8."""
    references, size = bundle.references, bundle.config.chunk
    start, length = int(references.starts[episode]), int(references.lengths[episode])
    dream = Dream(bundle, 1)
    dream.reset(np.array([True]), np.array([episode]), np.array([0]))
    task.set_state(references.states[start].numpy())
    dreamed, real = [dream.images()[0]], [task.render()]
    for chunk in range(min(chunks, (length - 1) // size)):
        actions = references.actions[start + size * chunk : start + size * (chunk + 1)].numpy()
        dream.step(bundle.scale_actions(actions)[None])
        for action in actions:
            task.step(action)
        dreamed.append(dream.images()[0])
        real.append(task.render())
    blank = [np.full_like(real[0], 255)] * (chunks + 1 - len(real))
    return np.concatenate([np.concatenate(dreamed + blank, axis=1), np.concatenate(real + blank, axis=1)])


def main(args: Args) -> None:
    """Draw and write."""
    torch.set_num_threads(1)
    bundle = load_checkpoint(args.ckpt)
    task = make_task(bundle.config.task, **bundle.config.task_options)
    chosen = bundle.references.select("test")
    rows: list[np.ndarray] = []
    for place in args.episodes:
        if rows:
            rows.append(np.full((6, rows[0].shape[1], 3), 255, np.uint8))
        rows.append(strip(bundle, task, int(chosen[place]), args.chunks))
    task.close()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(args.out, np.concatenate(rows))


if __name__ == "__main__":
    main(tyro.cli(Args))
