"""The two sides of a comparison: the dream of a checkpoint and the real environment, from the same starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gymnasium as gym

from rla_gym.bench.agents import Agent
from rla_gym.bench.starts import Starts
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.dream_episodes import DreamEpisodes
from rla_gym.envs.options import EpisodeOptions
from rla_gym.envs.real_episodes import RealEpisodes
from rla_gym.tasks import make_task
from rla_gym.tasks.simulators import LocalSimulators, Simulators, WorkerSimulators

CANNOT = (ValueError, KeyError, ImportError, FileNotFoundError, RuntimeError, gym.error.Error)
"""What making a simulator that is not there ends in."""


@dataclass(frozen=True)
class Sides:
    """Environments of both sides for agents, with the same observations, chunks, rewards and time.

    Attributes:
        time_limit: chunks of an episode; None: the checkpoint's.
        precision, device: of the world model; the encoder is on the device too.
        workers: processes of the simulators; 0: this one.
    """

    bundle: Bundle
    starts: Starts
    time_limit: int | None = None
    precision: str | None = None
    device: str = "cpu"
    workers: int = 0

    def dream(self, agent: Agent, count: int) -> DreamEpisodes:
        """`count` dreams for `agent`."""
        options = self._options(agent)
        return DreamEpisodes(self.bundle, count, options, precision=self.precision, device=self.device)

    def real(self, agent: Agent, count: int, simulators: Simulators) -> RealEpisodes:
        """`count` episodes of the checkpoint's own task for `agent`."""
        return RealEpisodes(self.bundle, count, self._options(agent), simulators, device=self.device)

    @contextmanager
    def simulators(self, count: int) -> Iterator[Simulators]:
        """`count` simulators of the task, which all agents of a run share; a ValueError for workers under 0."""
        if self.workers < 0:
            raise ValueError(f"workers={self.workers}: expected a number of processes, or 0 for none")
        config, workers = self.bundle.config, min(self.workers, count)
        task, options = config.task, config.task_options
        simulators: Simulators = WorkerSimulators(task, workers, options) if workers else LocalSimulators(task, options)
        try:
            yield simulators
        finally:
            simulators.close()

    def problem(self) -> str | None:
        """Why agents cannot be put into the real environment at the starts, in one line; None where they can."""
        if not self.starts.restorable:
            return "the recordings have no simulator states to start from"
        try:
            make_task(self.bundle.config.task, **self.bundle.config.task_options).close()
            self.bundle.encoder  # noqa: B018  (read here, so that its lack is known before anything is played)
        except CANNOT as error:
            return first_line(error)
        return None

    def _options(self, agent: Agent) -> EpisodeOptions:
        return EpisodeOptions(
            obs_mode=agent.obs_mode,
            chunk=agent.chunk,
            time_limit=self.time_limit,
            dataset=self.starts.references,
            successful_references=False,
        )


def first_line(error: BaseException) -> str:
    """The text of an error on one line, cut where it is very long."""
    return " ".join(str(error).split())[:300] or type(error).__name__
