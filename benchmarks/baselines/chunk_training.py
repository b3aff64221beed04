"""Batches of whole chunks for the models that predict K actions ahead: those of RLA-WM's own training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.baselines.recorded import Recorded
from rla_gym.data.sampling import chunk_actions, sample_chunks, sample_pairs
from rla_gym.training.batches import keyed_generators, origin


@dataclass(frozen=True)
class ChunkOptions:
    """How chunks are drawn; the defaults are those of RLA-WM's training (`rla_gym.cli.stages.FlowStage`)."""

    chunk: int = 4
    """K, the longest chunk."""
    full_share: float = 0.75
    """Share of a batch with chunks of exactly K; the others are uniform in 1..K."""
    moving_share: float = 0.5
    """Share of first frames drawn from the half with the most motion."""
    feedback: float = 0.3
    """Share of a batch that starts from the model's own prediction instead of recorded tokens."""
    feedback_rounds: int = 2
    """Chunks of that prediction."""


class ChunkTraining:
    """What the `Trainable`s of one-chunk models share.

    Args:
        recorded: the episodes; only training episodes are trained on.
        options: how chunks are drawn.
        batch_size: samples of one process in one step.
        seed: of first weights and batches.
    """

    def __init__(self, recorded: Recorded, options: ChunkOptions, batch_size: int, seed: int) -> None:
        self.recorded, self.options, self.batch_size, self.seed = recorded, options, batch_size, seed
        self.episodes = recorded.store.split("train")
        self.fed_back = round(options.feedback * batch_size)

    def description(self) -> dict[str, Any]:
        """Data and options, for `describe`."""
        return {"data": origin(self.recorded.store), "options": asdict(self.options)}

    def drawn(self, purpose: str, step: int, rank: int) -> tuple[dict[str, Tensor], torch.Generator]:
        """Chunks of a step, and a generator for what else is drawn.

        `rows` (B, 2) of both ends, `chunks` (B, K, A), `lengths` (B,), `proprio` and `next_proprio` (B, P) where there
        is any. The first n samples are fed back: `earlier` (n,) are the rows `feedback_rounds` chunks before, and
        `earlier_chunks` (rounds, n, K, A) lead from there to the samples' first rows.
        """
        store, options, n, chunk = self.recorded.store, self.options, self.fed_back, self.options.chunk
        generator, noises = keyed_generators(purpose, self.seed, step, rank)
        earlier = sample_chunks(
            store, self.episodes, n, generator, chunk, options.feedback_rounds + 1, options.moving_share
        )
        fresh = self.batch_size - n
        full = round(options.full_share * fresh)
        whole = sample_chunks(store, self.episodes, full, generator, chunk, moving_share=options.moving_share)
        pairs, _, short = sample_pairs(
            store, self.episodes, fresh - full, generator, chunk, moving_share=options.moving_share
        )
        rows = np.concatenate([earlier + options.feedback_rounds * chunk, whole, pairs])
        lengths = np.concatenate([np.full(n + full, chunk), short])
        batch = {
            "chunks": torch.from_numpy(chunk_actions(store, rows, chunk, lengths)),
            "lengths": torch.from_numpy(lengths),
            "rows": torch.from_numpy(np.stack([rows, rows + lengths], axis=1)),
            "earlier": torch.from_numpy(earlier),
        }
        if n:
            rounds = [chunk_actions(store, earlier + i * chunk, chunk) for i in range(options.feedback_rounds)]
            batch["earlier_chunks"] = torch.from_numpy(np.stack(rounds))
        proprio = self.recorded.proprio
        if proprio is not None:
            batch |= {"proprio": proprio[rows], "next_proprio": proprio[rows + lengths]}
            batch["earlier_proprio"] = proprio[earlier]
        return batch, noises

    def with_tokens(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch with `tokens` and `next_tokens` (B, L, C) and `earlier_tokens` (n, L, C)."""
        rows = batch["rows"].numpy()
        tokens = self.recorded.store.normalized(np.concatenate([rows[:, 0], rows[:, 1], batch["earlier"].numpy()]))
        size = self.batch_size
        parts = {"tokens": tokens[:size], "next_tokens": tokens[size : 2 * size], "earlier_tokens": tokens[2 * size :]}
        return {**batch, **parts}
