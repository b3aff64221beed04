"""`RLAReal-v0`: the simulator that a checkpoint was recorded in, behind the dream's spaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rla_gym.bundle import Bundle
from rla_gym.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint
from rla_gym.envs.episodes import EpisodeOptions
from rla_gym.envs.real_episodes import RealEpisodes
from rla_gym.envs.simulators import LocalSimulators
from rla_gym.envs.single import EpisodeEnv


class RLARealEnv(EpisodeEnv):
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
    the step in which the task is solved, else 0. With `start="task"` always the latter.

    ## Starting State

    `start="reference"`: the recorded simulator state of a reference's frame, drawn as in `RLAWorld-v0`, so that the
    same seed starts both at the same place. `start="task"`: the task's own reset, with a seed drawn from (seed, number
    of the episode).

    ## Episode End

    Terminated when the task is solved at any control step of a chunk (its remaining ones are not executed), if
    `terminate_on_success` is set. Truncated after `max_episode_steps` chunks. `info` has `success` (the task's own
    rule), `objects` (true object state, for measuring), and with `start="reference"` all that `RLAWorld-v0` tells.

    ## Arguments

    - `ckpt="push-cube"`: checkpoint folder, built-in name, hub id `owner/name@revision`, or a loaded `Bundle`.
    - `start="reference"` or `"task"`.
    - `render_mode=None` or `"rgb_array"`, the simulator's frame.
    - all options of `RLAWorld-v0` but those of the prediction (steps, temperature, precision).

    ## Learned model

    Only the frozen encoder and the keypoint map of the checkpoint; the world model is not used.

    ## Known failure modes

    - A checkpoint without encoder.safetensors cannot encode frames; only `obs_mode="pixels"` with `start="task"` runs.
    - Recorded states restore exactly only with the MuJoCo version that recorded them; others may drift.

    ## Version History

    - v0: first version.
    """

    def __init__(
        self,
        ckpt: str | Path | Bundle = DEFAULT_CHECKPOINT,
        render_mode: str | None = None,
        start: str = "reference",
        device: str = "cpu",
        **options: Any,
    ) -> None:
        simulators = LocalSimulators(load_checkpoint(ckpt).config.task)
        super().__init__(RealEpisodes(ckpt, 1, EpisodeOptions(**options), simulators, start, device), render_mode)
