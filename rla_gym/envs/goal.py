"""`RLAWorldGoal-v0`: the dream with the goal in the observation, for hindsight experience replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import DEFAULT_CHECKPOINT
from rla_gym.envs.goal_episodes import GoalEpisodes
from rla_gym.envs.options import episode_options
from rla_gym.envs.single import EpisodeEnv


class RLAWorldGoalEnv(EpisodeEnv, gym.Env[Any, np.ndarray]):
    """A learned world model in which any recorded frame can be the goal.

    ## Description

    The dream of `RLAWorld-v0` with what has been achieved and what is desired as parts of the observation, and a reward
    that is a function of these two alone. So an episode can be replayed as if what it came to had been its goal
    (hindsight experience replay, Andrychowicz et al. 2017): `HerReplayBuffer` of Stable-Baselines3 takes this
    environment as it is, one at a time or batched (`rla_gym.RLAWorldGoalVecEnv`).

    ## Action Space

    As in `RLAWorld-v0`: `Box(-1, 1, (K * A,), float32)`.

    ## Observation Space

    `Dict`:

    | key | space | what it is |
    |---|---|---|
    | `observation` | by `obs_mode`: `"features"`, `"tokens"` or `"pixels"` | as in `RLAWorld-v0` |
    | `achieved_goal` | `Box(-w, w, (F,), float32)` | keypoints of the present tokens |
    | `desired_goal` | `Box(-w, w, (F,), float32)` | keypoints of the goal frame |

    With `metric="features"` w = 1; with `"objects"` each coordinate is multiplied by how well its keypoint follows
    objects (w is the largest such weight), so that the robot's own place hardly belongs to the goal.

    ## Rewards

    With d the Euclidean distance between achieved and desired goal:

    - `"sparse"` (default): 0 where d is under the threshold, else -scale;
    - `"goal"`: -scale * d.

    `compute_reward(achieved_goal, desired_goal, info)` is the same function of one pair (F,) or of many (n, F), equal
    to the step's reward to the last bit; `info` is not looked at.

    ## Starting State

    As in `RLAWorld-v0`: the goal is the last frame of the reference that the episode starts from, or with
    `reset(options={"goal": (reference, frame)})` any recorded frame, with `{"goal": frame}` one of its own reference.

    ## Episode End

    Truncated as in `RLAWorld-v0`. Success does not end an episode unless `terminate_on_success` is set: a relabelled
    transition has the end of the episode that it was recorded in, not one of its new goal. `info` has all that
    `RLAWorld-v0` tells, and `goal_reference` and `goal_frame`.

    ## Arguments

    All of `RLAWorld-v0`, but:

    - `reward=None`: `"sparse"`; or `"goal"`; `reward_scale=None`: 1.
    - `terminate_on_success=False`.
    - `metric=None`: `"features"` or `"objects"`; None takes the checkpoint's if it is one of them, else `"features"`.
    - `success_threshold=None`: the checkpoint's of this metric, calibrated for the task's own success; where there is
      none, `"sparse"` needs a number.
    - `obs_mode` is not `"dict"`, and `patches`, `gamma`, `success_bonus` and `normalize_reward` are refused: the reward
      would not follow from the two goals.

    ## Learned model

    As in `RLAWorld-v0`.

    ## Known failure modes

    - Those of `RLAWorld-v0`.
    - Keypoints may follow the robot: with `"features"` a goal can be the robot's place as well as the objects'.
    - A frame of another reference can have another target, which no action moves.
    - A goal of another reference can be out of reach, as nothing checks that one leads to it.

    ## Version History

    - v0: first version.
    """

    episodes: GoalEpisodes

    def __init__(
        self,
        ckpt: str | Path | Bundle = DEFAULT_CHECKPOINT,
        render_mode: str | None = None,
        steps: int | None = None,
        temperature: float | None = None,
        precision: str | None = None,
        device: str = "cpu",
        render_reference: bool = False,
        terminate_on_success: bool = False,
        **options: Any,
    ) -> None:
        settings = episode_options(self, options, terminate_on_success=terminate_on_success)
        episodes = GoalEpisodes(ckpt, 1, settings, steps, temperature, precision, device)
        super().__init__(episodes, render_mode, render_reference)
        self.observation_space = self.episodes.observation_space

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> Any:
        """The reward of having achieved one goal where another one was desired.

        Args:
            achieved_goal, desired_goal: (F,) or (n, F) float32.
            info: not used; Stable-Baselines3 passes one for each.

        Returns:
            float for one pair, (n,) float32 for n of them.
        """
        rewards = self.episodes.goal_reward(achieved_goal, desired_goal)
        return rewards if rewards.ndim else float(rewards)
