"""Episodes of a fixed policy, in the real simulator or in the dream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from rla_gym.utils.statistics import wilson


@dataclass(frozen=True)
class EpisodeResult:
    """One episode."""

    environment: int
    """Environment i of the vector, whose seed is that of the evaluation plus i."""
    number: int
    """How many episodes that environment had played before since it was seeded."""
    success: bool
    length: int
    """Chunks."""
    total_reward: float
    goal_distance: float | None
    """At the end, in the metric of the environment's reward; None where there is no reference episode."""
    objects: tuple[float, ...] | None
    """True object state at the end, in metres and radians; None in dreams."""


@dataclass(frozen=True)
class Evaluation:
    """Episodes of one policy in one environment."""

    episodes: tuple[EpisodeResult, ...]
    seed: int

    @property
    def successes(self) -> list[bool]:
        """One for each episode; the same place is the same start in two evaluations with one seed."""
        return [episode.success for episode in self.episodes]

    @property
    def rate(self) -> float:
        """Share of successes."""
        return float(np.mean(self.successes))

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the rate."""
        return wilson(sum(self.successes), len(self.episodes))

    @property
    def goal_distance(self) -> float | None:
        """Mean at the end of episodes; None where no episode has one."""
        found = [episode.goal_distance for episode in self.episodes if episode.goal_distance is not None]
        return float(np.mean(found)) if found else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: rate, interval and every raw episode."""
        return {
            "seed": self.seed,
            "rate": self.rate,
            "interval": list(self.interval),
            "goal_distance": self.goal_distance,
            "episodes": [asdict(episode) for episode in self.episodes],
        }


class Predictor(Protocol):
    """Anything with SB3's `predict`."""

    def predict(self, observation: Any, deterministic: bool = False) -> tuple[np.ndarray, Any]: ...


def run_episodes(
    policy: Predictor, env: Any, episodes: int, seed: int, tick: Callable[[], None] = lambda: None
) -> Evaluation:
    """Play `episodes` with the policy's mean action in an SB3 vector environment seeded with `seed`.

    Each environment plays a fixed number of episodes, whether they are short or long: taking whichever end first
    would favour short ones. `tick` is called after each episode.
    """
    count = env.num_envs
    quota = np.full(count, episodes // count) + (np.arange(count) < episodes % count)
    played: list[list[EpisodeResult]] = [[] for _ in range(count)]
    rewards, lengths = np.zeros(count), np.zeros(count, np.int64)
    env.seed(seed)
    observation = env.reset()
    while any(len(results) < wanted for results, wanted in zip(played, quota, strict=True)):
        actions, _ = policy.predict(observation, deterministic=True)
        observation, reward, dones, infos = env.step(actions)
        rewards, lengths = rewards + reward, lengths + 1
        for index in np.flatnonzero(dones):
            if len(played[index]) < quota[index]:
                played[index].append(_result(int(index), len(played[index]), infos[index], lengths, rewards))
                tick()
            rewards[index], lengths[index] = 0.0, 0
    return Evaluation(tuple(result for results in played for result in results), seed)


def _result(index: int, number: int, info: dict[str, Any], lengths: np.ndarray, rewards: np.ndarray) -> EpisodeResult:
    distance, objects = info.get("goal_distance"), info.get("objects")
    return EpisodeResult(
        environment=index,
        number=number,
        success=bool(info["success"]),
        length=int(lengths[index]),
        total_reward=float(rewards[index]),
        goal_distance=None if distance is None else float(distance),
        objects=None if objects is None else tuple(float(value) for value in objects),
    )


def pooled(evaluations: Sequence[Evaluation]) -> list[bool]:
    """All successes of several evaluations in a row."""
    return [success for evaluation in evaluations for success in evaluation.successes]


def metres_to_target(evaluation: Evaluation, object_names: Sequence[str]) -> float | None:
    """Mean distance of the first object to the target at the end; None where the names do not tell."""
    names = list(object_names)
    thing = names[0].rsplit("_", 1)[0] if names else ""
    wanted = (f"{thing}_x", f"{thing}_y", "target_x", "target_y")
    found = [episode.objects for episode in evaluation.episodes if episode.objects is not None]
    if not found or any(name not in names for name in wanted):
        return None
    x, y, target_x, target_y = (np.array(found)[:, names.index(name)] for name in wanted)
    return float(np.hypot(x - target_x, y - target_y).mean())
