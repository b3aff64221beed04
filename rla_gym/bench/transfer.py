"""Does what an agent does in the dream carry over to the real environment? The same starts in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rla_gym.bench.agents import Agent, load_agents
from rla_gym.bench.outcomes import compared, rates
from rla_gym.bench.play import Outcomes, play
from rla_gym.bench.results import Results, jsonable
from rla_gym.bench.sides import Sides, first_line
from rla_gym.bench.starts import Starts, held_out_starts
from rla_gym.bench.tables import transfer_table
from rla_gym.bench.video import MissingDecoder, write_video
from rla_gym.checkpoint.bundle import Bundle
from rla_gym.checkpoint.resolve import DEFAULT_CHECKPOINT
from rla_gym.checkpoint.store import load_checkpoint
from rla_gym.tasks.offscreen import RenderingError
from rla_gym.utils.checks import Count, check_fields
from rla_gym.utils.files import sha256_file
from rla_gym.utils.progress import Progress

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
    episodes: Count = 200
    """Starts, each played once in the dream and once in reality by every agent."""
    seed: int = 0
    """Of the dreams' noise; the starts are the same for every seed."""
    dataset: Path | None = None
    """Recordings to start from instead of the checkpoint's references: a token store, or a data set."""
    later_frames: bool = False
    """Where recordings are fewer than episodes, start at later frames of them too."""
    time_limit: Count | None = None
    """Chunks of an episode; None: the checkpoint's."""
    deterministic: bool = True
    """The policy's mean action; else sampled ones."""
    num_envs: Count = 32
    """Episodes side by side, in the dream and in reality."""
    workers: int = 2
    """Processes of the simulators; 0: this one."""
    precision: str | None = None
    """Of the world model: float32 or bf16."""
    device: str = "cpu"
    """Of the world model and the encoder."""
    videos: int = 3
    """Starts of each agent shown side by side, dream and reality; 0: none."""

    def measure(self, progress: bool = True) -> Results:
        """Play everything.

        Raises:
            ValueError: agents that do not fit the checkpoint, or settings out of range.
        """
        check_fields(self)
        sides, agents = self._prepared()
        bundle, starts = sides.bundle, sides.starts
        played, problem = self._play(sides, agents, progress)
        threshold = sides.dream(agents[0], 1).reward.threshold
        recorded = bool(starts.references.successes.any())
        solvable = recorded or any(each["real"]["success"].any() for each in played.values() if "real" in each)
        begun: dict[str, Any] = {"episode": starts.episode, "frame": starts.frame}
        if problem is None:
            begun["object_gap"] = object_gap(starts, [each["real"]["objects"] for each in played.values()])
        outcomes = {
            name: {side: {key: each for key, each in found.items() if key != "objects"} for side, found in both.items()}
            for name, both in played.items()
        }
        notes = [*starts.notes, *_notes(problem, threshold, solvable, begun.get("object_gap"))]
        facts = {
            "checkpoint": _identity(bundle),
            "agents": {agent.name: agent.facts for agent in agents},
            "threshold": threshold,
            "task_success": problem is None and solvable,
        }
        return Results(self.name, self.settings(), facts, {"starts": begun, "agents": outcomes}, tuple(notes))

    def illustrate(self, results: Results, folder: Path) -> list[str]:
        """Write a video of each agent to `folder`, of its most telling starts; a line where that cannot be."""
        if not self.videos:
            return []
        sides, agents = self._prepared()
        try:
            for agent in agents:
                both = results.episodes["agents"][agent.name]
                few = sides.starts.take(worth_seeing(both, self.videos))
                shown = replace(sides, starts=few, workers=min(1, self.workers))
                with shown.simulators(len(few)) if "real" in both else nullcontext() as simulators:
                    episodes: dict[str, Any] = {"dream": shown.dream(agent, len(few))}
                    if simulators is not None:
                        episodes["real"] = shown.real(agent, len(few), simulators)
                    write_video(folder / f"{agent.name}.mp4", agent, episodes, few, self.deterministic)
        except (MissingDecoder, ImportError) as error:
            return [f"no videos: {first_line(error)}"]
        return []

    def settings(self) -> dict[str, Any]:
        """What the outcomes depend on, JSON-able; not how many are played side by side, nor videos."""
        left_out = ("num_envs", "workers", "videos")
        found: dict[str, Any] = jsonable({k: v for k, v in vars(self).items() if k not in left_out})
        return found

    def _prepared(self) -> tuple[Sides, list[Agent]]:
        """Environments, starts and agents; the same at every call."""
        bundle = load_checkpoint(self.ckpt)
        agents = load_agents(self.agents, bundle)
        starts = held_out_starts(bundle, self.episodes, self.seed, self.dataset, self.later_frames)
        return Sides(bundle, starts, self.time_limit, self.precision, self.device, self.workers), agents

    def _play(
        self, sides: Sides, agents: list[Agent], progress: bool
    ) -> tuple[dict[str, dict[str, Outcomes]], str | None]:
        """Outcomes by agent and side, and why there are none of reality, in one line, where there are none."""
        starts, count = sides.starts, min(self.num_envs, len(sides.starts))
        problem = sides.problem()
        found: dict[str, dict[str, Outcomes]] = {}
        with Progress(len(agents) * len(starts) * (1 if problem else 2), "episodes", "episode", show=progress) as bar:
            for agent in agents:
                dreams = sides.dream(agent, count)
                found[agent.name] = {"dream": play(agent, dreams, starts, self.deterministic, bar.update)}
            if problem is None:
                with sides.simulators(count) as simulators:
                    for agent in agents:
                        episodes = sides.real(agent, count, simulators)
                        try:
                            found[agent.name]["real"] = play(agent, episodes, starts, self.deterministic, bar.update)
                        except RenderingError as error:  # the first frame shows whether there is an OpenGL context
                            return found, first_line(error)
        return found, problem

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


def object_gap(starts: Starts, restored: Sequence[np.ndarray]) -> np.ndarray:
    """(N,) largest distance of an object state from the recorded one, over all `restored` (N, O); 0 without objects."""
    recorded = starts.references.objects.cpu().numpy()[starts.rows]
    if not recorded.shape[1]:
        return np.zeros(len(starts))
    gaps: np.ndarray = np.max([np.abs(objects - recorded).max(axis=1) for objects in restored], axis=0)
    return gaps


def worth_seeing(sides: Mapping[str, Any], count: int) -> np.ndarray:
    """Numbers of at most `count` starts: those solved in the dream alone first, then in reality alone, then any."""
    dream = np.asarray(sides["dream"]["success"], bool)
    real = np.asarray(sides["real"]["success"], bool) if "real" in sides else dream
    rank = np.where(dream & ~real, 0, np.where(real & ~dream, 1, 2))
    return np.sort(np.argsort(rank, kind="stable")[:count])


def _notes(problem: str | None, threshold: float | None, solvable: bool, gap: np.ndarray | None) -> list[str]:
    """One line for each thing that could not be measured."""
    notes = []
    if problem is not None:
        notes.append(f"only the dream was measured, not reality: {problem}")
    if threshold is None:
        notes.append(
            "success in the dream was not measured: the checkpoint has no threshold for its goal distance (export it "
            "with recordings that reached success)"
        )
    if problem is None and not solvable:
        notes.append(
            "success was not compared: neither recordings nor agents reached the task's success; it may have no rule "
            "for it"
        )
    if gap is not None and (gap > SAME).any():
        notes.append(
            f"{int((gap > SAME).sum())} starts differ: the simulator restored object states up to {gap.max():.2g} from "
            "the recorded ones; was another version of it recorded with?"
        )
    return notes


def _identity(bundle: Bundle) -> dict[str, Any]:
    config = None if bundle.path is None else sha256_file(bundle.path / "config.json")
    return {"name": bundle.config.name, "task": bundle.config.task, "config_sha256": config}
