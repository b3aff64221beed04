"""Options that the dream and the real simulator share, and the one check of all that an environment is made with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from rla_gym.checkpoint.references import References
from rla_gym.dream.uncertainty import DisagreementConfig, wanted
from rla_gym.utils.checks import Count, Fraction, NonNegative, Positive, Range, check_fields, checked

Gamma = Annotated[float, Range(above=0, high=1)]
Samples = Annotated[int, Range(low=2)]


@dataclass(frozen=True)
class EpisodeOptions:
    """Options of every environment; their meaning is on the page of `RLAWorldEnv`.

    Raises:
        ValueError: a value of another type, or out of its range.
    """

    obs_mode: str = "features"
    reward: str | None = None
    metric: str | None = None
    patches: str | None = None
    reward_scale: Positive | None = None
    success_threshold: float | None = None
    terminate_on_success: bool = True
    references: str | Sequence[int] | None = None
    successful_references: bool = True
    p_initial_frame: Fraction = 0.5
    time_limit: Count | None = None
    chunk: Count | None = None
    gamma: Gamma | None = None
    success_bonus: NonNegative = 0.0
    normalize_reward: str | None = None
    dataset: str | Path | References | None = None
    end_with_reference: bool = False
    uncertainty: str | None = None
    disagreement_samples: Samples = DisagreementConfig.samples
    disagreement_space: str = DisagreementConfig.space
    disagreement_limit: Positive | None = None
    batch_invariant: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        measured = self.disagreement() is not None
        if self.disagreement_limit is not None and not measured:
            raise ValueError(
                f"disagreement_limit={self.disagreement_limit} with uncertainty={self.uncertainty!r}: a limit needs "
                "uncertainty='disagreement' or 'both'"
            )

    def disagreement(self) -> DisagreementConfig | None:
        """How disagreement is measured, None where it is not asked for; a ValueError for numbers out of range."""
        if "disagreement" not in wanted(self.uncertainty):
            return None
        return DisagreementConfig(self.disagreement_samples, self.disagreement_space)


def episode_options(face: object, given: Mapping[str, Any], **named: Any) -> EpisodeOptions:
    """The options that an environment is made with.

    Args:
        face: the environment; its constructor's own arguments are listed beside the options.
        given: what it got as keyword arguments beside these.
        named: options that are arguments of its own.

    Raises:
        TypeError: an option that does not exist; the text lists those that do.
        ValueError: as of `EpisodeOptions`.
    """
    names = [entry.name for entry in fields(EpisodeOptions)]
    unknown = sorted(set(given) - set(names))
    if unknown:
        own = [name for name in inspect.signature(type(face)).parameters if name != "options"]
        there = sorted({*own, *names})
        close = get_close_matches(unknown[0], there, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        if "max_episode_steps" in unknown:
            hint = " (the environment's own limit is 'time_limit'; 'max_episode_steps' is of gymnasium.make)"
        # Python's own words come first: Gymnasium and TorchRL look for them, and try again without that argument.
        wrong = ", ".join(map(repr, unknown))
        raise TypeError(
            f"{type(face).__name__}.__init__() got an unexpected keyword argument {wrong}{hint}: it has "
            f"{', '.join(there)}"
        )
    return EpisodeOptions(**named, **given)


def checked_count(name: str, value: Any, low: int = 1) -> int:
    """`value` as an int of at least `low`; a ValueError that names it."""
    count: int = checked(name, value, Annotated[int, Range(low=low)])
    return count
