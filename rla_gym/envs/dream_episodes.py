"""Episodes of the world model: dreams with observations, rewards and ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from rla_gym.checkpoint.bundle import Bundle
from rla_gym.dream.dream import Dream, DreamStep
from rla_gym.dream.uncertainty import DataDistance, wanted
from rla_gym.envs.episodes import Episodes, EpisodeStep
from rla_gym.envs.options import EpisodeOptions
from rla_gym.envs.spaces import Observation


class DreamEpisodes(Episodes):
    """Episodes of the world model.

    Args:
        steps, temperature, precision, device: of `Dream`.
    """

    def __init__(
        self,
        ckpt: str | Path | Bundle,
        batch: int,
        options: EpisodeOptions,
        steps: int | None = None,
        temperature: float | None = None,
        precision: str | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(ckpt, batch, options, device)
        if options.obs_mode == "pixels" and not self.has_images:
            raise ValueError(
                f"obs_mode='pixels': checkpoint {self.bundle.config.name!r} has no image decoder, so its dreams have "
                "no pixels; take another obs_mode, or train and export one with `rla-gym train image-decoder`"
            )
        self.dream = Dream(
            self.bundle,
            self.batch,
            steps,
            temperature,
            precision,
            self.device,
            disagreement=options.disagreement(),
            batch_invariant=options.batch_invariant,
        )
        self.reward = self.make_reward()
        self.data_distance: DataDistance | None = None
        if "data_distance" in wanted(options.uncertainty):
            self.data_distance = DataDistance(self.bundle, self.chunk, self.trained.references)
        self.disagreement_total = np.zeros(self.batch, np.float32)

    def seed(self, rows: np.ndarray, seeds: Sequence[int]) -> None:
        super().seed(rows, seeds)
        mask = np.zeros(self.batch, bool)
        mask[rows] = True
        self.dream.seed(self.seeds, mask)

    def step(self, actions: np.ndarray) -> EpisodeStep:
        self._notice_fork()
        chunks = self._chunks(actions)
        away = None if self.data_distance is None else self.data_distance(self.dream.tokens, self.dream.proprio, chunks)
        state = self.dream.step(chunks)
        scored = self.reward.step(state.tokens, state.frame)
        self.frame, self.chunks = self.frame + self.chunk, self.chunks + 1
        success = scored.success.cpu().numpy()
        distances, goals = scored.distance.cpu().numpy(), scored.goal_distance.cpu().numpy()
        step = EpisodeStep(
            observation=self._observe(state.tokens, state.proprio),
            reward=scored.reward.cpu().numpy(),
            terminated=success & self.options.terminate_on_success,
            truncated=self._truncated(),
            infos=[self._info(i, distances[i], goals[i], success[i]) for i in range(self.batch)],
        )
        self._tell_uncertainty(step, state, away)
        self.reward.end(torch.from_numpy(step.terminated | step.truncated))
        return step

    @property
    def has_images(self) -> bool:
        return self.bundle.config.image_decoder is not None

    def images(self) -> np.ndarray:
        self._notice_fork()
        return self.dream.images()

    def _start(self, rows: np.ndarray) -> tuple[Observation, np.ndarray]:
        mask = np.zeros(self.batch, bool)
        mask[rows] = True
        state = self.dream.reset(mask, self.reference, self.frame)
        index = torch.from_numpy(rows).to(self.device)
        tokens = state.tokens[index]
        self.reward.reset(index, state.reference[index], tokens, self._goal_rows(rows))
        self.disagreement_total[rows] = 0
        return self._observe(tokens, state.proprio[index]), self.reward.goal_distance[index].cpu().numpy()

    def _tell_uncertainty(self, step: EpisodeStep, state: DreamStep, away: np.ndarray | None) -> None:
        """Put into the infos of `step` what was clamped and asked for, and truncate what is too uncertain."""
        told: dict[str, np.ndarray] = {"clamped": state.clamped.cpu().numpy()}
        if state.disagreement is not None:
            found = state.disagreement.cpu().numpy()
            self.disagreement_total = np.sqrt(self.disagreement_total**2 + found**2)
            told |= {"disagreement": found, "disagreement_total": self.disagreement_total}
            if self.options.disagreement_limit is not None:
                step.truncated = step.truncated | (self.disagreement_total > self.options.disagreement_limit)
        if away is not None:
            told["data_distance"] = away
        for name, values in told.items():
            for info, value in zip(step.infos, values.tolist(), strict=True):
                info[name] = value
