"""`RLAWorld-v0`: the dream as a Gymnasium environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import DEFAULT_CHECKPOINT
from rla_gym.envs.dream_episodes import DreamEpisodes
from rla_gym.envs.options import episode_options
from rla_gym.envs.single import EpisodeEnv


class RLAWorldEnv(EpisodeEnv, gym.Env[Any, np.ndarray]):  # the second for skrl, which looks at direct bases
    """A task as a learned world model dreams it.

    ## Description

    The environment is a world model of residual latent actions (arXiv 2605.07079). It was trained on recorded
    episodes; no simulator runs. Its state is the patch tokens of a frozen image encoder. An episode starts at the
    tokens of a recorded frame; each step predicts the tokens (and proprioception) after a chunk of actions and feeds
    them back.

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

    - `"progress"`: scale * (d to the reference's last frame before the step - after the step), or with `gamma` the
      discounted potential gamma * (-scale * d after) - (-scale * d before), which does not change the best policy;
    - `"goal"`: -scale * d to the reference's last frame;
    - `"corresponding"` (the paper's): -scale * d to the reference's frame of the same time, its last once it is over;
    - `"success"`: scale in every step after which d to the last frame is under `success_threshold`, else 0.

    `metric` is `"l1"`, `"l2"`, `"cosine"`, `"features"`, the Euclidean distance of keypoints, or `"objects"`, the same
    with keypoints weighted by how little the robot's proprioception explains them and how steady they are. With
    `patches="moving"` patches count by how much the reference changes them. Defaults are the checkpoint's.
    `success_bonus` is added in every step after which d is under the threshold; `normalize_reward` divides what is
    paid by a running spread. d is to the goal's frame instead of the reference's last, where `reset` names one.

    ## Starting State

    A reference is drawn uniformly from `references`; with probability `p_initial_frame` the episode starts at its
    first frame, else at a frame drawn uniformly from those with a chunk left. `reset(options=...)` sets what is not to
    be drawn:

    - `"reference": 3`, its number; `"frame": 0`, the frame to start from. A reference alone starts at its first frame.
    - `"goal": 20`, the reference's frame to reach instead of its last; `"goal": (5, 20)`, that of another reference.

    The noise of step t of episode n is a function of (seed, n, t), so the same seed gives the same episodes. Seeds are
    whole numbers of any size, taken modulo 2^64. A reset without a seed goes on to the next episode of the seed before;
    where there was none the seed is `np_random_seed`, with which the episodes can be replayed.

    ## Episode End

    Truncated after `time_limit` steps, with `end_with_reference` when the reference is over, and with
    `disagreement_limit` when the dream is too uncertain. Terminated when the distance to the goal falls under the
    threshold, if there is one and `terminate_on_success` is set. A step after the end, or before a reset, raises
    `gymnasium.error.ResetNeeded`. `info` has

    - `reference`, `frame` (of the reference, at the same time), `distance` (that the reward is about), `goal_distance`,
      `success`, and the same as `is_success`, which Stable-Baselines3 logs as `rollout/success_rate`;
    - after a step `clamped`, the fraction of predicted values outside the range of the training data: they are put back
      to its edge;
    - with `uncertainty="disagreement"` or `"both"`: `disagreement` of samples of this step, and `disagreement_total`,
      the root of the sum of its squares over the episode, which follows the error that has added up;
    - with `uncertainty="data_distance"` or `"both"`: `data_distance` of the state and actions to those recorded, about
      1 for recorded ones.

    ## Arguments

    - `ckpt="push-cube"`: checkpoint folder, built-in name, hub id `owner/name@revision`, or a loaded `Bundle`.
    - `obs_mode="features"`.
    - `render_mode=None`: `"rgb_array"`, a picture (H, W, 3) uint8; `"rgb_array_list"`, those since the last `render()`
      or `reset()`; `"human"`, a window at the task's pace (`pip install "rla_gym[play]"`). All decode the dreamed
      tokens, which needs the checkpoint's image decoder.
    - `render_reference=False`: show the reference's frame of the same time on the right of each picture.
    - `reward=None`, `metric=None`, `patches=None`, `reward_scale=None`, `success_threshold=None`: None takes the
      checkpoint's.
    - `gamma=None`: discount of the potential of `"progress"` and of the returns of `normalize_reward`; None is 1.
    - `success_bonus=0.0`; `normalize_reward=None`: `"returns"` or `"rewards"`, divided by their running spread.
    - `terminate_on_success=True`, `end_with_reference=False`.
    - `references=None`: `"train"`, `"validation"`, `"test"`, `"all"` or a list of episode numbers; None is `"train"`,
      and `"all"` of a `dataset`. `successful_references=True` leaves out recordings that did not reach success.
    - `dataset=None`: other recordings to start from and be rewarded against than the checkpoint's: a token store, a
      data set's folder or file, or `References`.
    - `p_initial_frame=0.5`.
    - `time_limit=None`: steps after which an episode is truncated; None takes the checkpoint's, in control steps, or
      with `end_with_reference` as many as the longest reference. `spec.max_episode_steps` says it. The argument
      `max_episode_steps` of `gymnasium.make` is Gymnasium's own `TimeLimit`, which comes on top: it can shorten
      episodes, never lengthen them.
    - `chunk=None`: control steps a step, at most the checkpoint's, which None takes.
    - `steps=None`, `temperature=None`: evaluations of the flow, and the factor of the initial noise, of which 0 is the
      central sample. Evaluations are Euler steps or, where noise is drawn and their number is even, midpoint steps of
      two. None takes the checkpoint's.
    - `uncertainty=None`: `"disagreement"`, `"data_distance"` or `"both"`, in the info. `disagreement_samples=4` are
      compared in `disagreement_space="tokens"` or `"latent"`; `disagreement_limit=None` or the `disagreement_total`
      that truncates. `rla_gym.UncertaintyPenalty` makes a penalty of them.
    - `precision=None`: `"float32"` or `"bf16"`; `device="cpu"`.
    - `batch_invariant=True`: the same to the last bit in any batch (CPU, float32), at a little cost for few
      environments.

    ## Learned model

    An image encoder (frozen; it does not run in a dream), an autoencoder of residuals between the tokens of two
    frames, a flow model that predicts the autoencoder's latent action from tokens, proprioception and actions, and a
    decoder that adds it to the tokens (where the model is anchored: to tokens that it regresses). The checkpoint's
    README.md (`rla-gym inspect push-cube`) says what they were trained on and how far they are off. Environments of one
    process share one loaded model; a pickled environment names the checkpoint's folder and hash instead of holding
    weights that are the folder's; a forked process computes with one thread.

    ## Known failure modes

    - A model that was trained too little drifts: `clamped` says how much of a step lay outside the data. Where it
      predicts NaN or infinite values the step raises a FloatingPointError that names the checkpoint.
    - A dream is only good near its data, and errors add up over an episode: objects may fade, split or jump after many
      chunks.
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
        render_reference: bool = False,
        **options: Any,
    ) -> None:
        settings = episode_options(self, options)
        episodes = DreamEpisodes(ckpt, 1, settings, steps, temperature, precision, device)
        super().__init__(episodes, render_mode, render_reference)
