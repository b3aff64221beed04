"""`RLAReal-v0`: the simulator that a checkpoint was recorded in, behind the dream's spaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import DEFAULT_CHECKPOINT
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.envs.options import episode_options
from rla_gym.envs.real_episodes import RealEpisodes, check_shown_reference
from rla_gym.envs.single import EpisodeEnv
from rla_gym.tasks.simulators import LocalSimulators


class RLARealEnv(EpisodeEnv, gym.Env[Any, np.ndarray]):
    """The task itself, seen and acted on as in `RLAWorld-v0`.

    ## Description

    What a policy learned in a dream is worth shows here: the checkpoint's task in its own simulator. A step executes
    the chunk's control steps, renders one frame and encodes it with the checkpoint's encoder.

    ## Action Space

    As in `RLAWorld-v0`: `Box(-1, 1, (K * A,), float32)`.

    ## Observation Space

    As in `RLAWorld-v0`, from the rendered frame and true proprioception instead of predicted ones. `"pixels"` is the
    frame itself.

    ## Rewards

    With `start="reference"` those of `RLAWorld-v0`, against the same reference episodes, or `reward="success"`: 1 in
    every step in which the task is solved by its own rule, else 0. With `start="task"` always the latter. It takes
    `reward_scale` (None: 1), `success_bonus` and `normalize_reward` (with `gamma`) as the others do; scale and bonus
    are both for the task's own rule then.

    ## Starting State

    `start="reference"`: the recorded simulator state of a reference's frame, drawn as in `RLAWorld-v0`, so that the
    same seed starts both at the same place. `start="task"`: the task's own reset, with a seed drawn from (seed, number
    of the episode).

    ## Episode End

    Terminated when the task is solved at any control step of a chunk (its remaining ones are not executed), if
    `terminate_on_success` is set. Without it chunks are executed to their end, and `success` tells of all their control
    steps. Truncated after `time_limit` steps. `info` has `success` and `is_success` (the task's own rule),
    `objects` (true object state, for measuring), and with `start="reference"` all that `RLAWorld-v0` tells.

    ## Arguments

    - `ckpt="push-cube"`: checkpoint folder, built-in name, hub id `owner/name@revision`, or a loaded `Bundle`.
    - `start="reference"` or `"task"`.
    - `render_mode=None`: as in `RLAWorld-v0`, with the simulator's frame as the picture; `render_reference=False`
      needs the checkpoint's image decoder and `start="reference"`.
    - `device="cpu"`: where frames are encoded; the simulator is always on the CPU.
    - As in `RLAWorld-v0`: `obs_mode`, `time_limit`, `chunk`, `terminate_on_success`, `reward_scale`,
      `success_bonus`, `normalize_reward`, `gamma`.
    - As in `RLAWorld-v0`, and refused with `start="task"`: `reward` (also `"success"`, which alone is not refused),
      `metric`, `patches`, `success_threshold`, `references`, `successful_references`, `dataset` (of episodes with
      simulator states), `p_initial_frame`, `end_with_reference`. The threshold is for the `success_bonus` of rewards
      against a reference alone: episodes end by the task's own rule.
    - Of no effect or refused, as nothing is predicted here: `batch_invariant`, `uncertainty`, `disagreement_samples`,
      `disagreement_space`, `disagreement_limit`.

    ## Learned model

    Only the frozen encoder and the keypoint map of the checkpoint; the world model is not used.

    ## Known failure modes

    - A checkpoint without encoder.safetensors cannot encode frames; only `obs_mode="pixels"` with `start="task"` runs.
    - Recorded states restore exactly only with the MuJoCo version that recorded them; others may drift.
    - OpenGL does not outlive a fork: where an `RLAReal-v0` was reset before forking, those of the forked process raise
      a RuntimeError. Use the `spawn` start method. The same holds for simulators in worker processes, which are their
      parent's alone.
    - A pickled or copied environment has a simulator of its own, which begins with a reset.

    ## Version History

    - v0: first version.
    """

    episodes: RealEpisodes

    def __init__(
        self,
        ckpt: str | Path | Bundle = DEFAULT_CHECKPOINT,
        render_mode: str | None = None,
        start: str = "reference",
        device: str = "cpu",
        render_reference: bool = False,
        **options: Any,
    ) -> None:
        settings = episode_options(self, options)
        check_shown_reference(render_reference, start)
        config = load_checkpoint(ckpt).config
        simulators = LocalSimulators(config.task, config.task_options)
        episodes = RealEpisodes(ckpt, 1, settings, simulators, start, device)
        super().__init__(episodes, render_mode, render_reference)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the simulator, which is of this process: a copy begins with a reset."""
        return {**self.__dict__, "_begun": False}
