"""Many real simulators as one SB3 vector environment: stepped in processes, encoded in one batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rla_gym.bundle import Bundle
from rla_gym.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint
from rla_gym.envs.episodes import EpisodeOptions
from rla_gym.envs.real_episodes import RealEpisodes
from rla_gym.envs.sb3 import EpisodesVecEnv
from rla_gym.envs.simulators import LocalSimulators, Simulators, WorkerSimulators


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
        bundle, settings = load_checkpoint(ckpt), EpisodeOptions(**options)
        task = bundle.config.task
        simulators: Simulators = WorkerSimulators(task, min(workers, num_envs)) if workers else LocalSimulators(task)
        try:
            episodes = RealEpisodes(bundle, num_envs, settings, simulators, start, device)
        except ValueError:
            simulators.close()  # no process stays behind for an environment that was refused
            raise
        super().__init__(episodes)
