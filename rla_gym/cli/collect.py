"""`rla-gym collect`: record episodes of a task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rla_gym.checks import Count, Fraction, NonNegative, Whole


@dataclass(frozen=True, kw_only=True)
class Collect:
    """Record episodes of a task with its scripted demonstrators; a killed run goes on where it stopped."""

    task: str
    """push-cube, push-t, roll-ball, poke-cube, pull-cube (or with @train, @unseen, @unseen-colours), Lift, Reacher-v5,
    robosuite:<environment> or gymnasium:<MuJoCo id>."""
    out: Path
    """Folder of the data set."""
    episodes: Count = 600
    """How many."""
    play: Fraction = 0.4
    """Share of smooth random play."""
    goal_blind: Fraction = 0.2
    """Share of skilled motion to hidden targets while another is shown."""
    interrupted: Fraction = 0.0
    """Share of such motion interrupted by random, straight or no motion (tabletop tasks); the rest are experts."""
    noise: NonNegative = 0.3
    """Mean noise level of all but play."""
    seed: Whole = 0
    """Episodes are a function of it, whatever the number of workers."""
    workers: Whole = 2
    """Processes."""

    def run(self) -> None:
        """Collect and print what was collected, and how fast."""
        from rla_gym.data.collect import CollectConfig, collect

        collect(
            CollectConfig(
                self.task,
                self.episodes,
                self.play,
                self.goal_blind,
                self.noise,
                self.seed,
                self.workers,
                self.out,
                self.interrupted,
            )
        )
