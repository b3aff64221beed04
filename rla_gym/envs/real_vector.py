"""Many real simulators as one SB3 vector environment: stepped in processes, encoded in one batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import DEFAULT_CHECKPOINT
from rla_gym.envs.options import episode_options
from rla_gym.envs.real_batch import parallel_episodes
from rla_gym.envs.sb3 import EpisodesVecEnv


class RLARealVecEnv(EpisodesVecEnv):
    """`num_envs` of `RLARealEnv`; environment i seeded with s equals `RLARealEnv` seeded with s + i.

    Frames are encoded in one batch. With `workers` a script must make it under `if __name__ == "__main__":`, as each
    worker imports the script again.

    Args:
        ckpt: checkpoint folder, built-in name or hub id (or a loaded `Bundle`); by default the built-in "push-cube".
        num_envs: number of environments.
        workers: processes that simulators step and render in; 0 runs all in this one.
        start, device, options: as of `RLARealEnv`.
    """

    def __init__(
        self,
        ckpt: str | Path | Bundle = DEFAULT_CHECKPOINT,
        num_envs: int = 1,
        workers: int = 0,
        start: str = "reference",
        device: str = "cpu",
        **options: Any,
    ) -> None:
        settings = episode_options(self, options)
        super().__init__(parallel_episodes(ckpt, num_envs, workers, start, device, settings))
