"""Evaluation starts: frames of recorded episodes that the checkpoint was not trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.reference_data import load_references
from rla_gym.checkpoint.references import PARTS, References
from rla_gym.rewards import VideoReward

HELD_OUT = ("test", "validation")
BLOCK = 256
"""Frames whose goal distances are computed at a time."""
STREAM = 101
"""Of the draws of starts."""


@dataclass(frozen=True)
class Starts:
    """N starts.

    Attributes:
        references: all recordings that they are of.
        episode: (N,) int64, which of them.
        frame: (N,) int64, frame of it.
        seeds: (N,) int64, of the dreams' noise.
        notes: what there is less of than was asked for.
    """

    references: References
    episode: np.ndarray
    frame: np.ndarray
    seeds: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.episode)

    @property
    def rows(self) -> np.ndarray:
        """(N,) rows of the recorded frames."""
        rows: np.ndarray = self.references.starts.cpu().numpy()[self.episode] + self.frame
        return rows

    @property
    def restorable(self) -> bool:
        """Whether simulator states were recorded."""
        return bool(self.references.states.shape[1])

    def take(self, chosen: np.ndarray) -> Starts:
        """The starts `chosen` (n,) alone, with their own noise."""
        return replace(self, episode=self.episode[chosen], frame=self.frame[chosen], seeds=self.seeds[chosen])

    def options(self, chosen: np.ndarray) -> list[dict[str, int]]:
        """Reset options of the starts `chosen` (n,)."""
        return [{"reference": int(self.episode[i]), "frame": int(self.frame[i])} for i in chosen]


def held_out_starts(
    bundle: Bundle, count: int, seed: int, dataset: str | Path | None = None, later_frames: bool = False
) -> Starts:
    """At most `count` starts of held-out recordings; `seed` is of the dreams' noise alone.

    Their order is drawn once and for all, so that runs with other seeds or agents have the same starts.

    Recordings are of the split's test part; where these are too few, of the validation part as well; where there are
    neither, training ones, which a note says. Recordings that did not reach success are left out, unless none did.

    Args:
        dataset: other recordings than the checkpoint's references, see `load_references`.
        later_frames: where recordings are fewer than `count`, start at later frames of them too, with a chunk left and
            the goal not reached; without it each recording gives its first frame alone.

    Raises:
        ValueError: `count` is under 1, or a dataset that does not fit the checkpoint.
    """
    if count < 1:
        raise ValueError(f"episodes={count}: expected at least 1")
    references = bundle.references if dataset is None else load_references(dataset, bundle)
    where = "the checkpoint" if dataset is None else str(dataset)
    chosen, notes = _recordings(references, count, where)
    rng = np.random.default_rng(STREAM)
    episode = rng.permutation(chosen)[:count]
    frame = np.zeros(len(episode), np.int64)
    missing = count - len(episode)
    if missing and later_frames:
        lengths = references.lengths.cpu().numpy()
        left = [(e, f) for e in chosen for f in range(1, max(1, int(lengths[e]) - bundle.config.chunk))]
        drawn = np.array([left[i] for i in rng.permutation(len(left))], np.int64).reshape(-1, 2)
        later = _unsolved(replace(bundle, references=references), drawn, missing)
        episode, frame = np.concatenate([episode, later[:, 0]]), np.concatenate([frame, later[:, 1]])
    if len(episode) < count:
        more = "" if later_frames else "--later-frames starts at later frames too, "
        notes = (
            *notes,
            f"{len(episode)} of {count} episodes: {where} has {len(chosen)} held-out recordings; {more}--dataset takes "
            "other recordings of the task",
        )
    seeds = seed * count + np.arange(len(episode))
    return Starts(references, episode.astype(np.int64), frame, seeds, notes)


def _unsolved(bundle: Bundle, drawn: np.ndarray, count: int) -> np.ndarray:
    """The first `count` of the frames `drawn` (n, 2: episode, frame) whose goal distance is over the threshold.

    Who starts at the goal has nothing to do: such starts would make every agent look good, and every two sides agree.
    """
    kept: list[np.ndarray] = []
    for first in range(0, len(drawn), BLOCK):
        if sum(map(len, kept)) >= count:
            break
        block = drawn[first : first + BLOCK]
        episodes, frames = torch.from_numpy(block).T
        tokens = bundle.standardize(bundle.references.tokens[bundle.references.rows(episodes, frames)])
        reward = VideoReward(bundle, len(block))
        reward.reset(torch.arange(len(block)), episodes, tokens)
        over = reward.goal_distance >= (0.0 if reward.threshold is None else reward.threshold)
        kept.append(block[over.numpy()])
    return np.concatenate([np.zeros((0, 2), np.int64), *kept])[:count]


def _recordings(references: References, count: int, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    parts, successes = references.parts.cpu().numpy(), references.successes.cpu().numpy()
    usable = successes if successes.any() else np.ones_like(successes)
    chosen = np.zeros(0, np.int64)
    for part in HELD_OUT:
        if len(chosen) < count:
            chosen = np.concatenate([chosen, np.flatnonzero(usable & (parts == PARTS.index(part)))])
    if len(chosen):
        return chosen, ()
    return np.flatnonzero(usable), (
        f"{where} has no held-out recordings that reached success: starts are of its training recordings, so the dream "
        "has seen what follows them",
    )
