"""Many real simulators as one SB3 vector environment: stepped in processes, encoded in one batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rla_gym.bundle import Bundle
from rla_gym.checkpoint import DEFAULT_CHECKPOINT
from rla_gym.envs.options import EpisodeOptions
from rla_gym.envs.real_batch import parallel_episodes
from rla_gym.envs.sb3 import EpisodesVecEnv


class RLARealVecEnv(EpisodesVecEnv):
    """`num_envs` of `RLARealEnv`; environment i seeded with s equals `RLARealEnv` seeded with s + i.

    Simulators step and render in `workers` spawned processes; frames are encoded here in one batch. A script that makes
    one must do so under `if __name__ == "__main__":`.

    Args:
        ckpt: checkpoint folder, built-in name or hub id (or a loaded `Bundle`); by default the built-in "push-cube".
        num_envs: number of environments.
        workers: processes; 0 runs all simulators in this one.
        start, device, options: as of `RLARealEnv`.
    """

    def __init__(
        self,
        ckpt: str | Path | Bundle = DEFAULT_CHECKPOINT,
        num_envs: int = 1,
        workers: int = 2,
        start: str = "reference",
        device: str = "cpu",
        **options: Any,
    ) -> None:
        super().__init__(parallel_episodes(ckpt, num_envs, workers, start, device, EpisodeOptions(**options)))
