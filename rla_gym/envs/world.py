"""`RLAWorld-v0`: the dream as a Gymnasium environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rla_gym.bundle import Bundle
from rla_gym.checkpoint import DEFAULT_CHECKPOINT
from rla_gym.envs.episodes import DreamEpisodes, EpisodeOptions
from rla_gym.envs.single import EpisodeEnv


class RLAWorldEnv(EpisodeEnv):
    """A task as a learned world model dreams it.

    ## Description

    The environment is a world model of residual latent actions (arXiv 2605.07079). It was trained on recorded episodes;
    no simulator runs. Its state is the patch tokens of a frozen image encoder. An episode starts at the tokens of a
    recorded frame; each step predicts the tokens (and proprioception) after a chunk of actions and feeds them back.

    ## Action Space

    `Box(-1, 1, (K * A,), float32)`: the actions of K control steps, one after another, each scaled from the task's
    bounds to [-1, 1]. K is the checkpoint's chunk or the argument `chunk`. Values outside are clipped; NaN is a
    ValueError.

    ## Observation Space

    By `obs_mode`:

    | mode | space | what it is |
    |---|---|---|
    | `"features"` | `Box((F + P,), float32)` | keypoints of the tokens in [-1, 1], then proprioception |
    | `"dict"` | `Dict(features=Box((F,)), proprio=Box((P,)))` | the same apart; no `proprio` where P = 0 |
    | `"tokens"` | `Box(-30, 30, (L, C), float32)` | standardised patch tokens |
    | `"pixels"` | `Box(0, 255, (H, W, 3), uint8)` | the decoded picture |

    The keypoint map is fixed and kept in the checkpoint; it was made without labels. Proprioception is standardised by
    the training data and clipped to [-5, 5].

    ## Rewards

    Each episode is rewarded against its reference, a recorded episode. d is a distance between tokens:

    - `"progress"`: scale * (d to the reference's last frame before the step - after the step);
    - `"goal"`: -scale * d to the reference's last frame;
    - `"corresponding"` (the paper's): -scale * d to the reference's frame of the same time, its last once it is over.

    `metric` is `"l1"`, `"l2"`, `"cosine"`, or `"features"`, the Euclidean distance of keypoints. With
    `patches="moving"` patches count by how much the reference changes them. Defaults are the checkpoint's.

    ## Starting State

    A reference is drawn uniformly from `references`; with probability `p_initial_frame` the episode starts at its first
    frame, else at a frame drawn uniformly from those with a chunk left. `reset(options={"reference": 3, "frame": 0})`
    sets them; a reference without a frame starts at its first. The noise of step t of episode n is a function of (seed,
    n, t), so the same seed gives the same episodes.

    ## Episode End

    Truncated after `max_episode_steps` chunks. Terminated when the distance to the reference's last frame falls under
    the checkpoint's threshold for this metric, if there is one and `terminate_on_success` is set. `info` has
    `reference`, `frame` (of the reference, at the same time), `distance` (that the reward is about), `goal_distance`
    and `success`.

    ## Arguments

    - `ckpt="push-cube"`: checkpoint folder, built-in name, hub id `owner/name@revision`, or a loaded `Bundle`.
    - `obs_mode="features"`, `render_mode=None` (or `"rgb_array"`, which needs the checkpoint's image decoder).
    - `reward`, `metric`, `patches`, `reward_scale`, `success_threshold`: None takes the checkpoint's.
    - `terminate_on_success=True`.
    - `references="train"`: also `"validation"`, `"test"`, `"all"` or a list of episode numbers;
      `successful_references=True` leaves out recordings that did not reach success.
    - `p_initial_frame=0.5`.
    - `max_episode_steps=None`: chunks; None takes the checkpoint's. `gym.make` keeps this one for its own time limit,
      which comes on top and so can only shorten episodes; make `RLAWorldEnv` itself for longer ones.
    - `chunk=None`: control steps a step, at most the checkpoint's.
    - `steps=None`, `temperature=None`: Euler steps and factor of the initial noise; 0 is the central sample. None takes
      the checkpoint's.
    - `precision=None`: `"float32"` or `"bf16"`; `device="cpu"`.

    ## Learned model

    The checkpoint's README.md says what it was trained on and how good it is. A dream is only good near its data.

    ## Known failure modes

    - Errors add up over an episode; objects may fade, split or jump after many chunks.
    - Actions unlike those recorded (long stillness, full reversals) can move things that a pusher would not touch.
    - A policy may find dreams that score well and cannot happen: measure in `RLAReal-v0`, not here.
    - `success` is a distance under a threshold, not the task's rule.

    ## Version History

    - v0: first version.
    """

    def __init__(
        self,
        ckpt: str | Path | Bundle = DEFAULT_CHECKPOINT,
        render_mode: str | None = None,
        steps: int | None = None,
        temperature: float | None = None,
        precision: str | None = None,
        device: str = "cpu",
        **options: Any,
    ) -> None:
        settings = EpisodeOptions(**options)
        super().__init__(DreamEpisodes(ckpt, 1, settings, steps, temperature, precision, device), render_mode)
