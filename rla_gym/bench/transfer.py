"""Does what an agent does in the dream carry over to the real environment? The same starts in both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from rla_gym.bench.agents import Agent, load_agents
from rla_gym.bench.outcomes import compared, rates
from rla_gym.bench.play import Outcomes, play
from rla_gym.bench.results import Results, jsonable
from rla_gym.bench.starts import Starts, held_out_starts
from rla_gym.bench.tables import transfer_table
from rla_gym.bench.video import Missing, write_video
from rla_gym.bundle import Bundle
from rla_gym.checkpoint import DEFAULT_CHECKPOINT, load_checkpoint
from rla_gym.envs.dream_episodes import DreamEpisodes
from rla_gym.envs.options import EpisodeOptions
from rla_gym.envs.real_episodes import RealEpisodes
from rla_gym.envs.simulators import LocalSimulators, Simulators, WorkerSimulators
from rla_gym.files import sha256_file
from rla_gym.progress import Progress
from rla_gym.tasks import make_task

CANNOT = (ValueError, KeyError, ImportError, FileNotFoundError, RuntimeError, gym.error.Error)
"""What a simulator that is not there ends in; without OpenGL it is a RuntimeError."""
SAME = 1e-4
"""Object states (metres, radians) of two starts that differ by more are not the same."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Evaluate agents in the dream and in the real environment from the same held-out starts.

    Without a simulator only the dream part is measured. Files of Stable-Baselines3 are pickles, which run code when
    they are loaded: give only agents that you trust.
    """

    name: ClassVar[str] = "transfer"

    agents: tuple[str, ...]
    """Files of Stable-Baselines3 (a.zip, with a_vecnormalize.pkl beside it where there is one) or entry points
    module:function; each may be named: mine=runs/ppo/agent.zip."""
    ckpt: str = DEFAULT_CHECKPOINT
    """Checkpoint: folder, built-in name or hub id."""
    episodes: int = 200
    """Starts, each played once in the dream and once in reality by every agent."""
    seed: int = 0
    """Of the dreams' noise; the starts are the same for every seed."""
    dataset: Path | None = None
    """Recordings to start from instead of the checkpoint's references: a token store, or a data set."""
    later_frames: bool = False
    """Where recordings are fewer than episodes, start at later frames of them too."""
    max_episode_steps: int | None = None
    """Chunks of an episode; None: the checkpoint's."""
    deterministic: bool = True
    """The policy's mean action; else sampled ones."""
    num_envs: int = 32
    """Episodes side by side, in the dream and in reality."""
    workers: int = 2
    """Processes of the simulators; 0: this one."""
    precision: str | None = None
    """Of the world model: float32 or bf16."""
    device: str = "cpu"
    """Of the world model and the encoder."""
    videos: int = 3
    """Starts of each agent shown side by side, dream and reality; 0: none."""

    def measure(self, folder: Path | None = None, progress: bool = True) -> Results:
        """Play everything; videos are written to `folder`.

        Raises:
            ValueError: agents that do not fit the checkpoint, or settings out of range.
        """
        bundle = load_checkpoint(self.ckpt)
        agents = load_agents(self.agents, bundle)
        starts = held_out_starts(bundle, self.episodes, self.seed, self.dataset, self.later_frames)
        notes = list(starts.notes)
        problem = simulator_problem(bundle, starts)
        with Progress(len(agents) * len(starts) * (1 if problem else 2), "episodes", "episode", show=progress) as bar:
            dreams = {
                agent.name: play(agent, self.dream(bundle, agent, starts), starts, self.deterministic, bar.update)
                for agent in agents
            }
            real: dict[str, Outcomes] = {}
            if problem is None:
                try:
                    real = self.real(bundle, agents, starts, bar.update)
                except CANNOT as error:
                    if real or isinstance(error, ValueError | KeyError):
                        raise
                    problem = _first_line(error)
        if problem:
            notes.append(f"only the dream was measured, not reality: {problem}")
        threshold = DreamEpisodes(bundle, 1, self.options(agents[0], starts)).reward.threshold
        if threshold is None:
            notes.append(
                "success in the dream was not measured: the checkpoint has no threshold for its goal distance (export "
                "it with recordings that reached success)"
            )
        solvable = bool(starts.references.successes.any()) or any(each["success"].any() for each in real.values())
        if real and not solvable:
            notes.append(
                "success was not compared: nothing reached the task's success, neither recordings nor agents; the task "
                "may have no rule for it"
            )
        outcomes = {
            agent.name: {"dream": _kept(dreams[agent.name])}
            | ({"real": _kept(real[agent.name])} if agent.name in real else {})
            for agent in agents
        }
        begun: dict[str, Any] = {"episode": starts.episode, "frame": starts.frame}
        if real:
            begun["object_gap"] = gap = object_gap(starts, real)
            if (gap > SAME).any():
                notes.append(
                    f"{int((gap > SAME).sum())} starts differ: the simulator restored object states up to "
                    f"{gap.max():.2g} from the recorded ones; was another version of it recorded with?"
                )
        if folder is not None and self.videos:
            notes += self.film(bundle, agents, starts, outcomes, folder, problem)
        facts = {
            "checkpoint": _identity(bundle),
            "agents": {agent.name: agent.facts for agent in agents},
            "threshold": threshold,
            "task_success": bool(real) and solvable,
            "control_steps": {agent.name: agent.chunk for agent in agents},
        }
        return Results(self.name, self.settings(), facts, {"starts": begun, "agents": outcomes}, tuple(notes))

    def settings(self) -> dict[str, Any]:
        """What the outcomes depend on, JSON-able; not how many are played side by side, nor videos."""
        left_out = ("num_envs", "workers", "videos")
        found: dict[str, Any] = jsonable({k: v for k, v in vars(self).items() if k not in left_out})
        return found

    def options(self, agent: Agent, starts: Starts) -> EpisodeOptions:
        """Of the environments that `agent` is evaluated in, dreamed and real alike."""
        return EpisodeOptions(
            obs_mode=agent.obs_mode,
            chunk=agent.chunk,
            max_episode_steps=self.max_episode_steps,
            dataset=starts.references,
            successful_references=False,
        )

    def dream(self, bundle: Bundle, agent: Agent, starts: Starts, batch: int | None = None) -> DreamEpisodes:
        """Dreams for `agent`, at most as many as there are starts."""
        count = min(batch or self.num_envs, len(starts))
        options = self.options(agent, starts)
        return DreamEpisodes(bundle, count, options, precision=self.precision, device=self.device)

    def real(
        self, bundle: Bundle, agents: list[Agent], starts: Starts, done: Callable[[int], Any]
    ) -> dict[str, Outcomes]:
        """Outcomes of every agent in the simulator; the simulators are made once."""
        count = min(self.num_envs, len(starts))
        simulators = self.simulators(bundle, count)
        try:
            found = {}
            for agent in agents:
                episodes = RealEpisodes(bundle, count, self.options(agent, starts), simulators, device=self.device)
                found[agent.name] = play(agent, episodes, starts, self.deterministic, done)
            return found
        finally:
            simulators.close()

    def simulators(self, bundle: Bundle, count: int) -> Simulators:
        """`count` simulators of the checkpoint's task, in worker processes."""
        if self.workers < 0:
            raise ValueError(f"workers={self.workers}: expected a number of processes, or 0 for none")
        task = bundle.config.task
        return WorkerSimulators(task, min(self.workers, count)) if self.workers else LocalSimulators(task)

    def film(
        self,
        bundle: Bundle,
        agents: list[Agent],
        starts: Starts,
        outcomes: Mapping[str, Any],
        folder: Path,
        problem: str | None,
    ) -> list[str]:
        """Write a video of each agent; a note where that cannot be."""
        try:
            for agent in agents:
                chosen = worth_seeing(outcomes[agent.name], self.videos)
                few = replace(starts, **{name: getattr(starts, name)[chosen] for name in ("episode", "frame", "seeds")})
                sides = {"dream": self.dream(bundle, agent, few, len(few))}
                episodes: dict[str, Any] = dict(sides)
                if problem is None:
                    simulators = self.simulators(bundle, min(1, self.workers))
                    options = self.options(agent, few)
                    episodes["real"] = RealEpisodes(bundle, len(few), options, simulators, device=self.device)
                try:
                    write_video(folder / f"{agent.name}.mp4", agent, episodes, few, self.deterministic)
                finally:
                    for each in episodes.values():
                        each.close()
        except (Missing, ImportError) as error:
            return [f"no videos: {_first_line(error)}"]
        return []

    @staticmethod
    def summarize(episodes: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
        """Rates of success, their differences, exploitation and agreement of each agent; see docs/bench.md."""
        clusters = np.asarray(episodes["starts"]["episode"])
        dreamed, threshold = facts["threshold"] is not None, facts["threshold"]
        found: dict[str, Any] = {"starts": len(clusters), "agents": {}}
        first: Mapping[str, Any] | None = None
        for name, sides in episodes["agents"].items():
            entry: dict[str, Any] = {"dream": rates(sides["dream"], clusters, success=dreamed)}
            if "real" in sides:
                entry["real"] = rates(sides["real"], clusters, success=facts["task_success"])
                success = dreamed and facts["task_success"]
                entry["compared"] = compared(sides["dream"], sides["real"], clusters, success, threshold)
                if facts["task_success"] and first is not None:
                    entry["against_first"] = compared(sides["real"], first, clusters, True, None)["success"]
                first = first or sides["real"]
            found["agents"][name] = entry
        if "object_gap" in episodes["starts"]:
            found["object_gap"] = float(np.max(episodes["starts"]["object_gap"]))
        return found

    @staticmethod
    def table(summary: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
        """Markdown."""
        return transfer_table(summary, facts)


def simulator_problem(bundle: Bundle, starts: Starts) -> str | None:
    """Why agents cannot be put into the real environment at the starts, in one line; None where they can."""
    if not starts.restorable:
        return "the recordings have no simulator states to start from"
    try:
        make_task(bundle.config.task).close()
        bundle.encoder  # noqa: B018  (loaded here, so that its lack is known before anything is played)
    except CANNOT as error:
        return _first_line(error)
    return None


def object_gap(starts: Starts, real: Mapping[str, Outcomes]) -> np.ndarray:
    """(N,) largest distance of a restored object state from the recorded one, over all agents; 0 without objects."""
    recorded = starts.references.objects.cpu().numpy()[starts.rows]
    if not recorded.shape[1]:
        return np.zeros(len(starts))
    gaps: np.ndarray = np.max([np.abs(each["objects"] - recorded).max(axis=1) for each in real.values()], axis=0)
    return gaps


def worth_seeing(sides: Mapping[str, Any], count: int) -> np.ndarray:
    """Numbers of at most `count` starts: those solved in the dream alone first, then in reality alone, then any."""
    dream = np.asarray(sides["dream"]["success"], bool)
    real = np.asarray(sides["real"]["success"], bool) if "real" in sides else dream
    rank = np.where(dream & ~real, 0, np.where(real & ~dream, 1, 2))
    return np.sort(np.argsort(rank, kind="stable")[:count])


def _kept(outcomes: Outcomes) -> Outcomes:
    return {name: values for name, values in outcomes.items() if name != "objects"}


def _identity(bundle: Bundle) -> dict[str, Any]:
    config = None if bundle.path is None else sha256_file(bundle.path / "config.json")
    return {"name": bundle.config.name, "task": bundle.config.task, "config_sha256": config}


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
