"""What every trained model of the comparison has to pass, whatever is inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from benchmarks.baselines.interface import State, WorldModel
from benchmarks.baselines.recorded import Recorded
from rla_gym.training.loop import LoopConfig, Trainable, fit
from rla_gym.utils.keyed_rng import make_keys

QUIET = {"tensorboard": False, "progress": False, "cpu": True}
LOOP = LoopConfig(steps=4, batch_size=8, lr=3e-3, warmup=2, save_every=2, eval_every=4, ema=0.9)


def check_batches(build: Callable[[int], Trainable]) -> None:
    """Batches depend on seed, step and rank alone."""
    one, again, other = build(0), build(0), build(1)
    batch = one.batch(3, 1)
    same = again.batch(3, 1)
    assert batch.keys() == same.keys() and all(torch.equal(batch[name], same[name]) for name in batch)
    for different in (one.batch(4, 1), one.batch(3, 0), other.batch(3, 1)):
        assert not torch.equal(batch["rows"], different["rows"])


def check_resume(build: Callable[[], Trainable], folder: Path) -> None:
    """Stopped after its first step and gone on with, a run ends with the same bits."""
    fit(build(), LOOP, folder / "straight", **QUIET)
    first = fit(build(), replace(LOOP, max_seconds=0.0), folder / "resumed", **QUIET)
    assert first["step"] == 1
    fit(build(), LOOP, folder / "resumed", **QUIET)
    one, other = (load_file(folder / name / "step_00000004" / "state.safetensors") for name in ("straight", "resumed"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def learned(trainable: Trainable, folder: Path, steps: int, lr: float = 3e-3) -> dict[str, float]:
    """Held-out metrics of averaged weights after a short training; a name's "train_" is dropped."""
    loop = LoopConfig(
        steps=steps, batch_size=trainable.batch_size, lr=lr, warmup=20, save_every=steps, eval_every=steps, ema=0.95
    )
    metrics = fit(trainable, loop, folder, **QUIET)["metrics"]
    return {name.removeprefix("train_"): value for name, value in metrics.items()}


def check_learned(metrics: dict[str, float], after: str, least: float, gap: float) -> None:
    """What moves is predicted better than by "nothing moves", and worse with the actions of others.

    Args:
        after: "c1", one chunk, or "c6".
        least: the error has to be below this share of that of "nothing moves".
        gap: how much more it has to be with other actions.
    """
    error, other = metrics[f"{after}_moving"], metrics[f"{after}_moving_other_actions"]
    assert error < least, f"{error}, with other actions {other}"
    assert error < other - gap, f"{error}, with other actions {other}"


def some_rows(episodes: Recorded, count: int) -> np.ndarray:
    """Rows with at least eight frames before and after, spread over episodes."""
    return episodes.store.starts[np.arange(count) % len(episodes.store.starts)] + 8 + np.arange(count)


def check_prediction(model: WorldModel, episodes: Recorded, tolerance: float = 0.0) -> State:
    """Shapes and types; row by row as together; noise by key; gives the state after two chunks of five rows."""
    rows = some_rows(episodes, 5)
    chunks = episodes.chunks(rows, 4, 2)
    keys = [make_keys(np.arange(5), np.zeros(5), np.full(5, step)) for step in range(2)]
    together = episodes.start(model, rows)
    for step in range(2):
        together = model.predict(together, chunks[:, step], keys[step])
    assert together.tokens.shape == (5, *episodes.store.tokens.shape[1:])
    assert together.tokens.dtype == torch.float32 and not together.tokens.requires_grad
    assert together.proprio is not None and together.proprio.shape == (5, episodes.store.proprio.shape[1])
    for row in (0, 4):
        alone = episodes.start(model, rows[row : row + 1])
        for step in range(2):
            alone = model.predict(alone, chunks[row : row + 1, step], keys[step][row : row + 1])
        off = (alone.tokens[0] - together.tokens[row]).abs()
        # At most, or where a model draws pixels, on the mean: a pixel may be rounded the other way.
        assert float(off.max() if not tolerance else off.mean()) <= tolerance
    first = model.predict(episodes.start(model, rows), chunks[:, 0], keys[0])
    others = make_keys(np.arange(5) + 9, np.zeros(5), np.zeros(5))
    other = model.predict(episodes.start(model, rows), chunks[:, 0], others)
    assert torch.equal(other.tokens, first.tokens) is not model.stochastic
    return together
