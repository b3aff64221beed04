"""Gymnasium wrappers: uncertainty as a penalty or an end, and actions of a single control step.

What a wrapper reads from the info is there if the environment was made with `uncertainty`; see
`rla_gym.dream.uncertainty`.
For Stable-Baselines3's vector environments there is `rla_gym.envs.sb3_wrappers`.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs


class UncertaintyPenalty(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Takes `scale` times an uncertainty off each step's reward: an agent is paid for staying where dreams hold.

    The reward before that is in `info["reward_dreamt"]`. Source: the penalty of MOPO (Yu et al. 2020), with the spread
    of one model's samples in the place of an ensemble's.

    Args:
        env: an environment with that uncertainty in its info.
        scale: reward a unit, at least 0.
        of: key of the info: "disagreement" (of this step), "disagreement_total" or "data_distance".

    Raises:
        ValueError: a scale that is no finite number of at least 0, or an info without that key.
    """

    def __init__(self, env: gym.Env[Any, Any], scale: float, of: str = "disagreement") -> None:
        RecordConstructorArgs.__init__(self, scale=scale, of=of)
        gym.Wrapper.__init__(self, env)
        self.scale, self.of = checked_scale(scale), of

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As of the environment, with the penalty taken off."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        dreamt = float(reward)
        penalty = self.scale * told(info, self.of)
        return observation, dreamt - penalty, terminated, truncated, {**info, "reward_dreamt": dreamt}


class UncertaintyTruncation(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Truncates an episode when an uncertainty exceeds `limit`, so that no agent learns from what is hardly known.

    `info["uncertain"]` says whether it does. A batch has to end its episodes itself: vector environments have the
    option `disagreement_limit` for that.

    Args:
        env: an environment with that uncertainty in its info.
        limit: positive.
        of: key of the info; "disagreement_total", over the episode so far, follows the error that has added up.

    Raises:
        ValueError: a limit that is not positive, or an info without that key.
    """

    def __init__(self, env: gym.Env[Any, Any], limit: float, of: str = "disagreement_total") -> None:
        RecordConstructorArgs.__init__(self, limit=limit, of=of)
        gym.Wrapper.__init__(self, env)
        if not limit > 0:
            raise ValueError(f"limit={limit}: expected a positive number")
        self.limit, self.of = float(limit), of

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As of the environment, truncated too where the uncertainty exceeds the limit."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        uncertain = told(info, self.of) > self.limit
        return observation, reward, terminated, truncated or uncertain, {**info, "uncertain": uncertain}


class VectorUncertaintyPenalty(gym.vector.VectorWrapper):
    """`UncertaintyPenalty` of a Gymnasium vector environment, in every mode of autoreset.

    The rewards before that are in `infos["reward_dreamt"]`. Arguments and errors as there.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any], scale: float, of: str = "disagreement") -> None:
        super().__init__(env)
        self.scale, self.of = checked_scale(scale), of
        self._fresh = True

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As of the environment."""
        self._fresh = True
        return self.env.reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """As of the environment, with the penalties taken off; a row that was only reset has none."""
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        penalties, found = np.zeros(self.num_envs), False
        for place, whose in ((infos, None), (infos.get("final_info", {}), infos.get("_final_info"))):
            if self.of in place:
                told_of = np.asarray(place.get(f"_{self.of}", True)) & (True if whose is None else whose)
                penalties, found = np.where(told_of, self.scale * np.asarray(place[self.of], float), penalties), True
        if self._fresh and not found:
            raise ValueError(missing(self.of, infos))
        self._fresh = False
        paid = np.asarray(rewards) - penalties.astype(np.asarray(rewards).dtype)
        return observations, paid, terminations, truncations, {**infos, "reward_dreamt": np.asarray(rewards)}


class SingleActions(gym.ActionWrapper[Any, Any, Any], RecordConstructorArgs):
    """One control step a step, in the task's own units: `SingleActions(gym.make("RLAWorld-v0", chunk=1))`.

    A controller or policy that was made for the task itself then runs in the dream as it is. The action space is the
    task's, `Box(low, high, (A,))`; actions outside are clipped.

    What it costs: K control steps take K predictions instead of one, and their errors add up; models are trained mostly
    on whole chunks (a flow's `full_share`, 0.75 of them), so shorter ones are also seen less. Measured on push-cube, 24
    held-out starts: after 24 recorded control steps the token error ("l2") is 0.35 with chunk=1, 0.32 with chunk=2 and
    0.30 with the checkpoint's chunk=4, where a dream in which nothing moves has 0.54; on random actions 0.37, 0.34,
    0.33 and 0.41. Four times the predictions also take four times as long.

    Args:
        env: an environment of this library, made with chunk=1.

    Raises:
        ValueError: an environment with longer chunks, or one of another library.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ActionWrapper.__init__(self, env)
        episodes = getattr(env.unwrapped, "episodes", None)
        if episodes is None or episodes.chunk != 1:
            found = "one without chunks" if episodes is None else f"chunk={episodes.chunk}"
            raise ValueError(f"SingleActions needs an environment of rla_gym made with chunk=1, this is {found}")
        self.bundle = episodes.bundle
        config = self.bundle.config
        low, high = (np.asarray(bound, np.float32) for bound in (config.action_low, config.action_high))
        self.action_space = spaces.Box(low, high, dtype=np.float32)

    def action(self, action: np.ndarray) -> np.ndarray:
        """The action (A,) of the task's units in [-1, 1]."""
        scaled: np.ndarray = self.bundle.scale_actions(np.asarray(action))
        return scaled


def checked_scale(scale: float) -> float:
    """`scale` as a float; a ValueError unless it is finite and at least 0."""
    if not (np.isfinite(scale) and scale >= 0):
        raise ValueError(f"scale={scale}: expected a finite number of at least 0")
    return float(scale)


def told(info: dict[str, Any], of: str) -> float:
    """The number that an info has under `of`; a ValueError says how to get it there."""
    if of not in info:
        raise ValueError(missing(of, info))
    return float(info[of])


def missing(of: str, info: dict[str, Any]) -> str:
    """Why there is nothing to penalise."""
    kind = "data_distance" if of == "data_distance" else "disagreement"
    return (
        f"the info has no {of!r} (it has {', '.join(map(str, info)) or 'nothing'}): make the environment with "
        f"uncertainty={kind!r}, or 'both'"
    )
