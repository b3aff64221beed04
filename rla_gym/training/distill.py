"""Distils the encoder of a token store into a small student: recorded frames in, the store's tokens out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rla_gym.data.episodes import EpisodeDataset
from rla_gym.data.tokens import TokenStore
from rla_gym.models.encoder import Encoder
from rla_gym.models.student import StudentConfig, make_student
from rla_gym.training.batches import device_of, exact, held_out, keyed_generators, origin
from rla_gym.training.frames import check_same_data, read_frames, some_rows
from rla_gym.training.metrics import explained
from rla_gym.training.run import TrainedRun

BACKGROUND_FRAMES = 512


class DistillTraining:
    """A `Trainable`: L1 + squared error between a student's tokens and the store's, patch by patch.

    The teacher never runs: its tokens of every frame, standardised and reduced, are in the store already. Frames are
    not shifted or flipped, since what is wanted of tokens is where things are, and the teacher's are known for the
    frames as recorded only. `max_frames` frames are kept in memory (38 kB each at 112 pixels).

    Args:
        store: the teacher's tokens of the episodes.
        dataset: the same episodes' frames.
        batch_size: frames of one process in one step.
        seed: of first weights, kept frames and batches.
        blocks: transformer blocks of the student.
        foreground_weight: weight of patches in proportion to their distance from that patch's median token; 0 is the
            plain mean. Objects cover few patches.
        max_frames: training frames kept in memory, drawn evenly over all training episodes.
        held_out_frames: frames measured.

    Raises:
        ValueError: another data set than the tokens', or a grid that no student has.
    """

    def __init__(
        self,
        store: TokenStore,
        dataset: EpisodeDataset,
        batch_size: int,
        seed: int,
        blocks: int = 4,
        foreground_weight: float = 2.0,
        max_frames: int = 24_000,
        held_out_frames: int = 512,
    ) -> None:
        check_same_data(store, dataset)
        self.store, self.batch_size, self.seed = store, batch_size, seed
        self.foreground_weight, self.max_frames = foreground_weight, max_frames
        self.config = student_config(store, blocks)
        generator, _ = keyed_generators("distill frames", seed)
        self.rows = some_rows(store, store.split("train"), max_frames, generator)
        self.frames = read_frames(store, dataset, self.rows)
        evenly = np.linspace(0, len(self.rows) - 1, min(BACKGROUND_FRAMES, len(self.rows))).astype(np.int64)
        self.background = store.normalized(self.rows[evenly]).median(dim=0).values
        episodes, self.prefix = held_out(store, 1)
        generator, _ = keyed_generators("distill held out")
        self.held_rows = some_rows(store, episodes, held_out_frames, generator)
        self.held_frames = read_frames(store, dataset, self.held_rows)
        self.model = make_student(self.config, seed)

    def modules(self) -> dict[str, nn.Module]:
        return {"student": self.model}

    def describe(self) -> dict[str, Any]:
        return {
            "model": asdict(self.config),
            "data": origin(self.store),
            "options": {"foreground_weight": self.foreground_weight, "max_frames": self.max_frames},
        }

    def batch(self, step: int, rank: int) -> dict[str, Tensor]:
        """`frames` (B, H, W, 3) uint8 and their `tokens` (B, L, C), standardised."""
        generator, _ = keyed_generators("distill", self.seed, step, rank)
        chosen = generator.integers(len(self.rows), size=self.batch_size)
        rows = self.rows[chosen]
        return {
            "frames": torch.from_numpy(self.frames[chosen]),
            "tokens": self.store.normalized(rows),
            "rows": torch.from_numpy(rows),
        }

    def loss(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, Any]]:
        tokens = batch["tokens"]
        error = self.model(batch["frames"]).float() - tokens
        unusual = (tokens - self.background.to(tokens.device)).square().mean(dim=2, keepdim=True)
        weights = 1.0 + self.foreground_weight * unusual
        l1, squared = (weights * error.abs()).mean(), (weights * error.square()).mean()
        return l1 + squared, {"l1": l1.detach(), "explained": explained(error.detach(), unusual.sqrt())}

    def evaluate(self, step: int) -> dict[str, float]:
        """Mean absolute error of standardised tokens, cosine with the true ones, and the share of their squared
        distance from the background that is reproduced (0: the background alone, 1: all)."""
        device = device_of(self.model)
        true = self.store.normalized(self.held_rows)
        with exact(device):
            pieces = np.array_split(self.held_frames, max(1, len(self.held_frames) // 32))
            given = torch.cat([self.model(torch.from_numpy(piece)).cpu() for piece in pieces])
        error = given - true
        return {
            f"{self.prefix}l1": float(error.abs().mean()),
            f"{self.prefix}cosine": float(torch.cosine_similarity(given, true, dim=-1).mean()),
            f"{self.prefix}explained": float(explained(error, true - self.background)),
        }


def student_config(store: TokenStore, blocks: int) -> StudentConfig:
    """Sizes of a student of the encoder that made `store`, and where its knowledge is from."""
    info = store.info
    height, width = info["spec"]["frame_size"]
    reduced = f", PCA to {info['pca']['components']} channels" if info["pca"] else ""
    return StudentConfig(
        frame_size=(int(height), int(width)),
        grid=store.grid,
        channels=store.tokens.shape[2],
        teacher=info["encoder"]["name"],
        lesson=f"hash {info['encoder']['hash'][:12]}{reduced}, on {info['task']} frames {info['dataset'][:12]}",
        blocks=blocks,
    )


def trained_student(run: TrainedRun) -> Encoder:
    """The student of a training run with its averaged weights, frozen; `Encoder.save` writes it to a file."""
    student = make_student(run.config(StudentConfig), seed=0)
    run.fill("student", student)
    return student.requires_grad_(False).eval()
