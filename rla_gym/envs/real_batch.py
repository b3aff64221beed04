"""Many real simulators as one batch: stepped in processes, encoded together; and as a Gymnasium vector environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gymnasium.vector import AutoresetMode

from rla_gym.bundle import Bundle
from rla_gym.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint
from rla_gym.envs.options import EpisodeOptions
from rla_gym.envs.real_episodes import RealEpisodes
from rla_gym.envs.simulators import LocalSimulators, Simulators, WorkerSimulators
from rla_gym.envs.vector import EpisodesVectorEnv


def parallel_episodes(
    ckpt: str | Path | Bundle, num_envs: int, workers: int, start: str, device: str, options: EpisodeOptions
) -> RealEpisodes:
    """`num_envs` episodes of the real simulator in `workers` processes; 0 runs all in this one.

    Raises:
        ValueError: as of `RealEpisodes`, or a number of workers under 0; no process stays behind.
    """
    if workers < 0:
        raise ValueError(f"workers={workers}: expected a number of processes, or 0 for none")
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


class RLARealVectorEnv(EpisodesVectorEnv):
    """`num_envs` real simulators: what `gymnasium.make_vec("RLAReal-v0", num_envs=...)` makes.

    Environment i reset with the seed s is `RLARealEnv` reset with the seed s + i. Simulators step and render in spawned
    processes; frames are encoded here in one batch. A script that makes one must do so under
    `if __name__ == "__main__":`. Observations, actions, rewards, starts and ends are on the page of `RLARealEnv`.

    ## Arguments

    - `ckpt="push-cube"`: checkpoint folder, built-in name, hub id `owner/name@revision`, or a loaded `Bundle`.
    - `num_envs=1`.
    - `workers=2`: processes, at most one for each environment; 0 runs all simulators in this one.
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
        workers: int = 2,
        start: str = "reference",
        device: str = "cpu",
        render_reference: bool = False,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **options: Any,
    ) -> None:
        if render_reference and start == "task":
            raise ValueError("render_reference=True: start='task' has no reference to show; take start='reference'")
        episodes = parallel_episodes(ckpt, num_envs, workers, start, device, EpisodeOptions(**options))
        try:
            super().__init__(episodes, render_mode, render_reference, autoreset_mode)
        except ValueError:
            episodes.close()  # no process stays behind for an environment that was refused
            raise
