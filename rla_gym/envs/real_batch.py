"""Many real simulators as one batch: stepped in processes, encoded together; and as a Gymnasium vector environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import DEFAULT_CHECKPOINT
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.envs.options import EpisodeOptions, checked_count, episode_options
from rla_gym.envs.real_episodes import RealEpisodes, check_shown_reference
from rla_gym.envs.time_limit import shortened
from rla_gym.envs.vector import EpisodesVectorEnv
from rla_gym.tasks.simulators import LocalSimulators, Simulators, WorkerSimulators


def parallel_episodes(
    ckpt: str | Path | Bundle, num_envs: int, workers: int, start: str, device: str, options: EpisodeOptions
) -> RealEpisodes:
    """`num_envs` episodes of the real simulator in `workers` processes; 0 runs all in this one.

    Raises:
        ValueError: as of `RealEpisodes`, or a number of workers under 0; no process stays behind.
    """
    workers, num_envs = checked_count("workers", workers, 0), checked_count("num_envs", num_envs)
    bundle = load_checkpoint(ckpt)
    task, options_of_task, count = bundle.config.task, bundle.config.task_options, min(workers, num_envs)
    simulators: Simulators = (
        WorkerSimulators(task, count, options_of_task) if count > 0 else LocalSimulators(task, options_of_task)
    )
    try:
        return RealEpisodes(bundle, num_envs, options, simulators, start, device)
    except ValueError:
        simulators.close()
        raise


class RLARealVectorEnv(EpisodesVectorEnv, VectorEnv[Any, np.ndarray, np.ndarray]):
    """`num_envs` real simulators: what `gymnasium.make_vec("RLAReal-v0", num_envs=...)` makes.

    Environment i reset with the seed s is `RLARealEnv` reset with the seed s + i. Frames are encoded in one batch.
    Observations, actions, rewards, starts and ends are on the page of `RLARealEnv`. With `workers` a
    script must make it under `if __name__ == "__main__":`, as each worker imports the script again.

    ## Arguments

    - `ckpt="push-cube"`: checkpoint folder, built-in name, hub id `owner/name@revision`, or a loaded `Bundle`.
    - `num_envs=1`.
    - `workers=0`: processes that simulators step and render in, at most one for each environment; 0 runs all in this
      one. More pay off where a simulator takes longer than the encoder, as robosuite's do.
    - `autoreset_mode="NextStep"`: also `"SameStep"` and `"Disabled"`; see `EpisodesVectorEnv`.
    - `render_mode=None`: or `"rgb_array"`, a tuple of the simulators' frames; `render_reference=False`.
    - `max_episode_steps=None`: chunks; as of `RLAWorldVectorEnv`.
    - As of `RLARealEnv`: `start`, `device`, and all its options.
    """

    def __init__(
        self,
        ckpt: str | Path | Bundle = DEFAULT_CHECKPOINT,
        num_envs: int = 1,
        render_mode: str | None = None,
        workers: int = 0,
        start: str = "reference",
        device: str = "cpu",
        render_reference: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **options: Any,
    ) -> None:
        settings = episode_options(self, options)
        check_shown_reference(render_reference, start)
        episodes = parallel_episodes(ckpt, num_envs, workers, start, device, settings)
        try:
            shortened(episodes, max_episode_steps)
            super().__init__(episodes, render_mode, render_reference, autoreset_mode)
        except ValueError:
            episodes.close()  # no process stays behind for an environment that was refused
            raise
