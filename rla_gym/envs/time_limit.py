"""When episodes are truncated at the latest, as Gymnasium's specification of an environment says it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rla_gym.envs.options import checked_count

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

    from rla_gym.envs.episodes import Episodes


class ToldLimit:
    """Keeps `spec.max_episode_steps` at the limit of the episodes, where Gymnasium's wrappers look for it.

    The environment truncates by itself: `gymnasium.make` puts no `TimeLimit` around it unless it is asked for one. One
    made again from its specification gets one of the same length, which changes nothing.
    """

    episodes: Episodes
    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """What Gymnasium made it from; None where the class itself was called."""
        return self._spec

    @spec.setter
    def spec(self, given: EnvSpec | None) -> None:
        if given is None:
            self._spec = None
            return
        # The limit is said once: `make_vec` copies it into the options of what it makes, and a specification would
        # differ from the one of the environment that was made from it.
        options = {name: value for name, value in given.kwargs.items() if name != "max_episode_steps"}
        self._spec = replace(given, max_episode_steps=self.episodes.limit, kwargs=options)


def shortened(episodes: Episodes, max_episode_steps: Any) -> None:
    """Truncate `episodes` after that many steps at the latest; None leaves them as they are.

    Raises:
        ValueError: no whole number of at least 1.
    """
    if max_episode_steps is not None:
        episodes.limit = min(episodes.limit, checked_count("max_episode_steps", max_episode_steps))
