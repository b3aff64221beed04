"""Options that the dream and the real simulator share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rla_gym.references import References
from rla_gym.uncertainty import DisagreementConfig, wanted


@dataclass(frozen=True)
class EpisodeOptions:
    """Options of every environment; their meaning is on the page of `RLAWorldEnv`."""

    obs_mode: str = "features"
    reward: str | None = None
    metric: str | None = None
    patches: str | None = None
    reward_scale: float | None = None
    success_threshold: float | None = None
    terminate_on_success: bool = True
    references: str | Sequence[int] | None = None
    successful_references: bool = True
    p_initial_frame: float = 0.5
    max_episode_steps: int | None = None
    chunk: int | None = None
    gamma: float | None = None
    success_bonus: float = 0.0
    normalize_reward: str | None = None
    dataset: str | Path | References | None = None
    end_with_reference: bool = False
    uncertainty: str | None = None
    disagreement_samples: int = DisagreementConfig.samples
    disagreement_space: str = DisagreementConfig.space
    disagreement_limit: float | None = None
    batch_invariant: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.p_initial_frame <= 1.0:
            raise ValueError(f"p_initial_frame={self.p_initial_frame}: expected a probability")
        if self.max_episode_steps is not None and self.max_episode_steps < 1:
            raise ValueError(f"max_episode_steps={self.max_episode_steps}: expected at least 1 chunk, or None")
        limit, measured = self.disagreement_limit, self.disagreement() is not None
        if limit is not None and not (limit > 0 and measured):
            raise ValueError(
                f"disagreement_limit={limit} with uncertainty={self.uncertainty!r}: expected a positive number, and "
                "'disagreement' or 'both'"
            )

    def disagreement(self) -> DisagreementConfig | None:
        """How disagreement is measured, None where it is not asked for; a ValueError for numbers out of range."""
        if "disagreement" not in wanted(self.uncertainty):
            return None
        return DisagreementConfig(self.disagreement_samples, self.disagreement_space)
