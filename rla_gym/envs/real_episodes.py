"""Episodes of the real simulator, observed and rewarded as dreams are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.envs.episodes import START_STEP, Episodes, EpisodeStep
from rla_gym.envs.options import EpisodeOptions
from rla_gym.envs.spaces import Observation
from rla_gym.envs.task_reward import TaskReward
from rla_gym.rewards import VideoReward
from rla_gym.tasks.simulators import Observed, Simulators, Start
from rla_gym.utils.keyed_rng import keyed_bits, make_keys

STARTS = ("reference", "task")
SUCCESS_REWARD = "success"
OF_REFERENCES = (
    "metric",
    "patches",
    "success_threshold",
    "references",
    "successful_references",
    "dataset",
    "p_initial_frame",
    "end_with_reference",
)
"""Options that mean nothing where episodes have no reference."""
_POSITIVE = np.uint64(1)  # bits dropped of a 64-bit word, so that it is a positive seed


class RealEpisodes(Episodes):
    """Episodes of a checkpoint's own task.

    Args:
        start: "reference", a recorded simulator state, or "task", the task's own reset.
        simulators: at least `batch` of them, of the checkpoint's task.

    With start="task" there is no video to be rewarded against: the reward is then "success", by the task's own rule
    (`TaskReward`), which may also be asked for with start="reference".

    Raises:
        ValueError: an unknown start, a video-aligned reward or an option about references with start="task", or
            references without states.
    """

    def __init__(
        self,
        ckpt: str | Path | Bundle,
        batch: int,
        options: EpisodeOptions,
        simulators: Simulators,
        start: str = "reference",
        device: str = "cpu",
    ) -> None:
        if start not in STARTS:
            raise ValueError(f"start={start!r}: expected one of {', '.join(STARTS)}")
        if start == "task" and options.reward not in (None, SUCCESS_REWARD):
            raise ValueError(
                f"reward={options.reward!r} compares with a reference episode, which start='task' does not have: take "
                f"start='reference', or reward={SUCCESS_REWARD!r}"
            )
        if options.uncertainty is not None:
            raise ValueError(f"uncertainty={options.uncertainty!r}: only dreams have one; take RLAWorld-v0, or None")
        if start == "task":
            _refuse_references(options)
        super().__init__(ckpt, batch, options, device)
        self.start, self.simulators = start, simulators
        if start == "task":
            self.reset_options = ()
        if start == "reference" and not self.bundle.references.states.shape[1]:
            raise ValueError(
                f"the references of {self.bundle.config.name!r} have no simulator states: take start='task'"
            )
        self.video: VideoReward | None = None
        self.task_reward: TaskReward | None = None
        if start == "task" or options.reward == SUCCESS_REWARD:
            self.task_reward = TaskReward(batch, options)
            # Distances are still told in the info, by a video reward that pays nothing.
            self.options = replace(options, reward="goal", gamma=None, success_bonus=0.0, normalize_reward=None)
        if start == "reference":
            self.video = self.make_reward()
        self.options = options
        self.frames = np.zeros((batch, *self.bundle.config.frame_size, 3), np.uint8)
        self.objects: np.ndarray | None = None
        self._observed: dict[int, Observed] = {}

    def seed(self, rows: np.ndarray, seeds: Sequence[int]) -> None:
        super().seed(rows, seeds)
        if self.task_reward is not None and len(rows) == self.batch:
            self.task_reward.restart()

    def step(self, actions: np.ndarray) -> EpisodeStep:
        self._notice_fork()
        chunks = self.bundle.unscale_actions(self._chunks(actions))
        everyone = np.arange(self.batch)
        moving = {int(index): chunks[index] for index in np.flatnonzero(~self.resting)}
        # Where success ends no episode it ends no chunk either, so that real and dreamed time stay the same.
        self._observed |= self.simulators.step(moving, whole=not self.options.terminate_on_success)
        observed = self._observed
        tokens, proprio = self._take_in(everyone, observed)
        self.frame = self.frame + np.array([observed[index].steps for index in range(self.batch)])
        self.chunks = self.chunks + 1
        success = np.array([observed[index].success for index in range(self.batch)])
        reward = distance = goal = np.zeros(self.batch, np.float32)
        if self.video is not None and tokens is not None:
            scored = self.video.step(tokens, torch.from_numpy(self.frame).to(self.device))
            distance, goal = scored.distance.cpu().numpy(), scored.goal_distance.cpu().numpy()
            reward = scored.reward.cpu().numpy()
        if self.task_reward is not None:
            reward = self.task_reward.step(success)
        step = EpisodeStep(
            observation=self._observe(tokens, proprio, self.frames.copy()),
            reward=reward,
            terminated=success & self.options.terminate_on_success,
            truncated=self._truncated(),
            infos=[self._info(i, distance[i], goal[i], bool(success[i])) for i in range(self.batch)],
        )
        if self.video is not None:
            self.video.end(torch.from_numpy(step.terminated | step.truncated))
        if self.task_reward is not None:
            self.task_reward.end(step.terminated | step.truncated)
        return step

    def images(self) -> np.ndarray:
        return self.frames.copy()

    def close(self) -> None:
        self.simulators.close()

    def _start(self, rows: np.ndarray) -> tuple[Observation, np.ndarray]:
        observed = self.simulators.start(self._starts(rows))
        self._observed |= observed
        tokens, proprio = self._take_in(rows, observed)
        distances = np.zeros(len(rows), np.float32)
        if self.video is not None and tokens is not None:
            index = torch.from_numpy(rows).to(self.device)
            references = torch.from_numpy(self.reference[rows]).to(self.device)
            self.video.reset(index, references, tokens, self._goal_rows(rows))
            distances = self.video.goal_distance[index].cpu().numpy()
        if self.task_reward is not None:
            self.task_reward.begin(rows)
        return self._observe(tokens, proprio, self.frames[rows]), distances

    def _starts(self, rows: np.ndarray) -> dict[int, Start]:
        if self.start == "reference":
            references = self.bundle.references
            places = references.starts.cpu().numpy()[self.reference[rows]] + self.frame[rows]
            states = references.states.cpu().numpy()
            return {int(row): states[place] for row, place in zip(rows, places, strict=True)}
        self.frame[rows] = 0
        keys = make_keys(self.seeds[rows], self.episodes[rows], np.full(len(rows), START_STEP, np.uint64))
        seeds = keyed_bits(keys, 1)[:, 0] >> _POSITIVE
        return {int(row): int(seed) for row, seed in zip(rows, seeds, strict=True)}

    def _take_in(self, rows: np.ndarray, observed: dict[int, Observed]) -> tuple[Tensor | None, Tensor]:
        """Tokens (n, L, C), if anything needs them, and standardised proprioception (n, P) of `rows`."""
        seen = [observed[int(row)] for row in rows]
        frames = np.stack([each.frame for each in seen])
        if frames.shape[1:] != self.frames.shape[1:]:
            raise ValueError(
                f"task {self.bundle.config.task!r} renders frames of {frames.shape[1:3]}, checkpoint "
                f"{self.bundle.config.name!r} was trained on {self.bundle.config.frame_size}: make the task as it was "
                f"recorded (options {dict(self.bundle.config.task_options)})"
            )
        self.frames[rows] = frames
        objects = np.stack([each.objects for each in seen])
        if self.objects is None:
            self.objects = np.zeros((self.batch, objects.shape[1]), np.float32)
        self.objects[rows] = objects
        # Cast before it is moved: a task's may be float64, which not every device has.
        proprio = torch.from_numpy(np.stack([each.proprio for each in seen]).astype(np.float32)).to(self.device)
        needed = self.video is not None or self.options.obs_mode != "pixels"
        tokens = self.bundle.encode_frames(frames).to(self.device) if needed else None
        return tokens, self.bundle.standardize_proprio(proprio)

    def _info(self, row: int, distance: float, goal_distance: float, success: bool = False) -> dict[str, Any]:
        """As in a dream where there is a reference, else the success alone; and the true objects in both."""
        info: dict[str, Any] = {"success": success, "is_success": success}
        if self.start == "reference":
            info = super()._info(row, distance, goal_distance, success)
        assert self.objects is not None
        return {**info, "objects": self.objects[row].copy()}


def check_shown_reference(render_reference: Any, start: Any) -> None:
    """A ValueError where a reference is to be shown and the episodes have none."""
    if render_reference and start == "task":
        raise ValueError("render_reference=True: start='task' has no reference to show; take start='reference'")


def _refuse_references(options: EpisodeOptions) -> None:
    """A ValueError for an option that only references give a meaning to."""
    usual = {entry.name: entry.default for entry in fields(options)}
    for name in OF_REFERENCES:
        given = getattr(options, name)
        if given is not usual[name] and not (isinstance(given, float) and given == usual[name]):
            raise ValueError(f"{name}={given!r}: start='task' has no reference episode; take start='reference'")
